"""Guards: conditions on the catalogue that keep later objects from bypassing row security.

Each list of exceptions has the reason of each. `test_row_security` tries the same conditions out.
"""

import re
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest

from scheduler.postgres.database import Role
from support.guards import DEFINER, crossing, open_to_anybody, policies, unguarded, unlike_their_tables
from support.observation import ROLES
from support.roles import become
from support.worlds.tenants import SCHEMAS, World, partition_names, table_names, tenant_column

pytestmark = pytest.mark.database

OURS = f"::regnamespace::text in {SCHEMAS}"
# (table, policy) -> why a row may be shown to another tenant.
CROSSING: dict[tuple[str, str], str] = {
    ("identity.tenants", "the_job_sees_for_whom_to_work"): "the nightly job works for every tenant",
    ("wellbeing.organisations", "a_tenant_sees_its_own_rows"): "an Account manages those of all tenants",
    ("wellbeing.profiles", "a_tenant_sees_its_own_rows"): "an Account sees those of all tenants",
    ("wellbeing.invitations", "a_tenant_sees_its_own_rows"): "an Account sees those of all tenants",
    ("wellbeing.kv_store_a1855b25", "a_tenant_sees_its_own_rows"): "an Account manages those of all tenants",
}
# (table, policy) -> why it does not ask whether who is at work reaches all of the tenant.
OPEN_TO_ANYBODY: dict[tuple[str, str], str] = {
    ("audit.chain", "a_tenant_sees_its_own_rows"): "only the system may read it",
    ("audit.system_audit_log", "a_tenant_sees_its_own_rows"): "only the system may read it",
    ("audit.user_action_audit_log", "a_tenant_sees_its_own_rows"): "only the system may read it",
    ("identity.tenants", "the_system_works_for_its_tenant"): "only the system is shown rows by it",
}
# Index -> reason not to begin with the tenant.
WITHOUT_TENANT: dict[str, str] = {
    "identity.tenants_pkey": "the id is the tenant",
    "identity.live_tenants_have_their_own_slug": "a slug is looked up before the tenant is known",
    "identity.live_users_have_their_own_sign_in": "a sign-in is looked up before the tenant is known",
    "identity.a_person_of_two_tenants_has_two_users": "an id is one person, whatever the tenant",
    "wellbeing.a_person_has_one_profile": "a person has one role, whatever the tenant",
    "wellbeing.a_token_is_one_invitation": "a token is looked up before the tenant is known",
}
# View -> reason to read with the rights of its owner.
WITH_RIGHTS_OF_ITS_OWNER: dict[str, str] = {}
# Function with its owner's rights -> reason for another owner than `scheduler_definer`.
OF_THE_OWNER: dict[str, str] = {
    "audit.ensure_months": "only the owner of a table may make its partitions",
    "scheduling.analyze_grown_tables": "only the owner of a table may analyze it",
    "scheduling.ensure_slot_partitions": "only the owner of a table may make its partitions",
}
# Function -> the roles that may call it; `public` is everybody.
CALLED_BY_ANYBODY: Final = {
    "audit.parse_address",
    "identity.current_data_key",
    "identity.current_tenant_id",
    "identity.current_user_id",
    "identity.has_tenant_access",
    "identity.is_ciphertext",
    "identity.is_readable_json",
    "identity.is_email",
    "identity.own_addresses",
    "identity.own_dependants",
    "identity.own_household",
    "scheduling.clock",
    "scheduling.own_appointment_steps",
    "scheduling.own_appointments",
    "scheduling.own_patients",
}
CALLERS: Final[dict[str, str]] = {
    **dict.fromkeys(CALLED_BY_ANYBODY, "public"),
    "audit.ensure_months": "system",
    "audit.find_actions": "system",
    "audit.may_write": "definer",
    "audit.record_event": "app, system",
    "audit.record_read": "app, system",
    "audit.record_system": "job, system",
    "audit.seal": "system",
    "identity.current_organisation_id": "app, system",
    "identity.current_role_name": "app, system",
    "identity.is_active_user": "app, desk, job, system",
    "identity.is_open_tenant": "app, desk, job, system",
    "identity.is_staff_member": "app, desk, job, system",
    "identity.may_administer": "app, system",
    "identity.own_families": "app, job, system",
    "identity.tenant_by_slug": "app, desk, job, system",
    "placement.find_clients": "app, system",
    "scheduling.allocate": "definer",
    "scheduling.analyze_grown_tables": "job",
    "scheduling.blocked_days": "app, job, system",
    "scheduling.count_doctor_days": "app, job, system",
    "scheduling.count_places": "definer",
    "scheduling.count_resource_days": "app, job, system",
    "scheduling.days_to_count": "app, system",
    "scheduling.delete_events": "job, system",
    "scheduling.doctor_days": "app, system",
    "scheduling.ensure_slot_partitions": "job",
    "scheduling.lock_caps": "desk",
    "scheduling.lock_doctors_and_resources": "definer",
    "scheduling.lock_for_visits": "desk",
    "scheduling.places_left": "app, desk, job, system",
    "scheduling.number_events": "app, job, system",
    "scheduling.preparation_of": "definer",
    "scheduling.resource_days": "app, system",
    "scheduling.start_of_day": "app, job, system",
    "scheduling.steps_that_take_time": "definer",
    "scheduling.takes_time": "definer",
    "scheduling.third_next_available": "app, system",
    "wellbeing.find_children": "app, system",
    "wellbeing.find_organisations": "app, system",
    "wellbeing.has_active_profile": "app, system",
    "wellbeing.own_child_record": "app",
    "wellbeing.usage_of_organisation": "app, system",
}
# Records of the care of a person: they go with the person, by an erasure, and with nothing else.
RECORDS_OF_CARE: Final = {
    "placement.clients",
    "placement.contributors",
    "placement.form_field_contributions",
    "placement.medications",
    "placement.metadata",
    "placement.placement_info",
    "scheduling.appointment_steps",
    "scheduling.appointments",
    "scheduling.patients",
    "scheduling.waitlist_entries",
    "wellbeing.alerts",
    "wellbeing.children",
    "wellbeing.stickers_earned",
    "wellbeing.wellbeing_responses",
    "wellbeing.wellbeing_sessions",
}
# Nobody deletes these for themselves: triggers write them from the rows that a cascade comes from.
DERIVED: Final = {"scheduling.allocations", "scheduling.doctor_figure_sums", "scheduling.resource_figure_sums"}
ONCE_A_STATEMENT = re.compile(r"\( SELECT (identity|audit|scheduling|placement|wellbeing)\.\w+\(\) AS \w+\)")
CALL = re.compile(r"\b(?:identity|audit|scheduling|placement|wellbeing)\.\w+\(|\bcurrent_setting\(")


