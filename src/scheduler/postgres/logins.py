"""Logins: the purposes of a login in production, and the rights of a login beyond its purpose.

Owns: the roles that each purpose needs, and the list of rights that make a login more than it should be.
Must not know: the command that prints them.

Row security stops a statement that forgot its condition. It does not stop a foreign statement: each sender of SQL is
free to set `app.tenant_id` and the role. So the rights of its login are the limit of an injected statement.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, text

from scheduler.postgres.schema.snapshot import SCHEMAS


class Purpose(StrEnum):
    """The purpose of a login."""

    OWNER = "owner"
    """Migrates the database and creates tenants."""
    JOB = "job"
    """Generates slots, seals the audit log, rotates keys: work for no user."""
    WEB = "web"
    """Serves users."""


_SCHEMAS: Final = [*SCHEMAS, "scheduler"]
_NEEDED: Final[Mapping[Purpose, frozenset[str]]] = {
    Purpose.OWNER: frozenset({"scheduler_app", "scheduler_job", "scheduler_system", "scheduler_desk"}),
    Purpose.JOB: frozenset({"scheduler_job"}),
    Purpose.WEB: frozenset({"scheduler_app", "scheduler_desk"}),
}
_ALLOWED: Final = {
    Purpose.OWNER: _NEEDED[Purpose.OWNER],
    Purpose.JOB: _NEEDED[Purpose.JOB] | {"scheduler_system"},
    Purpose.WEB: _NEEDED[Purpose.WEB],
}

_LOGIN: Final = text("select * from pg_roles where rolname = session_user")
_BEYOND_ANY: Final = {
    "rolsuper": "is a superuser: row security does not bind it",
    "rolbypassrls": "has BYPASSRLS: row security does not bind it",
    "rolreplication": "has REPLICATION: it may copy the whole server",
}
_OF_THE_OWNER: Final = {
    "rolcreaterole": "has CREATEROLE: it may give its rights to others",
    "rolcreatedb": "has CREATEDB: it may create databases",
}
# The creator of a role is its admin, and from release 16 on nothing else. Before, a membership has no other option.
_ROLES: Final = text("""
    with recursive membership as (
        select member, roleid, admin_option as is_admin,
            coalesce((to_jsonb(entry) ->> 'inherit_option')::boolean, true)
                or coalesce((to_jsonb(entry) ->> 'set_option')::boolean, true) as is_used
        from pg_auth_members as entry
    ), held as (
        select oid, true as is_used, false as is_admin from pg_roles where rolname = session_user
        union
        select roleid, held.is_used and each.is_used, each.is_admin
        from membership as each join held on member = oid
        where each.is_used or each.is_admin
    )
    select rolname, bool_or(is_used), bool_or(is_admin) from held join pg_roles using (oid)
    where rolname <> session_user group by rolname order by rolname
""")
_OWNED: Final = text("""
    select type, count(*), min(identity)
    from pg_shdepend cross join lateral pg_identify_object(classid, objid, objsubid)
    where refclassid = 'pg_authid'::regclass and refobjid = quote_ident(session_user)::regrole and deptype = 'o'
        and dbid in (0, (select oid from pg_database where datname = current_database()))
        and (schema = any(:schemas) or type = 'schema' and name = any(:schemas)
            or type = 'database' and name = quote_ident(current_database()))
    group by type order by type
""")
_NOT_OWNED: Final = text("""
    select count(*) from pg_class
    where relnamespace::regnamespace::text = any(:schemas) and relkind in ('r', 'p', 'v')
        and relowner <> quote_ident(session_user)::regrole
""")
# Everybody may connect, and call the functions that have the rights of their caller.
_GRANTED: Final = text("""
    select lower(privilege_type), type, count(*), min(name), grantee = 0
    from (
        select 'database' as type, datname::text as name, datacl as rights, datdba as owner,
            '{CONNECT,TEMPORARY}' as free
        from pg_database where datname = current_database()
        union all
        select 'schema', nspname, nspacl, nspowner, '{USAGE}' from pg_namespace where nspname = any(:schemas)
        union all
        select 'table', oid::regclass::text, relacl, relowner, '{}' from pg_class
        where relnamespace::regnamespace::text = any(:schemas)
        union all
        select 'column', attrelid::regclass || '.' || attname, attacl, relowner, '{}'
        from pg_attribute join pg_class on pg_class.oid = attrelid
        where relnamespace::regnamespace::text = any(:schemas)
        union all
        select 'function', oid::regprocedure::text, coalesce(proacl, acldefault('f', proowner)), proowner,
            case when prosecdef then '{}' else '{EXECUTE}' end
        from pg_proc where pronamespace::regnamespace::text = any(:schemas)
    ) as object cross join lateral aclexplode(rights)
    where grantee in (0, quote_ident(session_user)::regrole) and grantee <> owner
        and privilege_type <> all (free::text[])
    group by 1, 2, 5 order by 2, 1, 5
""")


def faults(connection: Connection, purpose: Purpose) -> tuple[str, tuple[str, ...]]:
    """Return the name of the login of a connection, and each right that it should not have, or lacks."""
    login = connection.execute(_LOGIN).mappings().one()
    is_owner = purpose is Purpose.OWNER
    attributes = _BEYOND_ANY if is_owner else _BEYOND_ANY | _OF_THE_OWNER
    found = [fault for attribute, fault in attributes.items() if login[attribute]]
    if not login["rolsuper"]:  # a superuser is a member of every role
        found += _memberships(connection, purpose)
    return login["rolname"], (
        *found,
        *_ownership(connection, is_owner=is_owner),
        *_grants(connection, is_owner=is_owner),
    )


def _memberships(connection: Connection, purpose: Purpose) -> Iterator[str]:
    """Name the roles beyond the purpose, and the missing ones. The owner is an admin of the roles that it creates."""
    lacking = set(_NEEDED[purpose])
    for role, is_member, is_admin in connection.execute(_ROLES):
        if is_member:
            lacking.discard(role)
            if role not in _ALLOWED[purpose]:
                yield f"is a member of {role}"
        if is_admin and (purpose is not Purpose.OWNER or role.startswith("pg_")):
            yield f"is an admin of {role}: it may make itself and others members"
    for role in sorted(lacking):
        yield f"is no member of {role}, which it needs"


def _ownership(connection: Connection, *, is_owner: bool) -> Iterator[str]:
    if is_owner:
        if count := connection.scalar(_NOT_OWNED, {"schemas": _SCHEMAS}):
            yield f"does not own {count} tables and views: it cannot migrate them"
        return
    for kind, count, first in connection.execute(_OWNED, {"schemas": _SCHEMAS}):
        yield f"owns {_some(count, kind, first)}: it may change what it owns and lift its row security"


def _grants(connection: Connection, *, is_owner: bool) -> Iterator[str]:
    """Name the rights beside those of the roles. The owner may be given rights on a database and schemas of others."""
    for right, kind, count, first, is_everybodys in connection.execute(_GRANTED, {"schemas": _SCHEMAS}):
        if is_everybodys:
            yield f"has, as everybody (PUBLIC), the right {right} on {_some(count, kind, first)}"
        elif not (is_owner and kind in {"database", "schema", "function"}):
            yield f"has a right of its own, {right}, on {_some(count, kind, first)}"


def _some(count: int, kind: str, first: str) -> str:
    return f"the {kind} {first}" if count == 1 else f"{count} {kind}s, such as {first}"
