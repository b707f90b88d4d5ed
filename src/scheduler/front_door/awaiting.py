"""Awaited methods: synchronous code behind `await`, run in a greenlet that gives way whenever the database answers.

Owns: the twin of a method, the twin of a context manager, a coroutine on a thread, the refusal of two calls at once.
Holds: R4 (a cancelled block rolls back).
Must not know: which methods there are (`async_work`, `async_scheduler`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AbstractContextManager, suppress
from functools import partial, wraps
from importlib import import_module
from types import TracebackType
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from sqlalchemy.util import greenlet_spawn

from scheduler.core.errors import InvalidInputError
from scheduler.core.extras import extra_needed

with extra_needed("scheduler.AsyncScheduler", "async"):
    import_module("greenlet")  # SQLAlchemy imports it when it is first used, and names no extra

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
Sync = TypeVar("Sync")


class Turn:
    """The turn of a call: two calls at once on one transaction would undo parts of each other."""

    def __init__(self) -> None:
        self.taken = False

    def __enter__(self) -> None:
        if self.taken:
            raise not_your_turn()
        self.taken = True

    def __exit__(self, *exception: object) -> None:
        self.taken = False


def not_your_turn() -> InvalidInputError:
    """Return the error for a call, or the end of a block, while another call is under way."""
    return InvalidInputError(
        "a unit of work does one call at a time: await each call, or open a unit of work in each task"
    )


class AsyncTwin(Generic[Sync]):
    """The asynchronous twin of an object: its methods are `awaited`."""

    def __init__(self, sync: Sync, turn: AbstractContextManager[None]) -> None:
        self._sync = sync
        self._turn = turn


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
        with self._turn:
            return await greenlet_spawn(partial(method, self._sync, *args, **kwargs))

    twin: AwaitedMethod[P, T] = cast("Any", call)
    return twin


class AwaitedBlock(AbstractAsyncContextManager[T], Generic[T, Sync]):
    """The asynchronous twin of a context manager, which yields a twin of what that one yields."""

    def __init__(
        self,
        manager: AbstractContextManager[Sync],
        twin: Callable[[Sync, Turn], T],
    ) -> None:
        self._manager = manager
        self._twin = twin
        self._turn = Turn()

    async def __aenter__(self) -> T:
        return self._twin(await greenlet_spawn(self._manager.__enter__), self._turn)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        if error is None and not self._turn.taken:
            return await greenlet_spawn(self._manager.__exit__, None, None, None)
        refused = not_your_turn() if error is None else None  # a forgotten task is in the middle of a call
        ended = error or refused
        # A task that is cancelled again, as by a cancel scope of AnyIO, would break the rollback off.
        ending = asyncio.create_task(greenlet_spawn(self._manager.__exit__, type(ended), ended, traceback))
        done = await asyncio.shield(ending)
        if refused is not None:
            raise refused
        return done


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
        raise