@pytest.fixture(scope="module")
def connection(world: World) -> Iterator[psycopg.Connection]:
    with psycopg.connect(world.url, autocommit=True) as connection:
        yield connection


def names(connection: psycopg.Connection, query: str) -> set[str]:
    return {name for (name,) in connection.execute(query.encode())}


def test_every_table_and_partition_has_forced_row_security_and_a_policy(
    connection: psycopg.Connection,
) -> None:
    assert unguarded(connection) == set()


def test_no_policy_shows_a_row_to_another_tenant(connection: psycopg.Connection) -> None:
    """The tenant's policy is the only permissive one, or is restrictive: permissive policies add up."""
    assert crossing(connection) - set(CROSSING) == set()


def test_no_policy_opens_a_tenant_to_people_who_are_not_staff(connection: psycopg.Connection) -> None:
    assert open_to_anybody(connection) == set(OPEN_TO_ANYBODY)


def test_a_partition_has_the_policies_of_its_table(connection: psycopg.Connection) -> None:
    assert partition_names(connection) != []
    assert unlike_their_tables(connection) == set()


def test_a_policy_calls_its_functions_once_a_statement(connection: psycopg.Connection) -> None:
    """`(select f())` is called once; `f()` may be called for each row, a hundred times slower on a big table."""
    expressions = [
        (table, policy.name, expression)
        for table in table_names(connection)
        for policy in policies(connection, table)
        for expression in policy.expressions
        if CALL.search(expression)
    ]
    assert expressions != []
    assert [each for each in expressions if CALL.search(ONCE_A_STATEMENT.sub("", each[2]))] == []


def test_a_policy_is_evaluated_before_a_row_is_looked_at(connection: psycopg.Connection) -> None:
    with connection.transaction():
        become(connection, Role.APP, None)
        plan = "\n".join(line for (line,) in connection.execute("explain select * from scheduling.facilities"))
    assert "InitPlan" in plan


