"""Showcase queries: the rows of a sample tenant that the demo shows.

Owns: the query for the progress of children.
Must not know: how rows are shown.
"""

from typing import Final

from sqlalchemy import TextClause, text
from sqlmodel import Session

_CHILDREN: Final = text("""
select first_name, completed_sessions, round(average_mood, 1), total_stickers, urgent_alerts
from wellbeing.child_progress_summary order by urgent_alerts desc, first_name limit 6
""")


def progress_of_children(session: Session) -> list[tuple[object, ...]]:
    """Return a few children, urgent alerts first: name, check-ins, mood, stickers, urgent alerts."""
    return _rows(session, _CHILDREN)


def _rows(session: Session, query: TextClause) -> list[tuple[object, ...]]:
    return [tuple(row) for row in session.connection().execute(query)]
