"""Awaited methods: synchronous code behind `await`, run in a greenlet that gives way whenever the database answers.

Owns: the twins of methods and context managers, a coroutine on a thread, the refusal of two calls at once.
Holds: R4 (a cancelled block rolls back).
Must not know: which methods there are (`async_work`, `async_scheduler`).
"""

import asyncio
from asyncio import Lock
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from functools import partial, wraps
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from sqlalchemy.util import greenlet_spawn

from scheduler.core.errors import InvalidInputError

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Sync = TypeVar("Sync")


def _refused() -> InvalidInputError:
    return InvalidInputError(
        "a unit of work does one call at a time, and none after its block: await each call in the block, and open a"
        " unit of work in each task"
    )


class AsyncTwin(Generic[Sync]):
    """The asynchronous twin of an object: its methods are `awaited`.

    Twins with a common lock refuse two calls at once: on one transaction, these would undo parts of each other.
    """

    def __init__(self, sync: Sync, lock: Lock | None) -> None:
        self._sync = sync
        self._lock = lock


class AwaitedMethod(Protocol[P, T_co]):
    """A method with the arguments of a synchronous one; its result is awaited."""

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> Self: ...

    @overload
    def __get__(self, instance: AsyncTwin[Any], owner: type[Any]) -> Callable[P, Coroutine[Any, Any, T_co]]: ...


def awaited(method: Callable[Concatenate[Any, P], T]) -> AwaitedMethod[P, T]:
    """Return the asynchronous twin of a method: same name, arguments, result, errors and docstring."""

    @wraps(method)
    async def call(self: AsyncTwin[Any], *args: P.args, **kwargs: P.kwargs) -> T:
        in_greenlet = partial(method, self._sync, *args, **kwargs)
        if self._lock is None:
            return await greenlet_spawn(in_greenlet)
        if self._lock.locked():
            raise _refused()
        async with self._lock:
            return await greenlet_spawn(in_greenlet)

    twin: AwaitedMethod[P, T] = cast("Any", call)
    return twin


class AwaitedBlock(AbstractAsyncContextManager[T], Generic[T, Sync]):
    """The asynchronous twin of a context manager, which yields a twin of what that one yields."""

    def __init__(self, manager: AbstractContextManager[Sync], twin: Callable[[Sync, Lock], T]) -> None:
        self._manager = manager
        self._twin = twin
        self._lock = Lock()

    async def __aenter__(self) -> T:
        return self._twin(await greenlet_spawn(self._manager.__enter__), self._lock)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if error is None and not self._lock.locked():
            return await self._end(None, None, None)
        refused = _refused() if error is None else None  # a task is in the middle of a call: what would be committed?
        # A task that is cancelled again, as by a cancel scope of AnyIO, would break the rollback off.
        ending = asyncio.create_task(self._end(kind or InvalidInputError, error or refused, traceback))
        done = await asyncio.shield(ending)
        if refused is not None:
            raise refused
        return done

    async def _end(self, *exception: Any) -> bool | None:  # noqa: ANN401  # as Python gives them
        await self._lock.acquire()  # for good: after the call that is under way, no other begins
        return await greenlet_spawn(self._manager.__exit__, *exception)


async def on_a_thread(call: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine on a thread with an event loop of its own. A cancellation cancels it there, and waits for it."""
    loop = asyncio.new_event_loop()
    task = loop.create_task(call())

    def run() -> T:
        try:
            return loop.run_until_complete(task)
        finally:
            loop.close()

    running = asyncio.get_running_loop().run_in_executor(None, run)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        with suppress(RuntimeError):  # it has just ended, and closed its loop
            loop.call_soon_threadsafe(task.cancel)
        await asyncio.wait([running])
        _ = running.cancelled() or running.exception()  # retrieved, else the event loop would log it
        raise