def test_every_key_to_another_table_carries_the_tenant(connection: psycopg.Connection) -> None:
    """A plain key finds the row of another tenant although its writer cannot see it, and a cascade deletes there."""
    rows = connection.execute(
        f"""select conrelid::regclass::text, confrelid::regclass::text, conname,
            (select jsonb_agg(jsonb_build_array(h.attname, t.attname))
            from unnest(conkey, confkey) as pair (referring, referred)
            join pg_attribute h on h.attrelid = conrelid and h.attnum = referring and h.attnotnull
            join pg_attribute t on t.attrelid = confrelid and t.attnum = referred)
        from pg_constraint where contype = 'f' and connamespace{OURS}""".encode()
    ).fetchall()
    without = [
        (table, name)
        for table, target, name, pairs in rows
        if not any(
            referring in {"tenant_id", tenant_column(connection, table)}
            and referred in {"tenant_id", tenant_column(connection, target)}
            for referring, referred in pairs or ()
        )
    ]
    assert rows != []
    assert without == []


def test_every_key_to_a_tenant_restricts_its_deletion(connection: psycopg.Connection) -> None:
    cascading = (
        "select conname from pg_constraint where confrelid = 'identity.tenants'::regclass and confdeltype <> 'r'"
    )
    assert names(connection, cascading) == set()


def test_the_application_cannot_delete_soft_deletable_rows_for_good(connection: psycopg.Connection) -> None:
    """Otherwise soft deletion would not preserve rows. Only the system erases."""
    soft = f"""select attrelid::regclass::text from pg_attribute join pg_class on pg_class.oid = attrelid
        where attname = 'deleted_at' and not attisdropped and relkind in ('r', 'p') and relnamespace{OURS}"""
    assert len(names(connection, soft)) > 15
    for role in ("scheduler_app", "scheduler_job", "scheduler_desk"):
        assert names(connection, f"{soft} and has_table_privilege('{role}', attrelid, 'delete')") == set(), role


@pytest.mark.parametrize("role", ["scheduler_app", "scheduler_job", "scheduler_desk"])
def test_no_cascade_deletes_a_record_of_care_or_more_than_its_role_may(
    connection: psycopg.Connection, role: str
) -> None:
    """A cascade asks neither policies nor privileges: an insurer would take the visits of its patients along."""
    chains = connection.execute(
        f"""with recursive cascade as (
            select confrelid as first, conrelid as last from pg_constraint
            where contype = 'f' and confdeltype = 'c' and connamespace{OURS}
            union
            select first, conrelid from pg_constraint join cascade on confrelid = last
            where contype = 'f' and confdeltype = 'c'
        ) select first::regclass::text, last::regclass::text, has_table_privilege(%(role)s, last, 'delete')
        from cascade where has_table_privilege(%(role)s, first, 'delete')""".encode(),
        {"role": role},
    ).fetchall()
    assert RECORDS_OF_CARE - {*table_names(connection)} == set()
    assert [chain for *chain, may_delete in chains if not may_delete and chain[1] not in DERIVED] == []
    assert [
        (first, last) for first, last, _ in chains if last in RECORDS_OF_CARE and first not in RECORDS_OF_CARE
    ] == []


def test_every_index_begins_with_the_tenant(connection: psycopg.Connection) -> None:
    """So row security is part of the search and not a filter after it; GIN and GiST search otherwise."""
    indexes = names(
        connection,
        f"""select i.oid::regclass::text from pg_index
        join pg_class i on i.oid = indexrelid join pg_am on pg_am.oid = i.relam
        join pg_class t on t.oid = indrelid left join pg_attribute on attrelid = indrelid and attnum = indkey[0]
        where amname = 'btree' and attname is distinct from 'tenant_id' and not t.relispartition
            and t.relnamespace{OURS}""",
    )
    assert indexes - set(WITHOUT_TENANT) == set()


def test_every_view_is_a_security_invoker(connection: psycopg.Connection) -> None:
    otherwise = names(
        connection,
        f"""select oid::regclass::text from pg_class where relkind = 'v' and relnamespace{OURS}
        and not coalesce(reloptions && array['security_invoker=true', 'security_invoker=on'], false)""",
    )
    assert otherwise == set(WITH_RIGHTS_OF_ITS_OWNER)


def test_there_is_no_materialized_view_and_no_foreign_table(connection: psycopg.Connection) -> None:
    """Neither kind has row security."""
    kept = f"select oid::regclass::text from pg_class where relkind in ('m', 'f') and relnamespace{OURS}"
    assert names(connection, kept) == set()


def definer_functions(connection: psycopg.Connection, condition: str) -> set[str]:
    """Return the functions and procedures with their owner's rights that meet a condition."""
    return names(
        connection,
        "select pronamespace::regnamespace::text || '.' || proname from pg_proc"
        f" where prosecdef and pronamespace{OURS} and {condition}",
    )


