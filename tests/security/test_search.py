"""Search: matching rows, found only by people who may see them."""

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
from scheduler.postgres.search import (
    MAX_CHARACTERS,
    MAX_RESULTS,
    find_actions,
    find_children,
    find_clients,
    find_organisations,
)
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
        new_world = make(connection)
        for tenant, names in ((new_world.ours, CLIENTS), (new_world.theirs, THEIR_CLIENTS)):
            for name in names:
                add_client(connection, tenant, name)
        add_client(connection, new_world.ours, "Gone Johnson", deleted_at="2027-01-01 00:00Z")
        for tenant in (new_world.ours, new_world.theirs):
            for name, first_name, class_name in (("Child", "Robin", "Owls"), ("Friend", "Will", "Foxes")):
                connection.execute(
                    "update wellbeing.children set first_name = %s, class_name = %s where id = %s",
                    (first_name, class_name, person(tenant, name)),
                )
        connection.execute(
            "update wellbeing.organisations set name = 'The Valley School' where id = %s", (new_world.theirs,)
        )
        connection.commit()
        yield new_world


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
        return [f"{client.first_name} {client.last_name}" for client in find_clients(session, wanted, most=most)]


def children(database: Database, world: World, wanted: str, name: str = "Practitioner") -> list[str]:
    """Search children as a person of our school; `'` is a person of theirs who comes to us."""
    home = world.theirs if name.endswith("'") else world.ours
    user = None if name == NOBODY else person(home, name.rstrip("'"))
    with at_work(database, world.ours, user) as session:
        return [child.first_name for child in find_children(session, wanted, most=20)]


def organisations(database: Database, tenant: UUID, wanted: str, user: UUID | None, role: Role = Role.APP) -> list[str]:
    with at_work(database, tenant, user, role=role) as session:
        return [organisation.name for organisation in find_organisations(session, wanted, most=20)]


