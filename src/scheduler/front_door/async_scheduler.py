"""Async scheduler: the database of a host, opened for its tenants, in an asyncio application.

Owns: how an asynchronous engine is taken, and the thread on which slots are generated.
Must not know: which repositories there are (`async_work`), what the methods do (`scheduler`).
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial, wraps
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar, cast

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.util import greenlet_spawn

from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import UserId
from scheduler.core.validation import Validator
from scheduler.front_door.async_work import AsyncWork
from scheduler.front_door.awaiting import AsyncTwin, AwaitedBlock, AwaitedMethod, awaited, on_a_thread
from scheduler.front_door.context import Clock
from scheduler.front_door.process import random_bytes, utc_now
from scheduler.front_door.scheduler import Scheduler
from scheduler.postgres.acting import Request
from scheduler.postgres.async_database import async_database
from scheduler.postgres.errors import DeadlockError

P = ParamSpec("P")
T = TypeVar("T")


def _awaited_on_a_thread(method: Callable[Concatenate[Scheduler, P], T]) -> AwaitedMethod[P, T]:
    """Return the asynchronous twin of a method that works for long, which would hold up all other tasks."""

    @wraps(method)
    async def call(self: "AsyncScheduler", *args: P.args, **kwargs: P.kwargs) -> T:
        return await on_a_thread(partial(self._apart, lambda scheduler: method(scheduler, *args, **kwargs)))

    twin: AwaitedMethod[P, T] = cast("Any", call)
    return twin


class AsyncScheduler(AsyncTwin[Scheduler]):
    """Appointment scheduling in a PostgreSQL database, for a host application with asyncio.

    Give the URL of a migrated database, or an asynchronous engine of yours for psycopg (`postgresql+psycopg://`), whose
    connections are then used and left as they were. `clock` returns the current instant (aware), `random_bytes` so many
    random bytes. One `AsyncScheduler` serves one event loop and its tasks, each with a unit of work of its own. Close
    it, or use it in an `async with` statement.

    `generate` runs on a thread with a connection of its own, where it calls `progress`.

    Raises:
        InvalidInputError: the URL cannot be read, or the engine is not an asynchronous one for psycopg.
    """

    def __init__(
        self,
        database: AsyncEngine | URL | str,
        *,
        clock: Clock = utc_now,
        random_bytes: Callable[[int], bytes] = random_bytes,
    ) -> None:
        self._database = async_database(database)
        self._clock = clock
        self._random_bytes = random_bytes
        super().__init__(Scheduler(self._database, clock=clock, random_bytes=random_bytes), None)

    add_tenant: Final = awaited(Scheduler.add_tenant)
    add_admin: Final = awaited(Scheduler.add_admin)
    events: Final = awaited(Scheduler.events)
    preflight: Final = awaited(Scheduler.preflight)
    generate: Final = _awaited_on_a_thread(Scheduler.generate)
    close: Final = awaited(Scheduler.close)

    def tenant(
        self, slug: str, *, user: UserId | None = None, request: Request | None = None
    ) -> AbstractAsyncContextManager[AsyncWork]:
        """Run the block as one transaction for a tenant: leaving it commits, an error rolls all of it back.

        With a user, row security shows what this user may see, and the audit log names the user; without one, the work
        is the host's own. `request` says where a request came from, for the audit log. A cancelled task rolls back.

        Raises:
            NotFoundError: no tenant has this slug.
            InvalidInputError: the slug cannot be one, or the user or request is of another type.
            TenantSuspendedError: the tenant is suspended, closed or deleted.
            StoreError: no connection, or the database refused a statement.
        """
        return AwaitedBlock(self._sync.tenant(slug, user=user, request=request), AsyncWork)

    async def run(
        self,
        slug: str,
        call: Callable[[AsyncWork], Awaitable[T]],
        *,
        user: UserId | None = None,
        request: Request | None = None,
        attempts: int = 5,
    ) -> T:
        """Await a function of a unit of work, and return its result; repeat the whole after a deadlock.

        Each attempt is a transaction of its own, so the function may run several times, of which one counts.

        Raises:
            DeadlockError: no attempt succeeded.
        """
        Validator(InvalidInputError).whole("attempts", attempts)
        while True:
            attempts -= 1
            try:
                async with self.tenant(slug, user=user, request=request) as work:
                    return await call(work)
            except DeadlockError:
                if not attempts:
                    raise

    async def _apart(self, call: Callable[[Scheduler], T]) -> T:
        """Call with a scheduler on connections of its own: those of one event loop serve no other.

        They are opened as the engine of the host opens its own, with the same password and settings.
        """
        apart = Scheduler(self._database.apart(), clock=self._clock, random_bytes=self._random_bytes)
        try:
            return await greenlet_spawn(call, apart)
        finally:
            await greenlet_spawn(apart.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()
