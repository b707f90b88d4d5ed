"""Log of the nightly job: the records of its events as lines of JSON on standard error.

Owns: the format of a line, and where it goes.
Must not know: which events there are (`generation.observing`).
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum

from scheduler.cli.terminal import echo
from scheduler.generation.observing import EVENT, FIELDS


class LogFormat(StrEnum):
    """The format of the log of a run."""

    JSON = "json"


class _Lines(logging.Handler):
    """A handler that prints each event as one object: time, level, event, and the fields of the event.

    A record that is not an event is left out: its message may have any text.
    """

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, EVENT, None)
        if event is not None:
            at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
            about = {"at": at, "level": record.levelname.lower(), "event": event}
            echo(json.dumps(about | getattr(record, FIELDS)), err=True)


@contextmanager
def written_log() -> Iterator[None]:
    """Write the events of the block to standard error."""
    logger, handler = logging.getLogger("scheduler.generation"), _Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)
