"""Asynchronous front door: the methods of the synchronous one, cancelled tasks, several tasks, errors."""

import asyncio
import gc
import inspect
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from unittest.mock import MagicMock
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn
from sqlmodel import select

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, ExceptionId, FacilityId, TenantId
from scheduler.core.schedules import AvailabilityException
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.front_door.async_scheduler import AsyncScheduler
from scheduler.front_door.async_work import AsyncWork
from scheduler.front_door.context import Context
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.postgres.connections import DRIVER
from scheduler.postgres.errors import DeadlockError, DuplicateError, SchemaMismatchError

NOW = datetime(2027, 2, 28, tzinfo=UTC)
MONDAY = date(2027, 3, 1)
LONDON = "Europe/London"
TWENTY_MINUTES = timedelta(minutes=20)
NOT_IDLE = (
    "select count(*) from pg_stat_activity"
    " where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()"
)


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}


def signature_of(method: Any) -> list[tuple[str, object, object]]:
    return [(name, each.kind, each.default) for name, each in inspect.signature(method).parameters.items()]


def repositories(work: object) -> Iterator[tuple[str, object]]:
    """The repositories of a unit of work, with those within others, and their names."""
    for name, value in vars(work).items():
        if not name.startswith("_"):
            yield name, value
            yield from ((f"{name}.{inner}", repository) for inner, repository in repositories(value))


def compared(sync: type, twin: type) -> None:
    theirs, ours = public(sync), public(twin)
    assert ours.keys() == theirs.keys()
    for name, method in theirs.items():
        if inspect.isfunction(method):
            assert signature_of(ours[name]) == signature_of(method), name
            assert inspect.getdoc(ours[name]), name
        else:
            assert isinstance(ours[name], property), name


def test_each_method_has_an_awaited_twin_with_the_same_arguments() -> None:
    session: Any = None
    work = Work(Context(session, TenantId(uuid4()), None, lambda: NOW))
    sync = dict(repositories(work))
    twins = dict(repositories(AsyncWork(work, asyncio.Lock())))
    assert twins.keys() == sync.keys()
    for name, repository in sync.items():
        compared(type(repository), type(twins[name]))
        assert vars(twins[name])["_sync"] is repository
    compared(Work, AsyncWork)
    compared(Scheduler, AsyncScheduler)


class Clinic(NamedTuple):
    """A tenant with a doctor who works at a facility on Mondays, from 09:00 to 12:00."""

    scheduler: AsyncScheduler
    slug: str
    place: FacilityId
    anna: DoctorId


@asynccontextmanager
async def opened(database: AsyncEngine | str) -> AsyncIterator[Clinic]:
    slug = f"tenant-{uuid4()}"
    async with AsyncScheduler(database, clock=lambda: NOW) as scheduler:
        await scheduler.add_tenant(slug, name="Riverside Clinics")
        async with scheduler.tenant(slug) as work:
            place = await work.facilities.add("main", name="Main Street", zone=LONDON)
            anna = await work.doctors.add("Anna", "Ray", at=[place])
            await work.rules.add(
                anna, at=place, on=Weekday.MONDAY, start=time(9), end=time(12), slot_duration=TWENTY_MINUTES
            )
        yield Clinic(scheduler, slug, place, anna)


def run(database: AsyncEngine | str, test: Callable[[Clinic], Coroutine[Any, Any, None]]) -> None:
    """Run a test in an event loop, with a new clinic."""

    async def in_a_clinic() -> None:
        try:
            async with opened(database) as clinic:
                await test(clinic)
        finally:
            if isinstance(database, AsyncEngine):
                await database.dispose()

    asyncio.run(in_a_clinic())


def engine(database_url: str, **options: Any) -> AsyncEngine:
    return create_async_engine(make_url(database_url).set(drivername=DRIVER), **options)


async def slugs(clinic: Clinic) -> list[str]:
    async with clinic.scheduler.tenant(clinic.slug) as work:
        return [facility.slug for facility in await work.facilities.all()]


