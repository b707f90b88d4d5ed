"""Guards: what the catalogue has to look like, so that nothing made later goes round row security.

Each list of exceptions gives the reason of each. `test_row_security` tries the same things out.
"""

import re
from collections.abc import Iterator

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
}
# (table, policy) -> why it does not ask whether who is at work reaches all of the tenant.
OPEN_TO_ANYBODY: dict[tuple[str, str], str] = {
    ("audit.chain", "a_tenant_sees_its_own_rows"): "only the system may read it",
    ("audit.retirements", "a_tenant_sees_its_own_rows"): "only the system may read it",
    ("audit.system_audit_log", "a_tenant_sees_its_own_rows"): "only the system may read it",
    ("audit.user_action_audit_log", "a_tenant_sees_its_own_rows"): "only the system may read it",
    ("identity.tenants", "a_tenant_sees_itself"): "nothing about a tenant is private to those who belong to it",
}
# Index -> why it does not begin with the tenant.
WITHOUT_TENANT: dict[str, str] = {
    "identity.tenants_pkey": "the id is the tenant",
    "identity.live_tenants_have_their_own_slug": "a slug is looked up before the tenant is known",
    "identity.live_users_have_their_own_sign_in": "a sign-in is looked up before the tenant is known",
    "wellbeing.a_person_has_one_profile": "a person has one role, whatever the tenant",
    "wellbeing.a_token_is_one_invitation": "a token is looked up before the tenant is known",
}
# View -> why it is read with the rights of its owner.
WITH_RIGHTS_OF_ITS_OWNER: dict[str, str] = {}
# Function with its owner's rights -> why the owner is not `scheduler_definer`.
OF_THE_OWNER: dict[str, str] = {
    "audit.ensure_months": "only the owner of a table may make its partitions",
    "scheduling.ensure_slot_partitions": "only the owner of a table may make its partitions",
}
ONCE_A_STATEMENT = re.compile(r"\( SELECT (identity|audit|scheduling|placement|wellbeing)\.\w+\(\) AS \w+\)")
CALL = re.compile(r"\b(?:identity|audit|scheduling|placement|wellbeing)\.\w+\(|\bcurrent_setting\(")


@pytest.fixture(scope="module")
def catalogue(world: World) -> Iterator[psycopg.Connection]:
    with psycopg.connect(world.url, autocommit=True) as connection:
        yield connection


def names(catalogue: psycopg.Connection, query: str) -> set[str]:
    return {name for (name,) in catalogue.execute(query.encode())}


def test_every_table_and_partition_has_row_security_enabled_and_forced_and_a_policy(
    catalogue: psycopg.Connection,
) -> None:
    assert unguarded(catalogue) == set()


def test_no_policy_shows_a_row_to_another_tenant(catalogue: psycopg.Connection) -> None:
    """A tenant's policy is the only permissive one, or is restrictive: two permissive ones would add up."""
    assert crossing(catalogue) - set(CROSSING) == set()


def test_no_policy_opens_a_tenant_to_those_who_do_not_work_for_it(catalogue: psycopg.Connection) -> None:
    assert open_to_anybody(catalogue) == set(OPEN_TO_ANYBODY)


def test_a_partition_has_the_policies_of_its_table(catalogue: psycopg.Connection) -> None:
    assert partition_names(catalogue) != []
    assert unlike_their_tables(catalogue) == set()


def test_what_a_policy_calls_is_called_once_a_statement(catalogue: psycopg.Connection) -> None:
    """`(select f())` is; `f()` may be called for each row, which is a hundred times slower on a big table."""
    expressions = [
        (table, policy.name, expression)
        for table in table_names(catalogue)
        for policy in policies(catalogue, table)
        for expression in policy.expressions
        if CALL.search(expression)
    ]
    assert expressions != []
    assert [each for each in expressions if CALL.search(ONCE_A_STATEMENT.sub("", each[2]))] == []


def test_a_policy_is_evaluated_before_a_row_is_looked_at(catalogue: psycopg.Connection) -> None:
    with catalogue.transaction():
        become(catalogue, Role.APP, None)
        plan = "\n".join(line for (line,) in catalogue.execute("explain select * from scheduling.facilities"))
    assert "InitPlan" in plan


def test_every_key_to_another_table_carries_the_tenant(catalogue: psycopg.Connection) -> None:
    """A plain key finds the row of another tenant although its writer cannot see it, and a cascade deletes there."""
    found = catalogue.execute(
        f"""select conrelid::regclass::text, confrelid::regclass::text, conname,
            (select jsonb_agg(jsonb_build_array(h.attname, t.attname))
            from unnest(conkey, confkey) as pair (here, there)
            join pg_attribute h on h.attrelid = conrelid and h.attnum = here and h.attnotnull
            join pg_attribute t on t.attrelid = confrelid and t.attnum = there)
        from pg_constraint where contype = 'f' and connamespace{OURS}""".encode()
    ).fetchall()
    without = [
        (table, name)
        for table, target, name, pairs in found
        if not any(
            here in {"tenant_id", tenant_column(catalogue, table)}
            and there in {"tenant_id", tenant_column(catalogue, target)}
            for here, there in pairs or ()
        )
    ]
    assert found != []
    assert without == []


def test_no_way_to_a_tenant_lets_its_rows_go_with_it(catalogue: psycopg.Connection) -> None:
    cascading = (
        "select conname from pg_constraint where confrelid = 'identity.tenants'::regclass and confdeltype <> 'r'"
    )
    assert names(catalogue, cascading) == set()


