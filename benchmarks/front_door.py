"""Front door's cost: units of work through `Scheduler` and `AsyncScheduler`, against the same statements without them.

Each call is a whole unit of work: begin, settings, one query, commit, for one tenant that is known by its slug. The
peer of `Scheduler.tenant` is `Database.unit_of_work`. The peer of `AsyncScheduler.tenant` is SQLAlchemy's own
`AsyncConnection` on an engine with the same settings, which sends the same statements. Both sides take turns.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

from rich.table import Table
from sqlalchemy import make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from scheduler.core.ids import TenantId
from scheduler.front_door.async_scheduler import AsyncScheduler
from scheduler.front_door.scheduler import Scheduler
from scheduler.postgres.acting import _ASSUME, settings_of
from scheduler.postgres.connections import COMMIT, DRIVER, application_of, engine_options, read_url
from scheduler.postgres.database import Database, Role
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations

SLUG: Final = "riverside"
WARM_UP_CALLS: Final = 50
_QUERY: Final = text("select id, slug, name, timezone from scheduling.facilities where slug = 'main'")

Rows = Sequence[object]


def check(expected: Rows, answer: Rows) -> None:
    """Stop unless both sides return the same rows, at least one."""
    if not expected or answer != expected:
        raise SystemExit(f"{len(answer)} rows through the front door, {len(expected)} without: nothing to compare")


def _fastest_tenth(seconds: Sequence[float]) -> float:
    """Return the mean of the fastest tenth, in which other work of the machine has the least part."""
    return fmean(sorted(seconds)[: max(1, len(seconds) // 10)])


def in_turns(peer: Callable[[], Rows], door: Callable[[], Rows], *, calls: int) -> list[float]:
    """Return the seconds of the peer and the front door."""
    sides = (peer, door)
    times: list[list[float]] = [[], []]
    for number in range(calls + WARM_UP_CALLS):
        for turn in range(2):
            side = (turn + number) % 2
            begun = perf_counter()
            sides[side]()
            times[side].append(perf_counter() - begun)
    return [_fastest_tenth(of_side[WARM_UP_CALLS:]) for of_side in times]


async def in_turns_awaited(
    peer: Callable[[], Awaitable[Rows]], door: Callable[[], Awaitable[Rows]], *, calls: int
) -> list[float]:
    """Return the seconds of the peer and the front door, both awaited."""
    sides = (peer, door)
    times: list[list[float]] = [[], []]
    for number in range(calls + WARM_UP_CALLS):
        for turn in range(2):
            side = (turn + number) % 2
            begun = perf_counter()
            await sides[side]()
            times[side].append(perf_counter() - begun)
    return [_fastest_tenth(of_side[WARM_UP_CALLS:]) for of_side in times]


def synchronous(url: str, tenant: TenantId, *, calls: int) -> list[float]:
    """Measure `Scheduler.tenant` against `Database.unit_of_work`."""
    with Scheduler(url) as clinic, Database(url) as database:

        def peer() -> Rows:
            with database.unit_of_work(role=Role.APP, tenant_id=tenant) as session:
                return session.connection().execute(_QUERY).all()

        def door() -> Rows:
            with clinic.tenant(SLUG) as work:
                return work.session.connection().execute(_QUERY).all()

        check(peer(), door())
        return in_turns(peer, door, calls=calls)


async def awaited(url: str, tenant: TenantId, *, calls: int, of_host: bool) -> list[float]:
    """Measure `AsyncScheduler.tenant` against an `AsyncConnection`, over a URL or over the engine of a host."""
    parsed = read_url(url)
    engine, door_takes = create_async_engine(**engine_options(parsed)), url
    application: str | None = application_of(parsed)
    host: AsyncEngine | None = None
    if of_host:
        engine, host = (create_async_engine(make_url(url).set(drivername=DRIVER)) for _ in range(2))
        application = None
    settings = settings_of(Role.APP, tenant, None, None, application=application)

    async def peer() -> Rows:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(_ASSUME, settings)
            rows = (await connection.execute(_QUERY)).all()
            if of_host:
                await connection.commit()
            else:
                await connection.exec_driver_sql(COMMIT)
            return rows

    async with AsyncScheduler(host or door_takes) as clinic:

        async def door() -> Rows:
            async with clinic.tenant(SLUG) as work:
                return (await (await work.session.connection()).execute(_QUERY)).all()

        check(await peer(), await door())
        try:
            return await in_turns_awaited(peer, door, calls=calls)
        finally:
            await engine.dispose()
            if host is not None:
                await host.dispose()


def against_none(*, calls: int) -> Table:
    """Measure units of work through the front door, and the same statements without it."""
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        with Scheduler(url) as clinic:
            tenant = clinic.add_tenant(SLUG, name="Riverside Clinics")
            with clinic.tenant(SLUG) as work:
                work.facilities.add("main", name="Main Street", zone="Europe/London")
        title = f"the front door; fastest tenth of {calls:,} units of work a side"
        table = Table(title=title, title_justify="left")
        for heading in ("", "without, µs", "through it, µs", "ratio", "goal"):
            table.add_column(heading, justify="right" if heading else "left")
        gc.collect()
        gc.disable()
        for name, goal, seconds in (
            ("Scheduler, a URL", 1.1, synchronous(url, tenant, calls=calls)),
            ("AsyncScheduler, a URL", 1.15, asyncio.run(awaited(url, tenant, calls=calls, of_host=False))),
            ("AsyncScheduler, an engine", 1.15, asyncio.run(awaited(url, tenant, calls=calls, of_host=True))),
        ):
            microseconds = (f"{side * 1e6:,.0f}" for side in seconds)
            table.add_row(name, *microseconds, f"{seconds[1] / seconds[0]:.2f}", f"at most {goal}")
        gc.enable()
    return table
