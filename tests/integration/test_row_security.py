"""Row security: a session sees the rows of its tenant and no others, in every table, partition and way round.

The tables come from the catalogue, so that a table made later is tested without being named here; the rows of two
tenants come from `clinic` below, and a table that it leaves empty fails the first test.
"""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from database_fixtures import execute
from scheduler.core.errors import StoreError
from scheduler.store.database import Database, Role, StatementError

pytestmark = pytest.mark.database

PARENTS = (
    "identity.tenants",
    "scheduling.availability_exceptions",
    "scheduling.availability_rules",
    "scheduling.availability_slots",
    "scheduling.doctors",
    "scheduling.facilities",
    "scheduling.facility_closures",
    "scheduling.facility_doctors",
    "scheduling.generation_runs",
    "scheduling.schedule_states",
    "scheduling.service_offerings",
    "scheduling.services",
)
READS = {"SELECT"}
WRITES = {"SELECT", "INSERT", "UPDATE", "DELETE"}
GRANTS = {
    Role.APP: dict.fromkeys(PARENTS, WRITES)
    | dict.fromkeys(("identity.tenants", "scheduling.generation_runs", "scheduling.schedule_states"), READS),
    Role.JOB: dict.fromkeys(PARENTS, READS)
    | dict.fromkeys(("scheduling.availability_slots", "scheduling.schedule_states"), WRITES)
    | {"scheduling.generation_runs": {"SELECT", "INSERT", "UPDATE"}, "scheduling.services": set()},
}
ONE_OF_EACH = """
insert into identity.tenants (id, slug, name) values (:tenant, :tenant, 'A tenant');
insert into scheduling.facilities (tenant_id, name, slug, timezone) values (:tenant, 'A place', 'a', 'Europe/London');
insert into scheduling.doctors (tenant_id, first_name, last_name, display_name) values (:tenant, 'A', 'B', 'A B');
insert into scheduling.services (tenant_id, name) values (:tenant, 'A check-up');
insert into scheduling.facility_doctors (tenant_id, facility_id, doctor_id)
    select f.tenant_id, f.id, d.id from scheduling.facilities f join scheduling.doctors d using (tenant_id)
    where tenant_id = :tenant;
insert into scheduling.service_offerings (tenant_id, service_id, doctor_id, facility_id)
    select p.tenant_id, s.id, p.doctor_id, p.facility_id
    from scheduling.facility_doctors p join scheduling.services s using (tenant_id) where tenant_id = :tenant;
insert into scheduling.availability_rules
    (tenant_id, doctor_id, facility_id, service_offering_id, day_of_week, start_time, end_time, slot_duration_minutes)
    select tenant_id, doctor_id, facility_id, id, 1, '09:00', '12:00', 20
    from scheduling.service_offerings where tenant_id = :tenant;
insert into scheduling.availability_exceptions
    (tenant_id, availability_rule_id, facility_id, doctor_id, start_at, end_at, type)
    select tenant_id, id, facility_id, doctor_id, '2027-03-01 09:00Z', '2027-03-01 10:00Z', 'blocked'
    from scheduling.availability_rules where tenant_id = :tenant;
insert into scheduling.facility_closures (tenant_id, facility_id, day)
    select tenant_id, id, '2027-03-26' from scheduling.facilities where tenant_id = :tenant;
insert into scheduling.availability_slots
    (tenant_id, facility_id, doctor_id, service_offering_id, created_from_rule_id, start_at, end_at)
    select tenant_id, facility_id, doctor_id, service_offering_id, id, '2027-03-01 10:00Z', '2027-03-01 10:20Z'
    from scheduling.availability_rules where tenant_id = :tenant;
insert into scheduling.generation_runs (tenant_id, from_day, until_day, engine_version, tzdata_version)
    values (:tenant, '2027-03-01', '2027-03-02', '0', '0');
insert into scheduling.schedule_states (tenant_id, doctor_id, facility_id, last_run_id)
    select p.tenant_id, p.doctor_id, p.facility_id, r.id
    from scheduling.facility_doctors p join scheduling.generation_runs r using (tenant_id) where tenant_id = :tenant;
"""


