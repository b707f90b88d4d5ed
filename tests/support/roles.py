"""Acting: be a role, a tenant and a user on a connection of the driver, as a unit of work of the library is.

For what is tried beside the library. What a connection that has named nobody sees, and what a wrong name does, is
tried in `support/observation.py`, which therefore says for itself who asks.
"""

from uuid import UUID

import psycopg

from scheduler.postgres.database import Role


def become(connection: psycopg.Connection, role: Role, tenant: UUID | None, user: UUID | None = None) -> None:
    """Be somebody until the transaction ends, whoever the connection was before; the owner is who signed in."""
    connection.execute(
        "select set_config('app.tenant_id', %s, true), set_config('app.user_id', %s, true),"
        " set_config('role', %s, true)",
        (str(tenant or ""), str(user or ""), role.value),
    )
