"""Tracebacks of errors: the connection that raised an error, and the frames of the caller's own code.

Owns: the question whose connection raised an error, the error that takes the place of a driver's.
Must not know: the wording of errors (`translation`), units of work.

A driver's error has values of rows in its message, and the frames of the driver have them in their variables, which an
error reporter may send. So neither stays with the error that takes its place; the frames of everyone else do.
"""

from collections.abc import Iterable
from traceback import walk_tb
from types import TracebackType
from typing import Final, NoReturn

from psycopg import AsyncConnection, AsyncCursor, Cursor
from psycopg import Connection as DriverConnection
from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from scheduler.core.errors import SchedulerError

_OF_THE_DRIVER: Final = frozenset({"psycopg", "psycopg_binary", "psycopg_c", "psycopg_pool", "sqlalchemy", "sqlmodel"})
_CURSORS: Final = (Cursor, AsyncCursor)
_OF_PSYCOPG: Final = (DriverConnection, AsyncConnection)
_SENDERS: Final = (Connection, Engine, Session, *_OF_PSYCOPG, *_CURSORS)


def is_raised_by(error: BaseException, senders: Iterable[object]) -> bool:
    """Tell whether one of these engines, sessions or connections raised an error: the last one in its traceback.

    An engine that opens a connection raises what the new connection does, which nobody knows yet.
    """
    methods = (frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__))
    found = [
        method.connection if isinstance(method, _CURSORS) else method
        for method in methods
        if isinstance(method, _SENDERS)
    ]
    known = list(senders)
    if found and any(found[-1] is sender for sender in known):
        return True
    opening = next((place for place in reversed(range(len(found))) if isinstance(found[place], Engine)), None)
    if opening is None or not any(found[opening] is sender for sender in known):
        return False
    return all(
        isinstance(sender, _OF_PSYCOPG) or (isinstance(sender, Connection) and sender.engine is found[opening])
        for sender in found[opening + 1 :]
    )


def raise_instead(error: BaseException, replacement: SchedulerError) -> NoReturn:
    """Raise an error of the library in place of a driver's, of which only the caller's frames stay."""
    try:
        raise replacement.with_traceback(_without_driver(error.__traceback__)) from None
    finally:
        replacement.__context__ = None  # error reporters read it, whether it is suppressed or not
        del error  # and the variables of frames, of which this is one


def _without_driver(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without the frames of the driver and SQLAlchemy."""
    entries = []
    while traceback is not None:
        entries.append(traceback)
        traceback = traceback.tb_next
    kept = None
    for entry in reversed(entries):
        if str(entry.tb_frame.f_globals.get("__name__")).partition(".")[0] not in _OF_THE_DRIVER:
            kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return kept