class Clinic(NamedTuple):
    """A database in which two tenants have one row in each table."""

    database: Database
    ours: UUID
    theirs: UUID


@pytest.fixture(scope="module")
def clinic(database: Database, database_url: str) -> Clinic:
    execute(database_url, "select scheduling.ensure_slot_partitions('2027-03-01', '2027-04-01')")
    tenants = uuid4(), uuid4()
    for tenant in tenants:
        execute(database_url, *ONE_OF_EACH.replace(":tenant", f"'{tenant}'").strip().rstrip(";").split(";"))
    return Clinic(database, *tenants)


@pytest.fixture(scope="module")
def catalogue(clinic: Clinic, database_url: str) -> Iterator[psycopg.Connection]:
    assert clinic
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def tenant_column(table: str) -> str:
    return "id" if table == "identity.tenants" else "tenant_id"


def rows(clinic: Clinic, table: str, *, role: Role, tenant_id: UUID | None) -> list[UUID]:
    with clinic.database.unit_of_work(role=role, tenant_id=tenant_id) as session:
        return list(session.scalars(text(f"select {tenant_column(table)} from {table}")))


def refusal(clinic: Clinic, statement: str, *, role: Role, tenant_id: UUID | None, **values: object) -> str | None:
    """Return the SQLSTATE with which a statement is refused; None if it ran. Nothing stays."""

    class NotRefusedError(Exception):
        """Rolls back."""

    try:
        with clinic.database.unit_of_work(role=role, tenant_id=tenant_id) as session:
            session.execute(text(statement), values)
            raise NotRefusedError  # noqa: TRY301  # the block rolls back
    except NotRefusedError:
        return None
    except StatementError as refused:
        return refused.sqlstate


def test_the_tables_of_the_catalogue_are_those_of_this_test(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p') and not relispartition"
        " and relnamespace::regnamespace::text in ('identity', 'scheduling') order by 1"
    )
    assert tuple(name for (name,) in found) == PARENTS


def test_every_table_and_partition_has_row_security_enabled_forced_and_by_tenant(
    catalogue: psycopg.Connection,
) -> None:
    unguarded = catalogue.execute("""
        select oid::regclass::text from pg_class
        where relkind in ('r', 'p') and relnamespace::regnamespace::text in ('identity', 'scheduling')
            and not (relrowsecurity and relforcerowsecurity and exists (
                select from pg_policy
                where polrelid = pg_class.oid and polcmd = '*' and polroles = '{0}'
                    and pg_get_expr(polqual, polrelid) ~ 'id = \\( ?SELECT identity.current_tenant_id\\(\\)'
                    and pg_get_expr(polqual, polrelid) = pg_get_expr(polwithcheck, polrelid)
            ))
    """).fetchall()
    assert unguarded == []


@pytest.mark.parametrize("role", [Role.APP, Role.JOB])
@pytest.mark.parametrize("table", PARENTS)
def test_a_tenant_sees_its_own_row_and_no_other(clinic: Clinic, table: str, role: Role) -> None:
    if "SELECT" not in GRANTS[role][table]:
        assert refusal(clinic, f"select from {table}", role=role, tenant_id=clinic.ours) == "42501"
    elif (table, role) == ("identity.tenants", Role.JOB):
        assert {clinic.ours, clinic.theirs} <= set(rows(clinic, table, role=role, tenant_id=clinic.ours))
    else:
        assert rows(clinic, table, role=role, tenant_id=clinic.ours) == [clinic.ours]


@pytest.mark.parametrize("table", PARENTS)
@pytest.mark.parametrize("tenant_id", [None, UUID(int=0)])
def test_without_a_tenant_or_with_a_stranger_no_row_is_seen(clinic: Clinic, table: str, tenant_id: UUID | None) -> None:
    assert rows(clinic, table, role=Role.APP, tenant_id=tenant_id) == []


