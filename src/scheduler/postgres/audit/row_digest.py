"""Row digest: the SQL expression of the digest of a row of an audit log.

Owns: the two logs, and the values in the digest of their rows (`audit.seal` of the migrations has the same list).
Must not know: seals and chains (`chain`).

The digest of a row is SHA-256 over its values as one JSON array, written by PostgreSQL from `jsonb`: keys in a fixed
order, numbers as stored, the instant as microseconds. So it does not depend on server version, zone or locale. A null
of SQL and one of JSON give the same array, so the digest also tells which JSON values are absent.
"""

from enum import StrEnum
from typing import Final


class Log(StrEnum):
    """The two audit logs."""

    USER_ACTION = "user_action"
    SYSTEM = "system"


_VALUES: Final = {
    Log.USER_ACTION: "user_id, db_role, action, entity, entity_key, before, after, details, request_id, client_address,"
    " user_agent, transaction_id, before is null, after is null, details is null",
    Log.SYSTEM: "db_role, event, severity, entity, entity_key, before, after, details, request_id, transaction_id,"
    " before is null, after is null, details is null",
}


def digest_of_row(log: Log) -> str:
    """Return the SQL expression of the digest of a row that the statement names `entry`."""
    columns = [f"entry.{name}" for name in _VALUES[log].split(", ")]
    key = "entry.tenant_id, entry.id, trunc(extract(epoch from entry.occurred_at) * 1000000)"
    return f"sha256(convert_to(jsonb_build_array({key}, {', '.join(columns)})::text, 'UTF8'))"
