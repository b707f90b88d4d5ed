"""Row security: a session sees and changes the rows of its tenant and no others, whatever it tries.

The tables come from the catalogue and the rows from `support.rows`, so a later table is tested without being named
here. Two facts alone decide the outcome of a try: whether the role may do this to the table at all (`GRANTS`), and
whether the row is its tenant's. A tenant's tries on its own row have to succeed, or the refusals of the others would
prove nothing. On the tables of `BY_ROLE` the role of a person decides, too: there the system shows that the tries
succeed, and a session for no person sees nothing.
"""

from uuid import uuid4

import psycopg
import pytest

from support.observation import ROLES, Observer, Operation, Outcome, Who, observe
from support.rows.all_domains import all_rows
from support.worlds.tenants import Table, World, partition_names, read_table, table_names, value_of, view_names

pytestmark = pytest.mark.database

TABLES = sorted(all_rows(uuid4()))
APP, JOB, SYSTEM, DESK = ROLES

# As `\dp` writes them: r is select, a insert, w update, d delete.
ALL, READ, NONE = "rawd", "r", ""
GRANTS = {APP: ALL, SYSTEM: ALL, JOB: NONE, DESK: NONE}
OTHER_GRANTS: dict[str, dict[str, str]] = {
    "audit.chain": {APP: NONE, SYSTEM: READ},
    "audit.system_audit_log": {APP: NONE, SYSTEM: READ},
    "audit.user_action_audit_log": {APP: NONE, SYSTEM: READ},
    "identity.addresses": {APP: "raw"},
    "identity.data_keys": {APP: READ, SYSTEM: "raw"},
    "identity.families": {APP: "raw"},
    "identity.tenants": {APP: READ, SYSTEM: "rw", JOB: READ},
    "identity.users": {APP: "raw"},
    "placement.clients": {APP: "raw"},
    "placement.contributors": {APP: "raw"},
    "placement.facility_staff": {APP: "raw"},
    "placement.form_field_contributions": {APP: "ra"},
    "placement.medications": {APP: "raw"},
    "placement.metadata": {APP: "raw"},
    "placement.placement_info": {APP: "raw"},
    "placement.specialists": {APP: "raw"},
    "scheduling.allocations": {APP: READ, JOB: READ},  # the job some columns only
    "scheduling.appointments": {JOB: READ},  # of some columns only
    "scheduling.availability_exceptions": {JOB: READ},
    "scheduling.availability_rules": {JOB: READ},
    "scheduling.availability_slots": {JOB: ALL},
    "scheduling.booking_requests": {APP: NONE, JOB: "rd"},
    "scheduling.doctor_figure_sums": {APP: READ, JOB: "rad"},
    "scheduling.doctors": {APP: "raw", JOB: READ},
    "scheduling.event_counters": {APP: READ, SYSTEM: READ},
    "scheduling.events": {APP: READ, SYSTEM: READ},
    "scheduling.facilities": {APP: "raw", JOB: READ},
    "scheduling.facility_closures": {JOB: READ},
    "scheduling.facility_doctors": {JOB: READ},
    "scheduling.figure_changes": {APP: READ, JOB: "rad"},
    "scheduling.figure_states": {APP: READ, JOB: ALL},
    "scheduling.generation_runs": {APP: READ, JOB: "raw"},
    "scheduling.holds": {APP: READ, JOB: "rd"},  # the job some columns only
    "scheduling.insurance_plans": {APP: "raw"},
    "scheduling.insurance_providers": {APP: "raw"},
    "scheduling.patients": {APP: "raw"},
    "scheduling.resource_exceptions": {JOB: READ},  # of some columns only
    "scheduling.resource_figure_sums": {APP: READ, JOB: "rad"},
    "scheduling.resources": {JOB: READ},  # of some columns only
    "scheduling.schedule_states": {APP: "rw", JOB: ALL},
    "scheduling.service_offerings": {APP: "raw", JOB: READ},
    "scheduling.service_workflows": {APP: "raw"},
    "scheduling.services": {APP: "raw"},
    "scheduling.step_templates": {APP: "raw"},
    "scheduling.waitlist_entries": {JOB: READ},  # of some columns only
    "scheduling.workflow_steps": {APP: "raw"},
    "wellbeing.alerts": {APP: "rw"},
    "wellbeing.child_display_counters": {APP: NONE},
    "wellbeing.children": {APP: "rw"},
    "wellbeing.invitations": {APP: "raw"},
    "wellbeing.organisations": {APP: "raw"},
    "wellbeing.profiles": {APP: "rw"},
    "wellbeing.stickers_earned": {APP: READ},
    "wellbeing.wellbeing_responses": {APP: "ra"},
    "wellbeing.wellbeing_sessions": {APP: "raw"},
}
# The tenant does not matter: the job has to list all tenants.
SEES_ALL_TENANTS = {("identity.tenants", JOB)}
# What the desk reads, locks and writes. To lock a row, it may write the time of its last change.
OF_THE_DESK: dict[str, str] = {
    **dict.fromkeys(
        (
            f"scheduling.{table}"
            for table in (
                "allocations",
                "availability_exceptions",
                "availability_rules",
                "booking_policies",
                "facilities",
                "facility_closures",
                "facility_doctors",
                "facility_insurance_plans",
                "insurance_plans",
                "resource_exceptions",
                "resource_rules",
                "schedule_states",
                "service_offerings",
                "service_workflows",
                "services",
                "step_templates",
                "workflow_step_needs",
                "workflow_steps",
            )
        ),
        READ,
    ),
    **dict.fromkeys(
        (f"scheduling.{table}" for table in ("availability_slots", "booking_caps", "doctors", "patients", "resources")),
        "rw",
    ),
    "scheduling.appointments": "raw",
    "scheduling.appointment_steps": ALL,
    "scheduling.appointment_step_resources": "rad",
    "scheduling.booking_requests": ALL,
    "scheduling.holds": ALL,
}
# The desk may write the columns that change, so none of these rows changes its tenant.
SOME_COLUMNS = {
    *(f"scheduling.{table}" for table in ("availability_slots", "booking_caps", "doctors", "patients", "resources")),
    "scheduling.booking_requests",
    "scheduling.holds",
}
BY_ROLE = ("wellbeing.",)
# The row is an admin's: a session for no user adds people in care only (test_people tries both).
ADDED_BY_AN_ADMIN = {"identity.users"}
ADDING = {Operation.INSERT, Operation.UPSERT, Operation.INSERT_IF_MISSING}

