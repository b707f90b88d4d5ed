"""Event log: the deletion of events of visits that are no longer kept.

Owns: how long events are kept. The clock is the database's, which dated them.
Must not know: how events are read (`booking.events`).
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

KEPT: Final = timedelta(days=90)
_DELETE: Final = text("select scheduling.delete_events(:kept)")


def delete_old_events(session: Session) -> None:
    """Delete the events of the tenant that are older than `KEPT`. Readers notice what they have not read."""
    session.connection().execute(_DELETE, {"kept": KEPT})
