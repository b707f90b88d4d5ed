"""Logins: the purposes of a login in production, and the rights of a login beyond its purpose.

Owns: the roles that each purpose needs, and the list of rights that make a login more than it should be.
Must not know: the command that prints them.

Row security stops a statement that forgot its condition. It does not stop a foreign statement: `app.tenant_id` and the
role are free to set for whoever can send SQL. So the rights of its login are the limit of an injected statement.
"""

from collections.abc import Mapping
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


_NEEDED: Final[Mapping[Purpose, frozenset[str]]] = {
    Purpose.OWNER: frozenset({"scheduler_app", "scheduler_job", "scheduler_system"}),
    Purpose.JOB: frozenset({"scheduler_job"}),
    Purpose.WEB: frozenset({"scheduler_app"}),
}
_ALLOWED: Final = {
    Purpose.OWNER: _NEEDED[Purpose.OWNER] | {"pg_database_owner"},  # the owner of the database is always its member
    Purpose.JOB: _NEEDED[Purpose.JOB] | {"scheduler_system"},
    Purpose.WEB: _NEEDED[Purpose.WEB],
}

_ATTRIBUTES: Final = text("""
    select rolname, rolsuper, rolbypassrls, rolreplication, rolcreaterole, rolcreatedb
    from pg_roles where rolname = session_user
""")
# From release 16 on, the creator of a role is a member that can neither use nor assume the role.
_ROLES: Final = text("""
    select rolname from pg_roles
    where rolname <> session_user and case when current_setting('server_version_num')::int >= 160000
        then pg_has_role(session_user, oid, 'usage') or pg_has_role(session_user, oid, 'set')
        else pg_has_role(session_user, oid, 'member') end
    order by rolname
""")
_RELATIONS: Final = text("""
    select count(*), count(*) filter (where relowner = login.oid), count(*) filter (where exists (
        select from aclexplode(relacl) where grantee = login.oid and login.oid <> relowner))
    from pg_class cross join (select oid from pg_roles where rolname = session_user) as login
    where relnamespace::regnamespace::text = any(:schemas) and relkind in ('r', 'p', 'v')
        and relowner::regrole::text <> 'scheduler_definer'
""")


def faults(connection: Connection, purpose: Purpose) -> tuple[str, tuple[str, ...]]:
    """Return the name of the login of a connection, and each right that it should not have, or lacks."""
    name, is_superuser, bypasses, replicates, makes_roles, makes_databases = connection.execute(_ATTRIBUTES).one()
    relations, owned, granted = connection.execute(_RELATIONS, {"schemas": list(SCHEMAS)}).one()
    roles = set(connection.scalars(_ROLES))
    is_owner = purpose is Purpose.OWNER
    found = {
        "is a superuser: row security does not bind it": is_superuser,
        "has BYPASSRLS: row security does not bind it": bypasses,
        "has REPLICATION: it may copy the whole server": replicates,
        "has CREATEROLE: it may give its rights to others": makes_roles and not is_owner,
        "has CREATEDB: it may create databases": makes_databases and not is_owner,
        f"owns {owned} of {relations} tables and views: it may lift their row security": owned and not is_owner,
        f"owns {owned} of {relations} tables and views: it cannot migrate them": owned < relations and is_owner,
        f"has rights of its own on {granted} tables and views, beside those of its roles": granted,
    }
    # A superuser is a member of every role.
    beyond = () if is_superuser else (f"is a member of {role}" for role in sorted(roles - _ALLOWED[purpose]))
    lacking = (f"is no member of {role}, which it needs" for role in sorted(_NEEDED[purpose] - roles))
    return name, (*(fault for fault, there in found.items() if there), *beyond, *lacking)
