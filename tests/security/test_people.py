"""Who reaches what outside the wellbeing part: one table of answers, and every cell of it asked of the database.

An answer says which rows somebody sees of a table: `all` of the tenant, `own` (theirs, with what is for everybody),
`open` (slots that are), or `-` (none); and after a plus which of these rows they may insert, update and delete as well.
It is exact: one row more or less, or one of the other tenant, is another answer. Stranger works for the other tenant,
Unknown is an id of nobody, Nobody is a session for no user. Nothing here knows the policies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from scheduler.postgres.database import Role
from support.rows import Row
from support.worlds.people import World, key_of, make, person
from support.worlds.tenants import table_names, tenant_column, value_of

pytestmark = pytest.mark.database

EXPECTED: Final = """
                                     Nobody  Admin   Doctor  Parent Student Patient Child Suspended Deleted Unknown Stranger
identity.addresses                   all+iu  all+iu  all+iu  own    own     own     own   -         -       -       -
identity.data_keys                   all     all     all     -      -       -       -     -         -       -       -
identity.families                    all+iu  all+iu  all+iu  own    own     -       -     -         -       -       -
identity.family_members              all+iud all+iud all+iud own    own     -       -     -         -       -       -
identity.tenants                     all     all     all     all    all     all     all   all       all     all     all
identity.users                       all+iu  all+iu  all+iu  own    own     own     own   -         -       -       -
placement.clients                    all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.contributors               all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.facility_staff             all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.form_field_contributions   all+i   all+i   all+i   -      -       -       -     -         -       -       -
placement.medications                all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.metadata                   all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.placement_info             all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.placement_info_specialists all+iud all+iud all+iud -      -       -       -     -         -       -       -
placement.specialists                all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
scheduling.appointment_steps         all+iud all+iud all+iud own    own     own     -     -         -       -       -
scheduling.appointments              all+iud all+iud all+iud own    own     own     -     -         -       -       -
scheduling.availability_exceptions   all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.availability_rules        all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.availability_slots        all+iud all+iud all+iud open   open    open    open  -         -       -       -
scheduling.doctors                   all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.facilities                all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.facility_closures         all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.facility_doctors          all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.facility_insurance_plans  all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.generation_runs           all     all     all     -      -       -       -     -         -       -       -
scheduling.insurance_plans           all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.insurance_providers       all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.patients                  all+iu  all+iu  all+iu  own    own     own     -     -         -       -       -
scheduling.resources                 all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.schedule_states           all     all     all     -      -       -       -     -         -       -       -
scheduling.service_offerings         all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.service_workflows         all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.services                  all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.step_templates            all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.waitlist_entries          all+iud all+iud all+iud own    own     own     -     -         -       -       -
scheduling.workflow_steps            all+iud all+iud all+iud all    all     all     all   -         -       -       -
"""  # noqa: E501  # a table is read by its columns
OBSERVERS, *LINES = (line.split() for line in EXPECTED.strip().splitlines())
CELLS: Final = [(table, *cell) for table, *answers in LINES for cell in zip(OBSERVERS, answers, strict=True)]


@pytest.fixture(scope="module")
def world(database_url: str) -> Iterator[World]:
    with psycopg.connect(database_url) as connection:
        yield make(connection, uuid4(), uuid4())
        connection.rollback()


@contextmanager
def acting(world: World, observer: str, *, role: Role = Role.APP) -> Iterator[psycopg.Connection]:
    """Be somebody at work for our tenant, without triggers and foreign keys; nothing that happens inside stays."""
    users = {"Nobody": "", "Unknown": str(uuid4()), "Stranger": str(person(world.theirs, "Admin"))}
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            "select set_config('session_replication_role', 'replica', true), set_config('app.tenant_id', %s, true),"
            " set_config('app.user_id', %s, true), set_config('role', %s, true)",
            (str(world.ours), users.get(observer, str(person(world.ours, observer))), role.value),
        )
        yield world.connection


def rows_of(connection: psycopg.Connection, table: str) -> dict[tuple[UUID, str], Row]:
    """Return the rows that can be seen, by tenant and key."""
    tenant = tenant_column(connection, table)
    found = connection.execute(f"select {tenant}, to_jsonb(t) from {table} t".encode())
    return {(whose, key_of(row)): row for whose, row in found}


def writable(connection: psycopg.Connection, table: str) -> str:
    """Return the columns of a table that can be written."""
    names = """select string_agg(quote_ident(attname), ', ') from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''"""
    return str(value_of(connection, names, (table,)))


def reached(connection: psycopg.Connection, statement: str, *values: object) -> int | None:
    """Try to write: how many rows that reached, or None if row security or a missing right refused it.

    A constraint that stands in the way is one that was asked after row security had let a row through.
    """
    try:
        with connection.transaction(force_rollback=True):
            return connection.execute(statement.encode(), values).rowcount
    except psycopg.errors.InsufficientPrivilege:
        return None
    except psycopg.errors.IntegrityError:
        return 1


def written(connection: psycopg.Connection, table: str, rows: list[Row], *, ours: UUID) -> str:
    """Say which ways to write reach the rows of our tenant; in capitals, if they reach others or only some of them.

    Neither update nor delete reads a column, so that no policy for reading helps those for writing.
    """
    columns = writable(connection, table)
    insert = (
        f"insert into {table} ({columns}) overriding system value"
        f" select {columns} from jsonb_populate_record(null::{table}, %s)"
    )
    tries = {
        "i": [reached(connection, insert, Jsonb(row)) for row in rows],
        "u": [reached(connection, f"update {table} set {tenant_column(connection, table)} = %s", ours)],
        "d": [reached(connection, f"delete from {table}")],
    }
    counts = {letter: sum(count or 0 for count in found) for letter, found in tries.items()}
    assert all(None not in tries[letter] for letter, count in counts.items() if count)
    return "".join(letter if count == len(rows) else letter.upper() for letter, count in counts.items() if count)


def answer(world: World, table: str, observer: str, *, role: Role = Role.APP) -> str:
    """Say what somebody who is at work for our tenant reaches of a table."""
    there = {key: row for key, row in rows_of(world.connection, table).items() if key[0] == world.ours}
    with acting(world, observer, role=role) as connection:
        seen = rows_of(connection, table).keys() if has_right(connection, table) else set()
        writes = written(connection, table, list(there.values()), ours=world.ours)
    named = {
        "-": set(),
        "all": set(there),
        "own": {key for key in there if observer in world.owners.get((table, key[1]), ())},
        "open": {key for key, row in there.items() if row.get("status") == "open"},
    }
    names = [name for name, keys in named.items() if keys == seen]
    return "+".join(filter(None, [names[0] if names else f"rows {sorted(map(str, seen))}", writes]))


def has_right(connection: psycopg.Connection, table: str) -> bool:
    return bool(value_of(connection, "select has_table_privilege(%s, 'select')", (table,)))


def test_the_table_of_answers_has_every_table_outside_the_wellbeing_part_and_the_audit_log(world: World) -> None:
    found = [name for name in table_names(world.connection) if not name.startswith(("wellbeing.", "audit."))]
    assert sorted(table for table, *_ in LINES) == found


@pytest.mark.parametrize(("table", "observer", "expected"), CELLS)
def test_what_somebody_reaches(world: World, table: str, observer: str, expected: str) -> None:
    assert answer(world, table, observer) == expected


@pytest.mark.parametrize("table", [table for table, *_ in LINES if table != "identity.tenants"])
def test_the_system_reaches_the_tenant_whoever_the_user_is(world: World, table: str) -> None:
    assert answer(world, table, "Child", role=Role.SYSTEM).startswith("all")


def test_the_job_reaches_the_tenant_whoever_the_user_is(world: World) -> None:
    assert answer(world, "scheduling.availability_slots", "Child", role=Role.JOB) == "all+iud"


@pytest.mark.parametrize("change", ["status = 'pending'", "status = 'inactive'", "deleted_at = now()"])
@pytest.mark.parametrize("observer", ["Admin", "Parent"])
def test_who_is_not_active_reaches_nothing(world: World, observer: str, change: str) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            f"update identity.users set {change} where id = %s".encode(), (person(world.ours, observer),)
        )
        tables = ("identity.users", "placement.clients", "scheduling.facilities", "scheduling.patients")
        found = {answer(world, table, observer) for table in tables}
    assert found == {"-"}


@pytest.mark.parametrize("role", ["admin", "staff", "doctor", "specialist", "practitioner"])
def test_who_works_here_reaches_the_tenant(world: World, role: str) -> None:
    with as_somebody(world, "Parent", role):
        assert answer(world, "scheduling.availability_rules", "Parent") == "all+iud"


@pytest.mark.parametrize("role", ["parent", "student", "patient", "child"])
def test_who_is_cared_for_does_not(world: World, role: str) -> None:
    with as_somebody(world, "Admin", role):
        assert answer(world, "scheduling.availability_rules", "Admin") == "-"


def test_a_role_is_either_of_those_who_work_here_or_of_those_who_are_cared_for(world: World) -> None:
    """A role that is added belongs into one of the two tests above, and into `identity.is_staff_member` or not."""
    found = value_of(world.connection, "select array_length(enum_range(null::identity.user_role_enum), 1)")
    assert found == 5 + 4


@contextmanager
def as_somebody(world: World, name: str, role: str) -> Iterator[None]:
    """Give somebody another role for a while."""
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("set local session_replication_role = replica")
        changed = "update identity.users set role = %s::identity.user_role_enum where id = %s"
        world.connection.execute(changed, (role, person(world.ours, name)))
        yield


@pytest.mark.parametrize(("name", "patients"), [("Parent", {2, 4}), ("Student", {2})])
def test_a_parent_sees_the_patients_of_students_and_a_student_none_of_a_parent(
    world: World, name: str, patients: set[int]
) -> None:
    with acting(world, name) as connection:
        assert {number for (number,) in connection.execute("select id from scheduling.patients")} == patients


def test_a_parent_is_one_by_the_membership_and_not_by_the_role_of_the_user(world: World) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            "update identity.family_members set role = 'student' where user_id = %s", (person(world.ours, "Parent"),)
        )
        with acting(world, "Parent") as connection:
            assert connection.execute("select id from scheduling.patients").fetchall() == [(4,)]


@pytest.mark.parametrize(
    ("observer", "found"), [("Admin", 1), ("Nobody", 1), ("Parent", 0), ("Child", 0), ("Unknown", 0)]
)
def test_the_search_for_clients_answers_those_who_reach_them(world: World, observer: str, found: int) -> None:
    with acting(world, observer) as connection:
        assert len(connection.execute("select * from placement.find_clients('Ben', 10)").fetchall()) == found


def test_the_system_searches_for_clients_whoever_the_user_is(world: World) -> None:
    with acting(world, "Child", role=Role.SYSTEM) as connection:
        assert len(connection.execute("select * from placement.find_clients('Ben', 10)").fetchall()) == 1


# Function that has its owner's rights, and that people may call -> what it tells somebody who is cared for.
TELLING: Final = {
    "audit.record_event": "nothing",
    "audit.record_read": "nothing",
    "audit.record_system": "nothing",
    "identity.current_organisation_id": "the organisation in their own profile",
    "identity.current_role_name": "the role in their own profile",
    "identity.is_active_user": "whether they are active",
    "identity.own_families": "which families are theirs",
    "identity.is_staff_member": "that they do not work here",
    "placement.find_clients": "nothing: it is asked above",
    "wellbeing.find_children": "nothing: it answers practitioners and group contacts (tests/security/test_search.py)",
    "wellbeing.find_organisations": "their own organisation, by their profile (tests/security/test_search.py)",
    "wellbeing.has_active_profile": "whether an id that they know has a profile here that is active",
    "wellbeing.own_child_record": "their own row",
    "wellbeing.usage_of_organisation": "nothing: it answers who works there (tests/security/test_wellbeing_figures.py)",
}


def test_what_goes_round_row_security_tells_people_what_is_theirs_at_most(world: World) -> None:
    found = world.connection.execute(
        """select distinct pronamespace::regnamespace::text || '.' || proname from pg_proc
        where prosecdef and has_function_privilege('scheduler_app', oid, 'execute')
            and proowner = 'scheduler_definer'::regrole"""
    )
    assert {name for (name,) in found} == set(TELLING)


def test_a_table_that_is_guarded_later_is_closed_to_those_who_are_cared_for(world: World) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            "create table scheduling.later (tenant_id uuid, id bigint, primary key (tenant_id, id))"
        )
        world.connection.execute("call identity.secure_table('scheduling.later')")
        world.connection.execute("insert into scheduling.later values (%s, 1)", (world.ours,))
        found = {observer: answer(world, "scheduling.later", observer) for observer in OBSERVERS}
    at_work = dict.fromkeys(("Nobody", "Admin", "Doctor"), "all+iud")
    assert found == dict.fromkeys(OBSERVERS, "-") | at_work


def test_a_month_of_slots_that_is_named_directly_shows_what_the_table_shows(world: World) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("grant select on scheduling.availability_slots_2027_03 to scheduler_app")
        table = "scheduling.availability_slots"
        for observer in OBSERVERS:
            with acting(world, observer) as connection:
                assert rows_of(connection, f"{table}_2027_03") == rows_of(connection, table), observer


@pytest.mark.parametrize(("observer", "asked"), [("Nobody", False), ("Admin", False), ("Parent", True)])
def test_what_is_somebodys_own_is_gathered_for_those_only_who_need_it(
    world: World, observer: str, *, asked: bool
) -> None:
    """Once a statement for them, and never for those who work here: else each of their statements would pay for it."""
    with acting(world, observer) as connection:
        for table, *answers in LINES:
            if dict(zip(OBSERVERS, answers, strict=True))["Parent"] in {"own", "open"}:
                lines = connection.execute(f"explain (analyze, costs off) select * from {table}".encode())
                plan = "\n".join(line for (line,) in lines)
                assert "SubPlan" not in plan, table
                assert ("never executed" not in plan) == asked, table
