"""Audit tables: whether the objects that a verification relies on are those of this release.

Owns: the choice of these objects, and their comparison with the release.
Must not know: how a chain is walked (`chain`), how objects are read and compared (`schema.snapshot`).

A digest is computed from what the columns yield. The owner of the tables could give a column a new type with a cast
that returns the sealed text, drop the key that keeps a second row away, let rows have no transaction number, so that
they are never sealed, or hide rows by a policy. So a verification first asks whether tables, columns, constraints,
policies and functions are as shipped. Triggers, indexes and grants are left to `scheduler schema check`: without them a
changed row is still found. A lock keeps the tables as they are until the transaction ends; otherwise their owner could
exchange them between comparison and walk.
"""

import re
from typing import Final

from sqlalchemy import Connection, text

from scheduler.postgres.schema import snapshot
from scheduler.postgres.schema.migrations import shipped_snapshot

_RELIED_ON: Final = re.compile(
    r"(schema audit$|(table|view|column|constraint|policy|rule|type|function) audit\.|function identity\.("
    r"current_tenant_id|is_readable_json)\()"
)
_LOCK: Final = text("lock table audit.chain, audit.user_action_audit_log, audit.system_audit_log in access share mode")
# The months of the logs are no part of a snapshot.
_TABLES: Final = text("""
with logs as (
    select oid, relkind from pg_class
    where relnamespace = (select oid from pg_namespace where nspname = 'audit')
        and relname in ('user_action_audit_log', 'system_audit_log', 'chain')
)
select (select string_agg(relkind::text, '' order by relkind) from logs) = 'ppr' and not exists (
    select from pg_inherits join logs on inhparent = logs.oid join pg_class as part on part.oid = inhrelid
    where part.relkind <> 'r' or logs.relkind <> 'p'
)
""")


def are_tables(connection: Connection) -> bool:
    """Tell whether the logs, their months and the chain are tables, no views or foreign tables; lock them if so."""
    if not connection.execute(_TABLES).scalar_one():
        return False
    connection.execute(_LOCK)
    return True


def first_difference(connection: Connection) -> str | None:
    """Return the first object of those relied on that differs from the release, with the difference."""
    actual, shipped = (
        {name: objects[name] for name in objects if _RELIED_ON.match(name)}
        for objects in (snapshot.read(connection, ("audit", "identity")), shipped_snapshot())
    )
    return next(snapshot.differences(actual, shipped), None)
