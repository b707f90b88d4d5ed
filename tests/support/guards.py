"""Guards: tables of a catalogue without complete row security.

Owns: the definition of a guarded table: row security is enabled and forced, and no other policy bypasses the tenant's;
a partition has the policies of its table. Must not know: any table by name, or any exception (the tests list those).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import psycopg

from support.observation import ROLES
from support.worlds.tenants import SCHEMAS, partition_names, table_names, tenant_column

# Its policies decide for no person: nobody may act as it.
DEFINER: Final = "scheduler_definer"


# The constraints that make an id one person across tenants.
ONE_PERSON: Final = {
    "identity.users": "a_person_of_two_tenants_has_two_users",
    "wellbeing.profiles": "a_person_has_one_profile",
}


@contextmanager
def without_constraints(connection: psycopg.Connection) -> Iterator[None]:
    """Let two people have one id for the block, and undo everything after it."""
    with connection.transaction(force_rollback=True):
        for table, constraint in ONE_PERSON.items():
            connection.execute(f"alter table {table} drop constraint if exists {constraint}".encode())
        yield


class Policy(NamedTuple):
    """A policy, as the catalogue prints it."""

    name: str
    permissive: bool
    command: str
    roles: tuple[str, ...]
    using: str | None
    check: str | None

    @property
    def expressions(self) -> list[str]:
        """The policy's expressions, one or two."""
        return [expression for expression in (self.using, self.check) if expression is not None]


def policies(connection: psycopg.Connection, table: str) -> list[Policy]:
    """Return the policies of a table or partition, by name."""
    rows = connection.execute(
        """select polname, polpermissive, polcmd::text,
            array(select case when role = 0 then 'public' else role::regrole::text end from unnest(polroles) role),
            pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)
        from pg_policy where polrelid = %s::regclass order by 1""",
        (table,),
    )
    return [Policy(name, permissive, command, tuple(roles), *both) for name, permissive, command, roles, *both in rows]


def unguarded(connection: psycopg.Connection) -> set[str]:
    """Return the tables and partitions whose row security is not enabled, not forced, or has no policy."""
    rows = connection.execute(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p')"
        f" and relnamespace::regnamespace::text in {SCHEMAS}"
        " and not (relrowsecurity and relforcerowsecurity"
        "     and exists (select from pg_policy where polrelid = pg_class.oid))".encode()
    )
    return {table for (table,) in rows}


def crossing(connection: psycopg.Connection) -> set[tuple[str, str]]:
    """Return (table, policy) of each policy that may show a row to another tenant.

    A restrictive policy that compares the tenant, for all roles that can reach the table, limits all permissive ones;
    then it alone counts, if it compares anything else besides. Without one, each permissive policy has to compare the
    tenant, and may demand more.
    """
    crossings = set()
    for table in table_names(connection):
        column = tenant_column(connection, table)
        of_tenant = {
            f"({each} = ( SELECT identity.current_tenant_id() AS current_tenant_id))" for each in (column, "tenant_id")
        }
        checked = [policy for policy in policies(connection, table) if policy.roles != (DEFINER,)]
        holding = [
            policy
            for policy in checked
            if not policy.permissive
            and policy.command == "*"
            and (policy.roles == ("public",) or set(policy.roles) >= _reaching(connection, table))
            and all(any(each in expression for each in of_tenant) for expression in policy.expressions)
        ]
        decisive = holding[:1] or [policy for policy in checked if policy.permissive]
        crossings |= {
            (table, policy.name)
            for policy in decisive
            if not all(
                expression in of_tenant or expression.startswith(tuple(f"({each} AND " for each in of_tenant))
                for expression in policy.expressions
            )
        }
    return crossings


def open_to_anybody(connection: psycopg.Connection) -> set[tuple[str, str]]:
    """Return (table, policy) of each policy that opens a tenant without checking the user's access to it.

    Where another policy restricts every command, the permissive ones decide by roles of people.
    """
    openings = set()
    for table in table_names(connection):
        present = policies(connection, table)
        if all(policy.permissive or policy.command != "*" for policy in present):
            openings |= {
                (table, policy.name)
                for policy in present
                if policy.command == "*"
                and policy.roles != (DEFINER,)
                and not all("identity.has_tenant_access()" in expression for expression in policy.expressions)
            }
    return openings


def _reaching(connection: psycopg.Connection, table: str) -> set[str]:
    """Return the roles with any privilege on a table."""
    rows = connection.execute(
        """select role from unnest(%s::text[]) role
        where has_table_privilege(role, %s, 'select, insert, update, delete')""",
        (list(ROLES), table),
    )
    return {role for (role,) in rows}


def unlike_their_tables(connection: psycopg.Connection) -> set[str]:
    """Return the partitions whose policies differ from those of their table.

    The functions of the definer write to the table; so it needs no policies of its own on a partition.
    """

    def for_others(table: str) -> list[Policy]:
        return [policy for policy in policies(connection, table) if policy.roles != (DEFINER,)]

    return {
        partition
        for table in table_names(connection)
        for partition in partition_names(connection, table)
        if for_others(partition) != for_others(table)
    }
