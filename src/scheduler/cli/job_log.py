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
from scheduler.generation.observing import EVENT, FIELDS, LOGGER


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


def write_log() -> None:
    """Write the events of the job to standard error until this process ends."""
    logger = logging.getLogger(LOGGER)
    logger.addHandler(_Lines())
    logger.setLevel(logging.INFO)


@contextmanager
def written_log() -> Iterator[None]:
    """Write the events of the job to standard error while the block lasts."""
    logger = logging.getLogger(LOGGER)
    handlers, level = list(logger.handlers), logger.level
    write_log()
    try:
        yield
    finally:
        logger.handlers[:] = handlers
        logger.setLevel(level)
