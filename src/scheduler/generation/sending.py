"""Sending of batches: batches of the nightly job that an executor does in other processes.

Owns: the form in which a batch is sent, the database of a process that does batches, the batches that an executor has
at once, and the death of an executor.
Must not know: the work of a batch (`batches`), which executor it is.

A batch comes back as its result or its error, so an error of a future itself is one of the executor.
"""

import os
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from textwrap import shorten
from typing import Final

from scheduler.core.errors import InvalidInputError, SchedulerError
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.generation.batches import Batch, do_batch
from scheduler.generation.errors import WorkersLostError
from scheduler.generation.report import RunResult
from scheduler.postgres.database import Database

_MAX_CHARACTERS: Final = 300

_opened: Final[dict[tuple[int, str], Database]] = {}
"""The databases by process and URL: a forked process must not use the connections of its parent."""


@dataclass(frozen=True, slots=True)
class SentBatch:
    """A batch with the address of its database, which no representation shows: executors log their arguments.

    The number differs for each batch of a run: Dask gives equal calls one result.
    """

    url: str = field(repr=False)
    batch: Batch
    number: int
    engine: str = ENGINE_VERSION


def do_sent_batch(sent: SentBatch) -> RunResult | Exception:
    """Do a batch in this process, and return its result or its error."""
    try:
        _check_engine(sent)
        database = _opened.setdefault((os.getpid(), sent.url), Database(sent.url))  # connects when it is first used
        return do_batch(database, sent.batch)
    except SchedulerError as error:
        return error
    except Exception as error:  # noqa: BLE001  # the process of the run raises it
        error.add_note("".join(traceback.format_exception(error)))  # which does not survive pickling
        return error


def _check_engine(sent: SentBatch) -> None:
    if sent.engine != ENGINE_VERSION:
        raise InvalidInputError(
            f"a worker has version {ENGINE_VERSION} of the engine, and the run has {sent.engine}: install one release"
        )


def close_databases() -> None:
    """Close the idle connections that batches of this process have left open for the next batch."""
    for key in [key for key in _opened if key[0] == os.getpid()]:
        _opened.pop(key).close()


def send(
    executor: Executor, url: str, batches: Iterable[Batch], *, in_flight: int, stop: Callable[[], bool]
) -> Iterator[tuple[Batch, RunResult | None]]:
    """Let an executor do batches, `in_flight` at once, and yield each with its result, in order.

    Once `stop` returns true, the executor gets no more; a batch that it did not get has no result.

    Raises:
        WorkersLostError: the executor has died, or was shut down.
        SchedulerError: that of a batch.
    """
    numbers = count()
    rest = iter(batches)
    waiting: deque[tuple[Batch, Future[RunResult | Exception]]] = deque()
    try:
        while True:
            while len(waiting) < in_flight and not stop() and (batch := next(rest, None)) is not None:
                waiting.append((batch, _submit(executor, SentBatch(url, batch, next(numbers)))))
            if not waiting:
                break
            yield waiting[0][0], _result(waiting[0][1])
            waiting.popleft()
    except Exception:
        for _, future in waiting:  # no batch is at work when the run has ended
            with suppress(CancelledError):
                future.exception()
        raise
    finally:
        for _, future in waiting:
            future.cancel()
    yield from ((batch, None) for batch in rest)


def _submit(executor: Executor, sent: SentBatch) -> "Future[RunResult | Exception]":
    try:
        return executor.submit(do_sent_batch, sent)
    except Exception as error:  # noqa: BLE001  # each executor has its own
        raise _lost(error) from None


def _result(future: "Future[RunResult | Exception]") -> RunResult:
    try:
        outcome = future.result()
    except Exception as error:  # noqa: BLE001  # as above
        raise _lost(error) from None
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _lost(error: Exception) -> WorkersLostError:
    reason = shorten(f"{type(error).__name__}: {error}".removesuffix(": "), _MAX_CHARACTERS)
    return WorkersLostError(f"the workers are lost ({reason}): complete batches stay, the next run does the rest")