# A view that looks up the user or tenant is empty for a superuser; here is the table of which it has a row for each.
A_ROW_FOR_EACH = {
    "scheduling.bookable_slots": "scheduling.availability_slots",
    "wellbeing.child_progress_summary": "wellbeing.children",
    "wellbeing.organization_usage_stats": "wellbeing.organisations",
}
# A view for a single person, empty for everybody else.
OF_ONE_PERSON = {"wellbeing.own_child_record"}

REFUSED, NOT_A_TENANT, NOT_SUPPORTED = "42501", "22P02", "0A000"
PRIVILEGES = {"r": "SELECT", "a": "INSERT", "w": "UPDATE", "d": "DELETE"}
NEEDS = {
    Operation.SELECT: "r",
    Operation.SELECT_EVERYTHING: "r",
    Operation.COPY_TO: "r",
    Operation.INSERT: "a",
    Operation.UPDATE: "rw",
    Operation.UPDATE_EVERYTHING: "w",
    Operation.DELETE: "rd",
    Operation.DELETE_EVERYTHING: "d",
    Operation.MOVE: "rw",
    Operation.MOVE_EVERYTHING: "w",
    Operation.UPSERT: "raw",
    Operation.INSERT_IF_MISSING: "ra",
    Operation.COPY_FROM: "a",
}


def grants(table: str, role: str) -> str:
    if role == DESK:
        return OF_THE_DESK.get(table, NONE)
    return OTHER_GRANTS.get(table, {}).get(role, GRANTS[role])


def by_tenant(table: Table, who: Who, operation: Operation, *, sees_all: bool) -> Outcome:
    """Return the outcome of a try by a role with the privilege on the table."""
    own, everything = {Who.OWN: (table.own, table.own), Who.OTHER: (0, table.others)}.get(who, (0, 0))
    if sees_all:
        own, everything = table.own, table.own + table.others
    match operation:
        case Operation.SELECT | Operation.COPY_TO | Operation.UPDATE | Operation.DELETE:
            return own
        case Operation.SELECT_EVERYTHING | Operation.UPDATE_EVERYTHING | Operation.DELETE_EVERYTHING:
            return everything
        case Operation.INSERT | Operation.UPSERT:
            return 1 if who is Who.OWN else REFUSED
        case Operation.INSERT_IF_MISSING:
            return 0 if who is Who.OWN else REFUSED  # the row exists
        case Operation.MOVE:
            return REFUSED if who is Who.OWN else 0
        case Operation.MOVE_EVERYTHING:
            return REFUSED if everything else 0
        case _:
            return NOT_SUPPORTED


def expected(table: Table, role: str, who: Who, operation: Operation) -> set[Outcome]:
    """Return the possible outcomes of a try: one, or two that are equally good."""
    if not set(NEEDS.get(operation, "-")) <= set(grants(table.name, role)):
        return {REFUSED}  # nobody may truncate
    if role == DESK and table.name in SOME_COLUMNS and operation in {Operation.MOVE, Operation.MOVE_EVERYTHING}:
        return {REFUSED}
    sees_all = (table.name, role) in SEES_ALL_TENANTS
    outcome = by_tenant(table, who, operation, sees_all=sees_all)
    if role == APP and table.name in ADDED_BY_AN_ADMIN and operation in ADDING:
        outcome = REFUSED
    if outcome == NOT_SUPPORTED:
        return {outcome}
    if who is Who.GARBAGE:
        return {NOT_A_TENANT, outcome}
    if role == APP and table.name.startswith(BY_ROLE):
        return {0, REFUSED}
    return {outcome}


def test_the_tables_of_the_catalogue_are_those_with_a_row(world: World) -> None:
    with psycopg.connect(world.url) as connection:
        assert set(table_names(connection)) ^ set(TABLES) == set()