def test_what_is_deleted_softly_is_not_deleted_for_good_by_the_application(catalogue: psycopg.Connection) -> None:
    """Else soft delete would preserve what nobody happened to delete. The system erases."""
    soft = f"""select attrelid::regclass::text from pg_attribute join pg_class on pg_class.oid = attrelid
        where attname = 'deleted_at' and not attisdropped and relkind in ('r', 'p') and relnamespace{OURS}"""
    assert len(names(catalogue, soft)) > 15
    for role in ("scheduler_app", "scheduler_job"):
        assert names(catalogue, f"{soft} and has_table_privilege('{role}', attrelid, 'delete')") == set(), role


def test_every_index_begins_with_the_tenant(catalogue: psycopg.Connection) -> None:
    """So that row security is part of the search and not a filter after it; GIN and GiST search otherwise."""
    found = names(
        catalogue,
        f"""select i.oid::regclass::text from pg_index
        join pg_class i on i.oid = indexrelid join pg_am on pg_am.oid = i.relam
        join pg_class t on t.oid = indrelid left join pg_attribute on attrelid = indrelid and attnum = indkey[0]
        where amname = 'btree' and attname is distinct from 'tenant_id' and not t.relispartition
            and t.relnamespace{OURS}""",
    )
    assert found - set(WITHOUT_TENANT) == set()


def test_a_view_is_read_with_the_rights_of_who_asks(catalogue: psycopg.Connection) -> None:
    otherwise = names(
        catalogue,
        f"""select oid::regclass::text from pg_class where relkind = 'v' and relnamespace{OURS}
        and not coalesce(reloptions && array['security_invoker=true', 'security_invoker=on'], false)""",
    )
    assert otherwise == set(WITH_RIGHTS_OF_ITS_OWNER)


def test_there_is_no_materialized_view_and_no_foreign_table(catalogue: psycopg.Connection) -> None:
    """Neither has row security."""
    kept = f"select oid::regclass::text from pg_class where relkind in ('m', 'f') and relnamespace{OURS}"
    assert names(catalogue, kept) == set()


def definer_functions(catalogue: psycopg.Connection, condition: str) -> set[str]:
    """Return the functions and procedures that run with their owner's rights and for which something holds."""
    return names(
        catalogue,
        "select pronamespace::regnamespace::text || '.' || proname from pg_proc"
        f" where prosecdef and pronamespace{OURS} and {condition}",
    )


def test_a_function_with_its_owners_rights_pins_its_search_path(catalogue: psycopg.Connection) -> None:
    """It would call what its caller made in a temporary schema."""
    pinned = "proconfig && array['search_path=pg_catalog, pg_temp', 'search_path=\"\"', 'search_path=']"
    assert definer_functions(catalogue, "true") != set()
    assert definer_functions(catalogue, f"not coalesce({pinned}, false)") == set()


def test_a_function_with_its_owners_rights_is_not_for_everybody(catalogue: psycopg.Connection) -> None:
    for_all = "(proacl is null or exists (select from aclexplode(proacl) where grantee = 0))"
    assert definer_functions(catalogue, for_all) == set()


def test_a_function_with_its_owners_rights_is_of_the_role_that_is_there_for_it(catalogue: psycopg.Connection) -> None:
    """It sees what policies written for it let it see; the owner would be bound by the policies that ask for him."""
    assert definer_functions(catalogue, f"proowner <> '{DEFINER}'::regrole") - set(OF_THE_OWNER) == set()


def test_no_role_goes_round_row_security(catalogue: psycopg.Connection) -> None:
    strong = "rolbypassrls or rolsuper or rolcanlogin or rolcreaterole or rolcreatedb or rolreplication"
    assert names(catalogue, f"select rolname from pg_roles where rolname ^@ 'scheduler_' and ({strong})") == set()


def test_no_role_may_become_another(catalogue: psycopg.Connection) -> None:
    members = "select member::regrole::text from pg_auth_members where member::regrole::text ^@ 'scheduler_'"
    assert names(catalogue, members) == set()


def test_no_role_owns_a_table_or_view(catalogue: psycopg.Connection) -> None:
    """An owner may take the force off the row security of its table."""
    owned = f"relkind <> 'i' and relowner::regrole::text ^@ 'scheduler_' and relnamespace{OURS}"
    assert names(catalogue, f"select oid::regclass::text from pg_class where {owned}") <= set(WITH_RIGHTS_OF_ITS_OWNER)


def test_nobody_but_the_owner_may_do_more_to_a_table_than_read_and_write_rows(catalogue: psycopg.Connection) -> None:
    """TRUNCATE ignores row security, a foreign key (REFERENCES) and a trigger see every row."""
    more = names(
        catalogue,
        f"""select oid::regclass::text || ': ' || privilege_type || ' to ' || grantee::regrole::text
        from pg_class, aclexplode(relacl) where relkind in ('r', 'p', 'v') and relnamespace{OURS}
        and grantee <> relowner and (grantee = 0 or privilege_type not in ('SELECT', 'INSERT', 'UPDATE', 'DELETE'))""",
    )
    assert more == set()


def test_only_the_roles_of_the_library_are_granted_anything(catalogue: psycopg.Connection) -> None:
    granted = names(
        catalogue,
        f"""select grantee::regrole::text from pg_class, aclexplode(relacl)
        where relnamespace{OURS} and grantee <> relowner
        union select grantee::regrole::text from pg_namespace, aclexplode(nspacl)
        where pg_namespace.oid{OURS} and grantee <> nspowner""",
    )
    assert granted - {*ROLES, DEFINER} == set()


def test_no_role_may_make_anything_where_the_tables_are(catalogue: psycopg.Connection) -> None:
    makers = names(
        catalogue,
        f"""select nspname || ': ' || rolname from pg_namespace, pg_roles
        where pg_namespace.oid{OURS} and rolname ^@ 'scheduler_'
            and has_schema_privilege(pg_roles.oid, nspname, 'create')""",
    )
    assert makers == set()