@pytest.mark.parametrize("taken", [str, engine], ids=["a URL", "an engine of the host"])
def test_a_clinic_is_kept_generated_and_read(database_url: str, taken: Callable[[str], AsyncEngine | str]) -> None:
    async def test(clinic: Clinic) -> None:
        async with clinic.scheduler.tenant(clinic.slug) as work:
            assert (work.tenant_id, work.user_id) == ((await work.facilities.get(clinic.place)).tenant_id, None)
            found = await work.session.exec(select(models.Facility.slug))
            assert found.all() == ["main"]  # the same transaction
            work.session.add(models.Facility(tenant_id=work.tenant_id, slug="annex", name="Annex", timezone=LONDON))
            assert len(await work.facilities.all()) == 2
        result = await clinic.scheduler.generate(clinic.slug, from_day=MONDAY, days=7)
        assert result.slots_created == 9
        async with clinic.scheduler.tenant(clinic.slug) as work:
            ten = datetime(2027, 3, 1, 10, tzinfo=UTC)
            blocked = await work.exceptions.block(
                clinic.anna, at=clinic.place, between=Span(ten, ten + timedelta(hours=1))
            )
            (exception,) = blocked.written
            assert (blocked.slots_taken, len(await work.slots.open(clinic.anna, day=MONDAY))) == (3, 6)
            assert isinstance(exception, AvailabilityException)
            assert (await work.exceptions.remove(ExceptionId(int(exception.id)))).slots_made == 3
            assert len(await work.slots.open(clinic.anna, between=Span(ten, ten + timedelta(hours=1)))) == 3
        assert await clinic.scheduler.events(clinic.slug, after=0, limit=1) == []
        assert isinstance(await clinic.scheduler.preflight(), list)

    run(taken(database_url), test)


async def wrongly_called(work: AsyncWork, place: FacilityId, anna: DoctorId) -> None:
    """Each line has a mistake that the type checker finds: names and types of arguments and results are kept."""
    await work.facilities.add("annex", zone=LONDON)  # type: ignore[call-arg]
    await work.facilities.add("annex", name=7, zone=LONDON)  # type: ignore[arg-type]
    await work.facilities.change(place, color="red")  # type: ignore[call-arg]
    await work.facilities.get(anna)  # type: ignore[arg-type]
    await work.slots.open(anna)  # type: ignore[call-overload]
    added: DoctorId = await work.patients.add("Ada", "Poe", email="ada@example.org")  # type: ignore[assignment]
    await work.doctors.delete(added)


def test_generation_has_a_thread_and_connections_like_the_hosts(database_url: str) -> None:
    opened_by: list[tuple[bool, str, str | None]] = []
    progressed_in: list[threading.Thread] = []
    url = make_url(database_url).set(drivername=DRIVER, password="a password")  # noqa: S106  # not asked for
    hosts = create_async_engine(url, connect_args={"application_name": "a host"})

    def note(connection: Any, _: object) -> None:
        names = connection.driver_connection.info.get_parameters()
        opened_by.append((threading.current_thread() is threading.main_thread(), names["application_name"],
                          connection.driver_connection.info.password))  # fmt: skip

    async def test(clinic: Clinic) -> None:
        opened_by.clear()
        await clinic.scheduler.generate(
            clinic.slug,
            from_day=MONDAY,
            days=7,
            progress=lambda *_: progressed_in.append(threading.current_thread()),
        )

    event.listen(hosts.sync_engine, "connect", lambda connection, record: note(record, connection))
    run(hosts, test)
    assert set(opened_by) == {(False, "a host", "a password")}
    assert threading.main_thread() not in progressed_in != []


def test_r4_a_cancelled_generation_ends_its_run_before_it_returns(database_url: str) -> None:
    async def test(clinic: Clinic) -> None:
        begun, cancelled = threading.Event(), threading.Event()

        def wait(*_: object) -> None:
            begun.set()
            cancelled.wait(10)

        reported: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
        running = asyncio.create_task(clinic.scheduler.generate(clinic.slug, from_day=MONDAY, days=7, progress=wait))
        await asyncio.to_thread(begun.wait, 10)
        running.cancel()
        await asyncio.sleep(0.01)
        cancelled.set()
        with pytest.raises(asyncio.CancelledError):
            await running
        async with clinic.scheduler.tenant(clinic.slug) as work:
            runs = await work.session.exec(select(models.GenerationRun.status))
            assert runs.all() == ["interrupted"]
        gc.collect()
        assert reported == []

    run(database_url, test)