@pytest.mark.parametrize("setting", ["", "garbage", "' or true --", "null", "{}"])
def test_a_tenant_that_is_none_shows_nothing(clinic: Clinic, setting: str) -> None:
    try:
        with clinic.database.unit_of_work(role=Role.APP, tenant_id=clinic.ours) as session:
            session.execute(text("select set_config('app.tenant_id', :setting, true)"), {"setting": setting})
            assert session.scalar(text("select count(*) from scheduling.facilities")) == 0
    except StoreError as refused:
        assert getattr(refused, "sqlstate", None) == "22P02"  # noqa: PT017  # either is right: no row, or no uuid


def test_a_connection_that_never_named_a_tenant_sees_nothing(catalogue: psycopg.Connection) -> None:
    with catalogue.transaction():
        catalogue.execute("set local role scheduler_app")
        assert catalogue.execute("select count(*) from scheduling.facilities").fetchone() == (0,)


@pytest.mark.parametrize("role", [Role.APP, Role.JOB])
@pytest.mark.parametrize("table", PARENTS)
def test_the_row_of_another_tenant_cannot_be_written(clinic: Clinic, table: str, role: Role) -> None:
    insert = f"""insert into {table} select * from jsonb_populate_record(null::{table},
        (select jsonb_set(to_jsonb(t), '{{{tenant_column(table)}}}', to_jsonb(cast(:theirs as text))) from {table} t
         where {tenant_column(table)} = :ours))"""
    assert refusal(clinic, insert, role=role, tenant_id=clinic.ours, ours=clinic.ours, theirs=clinic.theirs) == "42501"


@pytest.mark.parametrize("table", PARENTS)
def test_an_own_row_cannot_be_moved_to_another_tenant(clinic: Clinic, table: str) -> None:
    role = Role.APP if "UPDATE" in GRANTS[Role.APP][table] else Role.JOB
    update = f"update {table} set {tenant_column(table)} = :theirs"
    assert refusal(clinic, update, role=role, tenant_id=clinic.ours, theirs=clinic.theirs) == "42501"


@pytest.mark.parametrize("verb", ["update {} set updated_at = now()", "delete from {}"])
@pytest.mark.parametrize("table", PARENTS)
def test_the_row_of_another_tenant_is_not_there_to_change(clinic: Clinic, table: str, verb: str) -> None:
    word = verb.split(maxsplit=1)[0].upper()
    role = next((role for role in (Role.APP, Role.JOB) if word in GRANTS[role][table]), None)
    if role is None:
        assert refusal(clinic, verb.format(table), role=Role.APP, tenant_id=clinic.ours) == "42501"
        return
    with clinic.database.unit_of_work(role=role, tenant_id=clinic.ours) as session:
        statement = f"{verb.format(table)} where {tenant_column(table)} = :theirs returning 1"
        assert session.execute(text(statement), {"theirs": clinic.theirs}).all() == []


@pytest.mark.parametrize("role", [Role.APP, Role.JOB])
@pytest.mark.parametrize("table", PARENTS)
def test_a_role_may_do_what_it_needs_and_no_more(catalogue: psycopg.Connection, table: str, role: Role) -> None:
    """No truncate above all: it ignores row security."""
    found = catalogue.execute(
        "select acl.privilege_type from pg_class, aclexplode(relacl) acl"
        " where pg_class.oid = %s::regclass and acl.grantee in (0, %s::regrole)",
        (table, role.value),
    )
    assert {privilege for (privilege,) in found} == GRANTS[role][table]


