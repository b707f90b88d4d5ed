"""Sending of batches to an executor: order, number in flight, the end of an executor, and errors of a batch."""

import pickle
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import create_engine

from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.slots import Slot
from scheduler.generation import sending
from scheduler.generation.batches import Batch, do_batch
from scheduler.generation.errors import WorkersLostError
from scheduler.generation.job import generate
from scheduler.generation.report import Failure, RunResult
from scheduler.generation.request import GenerationRequest
from scheduler.generation.sending import SentBatch, do_sent_batch, send
from scheduler.postgres.database import Database
from scheduler.postgres.errors import DatabaseUnreachableError, StatementError
from scheduler.postgres.schedules import ScheduleKey

SECRET = "hunter2"  # noqa: S105  # of no server
CLOSED_PORT = f"postgresql://me:{SECRET}@127.0.0.1:1/clinic"
NOW = datetime(2027, 1, 1, tzinfo=UTC)
REQUEST = GenerationRequest(UUID(int=1), date(2027, 3, 1), date(2037, 3, 1), now=NOW)
BATCHES = [Batch(REQUEST, 7, (ScheduleKey(number, 1),)) for number in range(50)]


class Recorded(Executor):
    """An executor that does a batch when its future is asked, and records how many batches it has."""

    def __init__(self) -> None:
        self.most = self.has = self.sent = 0

    def submit(self, call: Any, /, *args: Any, **_: Any) -> Any:
        self.has += 1
        self.sent += 1
        self.most = max(self.most, self.has)
        outer = self

        class Asked(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:  # noqa: ARG002  # of the base class
                outer.has -= 1
                return call(*args)

        return Asked()


class Failing(Executor):
    """An executor that takes some batches and fails with an error, as a future or when it is given one."""

    def __init__(self, error: Exception, *, takes: int) -> None:
        self.error, self.takes = error, takes

    def submit(self, call: Any, /, *args: Any, **_: Any) -> Any:
        if not self.takes:
            raise self.error
        self.takes -= 1
        future: Future[Any] = Future()
        if self.takes:
            future.set_result(call(*args))
        else:
            future.set_exception(self.error)
        return future


def counted(_: Database, batch: Batch) -> RunResult:
    time.sleep(0.001)
    return RunResult(schedules=len(batch.keys), slots_created=batch.keys[0].doctor_id)


@pytest.fixture(autouse=True)
def without_a_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sending, "do_batch", counted)
    yield
    sending.close_databases()


def sent(executor: Executor, *, in_flight: int = 4, stop: Any = lambda: False) -> list[tuple[Batch, RunResult | None]]:
    return list(send(executor, CLOSED_PORT, BATCHES, in_flight=in_flight, stop=stop))


def test_batches_come_back_in_order_each_with_its_own_result() -> None:
    with ThreadPoolExecutor(3) as threads:
        results = sent(threads)
    assert results == [(batch, RunResult(schedules=1, slots_created=batch.keys[0].doctor_id)) for batch in BATCHES]


@pytest.mark.parametrize("in_flight", [1, 4])
def test_an_executor_never_has_more_batches_than_in_flight(in_flight: int) -> None:
    """A horizon of ten years streams: neither batches nor results pile up."""
    executor, begun = Recorded(), 0

    def batches() -> Iterator[Batch]:
        nonlocal begun
        for batch in BATCHES:
            begun += 1
            yield batch

    results = send(executor, CLOSED_PORT, batches(), in_flight=in_flight, stop=lambda: False)
    for taken, _ in enumerate(results, start=1):
        assert begun - taken < in_flight
    assert (executor.most, executor.sent) == (in_flight, len(BATCHES))


def test_a_stopped_run_waits_for_the_batches_in_flight_and_sends_no_more() -> None:
    executor = Recorded()
    results = sent(executor, stop=lambda: executor.sent == 10)
    assert [batch for batch, _ in results] == BATCHES
    assert [result is not None for _, result in results] == [True] * 10 + [False] * 40


@pytest.mark.parametrize("takes", [0, 3])
@pytest.mark.parametrize(
    "error", [BrokenProcessPool("a child died"), RuntimeError("cannot schedule new futures after shutdown")]
)
def test_r4_a_dead_executor_is_one_error_without_a_traceback(error: Exception, takes: int) -> None:
    with pytest.raises(WorkersLostError, match=f"{type(error).__name__}: {error}") as raised:
        sent(Failing(error, takes=takes))
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__


def test_r4_an_executor_that_drops_batches_is_lost() -> None:
    """An executor that is shut down with `cancel_futures` does so."""
    with ThreadPoolExecutor(1) as threads, pytest.raises(WorkersLostError, match="CancelledError"):
        shut_down_after_one(threads)


def shut_down_after_one(threads: ThreadPoolExecutor) -> None:
    results = send(threads, CLOSED_PORT, BATCHES, in_flight=len(BATCHES), stop=lambda: False)
    next(results)
    threads.shutdown(wait=False, cancel_futures=True)
    list(results)


def test_an_error_of_a_batch_keeps_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens on the port."""
    monkeypatch.setattr(sending, "do_batch", do_batch)
    with ThreadPoolExecutor(1) as threads, pytest.raises(DatabaseUnreachableError):
        sent(threads)


def test_a_fault_of_the_code_says_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    def faulty(*_: object) -> RunResult:
        raise KeyError("unknown")

    monkeypatch.setattr(sending, "do_batch", faulty)
    error = do_sent_batch(SentBatch(CLOSED_PORT, BATCHES[0], 0))
    assert isinstance(error, KeyError)
    assert "in faulty" in pickle.loads(pickle.dumps(error)).__notes__[0]  # noqa: S301  # made here


def test_a_worker_with_another_engine_refuses_a_batch() -> None:
    with pytest.raises(InvalidInputError, match="the run has another"):
        raise do_sent_batch(SentBatch(CLOSED_PORT, BATCHES[0], 0, engine="another"))  # type: ignore[misc]


def test_a_sent_batch_shows_no_password() -> None:
    """Dask logs the arguments of a call that fails."""
    assert SECRET not in repr(SentBatch(CLOSED_PORT, BATCHES[0], 0))


def test_a_batch_and_its_outcome_survive_pickling() -> None:
    slot = Slot(NOW, NOW + timedelta(minutes=20), 1, 1)
    result = RunResult(
        slots_conflicting=(StoredSlot(1, slot, SlotStatus.BOOKED, booked_count=1),),
        schedules_failed=(Failure(ScheduleKey(1, 2), "why"),),
    )
    one = SentBatch(CLOSED_PORT, BATCHES[0], 3)
    assert pickle.loads(pickle.dumps((one, result))) == (one, result)  # noqa: S301  # made here
    error = pickle.loads(pickle.dumps(StatementError("refused", sqlstate="40P01")))  # noqa: S301  # made here
    assert (type(error), str(error), error.sqlstate) == (StatementError, "refused", "40P01")


def test_an_engine_cannot_be_sent_to_an_executor() -> None:
    engine = create_engine("postgresql+psycopg://me@127.0.0.1:1/clinic")
    with ThreadPoolExecutor(1) as threads, pytest.raises(InvalidInputError, match="an engine cannot be sent"):
        generate(Database.from_engine(engine), REQUEST, executor=threads)


def test_an_executor_needs_a_batch_in_flight() -> None:
    with Database(CLOSED_PORT) as database, pytest.raises(InvalidInputError, match="not 0"):
        generate(database, REQUEST, in_flight=0)
