"""Workers of `scheduler generate`: processes of this machine, or a Dask cluster.

Owns: the executor of a command, from its options to its end, and a new executor in the place of a dead one.
Must not know: batches, runs, reports.
"""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from multiprocessing import active_children, get_context, parent_process
from pkgutil import resolve_name
from threading import Thread
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeVar

from scheduler.cli.job_log import LogFormat, write_log
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError
from scheduler.core.extras import extra_needed
from scheduler.generation.errors import WorkersLostError

CONNECT_SECONDS: Final = 10
IN_FLIGHT_PER_WORKER: Final = 2
"""A worker that has done a batch finds the next one already sent."""

Result = TypeVar("Result")


class ExecutorKind(StrEnum):
    """The executors that the command line can use beside processes of its own."""

    DASK = "dask"


class Opened(NamedTuple):
    """An executor, or None to do all in this process; and the batches that it has at once."""

    executor: Executor | None = None
    in_flight: int = 1


@dataclass(slots=True)
class Workers:
    """The workers of a command, opened when they are first needed. Use it in a `with` statement."""

    open: Callable[[], AbstractContextManager[Opened]]
    _stack: ExitStack
    _opened: Opened | None = None

    @classmethod
    def of(
        cls, count: int | None, kind: ExecutorKind | None, address: str | None, log: LogFormat | None = None
    ) -> Self:
        """Choose the workers that the options name.

        Raises:
            InvalidInputError: the options contradict each other, or one is missing.
        """
        if kind is None and address is not None:
            raise InvalidInputError("--address names a cluster: give --executor dask too")
        if kind is ExecutorKind.DASK:
            if address is None:
                raise InvalidInputError("--executor dask needs --address, such as tcp://127.0.0.1:8786")
            if count is not None:
                raise InvalidInputError("--workers and --executor exclude each other: a cluster has its own workers")
            return cls(partial(_cluster, address), ExitStack())
        return cls(_this_process if count is None or count == 1 else partial(_processes, count, log), ExitStack())

    def call(self, work: Callable[[Opened], Result]) -> Result:
        """Do work with the workers; if they die, do it once more with new ones."""
        opened = self._open()
        try:
            return work(opened)
        except WorkersLostError as error:
            self._close()
            echo(f"{error}; beginning again with new workers", err=True)
        opened = self._open()
        try:
            return work(opened)
        except WorkersLostError:
            self._close()
            raise

    def _open(self) -> Opened:
        if self._opened is None:
            self._opened = self._stack.enter_context(self.open())
        return self._opened

    def _close(self) -> None:
        self._opened = None
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


@contextmanager
def _this_process() -> Iterator[Opened]:
    yield Opened()


@contextmanager
def _processes(count: int, log: LogFormat | None) -> Iterator[Opened]:
    """Start processes that end with this one; an error in the block kills them, and PostgreSQL undoes their batches."""
    context = get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context, initializer=_begin_worker, initargs=(log,)) as pool:
        try:
            yield Opened(pool, count * IN_FLIGHT_PER_WORKER)
        except BaseException:
            for child in active_children():
                child.kill()
            raise


def _begin_worker(log: LogFormat | None) -> None:
    """Let this process end with the one that started it, even if that is killed, and silently by Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if log is not None:
        write_log()
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _cluster(address: str) -> Iterator[Opened]:
    """Connect to the scheduler of a Dask cluster."""
    with extra_needed("--executor dask", "dask"):
        client_of = resolve_name("distributed:Client")
    try:
        client = client_of(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except OSError:  # also if the time is up
        raise WorkersLostError(f"no Dask scheduler answers at {address} within {CONNECT_SECONDS} s") from None
    except ValueError as error:
        raise InvalidInputError(f"--address {address}: {error}") from None
    with client:
        threads = sum(client.nthreads().values())
        yield Opened(client.get_executor(pure=False), max(1, threads) * IN_FLIGHT_PER_WORKER)
        with suppress(OSError):  # the workers outlive this run, and their connections would, too
            client.run(resolve_name("scheduler.generation.sending:close_databases"))