def test_no_role_goes_round_row_security(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute(
        "select rolname from pg_roles where rolname like 'scheduler_%%' and (rolbypassrls or rolsuper or rolcanlogin)"
    )
    assert found.fetchall() == []


@pytest.mark.parametrize("role", [Role.APP, Role.JOB])
def test_a_partition_cannot_be_named_directly(clinic: Clinic, role: Role) -> None:
    asked = "select from scheduling.availability_slots_2027_03"
    assert refusal(clinic, asked, role=role, tenant_id=clinic.ours) == "42501"


def test_a_partition_that_is_named_directly_after_all_shows_only_own_rows(
    clinic: Clinic, catalogue: psycopg.Connection
) -> None:
    with catalogue.transaction(force_rollback=True):
        catalogue.execute("grant select on scheduling.availability_slots_2027_03 to scheduler_app")
        catalogue.execute("set local role scheduler_app")
        catalogue.execute("select set_config('app.tenant_id', %s, true)", (str(clinic.ours),))
        found = catalogue.execute("select tenant_id from scheduling.availability_slots_2027_03").fetchall()
    assert found == [(clinic.ours,)]


def test_every_key_to_another_table_carries_the_tenant(catalogue: psycopg.Connection) -> None:
    without = catalogue.execute("""
        select conrelid::regclass::text, conname from pg_constraint
        where contype = 'f' and connamespace::regnamespace::text in ('identity', 'scheduling')
            and not exists (
                select from unnest(conkey, confkey) as pair (here, there)
                join pg_attribute h on h.attrelid = conrelid and h.attnum = here
                join pg_attribute t on t.attrelid = confrelid and t.attnum = there
                where h.attname = 'tenant_id' and h.attnotnull
                    and t.attname = case when confrelid = 'identity.tenants'::regclass then 'id' else 'tenant_id' end
            )
    """).fetchall()
    assert without == []


def test_a_row_cannot_point_into_another_tenant_even_as_superuser(
    clinic: Clinic, catalogue: psycopg.Connection
) -> None:
    keys = catalogue.execute("""
        select conrelid::regclass::text, confrelid::regclass::text, attname
        from pg_constraint join pg_attribute on attrelid = conrelid and attnum = conkey[2]
        where contype = 'f' and connamespace = 'scheduling'::regnamespace and conparentid = 0
            and cardinality(conkey) = 2
    """).fetchall()
    refused = {
        (table, column): refusal(
            clinic,
            f"update {table} set {column} = (select id from {target} where tenant_id = :theirs)"
            " where tenant_id = :ours",
            role=Role.OWNER,
            tenant_id=clinic.ours,
            ours=clinic.ours,
            theirs=clinic.theirs,
        )
        for table, target, column in keys
    }
    assert len(refused) == 19
    assert set(refused.values()) == {"23503"}


def test_a_tenant_with_rows_cannot_be_deleted(clinic: Clinic) -> None:
    statement = "delete from identity.tenants where id = :ours"
    assert refusal(clinic, statement, role=Role.OWNER, tenant_id=clinic.ours, ours=clinic.ours) in {"23001", "23503"}


def test_no_way_to_a_tenant_lets_its_rows_go_with_it(catalogue: psycopg.Connection) -> None:
    cascading = catalogue.execute(
        "select conname from pg_constraint where confrelid = 'identity.tenants'::regclass and confdeltype <> 'r'"
    )
    assert cascading.fetchall() == []


def test_a_policy_is_evaluated_once_a_statement(clinic: Clinic) -> None:
    with clinic.database.unit_of_work(role=Role.APP, tenant_id=clinic.ours) as session:
        plan = "\n".join(session.scalars(text("explain select * from scheduling.facilities")))
    assert "InitPlan" in plan


def test_functions_with_their_owners_rights_pin_their_search_path_and_are_not_for_everyone(
    catalogue: psycopg.Connection,
) -> None:
    found = catalogue.execute("""
        select proname, array_to_string(proconfig, ' ') ~ 'search_path=pg_catalog, pg_temp',
            array(select grantee::regrole::text from aclexplode(proacl) where grantee <> proowner)
        from pg_proc where prosecdef and pronamespace::regnamespace::text in ('identity', 'scheduling')
    """).fetchall()
    assert found == [("ensure_slot_partitions", True, ["scheduler_job"])]
