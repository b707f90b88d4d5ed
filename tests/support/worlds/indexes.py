"""World for indexes: 25,000 rows in every table with an index of the specifications.

The rows are of 120 tenants; the first has a fifth of them, the last fewer than a hundred. A superuser writes them
without triggers and foreign keys, so each is right by itself, but may refer to a missing row.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Final

import psycopg

ROWS: Final = 25_000
TENANT: Final = "00000000-0000-0000-0000-000000000001"
MONTHS: Final = "select scheduling.ensure_slot_partitions('2027-03-01', '2027-06-01')"

TENANTS_THEMSELVES: Final = {"identity.tenants", "wellbeing.organisations"}
NOT_READY: Final = """
    update pg_index set indisready = false
    from pg_class where pg_class.oid = indrelid and relkind = 'r' and indrelid in (
        select %(table)s::regclass union select inhrelid from pg_inherits where inhparent = %(table)s::regclass)
"""

# In every expression n counts the rows, tenant owns the row, and the pair a and b is unique in the tenant.
SCAFFOLD: Final = (
    "create schema loading",
    "create function loading.key(n bigint) returns uuid language sql immutable return lpad(to_hex(n), 32, '0')::uuid",
    f"""create table loading.numbers as
        select n, tenant, place % 150 as a, place / 150 as b,
            (array['Ann', 'Ben', 'Clara', 'Dan', 'Eve', 'Finn', 'Grace', 'Hugo', 'Iris', 'Jack', 'Kate', 'Leo'])
                [1 + n % 12] as first_name,
            initcap(translate(substr(md5(n::text), 1, 7), '0123456789', 'eioustlrnm')) as last_name
        from (
            select n, tenant, row_number() over (partition by tenant order by n) as place
            from generate_series(1, {ROWS}) as n,
                lateral (select power(n::bigint * 7919 % 100003 / 100003.0, 3)) as drawn (share),
                lateral (select loading.key(1 + floor(120 * share)::integer)) as whose (tenant)
        ) as counted""",
    "analyze loading.numbers",
)
AT: Final = "timestamptz '2027-03-01 00:00Z' + n * interval '4 minutes'"
CIPHERTEXT: Final = r"'\x01' || repeat('x', 44)::bytea"
TABLES: Final = {
    "identity.tenants": {"id": "loading.key(n)", "slug": "'tenant-' || n", "name": "'A tenant'"},
    "identity.users": {
        "id": "loading.key(n)",
        "supertokens_user_id": "n",
        "email": "n || '@example.org'",
        "name": "first_name",
        "role": "'staff'",
        "status": "case when n % 200 = 199 then 'suspended' else 'active' end",
    },
    "identity.families": {
        "id": "loading.key(n)",
        "family_name": "last_name",
        "status": "case when n % 200 = 0 then 'inactive' else 'active' end",
    },
    "identity.family_members": {
        "family_id": "loading.key(n / 4)",
        "user_id": "loading.key(n)",
        "role": "'parent'",
        "is_primary_contact": "n % 4 = 0",
    },
    "scheduling.facilities": {"name": "'A facility'", "slug": "'facility-' || n", "timezone": "'UTC'"},
    "scheduling.facility_doctors": {"facility_id": "a", "doctor_id": "b"},
    "scheduling.insurance_plans": {"insurance_provider_id": "b", "plan_code": "'plan ' || a", "name": "'A plan'"},
    "scheduling.facility_insurance_plans": {"facility_id": "a", "insurance_plan_id": "b"},
    "scheduling.service_offerings": {"service_id": "n % 7", "doctor_id": "b", "facility_id": "a"},
    "scheduling.workflow_steps": {"service_workflow_id": "b", "step_template_id": "n % 7", "position": "a + 1"},
    "scheduling.availability_rules": {
        "doctor_id": "b",
        "facility_id": "a",
        "day_of_week": "n % 7",
        "start_time": "'09:00'",
        "end_time": "'12:00'",
        "slot_duration_minutes": "20",
    },
    "scheduling.availability_slots": {
        "facility_id": "n % 40",
        "doctor_id": "n % 61",
        "start_at": AT,
        "end_at": f"{AT} + interval '20 minutes'",
    },
    "scheduling.patients": {"first_name": "first_name", "last_name": "last_name", "email": "n || '@example.org'"},
    "scheduling.appointments": {
        "patient_id": "n / 4",
        "facility_id": "n % 40",
        "doctor_id": "n % 61",
        "service_offering_id": "n % 7",
        "service_workflow_id": "n % 7",
        "start_at": AT,
        "end_at": f"{AT} + interval '20 minutes'",
        "local_start": f"({AT}) at time zone 'UTC'",
        "zone": "'UTC'",
        "occupied_from": AT,
        "occupied_until": f"{AT} + interval '20 minutes'",
        "status": "'cancelled'",
    },
    "scheduling.appointment_steps": {
        "appointment_id": "b",
        "workflow_step_id": "n % 7",
        "step_template_id": "n % 7",
        "position": "a + 1",
        "scheduled_start_at": AT,
        "scheduled_end_at": f"{AT} + interval '5 minutes'",
    },
    "placement.clients": {
        "id": "loading.key(n)",
        "first_name": "first_name",
        "last_name": "last_name",
        "facility_id": "n % 40",
        "user_id": "loading.key(n)",
        "status": "case when n % 200 = 0 then 'waiting' else 'active' end",
        "deleted_at": "case when n % 10 = 0 then now() end",
    },
    "placement.facility_staff": {"id": "loading.key(n)", "facility_id": "a", "user_id": "loading.key(b)"},
    "placement.placement_info": {
        "id": "loading.key(n)",
        "client_id": "loading.key(n / 4)",
        "placed_on": "'2027-03-01'",
        "ended_on": "case when n % 4 <> 0 then date '2027-03-02' end",
        "status": "case when n % 4 <> 0 then 'ended' else 'active' end",
        "insurance_member_id": CIPHERTEXT,
        "insurance_member_id_index": "sha256(n::text::bytea)",
    },
    "placement.form_field_contributions": {
        "id": "loading.key(n)",
        "placement_info_id": "loading.key(b)",
        "contributor_id": "loading.key(n % 7)",
        "field_name": "'field ' || a % 20",
        "contributed_at": AT,
    },
    "wellbeing.organisations": {
        "id": "loading.key(n)",
        "name": "case when n % 5000 = 0 then 'The Hilltop School' else first_name || ' ' || last_name end",
        "type": "'other'",
    },
    "wellbeing.profiles": {
        "id": "loading.key(n)",
        "email": "n || '@example.org'",
        "name": "first_name",
        "role": "case when n % 400 = 0 then 'Account' when n % 100 = 0 then 'GroupContact'"
        " when n % 10 = 0 then 'Practitioner' else 'Child' end",
        "org_id": "tenant",
    },
    "wellbeing.children": {
        "id": "loading.key(n)",
        "org_id": "tenant",
        "display_id": "n",
        "first_name": "case when n % 1000 = 1 then 'Zebedee' else first_name end",
        "class_name": "'Class ' || n % 50",
        "primary_practitioner_id": "loading.key(n % 500)",
    },
    "wellbeing.wellbeing_sessions": {
        "id": "loading.key(n)",
        "child_id": "loading.key(n % 5000)",
        "session_type": "'daily_checkin'",
        "created_at": AT,
    },
    "wellbeing.wellbeing_responses": {
        "id": "loading.key(n)",
        "session_id": "loading.key(n / 10)",
        "child_id": "loading.key(n / 100)",
        "activity_type": "'mood_wheel'",
        "question_key": "'today'",
        "response_type": "'scale'",
        "response_value": "'4'",
    },
    "wellbeing.alerts": {
        "id": "loading.key(n)",
        "child_id": "loading.key(n % 500)",
        "alert_type": "'wellbeing_decline'",
        "severity": "case when n % 100 = 0 then 'urgent' else 'low' end",
        "title": "'A title'",
        "description": "'Three low days.'",
        "status": "case when n % 20 = 0 then 'unread' else 'acknowledged' end",
        "created_at": AT,
    },
    "wellbeing.invitations": {
        "id": "loading.key(n)",
        "org_id": "tenant",
        "email": "n % 1000 || '@example.org'",
        "role": "'Practitioner'",
        "invited_by": "loading.key(n % 500)",
        "invitation_token": "md5(n::text) || md5(n::text)",
        "status": "case when n % 20 = 0 then 'pending' else 'revoked' end",
    },
    "audit.user_action_audit_log": {
        "occurred_at": "now()",
        "user_id": "loading.key(n % 500)",
        "db_role": "'scheduler_app'",
        "action": "'update'",
        "entity": "'scheduling.patients'",
        "entity_key": "n",
        "details": "jsonb_build_object('reason', 'reason ' || n % 5000)",
    },
}


def load(url: str) -> None:
    """Fill a migrated database; two tables at a time."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in (*SCAFFOLD, MONTHS):
            connection.execute(statement.encode())
        tables = [table for table in TABLES if is_there(connection, table)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda table: fill(url, table), tables))


