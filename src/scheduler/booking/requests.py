"""Requests: a repeated call with a key gets the answer of the first.

Owns: the digest of a request, and its row.
Holds: B3 (one answer a key and actor, also for calls at the same time; another request with the key is refused).
Must not know: what a request does.
"""

import json
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from scheduler.booking.errors import KeyReusedError

Answer = dict[str, Any]
"""The ids of what the call returned."""

# Waits for a call with the same key that is not yet committed.
_BEGIN: Final = text("""
insert into scheduling.booking_requests (tenant_id, actor_id, key, digest)
values (identity.current_tenant_id(), :actor, :key, :digest)
on conflict (tenant_id, actor_id, key) do nothing
returning id
""")
_READ: Final = text("""
select digest, answer from scheduling.booking_requests
where tenant_id = (select identity.current_tenant_id()) and actor_id is not distinct from :actor and key = :key
""")
_ANSWER: Final = text("""
update scheduling.booking_requests set answer = :answer
where tenant_id = (select identity.current_tenant_id()) and actor_id is not distinct from :actor and key = :key
""").bindparams(bindparam("answer", type_=JSONB))


def begin_request(session: Session, key: str, *, actor: UUID | None, asked: Sequence[Any]) -> Answer | None:
    """Return the answer to the first request with this key of an actor, or None if this is the first.

    `asked` is the operation with its arguments.

    Raises:
        KeyReusedError: the first request was another one.
        BusyError: a request with this key has not ended in time.
    """
    of = {"actor": actor, "key": key}
    digest = sha256(json.dumps(asked, default=str).encode()).digest()
    connection = session.connection()
    if connection.execute(_BEGIN, of | {"digest": digest}).first() is not None:
        return None
    first, answer = connection.execute(_READ, of).one()
    if first != digest:
        raise KeyReusedError(f"the key {key!r} belongs to another request: use a new key for each request")
    return dict(answer)


def end_request(session: Session, key: str, *, actor: UUID | None, answer: Answer) -> None:
    """Keep the answer to a request."""
    session.connection().execute(_ANSWER, {"actor": actor, "key": key, "answer": answer})