@pytest.mark.parametrize("name", TABLES)
def test_a_row_is_seen_and_changed_by_its_tenant_alone(world: World, name: str) -> None:
    with psycopg.connect(world.url) as connection:
        table = read_table(connection, name, world)
        surprises = [
            f"{role} with {who}, {operation}: {outcome} instead of {wanted}"
            for who in Who
            for role in ROLES
            for operation in Operation
            if (outcome := observe(connection, table, world, as_whom=Observer(role), who=who, operation=operation))
            not in (wanted := expected(table, role, who, operation))
        ]
    assert not surprises, "\n".join(surprises)


@pytest.mark.parametrize("name", TABLES)
def test_a_role_has_the_least_privileges_on_a_table(world: World, name: str) -> None:
    """Above all there is no TRUNCATE, which ignores row security."""
    with psycopg.connect(world.url) as connection:
        rows = connection.execute(
            """select grantee::regrole::text, array_agg(privilege_type) from (
                select (aclexplode(relacl)).* from pg_class where oid = %(table)s::regclass
                union all
                select (aclexplode(attacl)).* from pg_attribute where attrelid = %(table)s::regclass
            ) granted where grantee = any(%(roles)s::regrole[]) or grantee = 0 group by 1""",
            {"table": name, "roles": list(ROLES)},
        )
        granted = {role: set(privileges) for role, privileges in rows}
    wanted = {role: {PRIVILEGES[letter] for letter in grants(name, role)} for role in ROLES}
    assert granted == {role: privileges for role, privileges in wanted.items() if privileges}


def test_a_partition_cannot_be_named_directly(world: World) -> None:
    """Otherwise its own row security would count, and not that of its table."""
    privileges = ("select", "insert", "update", "delete", "truncate", "references", "trigger")
    with psycopg.connect(world.url) as connection:
        partitions = partition_names(connection)
        reachable = [
            (partition, role)
            for partition in partitions
            for role in ROLES
            if value_of(connection, "select has_table_privilege(%s, %s, %s)", (role, partition, ", ".join(privileges)))
        ]
    assert partitions != []
    assert reachable == []


def test_a_granted_partition_shows_the_rows_of_the_tenant_alone(world: World) -> None:
    reading = (Operation.SELECT, Operation.SELECT_EVERYTHING, Operation.COPY_TO)
    seen = 0
    with psycopg.connect(world.url) as connection:
        for name in partition_names(connection):
            if not value_of(connection, f"select count(*) from {name}"):
                continue
            table = read_table(connection, name, world)
            connection.execute(f"grant select on {name} to {SYSTEM}".encode())
            for operation in reading:
                for who in (Who.EMPTY, Who.OTHER, Who.OWN):
                    outcome = observe(connection, table, world, as_whom=Observer(SYSTEM), who=who, operation=operation)
                    assert outcome == by_tenant(table, who, operation, sees_all=False), (name, who, operation)
                    seen += 1
        connection.rollback()
    assert seen > 0


def test_a_view_shows_the_rows_of_the_tenant_alone(world: World) -> None:
    """Each of the two tenants sees its part of all rows, and a session without a tenant sees none."""

    def count(view: str, role: str, who: Who) -> Outcome:
        shown = Table(view, "", (), (), "", "", 0, 0)
        everything = Operation.SELECT_EVERYTHING
        return observe(connection, shown, world, as_whom=Observer(role), who=who, operation=everything)

    generated = "generated_days = '{[2027-03-01,2027-03-02)}', fingerprint_since = '2027-03-01', fingerprint = 'ab'"
    with psycopg.connect(world.url) as connection:
        connection.execute(f"update scheduling.schedule_states set {generated}".encode())  # a stale one shows no slot
        for view in view_names(connection):
            if view in OF_ONE_PERSON:
                assert [count(view, APP, who) for who in (Who.EMPTY, Who.OTHER, Who.OWN)] == [0, 0, 0], view
                continue
            nobody, own, others = (count(view, SYSTEM, who) for who in (Who.EMPTY, Who.OTHER, Who.OWN))
            assert isinstance(own, int), view
            assert isinstance(others, int), view
            assert nobody == 0, view
            assert min(own, others) > 0, view
            assert own + others == value_of(connection, f"select count(*) from {A_ROW_FOR_EACH.get(view, view)}"), view


def test_the_owner_of_a_table_is_bound_as_everybody_is(world: World) -> None:
    """Row security is forced: here `scheduler_system` owns each table for a moment."""
    unbound = []
    for name in TABLES:
        with psycopg.connect(world.url) as connection:
            table = read_table(connection, name, world)
            connection.execute(f"alter table {name} owner to {SYSTEM}".encode())
            for who in (Who.OTHER, Who.OWN):
                outcome = observe(
                    connection, table, world, as_whom=Observer(SYSTEM), who=who, operation=Operation.SELECT
                )
                if outcome != by_tenant(table, who, Operation.SELECT, sees_all=False):
                    unbound.append(f"{name} with {who}: {outcome}")
            connection.rollback()
    assert unbound == []