async def sleep_in_the_database(work: AsyncWork) -> None:
    await (await work.session.connection()).execute(text("select pg_sleep(20)"))


async def sleep(_: AsyncWork) -> None:
    await asyncio.sleep(20)


@pytest.mark.parametrize("wait", [sleep_in_the_database, sleep], ids=["in a statement", "between statements"])
@pytest.mark.parametrize("cancellations", [1, 5])
@pytest.mark.parametrize("taken", [str, engine], ids=["a URL", "an engine of the host"])
def test_r4_a_cancelled_task_rolls_back_and_frees_its_connection(
    database_url: str,
    wait: Callable[[AsyncWork], Awaitable[None]],
    cancellations: int,
    taken: Callable[..., AsyncEngine | str],
) -> None:
    """A cancel scope of AnyIO, as in FastAPI, cancels its tasks again and again until they end."""

    async def test(clinic: Clinic) -> None:
        under_way = asyncio.Event()
        pool: Any = clinic.scheduler._database._engine.pool
        closed: list[object] = []
        event.listen(pool, "invalidate", lambda connection, *_: closed.append(connection))

        async def block() -> None:
            async with clinic.scheduler.tenant(clinic.slug) as work:
                await work.facilities.add("lost", name="Lost", zone=LONDON)
                under_way.set()
                await wait(work)

        task = asyncio.create_task(block())
        await under_way.wait()
        await asyncio.sleep(0.05)
        for _ in range(cancellations):
            task.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(10):
            assert await slugs(clinic) == ["main"]
            while pool.checkedout():  # noqa: ASYNC110  # a rollback in the background
                await asyncio.sleep(0)
            async with clinic.scheduler.tenant(clinic.slug) as work:
                still_running = await (await work.session.connection()).execute(text(NOT_IDLE))
                assert still_running.scalar_one() == 0
        assert len(closed) == (1 if wait is sleep_in_the_database else 0)

    run(taken(database_url), test)


@pytest.mark.parametrize("taken", [str, engine], ids=["a URL", "an engine of the host"])
def test_r4_a_connection_is_closed_if_its_rollback_is_cancelled(
    database_url: str, taken: Callable[..., AsyncEngine | str]
) -> None:
    async def test(clinic: Clinic) -> None:
        pool = clinic.scheduler._database._pool
        connection = await greenlet_spawn(pool.connect)
        driver: Any = connection.connection.driver_connection
        await driver.execute("select 1")  # as after a refused commit, the transaction is one of the driver only
        ending = asyncio.create_task(greenlet_spawn(pool.roll_back, connection))
        await asyncio.sleep(0)
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert connection.invalidated
        await greenlet_spawn(pool.release, connection)

    run(taken(database_url), test)


async def fail(work: AsyncWork) -> None:
    raise KeyError(work.tenant_id)


async def add_twice(work: AsyncWork) -> None:
    await work.facilities.add("main", name="The same slug", zone=LONDON)


async def send_nonsense(work: AsyncWork) -> None:
    await (await work.session.connection()).execute(text("select nonsense"))


@pytest.mark.parametrize(
    ("call", "kind"), [(fail, KeyError), (add_twice, DuplicateError), (send_nonsense, SchemaMismatchError)]
)
@pytest.mark.parametrize("taken", [str, engine], ids=["a URL", "an engine of the host"])
def test_r4_an_error_keeps_the_callers_line_and_undoes_the_block(
    database_url: str,
    call: Callable[[AsyncWork], Coroutine[Any, Any, None]],
    kind: type[Exception],
    taken: Callable[..., AsyncEngine | str],
) -> None:
    async def test(clinic: Clinic) -> None:
        with pytest.raises(kind) as caught:  # noqa: PT012  # the block is under test
            async with clinic.scheduler.tenant(clinic.slug) as work:
                await work.facilities.add("lost", name="Lost", zone=LONDON)
                await call(work)
        assert call.__name__ in {frame.name for frame in traceback.extract_tb(caught.value.__traceback__)}
        assert await slugs(clinic) == ["main"]

    run(taken(database_url), test)