def fill(url: str, table: str) -> None:
    """Fill a table from the numbers."""
    of_tenant = {} if table in TENANTS_THEMSELVES else {"tenant_id": "tenant"}
    given = of_tenant | TABLES[table]
    with psycopg.connect(url, autocommit=True) as connection:
        values = ", ".join(f"({value})::{type_of(connection, table, name)}" for name, value in given.items())
        write(connection, table, f"insert into {table} ({', '.join(given)}) select {values} from loading.numbers")


def write(connection: psycopg.Connection, table: str, *inserts: str) -> None:
    """Write rows of a table, and build its indexes afterwards, which takes a third of the time."""
    connection.execute("set session_replication_role = replica")
    connection.execute("set maintenance_work_mem = '64MB'")
    connection.execute(NOT_READY, {"table": table})
    for insert in inserts:
        connection.execute(insert.encode())
    connection.execute(f"reindex table {table}".encode())
    connection.execute(f"analyze {table}".encode())


def is_there(connection: psycopg.Connection, table: str) -> bool:
    """Tell whether a table exists."""
    return connection.execute("select to_regclass(%s)", (table,)).fetchone() != (None,)


def type_of(connection: psycopg.Connection, table: str, column: str) -> str:
    """Return the type of a column."""
    row = connection.execute(
        "select atttypid::regtype::text from pg_attribute where attrelid = %s::regclass and attname = %s",
        (table, column),
    ).fetchone()
    assert row is not None, f"{table}.{column}"
    return str(row[0])