@pytest.mark.parametrize(
    ("wanted", "expected"),
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
def test_a_client_is_found_by_part_of_the_name_and_with_a_wrong_letter(
    world: World, database: Database, wanted: str, expected: str
) -> None:
    assert clients(database, world.ours, wanted)[:1] == [expected]


def test_the_client_whose_name_is_most_alike_comes_first(world: World, database: Database) -> None:
    assert clients(database, world.ours, "anna") == ["Anna Li", "Hannah O'Brien"]


def test_no_more_clients_are_found_than_asked_for(world: World, database: Database) -> None:
    assert clients(database, world.ours, "anna", most=1) == ["Anna Li"]


def test_one_or_two_letters_find_words_that_begin_with_them(world: World, database: Database) -> None:
    assert clients(database, world.ours, "li") == ["Anna Li", "Linda Bow"]
    beginning_so = ["Back\\slash Fifty%Off", "Ben Johnson", "Hannah O'Brien", "Linda Bow"]
    assert sorted(clients(database, world.ours, "b")) == beginning_so


@pytest.mark.parametrize("wanted", ["", "   ", "\t\n", "%", "_", "%%%", "___", "\\", "'", "--", "*"])
def test_a_search_without_letters_finds_no_client(world: World, database: Database, wanted: str) -> None:
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
def test_sql_in_a_search_is_searched_as_text(world: World, database: Database, wanted: str) -> None:
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
def test_the_callers_similarity_threshold_changes_nothing(world: World, database: Database, threshold: str) -> None:
    setting = "pg_trgm.word_similarity_threshold"
    with at_work(database, world.ours) as session:
        session.execute(text("select set_config(:setting, :value, true)"), {"setting": setting, "value": threshold})
        names = [client.last_name for client in find_clients(session, "jonson", most=20)]
        value = session.scalar(text("select current_setting(:setting)"), {"setting": setting})
    assert (names, value) == (["Johnson"], threshold)


@pytest.mark.parametrize(
    "wanted", ["robin", "ROBIN", "owls", "owl", "robin owls", "foxes -will or robin", '"robin owl"']
)
def test_a_child_is_found_by_words_of_name_and_class(world: World, database: Database, wanted: str) -> None:
    assert "Robin" in children(database, world, wanted)


@pytest.mark.parametrize("wanted", ["", " ", "badgers", "robin foxes", "-robin robin", "!!&|(", "robin & ("])
def test_words_that_no_child_has_find_none(world: World, database: Database, wanted: str) -> None:
    expected = ["Robin"] if wanted == "robin & (" else []  # anything but words is left out
    assert children(database, world, wanted) == expected


@pytest.mark.parametrize("wanted", ["will", " Will "])
def test_a_child_whose_name_is_an_english_stop_word_is_found(world: World, database: Database, wanted: str) -> None:
    assert children(database, world, wanted) == ["Will"]


@pytest.mark.parametrize(
    ("name", "expected"),
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
def test_a_search_finds_a_child_for_permitted_people_only(
    world: World, database: Database, name: str, expected: list[str]
) -> None:
    assert children(database, world, "robin", name) == expected
    with world.connection.transaction(force_rollback=True):
        keys = keys_told(world, "wellbeing.find_children", "robin", world.ours, name)
    assert keys == ({(world.ours, person(world.ours, "Child"))} if expected else set())


def test_the_system_finds_the_children_of_its_tenant(world: World, database: Database) -> None:
    with at_work(database, world.theirs, person(world.ours, "Child"), role=Role.SYSTEM) as session:
        assert [child.tenant_id for child in find_children(session, "robin", most=20)] == [world.theirs]


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


@pytest.mark.parametrize("name", ["GroupContact", "Practitioner", "Child"])
def test_people_find_their_own_organisation_only(world: World, database: Database, name: str) -> None:
    assert organisations(database, world.ours, "school", person(world.ours, name)) == ["The Hill School"]
    assert organisations(database, world.ours, "valley", person(world.ours, name)) == []


@pytest.mark.parametrize("name", ["Suspended", "Parent", NOBODY])
def test_people_without_a_role_find_no_organisation(world: World, database: Database, name: str) -> None:
    assert organisations(database, world.ours, "school", person(world.ours, name)) == []


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
    [("a\0b", 20), ("\ud800", 20), ("a" * (MAX_CHARACTERS + 1), 20), ("ann", 0), ("ann", -1), ("ann", MAX_RESULTS + 1)],
)
def test_an_invalid_search_is_refused(
    world: World, database: Database, search: Callable[..., list[SQLModel]], wanted: str, most: int
) -> None:
    with at_work(database, world.ours) as session, pytest.raises(InvalidInputError, match=r"^a search "):
        search(session, wanted, most=most)


@pytest.mark.parametrize("search", SEARCHES)
def test_the_longest_and_the_most_can_be_searched_for(
    world: World, database: Database, search: Callable[..., list[SQLModel]]
) -> None:
    with at_work(database, world.ours, person(world.ours, "Practitioner")) as session:
        assert search(session, "é" * MAX_CHARACTERS, most=MAX_RESULTS) == []


def keys_told(
    world: World, function: str, wanted: str, tenant: UUID | None, name: str, role: Role = Role.APP
) -> set[tuple[UUID, UUID]]:
    """Return the keys that a function gives to a caller of ours (`'`: of theirs) without the library."""
    home = world.theirs if name.endswith("'") else world.ours
    become(world.connection, role, tenant, person(home, name.rstrip("'")))
    rows = world.connection.execute(f"select tenant_id, id from {function}(%s, 1000)".encode(), (wanted,))
    return {(tenant_id, row_id) for tenant_id, row_id in rows}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_of_the_search_tells_keys_and_a_rank(world: World, function: str) -> None:
    rows = world.connection.execute(
        "select pg_get_function_result(to_regprocedure(%s))", (f"{function}(text, integer)",)
    ).fetchone()
    assert rows == ("TABLE(tenant_id uuid, id uuid, rank real)",)


@pytest.mark.parametrize("name", ["Practitioner", "GroupContact", "Practitioner'", "GroupContact'", "Parent"])
@pytest.mark.parametrize(
    ("function", "wanted"), [(FUNCTIONS[0], "johnson"), (FUNCTIONS[1], "robin or foxes"), (FUNCTIONS[2], "school")]
)
def test_a_search_function_shows_nothing_of_another_tenant(world: World, function: str, wanted: str, name: str) -> None:
    for tenant in (world.ours, world.theirs, None):
        with world.connection.transaction(force_rollback=True):
            keys = keys_told(world, function, wanted, tenant, name)
        assert {whose for whose, _ in keys} <= {tenant}


@pytest.mark.parametrize("role", [Role.SYSTEM, Role.OWNER])
@pytest.mark.parametrize("name", ["Account", "Practitioner", "Child", "Parent"])
@pytest.mark.parametrize(
    ("function", "wanted"), [(FUNCTIONS[0], "johnson"), (FUNCTIONS[1], "robin"), (FUNCTIONS[2], "school")]
)
def test_a_search_function_shows_the_system_its_tenant_for_any_user(
    world: World, function: str, wanted: str, name: str, role: Role
) -> None:
    """Whether the session set the role or its login is a member of it."""
    with world.connection.transaction(force_rollback=True):
        keys = keys_told(world, function, wanted, world.theirs, name, role)
    assert {whose for whose, _ in keys} == {world.theirs}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_job_may_not_search(world: World, function: str) -> None:
    with world.connection.transaction(force_rollback=True):
        become(world.connection, Role.JOB, world.ours)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            world.connection.execute(f"select * from {function}('ann', 20)".encode())


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize(("wanted", "most"), [("a" * 201, 20), ("ann", 0), ("ann", 1001), ("ann", None)])
def test_a_search_function_refuses_the_arguments_the_library_refuses(
    world: World, function: str, wanted: str, most: int | None
) -> None:
    with world.connection.transaction(force_rollback=True), pytest.raises(psycopg.errors.InvalidParameterValue):
        world.connection.execute(f"select * from {function}(%s, %s::integer)".encode(), (wanted, most))


def test_a_function_that_returns_too_much_still_shows_nothing(world: World, database: Database) -> None:
    """Row security also applies to the rows of the returned keys."""
    with at_work(database, world.ours, role=Role.OWNER) as session:
        written = session.scalar(text("select pg_get_functiondef('placement.find_clients'::regproc)"))
        session.execute(
            text("""create or replace function placement.find_clients(search_text text, max_results integer)
            returns table (tenant_id uuid, id uuid, rank real) language sql security definer
            as 'select tenant_id, id, 1::real from placement.clients'""")
        )
        count = session.scalar(text("select count(distinct tenant_id) from placement.find_clients('', 1)"))
        act_as(session, Role.APP)
        shown = {client.tenant_id for client in find_clients(session, "johnson", most=20)}
        act_as(session, Role.OWNER)
        session.connection().exec_driver_sql(str(written).replace("%", "%%"))
    assert (count, shown) == (2, {world.ours})


@pytest.mark.parametrize(
    ("table", "seen"),
    [
        ("placement.clients", {"tenant_id", "id", "first_name", "last_name", "deleted_at"}),
        ("wellbeing.organisations", {"tenant_id", "id", "name", "status", "deleted_at"}),
    ],
)
def test_the_definer_reads_the_searched_columns_only(world: World, table: str, seen: set[str]) -> None:
    rows = world.connection.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0"
        " and has_column_privilege('scheduler_definer', attrelid, attnum, 'select')",
        (table,),
    )
    assert {name for (name,) in rows} == seen