def test_a_definer_function_pins_its_search_path(connection: psycopg.Connection) -> None:
    """Otherwise it would call functions that its caller created in a temporary schema."""
    pinned = "proconfig && array['search_path=pg_catalog, pg_temp', 'search_path=\"\"', 'search_path=']"
    assert definer_functions(connection, "true") != set()
    assert definer_functions(connection, f"not coalesce({pinned}, false)") == set()


def test_every_function_finds_its_names_without_the_callers_path(connection: psycopg.Connection) -> None:
    """A body parsed at creation keeps the names it found; any other body has a pinned path."""
    loose = f"""select oid::regprocedure::text from pg_proc
        where pronamespace{OURS} and prosqlbody is null
            and not coalesce(proconfig && array['search_path=pg_catalog, pg_temp'], false)"""
    assert names(connection, loose) == set()
    assert len(names(connection, loose.replace("not coalesce", "coalesce"))) > 20


def test_a_definer_function_is_not_for_everybody(connection: psycopg.Connection) -> None:
    for_all = "(proacl is null or exists (select from aclexplode(proacl) where grantee = 0))"
    assert definer_functions(connection, for_all) == set()


def test_a_definer_function_is_owned_by_the_definer_role(connection: psycopg.Connection) -> None:
    """Policies for that role decide what it sees; the policies for users would bind the owner."""
    assert definer_functions(connection, f"proowner <> '{DEFINER}'::regrole") - set(OF_THE_OWNER) == set()


def test_a_function_is_called_by_the_listed_roles_only(connection: psycopg.Connection) -> None:
    """A new grant asks for a decision: which events may a user invent, and which questions ask?"""
    rows = connection.execute(
        f"""select pronamespace::regnamespace::text || '.' || proname, string_agg(
            case grantee when 0 then 'public' else replace(grantee::regrole::text, 'scheduler_', '') end, ', '
            order by grantee::regrole::text)
        from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
        where pronamespace{OURS} and prorettype <> 'trigger'::regtype and grantee <> proowner group by 1""".encode()
    )
    assert dict(rows.fetchall()) == CALLERS


def test_a_function_for_anybody_has_the_rights_of_its_caller(connection: psycopg.Connection) -> None:
    assert definer_functions(connection, "true") & CALLED_BY_ANYBODY == set()


def test_no_role_bypasses_row_security(connection: psycopg.Connection) -> None:
    strong = "rolbypassrls or rolsuper or rolcanlogin or rolcreaterole or rolcreatedb or rolreplication"
    assert names(connection, f"select rolname from pg_roles where rolname ^@ 'scheduler_' and ({strong})") == set()


def test_no_role_may_become_another(connection: psycopg.Connection) -> None:
    members = "select member::regrole::text from pg_auth_members where member::regrole::text ^@ 'scheduler_'"
    assert names(connection, members) == set()


def test_no_role_owns_a_table_or_view(connection: psycopg.Connection) -> None:
    """An owner may switch off forced row security of its table."""
    owned = f"relkind <> 'i' and relowner::regrole::text ^@ 'scheduler_' and relnamespace{OURS}"
    assert names(connection, f"select oid::regclass::text from pg_class where {owned}") <= set(WITH_RIGHTS_OF_ITS_OWNER)


def test_only_the_owner_may_do_more_than_read_and_write_rows(connection: psycopg.Connection) -> None:
    """TRUNCATE ignores row security, a foreign key (REFERENCES) and a trigger see every row."""
    more = names(
        connection,
        f"""select oid::regclass::text || ': ' || privilege_type || ' to ' || grantee::regrole::text
        from pg_class, aclexplode(relacl) where relkind in ('r', 'p', 'v') and relnamespace{OURS}
        and grantee <> relowner and (grantee = 0 or privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))""",
    )
    assert more == set()


def test_only_the_roles_of_the_library_are_granted_anything(connection: psycopg.Connection) -> None:
    granted = names(
        connection,
        f"""select grantee::regrole::text from pg_class, aclexplode(relacl)
        where relnamespace{OURS} and grantee <> relowner
        union select grantee::regrole::text from pg_namespace, aclexplode(nspacl)
        where pg_namespace.oid{OURS} and grantee <> nspowner""",
    )
    assert granted - {*ROLES, DEFINER} == set()


def test_no_role_may_make_anything_where_the_tables_are(connection: psycopg.Connection) -> None:
    makers = names(
        connection,
        f"""select nspname || ': ' || rolname from pg_namespace, pg_roles
        where pg_namespace.oid{OURS} and rolname ^@ 'scheduler_'
            and has_schema_privilege(pg_roles.oid, nspname, 'create')""",
    )
    assert makers == set()
