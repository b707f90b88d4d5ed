"""People outside the wellbeing part: one table of answers, and each cell checked in the database.

An answer says which rows of a table a person sees: `all` of the tenant, `own` (theirs, and those for everybody), `open`
(slots that are), or `-` (none); and after a plus which of these rows they may insert, update and delete as well, in
capitals if only some of them, such as users who are no staff. It is exact: one row more or less, or one of the other
tenant, is another answer. Stranger works for the other tenant, Unknown is an id of nobody, Nobody is a session for no
user. Nothing here knows the policies.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from scheduler.postgres.database import Role
from support.guards import without_constraints
from support.roles import become
from support.rows import Row, insert, key
from support.worlds.people import World, key_of, make, person
from support.worlds.tenants import table_names, tenant_column, value_of, without_triggers

pytestmark = pytest.mark.database

EXPECTED: Final = """
                                     Nobody  Admin   Doctor  Parent Student Patient Child Suspended Deleted Unknown Stranger
identity.addresses                   all+iu  all+iu  all+iu  own    own     own     own   -         -       -       -
identity.data_keys                   all     all     all     -      -       -       -     -         -       -       -
identity.families                    all+iu  all+iu  all+iu  own    own     -       -     -         -       -       -
identity.family_members              all+iud all+iud all+iud own    own     -       -     -         -       -       -
identity.tenants                     all     all     all     all    all     all     all   -         -       -       -
identity.users                       all+Iu  all+iu  all+Iu  own    own     own     own   -         -       -       -
placement.clients                    all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.contributors               all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.facility_staff             all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.form_field_contributions   all+i   all+i   all+i   -      -       -       -     -         -       -       -
placement.medications                all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.metadata                   all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.placement_info             all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
placement.placement_info_specialists all+iud all+iud all+iud -      -       -       -     -         -       -       -
placement.specialists                all+iu  all+iu  all+iu  -      -       -       -     -         -       -       -
scheduling.allocations               all     all     all     own    own     own     -     -         -       -       -
scheduling.appointment_step_resources all+iud all+iud all+iud own    own     own     -     -         -       -       -
scheduling.appointment_steps         all+iud all+iud all+iud own    own     own     -     -         -       -       -
scheduling.appointments              all+iud all+iud all+iud own    own     own     -     -         -       -       -
scheduling.availability_exceptions   all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.availability_rules        all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.availability_slots        all+iuD all+iuD all+iuD open   open    open    open  -         -       -       -
scheduling.booking_caps              all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.booking_policies          all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.booking_requests          -       -       -       -      -       -       -     -         -       -       -
scheduling.doctor_figure_sums        all     all     all     -      -       -       -     -         -       -       -
scheduling.doctors                   all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.event_counters            all     all     all     -      -       -       -     -         -       -       -
scheduling.events                    all     all     all     -      -       -       -     -         -       -       -
scheduling.facilities                all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.facility_closures         all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.facility_doctors          all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.facility_insurance_plans  all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.figure_changes            all     all     all     -      -       -       -     -         -       -       -
scheduling.figure_states             all     all     all     -      -       -       -     -         -       -       -
scheduling.generation_runs           all     all     all     -      -       -       -     -         -       -       -
scheduling.holds                     all     all     all     -      -       -       -     -         -       -       -
scheduling.insurance_plans           all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.insurance_providers       all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.patients                  all+iu  all+iu  all+iu  own    own     own     -     -         -       -       -
scheduling.resource_exceptions       all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.resource_figure_sums      all     all     all     -      -       -       -     -         -       -       -
scheduling.resource_rules            all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.resources                 all+iud all+iud all+iud -      -       -       -     -         -       -       -
scheduling.schedule_states           all+u   all+u   all+u   -      -       -       -     -         -       -       -
scheduling.service_offerings         all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.service_workflows         all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.services                  all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.step_templates            all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
scheduling.waitlist_entries          all+iud all+iud all+iud own    own     own     -     -         -       -       -
scheduling.workflow_step_needs       all+iud all+iud all+iud all    all     all     all   -         -       -       -
scheduling.workflow_steps            all+iu  all+iu  all+iu  all    all     all     all   -         -       -       -
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
    """Act as a person at work for our tenant, without triggers and foreign keys; nothing inside is kept."""
    users = {"Nobody": "", "Unknown": str(uuid4()), "Stranger": str(person(world.theirs, "Admin"))}
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            "select set_config('session_replication_role', 'replica', true), set_config('app.tenant_id', %s, true),"
            " set_config('app.user_id', %s, true), set_config('role', %s, true)",
            (str(world.ours), users.get(observer, str(person(world.ours, observer))), role.value),
        )
        yield world.connection