def test_an_event_is_found_by_its_details_in_its_tenant(world: World, database: Database) -> None:
    for tenant, reason in ((world.ours, "referral"), (world.ours, "complaint"), (world.theirs, "complaint")):
        with at_work(database, tenant, uuid4(), role=Role.SYSTEM) as session:
            record_read(session, "placement.clients", [str(tenant)], ["last_name"], reason=reason)
    with at_work(database, world.ours, role=Role.SYSTEM) as session:
        actions = find_actions(session, {"reason": "complaint"}, most=20)
        assert [(entry.tenant_id, entry.action, entry.details and entry.details["reason"]) for entry in actions] == [
            (world.ours, "read", "complaint")
        ]
        assert find_actions(session, {"reason": "none"}, most=20) == []


def test_a_user_may_not_search_the_events(world: World, database: Database) -> None:
    with pytest.raises(StoreError), at_work(database, world.ours, uuid4()) as session:
        find_actions(session, {"reason": "complaint"}, most=20)


@pytest.mark.parametrize("details", [{}, {"a": "\0"}, {"a": "b" * 201}, {"a": object()}])
def test_empty_or_invalid_details_are_refused(world: World, database: Database, details: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError), at_work(database, world.ours, role=Role.SYSTEM) as session:
        find_actions(session, details, most=20)
