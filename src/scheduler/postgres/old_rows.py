"""Old rows: the deletion of what is kept for a time only.

Owns: how long events of visits, requests to book and ended holds are kept. The clock is the database's, which dated
them.
Must not know: how events are read (`booking.events`), how requests are repeated (`booking.requests`).
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

EVENTS_KEPT: Final = timedelta(days=90)
REQUESTS_KEPT: Final = timedelta(days=7)
HOLDS_KEPT: Final = timedelta(days=1)
"""An ended hold is nobody's, but its holder is told for a day that it has ended."""

_DELETE: Final = (
    (text("select scheduling.delete_events(:kept)"), EVENTS_KEPT),
    (
        text("""
delete from scheduling.booking_requests
where tenant_id = (select identity.current_tenant_id()) and created_at < scheduling.clock() - :kept
"""),
        REQUESTS_KEPT,
    ),
    (
        text("""
delete from scheduling.holds
where tenant_id = (select identity.current_tenant_id()) and ends_at < scheduling.clock() - :kept
"""),
        HOLDS_KEPT,
    ),
)


def delete_old_rows(session: Session) -> None:
    """Delete the rows of the tenant that are no longer kept. Readers of events notice what they have not read."""
    for statement, kept in _DELETE:
        session.connection().execute(statement, {"kept": kept})