def rows_of(connection: psycopg.Connection, table: str) -> dict[tuple[UUID, str], Row]:
    """Return the visible rows, by tenant and key."""
    tenant = tenant_column(connection, table)
    rows = connection.execute(f"select {tenant}, to_jsonb(t) from {table} t".encode())
    return {(whose, key_of(row)): row for whose, row in rows}


def writable(connection: psycopg.Connection, table: str) -> str:
    """Return the writable columns of a table."""
    names = """select string_agg(quote_ident(attname), ', ') from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''"""
    return str(value_of(connection, names, (table,)))


def reached(connection: psycopg.Connection, statement: str, *values: object) -> int | None:
    """Try to write, and return the row count, or None if row security or a missing privilege refused.

    A violated constraint counts as reached: it is checked after row security has let the row through.
    """
    try:
        with connection.transaction(force_rollback=True):
            return connection.execute(statement.encode(), values).rowcount
    except psycopg.errors.InsufficientPrivilege:
        return None
    except psycopg.errors.IntegrityError:
        return 1


def written(connection: psycopg.Connection, table: str, rows: list[Row], *, ours: UUID) -> str:
    """Name the writes that reach our tenant's rows; in capitals if they reach others or only some.

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
    counts = {letter: sum(count or 0 for count in reached_rows) for letter, reached_rows in tries.items()}
    return "".join(letter if count == len(rows) else letter.upper() for letter, count in counts.items() if count)


def answer(world: World, table: str, observer: str, *, role: Role = Role.APP) -> str:
    """Describe which rows of a table a person at work for our tenant reaches."""
    rows = {key: row for key, row in rows_of(world.connection, table).items() if key[0] == world.ours}
    with acting(world, observer, role=role) as connection:
        seen = rows_of(connection, table).keys() if has_right(connection, table) else set()
        writes = written(connection, table, list(rows.values()), ours=world.ours)
    named = {
        "-": set(),
        "all": set(rows),
        "own": {key for key in rows if observer in world.owners.get((table, key[1]), ())},
        "open": {key for key, row in rows.items() if row.get("status") == "open"},
    }
    names = [name for name, keys in named.items() if keys == seen]
    return "+".join(filter(None, [names[0] if names else f"rows {sorted(map(str, seen))}", writes]))


def has_right(connection: psycopg.Connection, table: str) -> bool:
    return bool(value_of(connection, "select has_table_privilege(%s, 'select')", (table,)))


def test_the_answers_have_every_table_but_wellbeing_and_the_audit_log(world: World) -> None:
    tables = [name for name in table_names(world.connection) if not name.startswith(("wellbeing.", "audit."))]
    assert sorted(table for table, *_ in LINES) == tables


@pytest.mark.parametrize(("table", "observer", "expected"), CELLS)
def test_a_person_reaches_exactly_the_listed_rows(world: World, table: str, observer: str, expected: str) -> None:
    assert answer(world, table, observer) == expected


@pytest.mark.parametrize("table", [table for table, *_ in LINES if table != "identity.tenants"])
def test_the_system_reaches_the_tenant_with_any_user(world: World, table: str) -> None:
    assert answer(world, table, "Child", role=Role.SYSTEM).startswith("all")


def test_the_job_reaches_the_tenant_with_any_user(world: World) -> None:
    assert answer(world, "scheduling.availability_slots", "Child", role=Role.JOB) == "all+iuD"


@pytest.mark.parametrize("change", ["status = 'pending'", "status = 'inactive'", "deleted_at = now()"])
@pytest.mark.parametrize("observer", ["Admin", "Parent"])
def test_inactive_users_reach_nothing(world: World, observer: str, change: str) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            f"update identity.users set {change} where id = %s".encode(), (person(world.ours, observer),)
        )
        tables = ("identity.users", "placement.clients", "scheduling.facilities", "scheduling.patients")
        answers = {answer(world, table, observer) for table in tables}
    assert answers == {"-"}


SUSPENSIONS: Final = ["status = 'suspended'", "status = 'inactive'", "deleted_at = now()"]


@pytest.mark.parametrize("change", SUSPENSIONS)
@pytest.mark.parametrize("observer", ["Admin", "Parent"])
def test_people_with_a_suspended_profile_reach_nothing(world: World, observer: str, change: str) -> None:
    tables = ("identity.users", "placement.clients", "scheduling.facilities", "scheduling.patients")
    with world.connection.transaction(force_rollback=True):
        add_profile(world, person(world.ours, observer), tenant=world.ours, role="Practitioner")
        before = {answer(world, table, observer) for table in tables}
        world.connection.execute(
            f"update wellbeing.profiles set {change} where id = %s".encode(), (person(world.ours, observer),)
        )
        answers = {answer(world, table, observer) for table in tables}
    assert (answers, before & {"all", "all+iu"} != set()) == ({"-"}, True)


def add_profile(world: World, user: UUID, *, tenant: UUID, role: str) -> None:
    profile: Row = {"tenant_id": tenant, "id": user, "email": "p@example.org", "name": "P", "role": role}
    insert(world.connection, "wellbeing.profiles", profile)


@contextmanager
def with_tenant(world: World, change: str) -> Iterator[None]:
    """Change our tenant for the block."""
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(f"update identity.tenants set {change} where id = %s".encode(), (world.ours,))
        yield


@pytest.mark.parametrize("observer", ["Nobody", "Admin", "Parent"])
def test_people_of_a_suspended_tenant_reach_no_table(world: World, observer: str) -> None:
    with with_tenant(world, "status = 'suspended'"):
        answers = {table: answer(world, table, observer) for table, *_ in LINES}
    assert answers == dict.fromkeys(answers, "-")


@pytest.mark.parametrize("change", ["status = 'closed'", "deleted_at = now()"])
@pytest.mark.parametrize("observer", ["Nobody", "Admin", "Parent"])
def test_people_of_a_closed_or_deleted_tenant_reach_nothing(world: World, observer: str, change: str) -> None:
    with with_tenant(world, change):
        tables = ("identity.tenants", "identity.users", "scheduling.facilities", "scheduling.patients")
        answers = {answer(world, table, observer) for table in tables}
    assert answers == {"-"}


def test_in_a_suspended_tenant_the_system_alone_works_on(world: World) -> None:
    of_job = ("scheduling.availability_slots", "scheduling.facilities", "scheduling.generation_runs")
    with with_tenant(world, "status = 'suspended'"):
        by_job = {answer(world, table, "Nobody", role=Role.JOB) for table in of_job}
        by_system = {answer(world, table, "Nobody", role=Role.SYSTEM).split("+")[0] for table, *_ in LINES}
    assert (by_job, by_system) == ({"-"}, {"all"})


@pytest.mark.parametrize("role", [Role.APP, Role.SYSTEM])
def test_no_tenant_adds_a_user_under_the_id_of_another_tenants_user(world: World, role: Role) -> None:
    """One id is one person: otherwise its sessions could act for that person, or lock them out."""
    another: Row = {"tenant_id": world.ours, "id": person(world.theirs, "Doctor"), "name": "Eve", "role": "patient"}
    with world.connection.transaction(force_rollback=True):
        become(world.connection, role, world.ours, person(world.ours, "Admin"))
        with pytest.raises(psycopg.errors.UniqueViolation) as refused, world.connection.transaction():
            insert(world.connection, "identity.users", another)
    assert refused.value.diag.constraint_name == "a_person_of_two_tenants_has_two_users"


@pytest.mark.parametrize("observer", ["Admin", "Doctor", "Parent", "Suspended", "Deleted"])
def test_a_user_with_the_same_id_in_another_tenant_changes_nothing(world: World, observer: str) -> None:
    """Every question about a person asks for the tenant, too, even if two people could have one id."""
    user, tables = person(world.ours, observer), ("identity.", "placement.clients", "scheduling.patients")
    with without_constraints(world.connection):
        with without_triggers(world.connection):
            other: Row = {"tenant_id": world.theirs, "id": user, "name": "Eve", "role": "admin"}
            insert(world.connection, "identity.users", other)
            add_profile(world, user, tenant=world.theirs, role="Child" if observer == "Doctor" else "Account")
            member: Row = {"tenant_id": world.theirs, "user_id": user, "role": "parent"}
            for family in ("Brown", "Gone"):
                insert(world.connection, "identity.family_members", member | {"family_id": key(world.theirs, family)})
        answers = {table: answer(world, table, observer) for table, *_ in LINES if table.startswith(tables)}
    expected = {(table, observer_): cell for table, observer_, cell in CELLS}
    assert answers == {table: expected[table, observer] for table in answers}


OTHER_STATES: Final = [
    ("Suspended", "status = 'active'"),
    ("Deleted", "deleted_at = null"),
    ("Admin", "status = 'suspended'"),
    ("Patient", "deleted_at = now()"),
]
ADMINISTERS: Final = {
    ("Admin", Role.APP): True,
    ("Doctor", Role.APP): False,
    ("Suspended", Role.APP): False,
    ("Nobody", Role.APP): False,
    ("Nobody", Role.SYSTEM): True,
    ("Nobody", Role.OWNER): True,
}


# Whose e-mail address -> whether only those who administer change it: the letters of a sign-in go there.
ADDRESSED: Final = {"Admin": True, "Doctor": True, "Patient": False}


def becomes(world: World, observer: str, role: Role) -> None:
    become(world.connection, role, world.ours, None if observer == "Nobody" else person(world.ours, observer))


@pytest.mark.parametrize(("whose", "change"), OTHER_STATES)
@pytest.mark.parametrize(("observer", "role"), ADMINISTERS)
def test_only_an_admin_and_the_system_suspend_and_readmit(
    world: World, observer: str, role: Role, whose: str, change: str
) -> None:
    with world.connection.transaction(force_rollback=True):
        becomes(world, observer, role)
        reached_rows = reached(
            world.connection, f"update identity.users set {change} where id = %s", person(world.ours, whose)
        )
    assert (reached_rows == 1) == ADMINISTERS[observer, role]


@pytest.mark.parametrize("signs_in", [False, True])
@pytest.mark.parametrize("whose", ADDRESSED)
@pytest.mark.parametrize(("observer", "role"), ADMINISTERS)
def test_only_an_admin_and_the_system_redirect_mail_of_staff_and_sign_ins(
    world: World, observer: str, role: Role, whose: str, *, signs_in: bool
) -> None:
    user = person(world.ours, whose)
    with world.connection.transaction(force_rollback=True):
        sign_in = "update identity.users set email = 'a@example.org', supertokens_user_id = %s where id = %s"
        world.connection.execute(sign_in, ("theirs" if signs_in else None, user))
        becomes(world, observer, role)
        redirected = "update identity.users set email = 'eve@example.org' where id = %s"
        reached_rows = reached(world.connection, redirected, user)
    may_reach = observer != "Suspended"
    assert (reached_rows == 1) == (ADMINISTERS[observer, role] or (may_reach and not (ADDRESSED[whose] or signs_in)))


@pytest.mark.parametrize("of_new", ["admin", "staff", "doctor", "specialist", "practitioner", "parent", "patient"])
@pytest.mark.parametrize(("observer", "role"), ADMINISTERS)
def test_only_an_admin_and_the_system_add_staff_and_sign_ins(
    world: World, observer: str, role: Role, of_new: str
) -> None:
    add = "insert into identity.users (tenant_id, name, role) values (%s, 'New', %s)"
    with world.connection.transaction(force_rollback=True):
        becomes(world, observer, role)
        added = reached(world.connection, add, world.ours, of_new) == 1
    with world.connection.transaction(force_rollback=True):
        becomes(world, observer, role)
        add_with_sign_in = add.replace("role)", "role, supertokens_user_id)").replace("%s)", "%s, 'of another')")
        signed_in = reached(world.connection, add_with_sign_in, world.ours, of_new) == 1
    assert signed_in == ADMINISTERS[observer, role]
    assert added == (ADMINISTERS[observer, role] or (of_new in {"parent", "patient"} and observer != "Suspended"))


@pytest.mark.parametrize("role", ["admin", "staff", "doctor", "specialist", "practitioner"])
def test_users_with_a_staff_role_reach_the_tenant(world: World, role: str) -> None:
    with as_somebody(world, "Parent", role):
        assert answer(world, "scheduling.availability_rules", "Parent") == "all+iud"


@pytest.mark.parametrize("role", ["parent", "student", "patient", "child"])
def test_users_with_another_role_do_not_reach_the_tenant(world: World, role: str) -> None:
    with as_somebody(world, "Admin", role):
        assert answer(world, "scheduling.availability_rules", "Admin") == "-"


def test_a_role_is_either_of_staff_or_of_people_in_care(world: World) -> None:
    """A new role belongs into one of the two tests above, and into `identity.is_staff_member` or not."""
    count = value_of(world.connection, "select array_length(enum_range(null::identity.user_role_enum), 1)")
    assert count == 5 + 4


@contextmanager
def as_somebody(world: World, name: str, role: str) -> Iterator[None]:
    """Give a person another role for the block."""
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("set local session_replication_role = replica")
        changed = "update identity.users set role = %s::identity.user_role_enum where id = %s"
        world.connection.execute(changed, (role, person(world.ours, name)))
        yield


@pytest.mark.parametrize(("name", "patients"), [("Parent", {2, 4}), ("Student", {2})])
def test_a_parent_sees_patients_of_students_and_not_the_other_way_round(
    world: World, name: str, patients: set[int]
) -> None:
    with acting(world, name) as connection:
        assert {number for (number,) in connection.execute("select id from scheduling.patients")} == patients


@pytest.mark.parametrize(("name", "visits"), [("Parent", {2, 4}), ("Partner", {2, 6})])
def test_a_parent_does_not_read_the_visits_of_the_other_parent(world: World, name: str, visits: set[int]) -> None:
    """Each reads their own visits and those of their student."""
    with acting(world, name) as connection:
        assert {number for (number,) in connection.execute("select id from scheduling.appointments")} == visits


def test_parents_are_defined_by_membership_and_not_by_role(world: World) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            "update identity.family_members set role = 'student' where user_id = %s", (person(world.ours, "Parent"),)
        )
        with acting(world, "Parent") as connection:
            assert connection.execute("select id from scheduling.patients").fetchall() == [(4,)]


@pytest.mark.parametrize(
    ("observer", "count"), [("Admin", 1), ("Nobody", 1), ("Parent", 0), ("Child", 0), ("Unknown", 0)]
)
def test_the_search_for_clients_finds_reachable_clients_only(world: World, observer: str, count: int) -> None:
    with acting(world, observer) as connection:
        assert len(connection.execute("select * from placement.find_clients('Ben', 10)").fetchall()) == count


def test_the_system_searches_for_clients_with_any_user(world: World) -> None:
    with acting(world, "Child", role=Role.SYSTEM) as connection:
        assert len(connection.execute("select * from placement.find_clients('Ben', 10)").fetchall()) == 1


# Function with its owner's rights that people may call -> the information that it gives a person in care.
TELLING: Final = {
    "audit.record_event": "nothing",
    "audit.record_read": "nothing",
    "identity.current_organisation_id": "the organisation in their own profile",
    "identity.current_role_name": "the role in their own profile",
    "identity.is_active_user": "whether they are active",
    "identity.is_open_tenant": "whether their tenant is open",
    "identity.may_administer": "that they are no admin",
    "identity.own_families": "which families are theirs",
    "identity.is_staff_member": "that they do not work here",
    "identity.tenant_by_slug": "the id and the status of a tenant whose slug they know",
    "scheduling.number_events": "nothing: it returns nothing, and does nothing for people without access",
    "placement.find_clients": "nothing: it is asked above",
    "scheduling.places_left": "how many places are free: no name, no visit",
    "wellbeing.find_children": "nothing: it answers practitioners and group contacts (tests/security/test_search.py)",
    "wellbeing.find_organisations": "their own organisation, by their profile (tests/security/test_search.py)",
    "wellbeing.has_active_profile": "whether an id that they know has a profile here that is active",
    "wellbeing.own_child_record": "their own row",
    "wellbeing.usage_of_organisation": "nothing: it answers who works there (tests/security/test_wellbeing_figures.py)",
}


def test_functions_that_bypass_row_security_show_only_own_rows(world: World) -> None:
    rows = world.connection.execute(
        """select distinct pronamespace::regnamespace::text || '.' || proname from pg_proc
        where prosecdef and has_function_privilege('scheduler_app', oid, 'execute')
            and proowner = 'scheduler_definer'::regrole"""
    )
    assert {name for (name,) in rows} == set(TELLING)


def test_a_new_secured_table_is_closed_to_people_in_care(world: World) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            "create table scheduling.later (tenant_id uuid, id bigint, primary key (tenant_id, id))"
        )
        world.connection.execute("call identity.secure_table('scheduling.later')")
        world.connection.execute("insert into scheduling.later values (%s, 1)", (world.ours,))
        answers = {observer: answer(world, "scheduling.later", observer) for observer in OBSERVERS}
    at_work = dict.fromkeys(("Nobody", "Admin", "Doctor"), "all+iud")
    assert answers == dict.fromkeys(OBSERVERS, "-") | at_work


def test_a_month_of_slots_named_directly_shows_the_tables_rows(world: World) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("grant select on scheduling.availability_slots_2027_03 to scheduler_app")
        table = "scheduling.availability_slots"
        for observer in OBSERVERS:
            with acting(world, observer) as connection:
                assert rows_of(connection, f"{table}_2027_03") == rows_of(connection, table), observer


@pytest.mark.parametrize(("observer", "in_care"), [("Nobody", False), ("Admin", False), ("Parent", True)])
def test_own_rows_are_computed_only_for_people_in_care(world: World, observer: str, *, in_care: bool) -> None:
    """Once for each of their statements, and never for staff, whose statements would all pay for it."""
    with acting(world, observer) as connection:
        for table, *answers in LINES:
            if dict(zip(OBSERVERS, answers, strict=True))["Parent"] in {"own", "open"}:
                lines = connection.execute(f"explain (analyze, costs off) select * from {table}".encode())
                plan = "\n".join(line for (line,) in lines)
                assert "SubPlan" not in plan, table
                assert ("never executed" not in plan) == in_care, table