def test_two_tasks_have_two_transactions(database_url: str) -> None:
    async def test(clinic: Clinic) -> None:
        both = asyncio.Barrier(2)

        async def add(slug: str) -> list[str]:
            async with clinic.scheduler.tenant(clinic.slug) as work:
                await work.facilities.add(slug, name=slug, zone=LONDON)
                await both.wait()
                seen = [facility.slug for facility in await work.facilities.all()]
                await both.wait()  # neither commits before both have read
                return seen

        seen_in_east, seen_in_west = await asyncio.gather(add("east"), add("west"))
        assert (seen_in_east, seen_in_west) == (["main", "east"], ["main", "west"])
        assert sorted(await slugs(clinic)) == ["east", "main", "west"]

    run(database_url, test)


def test_arguments_of_another_type_are_refused_by_their_names(database_url: str) -> None:
    async def test(clinic: Clinic) -> None:
        slug: Any = ["x"]
        request: Any = "req-7"
        with pytest.raises(InvalidInputError, match="tenant: slug must be a text"):
            async with clinic.scheduler.tenant(slug):
                pass
        with pytest.raises(InvalidInputError, match="request must be a Request or None"):
            async with clinic.scheduler.tenant(clinic.slug, request=request):
                pass
        async with clinic.scheduler.tenant(clinic.slug, request=None) as work:
            assert len(await work.facilities.all()) == 1

    run(database_url, test)


def test_a_unit_of_work_refuses_two_calls_at_once_and_late_ones(database_url: str) -> None:
    async def test(clinic: Clinic) -> None:
        async with clinic.scheduler.tenant(clinic.slug) as work:
            added, refused = await asyncio.gather(
                work.facilities.add("east", name="East", zone=LONDON),
                work.doctors.add("Ben", "Ray", at=[clinic.place]),
                return_exceptions=True,
            )
            assert isinstance(added, FacilityId)
            assert "one call at a time, and none after its block" in str(refused)
            assert [doctor.first_name for doctor in await work.doctors.all()] == ["Anna"]
        with pytest.raises(InvalidInputError, match="none after its block"):
            await work.doctors.all()
        assert await slugs(clinic) == ["main", "east"]

    run(database_url, test)


@pytest.mark.parametrize("kind", [InvalidInputError, KeyError])
def test_r4_a_block_ends_with_a_rollback_after_a_forgotten_call(database_url: str, kind: type[Exception]) -> None:
    async def test(clinic: Clinic) -> None:
        with pytest.raises(kind):  # noqa: PT012  # the block is under test
            async with clinic.scheduler.tenant(clinic.slug) as work:
                forgotten = asyncio.create_task(work.facilities.add("east", name="East", zone=LONDON))
                await asyncio.sleep(0)
                if kind is KeyError:
                    raise KeyError
        assert isinstance(forgotten.result(), FacilityId)  # it is not disturbed
        assert await slugs(clinic) == ["main"]

    run(database_url, test)


def test_run_repeats_the_whole_call_after_a_deadlock(database_url: str) -> None:
    async def test(clinic: Clinic) -> None:
        attempts = 0

        async def add(work: AsyncWork) -> int:
            nonlocal attempts
            attempts += 1
            await work.facilities.add(f"attempt-{attempts}", name="Attempt", zone=LONDON)
            if attempts < 3:
                raise DeadlockError("a collision")
            return attempts

        with pytest.raises(DeadlockError):
            await clinic.scheduler.run(clinic.slug, add, attempts=2)
        assert await clinic.scheduler.run(clinic.slug, add, attempts=2) == 3
        assert await slugs(clinic) == ["main", "attempt-3"]

    run(database_url, test)


def test_only_an_asynchronous_engine_of_psycopg_is_taken() -> None:
    synchronous: Any = create_engine(f"{DRIVER}://localhost/clinic")
    with pytest.raises(InvalidInputError, match=r"made by create_async_engine, is needed, not postgresql\+psycopg$"):
        AsyncScheduler(synchronous)
    another = create_async_engine("postgresql+asyncpg://localhost/clinic", module=MagicMock())  # it is not installed
    with pytest.raises(InvalidInputError, match=r"not of postgresql\+asyncpg, which prepares each statement"):
        AsyncScheduler(another)
    with pytest.raises(InvalidInputError, match="must begin with postgresql://"):
        AsyncScheduler(another.url)
