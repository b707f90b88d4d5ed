"""Roles: acting as a role, a tenant and a user on a driver connection, like a unit of work.

It is for tests beside the library. `support/observation.py` sets the role itself, since it also observes connections
without a tenant, or with a wrong one.
"""

from uuid import UUID

import psycopg

from scheduler.postgres.database import Role


def become(connection: psycopg.Connection, role: Role, tenant: UUID | None, user: UUID | None = None) -> None:
    """Act as a role, tenant and user until the transaction ends; the owner is the role that signed in."""
    connection.execute(
        "select set_config('app.tenant_id', %s, true), set_config('app.user_id', %s, true),"
        " set_config('role', %s, true)",
        (str(tenant or ""), str(user or ""), role.value),
    )
