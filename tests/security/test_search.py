"""Search: what people look for is found, and only by those who may see it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session, SQLModel, col, select

from scheduler.core.errors import InvalidInputError
from scheduler.models import Child, Organisation
from scheduler.postgres.audit.log import record_read
from scheduler.postgres.database import Database, Role, act_as
from scheduler.postgres.errors import StoreError
from scheduler.postgres.search import LONGEST, MOST, find_actions, find_children, find_clients, find_organisations
from support.roles import become
from support.rows import Row, insert
from support.worlds.wellbeing import World, make, person

pytestmark = pytest.mark.database

NOBODY = "Nobody"
CLIENTS = ("Ben Johnson", "Anna Li", "Hannah O'Brien", "Linda Bow", "Back\\slash Fifty%Off", "Under_score Sand")
THEIR_CLIENTS = ("Ben Johnson", "Theo Strange")
SEARCHES: list[Callable[..., list[SQLModel]]] = [find_clients, find_children, find_organisations]  # type: ignore[list-item]
FUNCTIONS = ("placement.find_clients", "wellbeing.find_children", "wellbeing.find_organisations")


@pytest.fixture(scope="module")
def world(database_url: str) -> Iterator[World]:
    """Two schools whose children have names and classes, each with clients of its own."""
    with psycopg.connect(database_url) as connection:
        made = make(connection)
        for tenant, names in ((made.ours, CLIENTS), (made.theirs, THEIR_CLIENTS)):
            for name in names:
                add_client(connection, tenant, name)
        add_client(connection, made.ours, "Gone Johnson", deleted_at="2027-01-01 00:00Z")
        for tenant in (made.ours, made.theirs):
            for name, first_name, class_name in (("Child", "Robin", "Owls"), ("Friend", "Will", "Foxes")):
                connection.execute(
                    "update wellbeing.children set first_name = %s, class_name = %s where id = %s",
                    (first_name, class_name, person(tenant, name)),
                )
        connection.execute(
            "update wellbeing.organisations set name = 'The Valley School' where id = %s", (made.theirs,)
        )
        connection.commit()
        yield made


def add_client(connection: psycopg.Connection, tenant: UUID, name: str, **more: object) -> None:
    first_name, _, last_name = name.partition(" ")
    row: Row = {"tenant_id": tenant, "first_name": first_name, "last_name": last_name}
    insert(connection, "placement.clients", row | more)


@contextmanager
def at_work(
    database: Database, tenant: UUID | None, user: UUID | None = None, *, role: Role = Role.APP
) -> Iterator[Session]:
    with database.unit_of_work(role=role, tenant_id=tenant, user_id=user) as session:
        yield session


def clients(database: Database, tenant: UUID | None, wanted: str, most: int = 20) -> list[str]:
    with at_work(database, tenant) as session:
        return [f"{one.first_name} {one.last_name}" for one in find_clients(session, wanted, most=most)]


def children(database: Database, world: World, wanted: str, who: str = "Practitioner") -> list[str]:
    """Look for children as somebody of our school; `'` is somebody of theirs who comes to us."""
    home = world.theirs if who.endswith("'") else world.ours
    user = None if who == NOBODY else person(home, who.rstrip("'"))
    with at_work(database, world.ours, user) as session:
        return [one.first_name for one in find_children(session, wanted, most=20)]


def organisations(database: Database, tenant: UUID, wanted: str, user: UUID | None, role: Role = Role.APP) -> list[str]:
    with at_work(database, tenant, user, role=role) as session:
        return [one.name for one in find_organisations(session, wanted, most=20)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("johnson", "Ben Johnson"),
        ("  BEN johnson ", "Ben Johnson"),
        ("hnso", "Ben Johnson"),
        ("n john", "Ben Johnson"),
        ("Jonson", "Ben Johnson"),
        ("Johnsen", "Ben Johnson"),
        ("bne johnson", "Ben Johnson"),
        ("o'brien", "Hannah O'Brien"),
        ("obrien", "Hannah O'Brien"),
        ("fifty%off", "Back\\slash Fifty%Off"),
        ("ack\\sla", "Back\\slash Fifty%Off"),
        ("nder_sco", "Under_score Sand"),
    ],
)
def test_a_client_is_found_by_a_part_of_the_name_and_in_spite_of_a_wrong_letter(
    world: World, database: Database, wanted: str, found: str
) -> None:
    assert clients(database, world.ours, wanted)[:1] == [found]


def test_the_client_whose_name_is_most_alike_comes_first(world: World, database: Database) -> None:
    assert clients(database, world.ours, "anna") == ["Anna Li", "Hannah O'Brien"]


def test_no_more_clients_are_found_than_asked_for(world: World, database: Database) -> None:
    assert clients(database, world.ours, "anna", most=1) == ["Anna Li"]


def test_one_or_two_letters_find_a_word_that_begins_so(world: World, database: Database) -> None:
    assert clients(database, world.ours, "li") == ["Anna Li", "Linda Bow"]
    beginning_so = ["Back\\slash Fifty%Off", "Ben Johnson", "Hannah O'Brien", "Linda Bow"]
    assert sorted(clients(database, world.ours, "b")) == beginning_so


@pytest.mark.parametrize("wanted", ["", "   ", "\t\n", "%", "_", "%%%", "___", "\\", "'", "--", "*"])
def test_what_has_no_letter_finds_no_client(world: World, database: Database, wanted: str) -> None:
    assert clients(database, world.ours, wanted) == []


@pytest.mark.parametrize("wanted", ["ohn%", "%ohn", "ohn_on", "ohn\\", "ohn%%%%", "ohns*"])
def test_a_wildcard_is_text(world: World, database: Database, wanted: str) -> None:
    assert clients(database, world.ours, wanted) == []


@pytest.mark.parametrize(
    "wanted",
    [
        "' or true --",
        "%' or '1'='1",
        "'; drop table placement.clients; --",
        "\\' union select",
        "$1",
        "%(wanted)s",
        ":x",
    ],
)
def test_what_would_be_a_statement_is_text(world: World, database: Database, wanted: str) -> None:
    assert clients(database, world.ours, wanted) == []
    assert children(database, world, wanted) == []
    assert organisations(database, world.ours, wanted, person(world.ours, "Account")) == []


def test_clients_of_another_tenant_are_not_found(world: World, database: Database) -> None:
    assert clients(database, world.ours, "strange") == []
    assert clients(database, world.theirs, "strange") == ["Theo Strange"]


@pytest.mark.usefixtures("world")
def test_without_a_tenant_no_client_is_found(database: Database) -> None:
    assert clients(database, None, "johnson") == []


def test_a_deleted_client_is_not_found(world: World, database: Database) -> None:
    assert clients(database, world.ours, "gone johnson") == ["Ben Johnson"]


@pytest.mark.parametrize("threshold", ["0", "1"])
def test_what_is_alike_enough_is_not_for_the_caller_to_say(world: World, database: Database, threshold: str) -> None:
    setting = "pg_trgm.word_similarity_threshold"
    with at_work(database, world.ours) as session:
        session.execute(text("select set_config(:setting, :value, true)"), {"setting": setting, "value": threshold})
        found = [one.last_name for one in find_clients(session, "jonson", most=20)]
        left = session.scalar(text("select current_setting(:setting)"), {"setting": setting})
    assert (found, left) == (["Johnson"], threshold)


@pytest.mark.parametrize(
    "wanted", ["robin", "ROBIN", "owls", "owl", "robin owls", "foxes -will or robin", '"robin owl"']
)
def test_a_child_is_found_by_words_of_name_and_class(world: World, database: Database, wanted: str) -> None:
    assert "Robin" in children(database, world, wanted)


@pytest.mark.parametrize("wanted", ["", " ", "badgers", "robin foxes", "-robin robin", "!!&|(", "robin & ("])
def test_words_that_no_child_has_find_none(world: World, database: Database, wanted: str) -> None:
    expected = ["Robin"] if wanted == "robin & (" else []  # what is no word is left out
    assert children(database, world, wanted) == expected


@pytest.mark.parametrize("wanted", ["will", " Will "])
def test_a_child_whose_name_is_left_out_of_english_texts_is_found(
    world: World, database: Database, wanted: str
) -> None:
    assert children(database, world, wanted) == ["Will"]


@pytest.mark.parametrize(
    ("who", "found"),
    [
        ("Practitioner", ["Robin"]),
        ("GroupContact", ["Robin"]),
        ("Account", []),
        ("Child", []),
        ("Friend", []),
        ("Suspended", []),
        ("Parent", []),
        (NOBODY, []),
        ("Practitioner'", []),
        ("GroupContact'", []),
        ("Account'", []),
    ],
)
def test_who_finds_a_child(world: World, database: Database, who: str, found: list[str]) -> None:
    assert children(database, world, "robin", who) == found
    with world.connection.transaction(force_rollback=True):
        keys = keys_told(world, "wellbeing.find_children", "robin", world.ours, who)
    assert keys == ({(world.ours, person(world.ours, "Child"))} if found else set())


def test_the_system_finds_the_children_of_its_tenant(world: World, database: Database) -> None:
    with at_work(database, world.theirs, person(world.ours, "Child"), role=Role.SYSTEM) as session:
        assert [one.tenant_id for one in find_children(session, "robin", most=20)] == [world.theirs]


def test_a_deleted_child_is_not_found(world: World, database: Database) -> None:
    with at_work(database, world.ours, role=Role.SYSTEM) as session:
        child = session.exec(select(Child).where(col(Child.first_name) == "Robin")).one()
        child.deleted_at = datetime(2027, 1, 1, tzinfo=UTC)
        session.flush()
        assert find_children(session, "robin", most=20) == []
        child.deleted_at = None


def test_an_account_finds_the_organisations_of_all_tenants(world: World, database: Database) -> None:
    account = person(world.ours, "Account")
    assert organisations(database, world.ours, "school", account) == ["The Hill School", "The Valley School"]
    assert organisations(database, world.ours, "valley", account) == ["The Valley School"]


@pytest.mark.parametrize("who", ["GroupContact", "Practitioner", "Child"])
def test_others_find_their_own_organisation_only(world: World, database: Database, who: str) -> None:
    assert organisations(database, world.ours, "school", person(world.ours, who)) == ["The Hill School"]
    assert organisations(database, world.ours, "valley", person(world.ours, who)) == []


@pytest.mark.parametrize("who", ["Suspended", "Parent", NOBODY])
def test_who_has_no_role_finds_no_organisation(world: World, database: Database, who: str) -> None:
    assert organisations(database, world.ours, "school", person(world.ours, who)) == []


def test_the_system_finds_its_organisation_only_even_for_an_account(world: World, database: Database) -> None:
    account = person(world.ours, "Account")
    assert organisations(database, world.theirs, "school", account, Role.SYSTEM) == ["The Valley School"]


def test_a_deleted_organisation_is_not_found(world: World, database: Database) -> None:
    with at_work(database, world.ours, role=Role.SYSTEM) as session:
        organisation = session.exec(select(Organisation)).one()
        organisation.deleted_at = datetime(2027, 1, 1, tzinfo=UTC)
        session.flush()
        assert find_organisations(session, "school", most=20) == []
        organisation.deleted_at = None


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize(
    ("wanted", "most"),
    [("a\0b", 20), ("\ud800", 20), ("a" * (LONGEST + 1), 20), ("ann", 0), ("ann", -1), ("ann", MOST + 1)],
)
def test_what_cannot_be_searched_for_is_refused(
    world: World, database: Database, search: Callable[..., list[SQLModel]], wanted: str, most: int
) -> None:
    with at_work(database, world.ours) as session, pytest.raises(InvalidInputError, match=r"^a search "):
        search(session, wanted, most=most)


@pytest.mark.parametrize("search", SEARCHES)
def test_the_longest_and_the_most_can_be_searched_for(
    world: World, database: Database, search: Callable[..., list[SQLModel]]
) -> None:
    with at_work(database, world.ours, person(world.ours, "Practitioner")) as session:
        assert search(session, "é" * LONGEST, most=MOST) == []


def keys_told(
    world: World, function: str, wanted: str, tenant: UUID | None, who: str, role: Role = Role.APP
) -> set[tuple[UUID, UUID]]:
    """Return what a function says to somebody of ours (`'`: of theirs) who calls it without the library."""
    home = world.theirs if who.endswith("'") else world.ours
    become(world.connection, role, tenant, person(home, who.rstrip("'")))
    found = world.connection.execute(f"select tenant_id, id from {function}(%s, 1000)".encode(), (wanted,))
    return {(tenant_id, row_id) for tenant_id, row_id in found}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_of_the_search_tells_keys_and_a_rank(world: World, function: str) -> None:
    found = world.connection.execute(
        "select pg_get_function_result(to_regprocedure(%s))", (f"{function}(text, integer)",)
    ).fetchone()
    assert found == ("TABLE(tenant_id uuid, id uuid, rank real)",)


@pytest.mark.parametrize("who", ["Practitioner", "GroupContact", "Practitioner'", "GroupContact'", "Parent"])
@pytest.mark.parametrize(
    ("function", "wanted"), [(FUNCTIONS[0], "johnson"), (FUNCTIONS[1], "robin or foxes"), (FUNCTIONS[2], "school")]
)
def test_a_function_of_the_search_tells_nothing_of_another_tenant(
    world: World, function: str, wanted: str, who: str
) -> None:
    for tenant in (world.ours, world.theirs, None):
        with world.connection.transaction(force_rollback=True):
            told = keys_told(world, function, wanted, tenant, who)
        assert {whose for whose, _ in told} <= {tenant}


@pytest.mark.parametrize("who", ["Account", "Practitioner", "Child", "Parent"])
@pytest.mark.parametrize(
    ("function", "wanted"), [(FUNCTIONS[0], "johnson"), (FUNCTIONS[1], "robin"), (FUNCTIONS[2], "school")]
)
def test_a_function_of_the_search_tells_the_system_of_its_tenant_whoever_the_user_is(
    world: World, function: str, wanted: str, who: str
) -> None:
    with world.connection.transaction(force_rollback=True):
        told = keys_told(world, function, wanted, world.theirs, who, Role.SYSTEM)
    assert {whose for whose, _ in told} == {world.theirs}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_job_may_not_search(world: World, function: str) -> None:
    with world.connection.transaction(force_rollback=True):
        become(world.connection, Role.JOB, world.ours)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.connection.execute(f"select * from {function}('ann', 20)".encode())


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("wanted", "most"), [("a" * 201, 20), ("ann", 0), ("ann", 1001), ("ann", None)])
def test_a_function_of_the_search_refuses_what_the_library_does(
    world: World, function: str, wanted: str, most: int | None
) -> None:
    with world.connection.transaction(force_rollback=True), pytest.raises(psycopg.errors.InvalidParameterValue):
        world.connection.execute(f"select * from {function}(%s, %s::integer)".encode(), (wanted, most))


def test_a_function_that_told_too_much_would_still_show_nothing(world: World, database: Database) -> None:
    """Row security decides once more about the rows of the keys."""
    with at_work(database, world.ours, role=Role.OWNER) as session:
        written = session.scalar(text("select pg_get_functiondef('placement.find_clients'::regproc)"))
        session.execute(
            text("""create or replace function placement.find_clients(search_text text, max_results integer)
            returns table (tenant_id uuid, id uuid, rank real) language sql security definer
            as 'select tenant_id, id, 1::real from placement.clients'""")
        )
        told = session.scalar(text("select count(distinct tenant_id) from placement.find_clients('', 1)"))
        act_as(session, Role.APP)
        shown = {one.tenant_id for one in find_clients(session, "johnson", most=20)}
        act_as(session, Role.OWNER)
        session.connection().exec_driver_sql(str(written).replace("%", "%%"))
    assert (told, shown) == (2, {world.ours})


@pytest.mark.parametrize(
    ("table", "seen"),
    [
        ("placement.clients", {"tenant_id", "id", "first_name", "last_name", "deleted_at"}),
        ("wellbeing.organisations", {"tenant_id", "id", "name", "status", "deleted_at"}),
    ],
)
def test_the_definer_may_look_at_what_is_searched_and_no_more(world: World, table: str, seen: set[str]) -> None:
    found = world.connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
        " and has_column_privilege('scheduler_definer', attrelid, attnum, 'select')",
        (table,),
    )
    assert {name for (name,) in found} == seen


def test_what_was_done_is_found_by_its_details_in_its_tenant(world: World, database: Database) -> None:
    for tenant, reason in ((world.ours, "referral"), (world.ours, "complaint"), (world.theirs, "complaint")):
        with at_work(database, tenant, uuid4()) as session:
            record_read(session, "placement.clients", [str(tenant)], ["last_name"], reason=reason)
    with at_work(database, world.ours, role=Role.SYSTEM) as session:
        found = find_actions(session, {"reason": "complaint"}, most=20)
        assert [(one.tenant_id, one.action, one.details and one.details["reason"]) for one in found] == [
            (world.ours, "read", "complaint")
        ]
        assert find_actions(session, {"reason": "none"}, most=20) == []


def test_a_user_may_not_search_what_was_done(world: World, database: Database) -> None:
    with pytest.raises(StoreError), at_work(database, world.ours, uuid4()) as session:
        find_actions(session, {"reason": "complaint"}, most=20)


@pytest.mark.parametrize("details", [{}, {"a": "\0"}, {"a": "b" * 201}, {"a": object()}])
def test_details_that_say_nothing_or_cannot_be_written_are_refused(
    world: World, database: Database, details: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError), at_work(database, world.ours, role=Role.SYSTEM) as session:
        find_actions(session, details, most=20)
