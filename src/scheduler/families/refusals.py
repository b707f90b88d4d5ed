"""Refusals of writes: the error for a family or user whose change found no row.

Owns: the look whether the one who asks sees the row: row security hides a row from a write without an error.
Must not know: what was to be changed.
"""

from typing import Final, NoReturn
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import NotFoundError
from scheduler.postgres.errors import NotAllowedError
from scheduler.postgres.translation import NOT_ALLOWED

_SEEN: Final = {
    noun: text(f"select 1 from identity.{table} where tenant_id = :tenant and id = :id and deleted_at is null")  # noqa: S608  # constants only
    for noun, table in {"family": "families", "user": "users"}.items()
}


def refuse_change(session: Session, tenant_id: UUID, noun: str, id_: UUID) -> NoReturn:
    """Tell why a live family or user could not be changed.

    Raises:
        NotAllowedError: the one who asks sees it, and may not change it.
        NotFoundError: there is no such row, it is deleted, or it is not seen.
    """
    if session.connection().execute(_SEEN[noun], {"tenant": tenant_id, "id": id_}).first() is not None:
        raise NotAllowedError(f"this user may not change the {noun} {id_}", sqlstate=NOT_ALLOWED)
    raise NotFoundError(f"no {noun} has the id {id_}")
