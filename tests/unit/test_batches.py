"""Batches: a batch that fails for good is divided, so that one bad schedule fails alone and costs few transactions."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest

from scheduler.generation.batches import Batch, do_batch
from scheduler.generation.report import RunResult
from scheduler.generation.request import GenerationRequest
from scheduler.postgres.errors import StatementError
from scheduler.postgres.schedules import ScheduleKey

REQUEST = GenerationRequest(UUID(int=1), date(2027, 3, 1), date(2027, 3, 8), now=datetime(2027, 3, 1, tzinfo=UTC))


@pytest.mark.parametrize(("bad", "at_most"), [({7}, 25), ({1, 500}, 41), (set[int](), 1), (set(range(1, 501)), 600)])
def test_r4_a_bad_schedule_fails_alone_at_the_cost_of_few_transactions(
    bad: set[int], at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[tuple[ScheduleKey, ...]] = []

    def attempt(_database: Any, batch: Batch) -> RunResult:
        attempts.append(batch.keys)
        if any(key.doctor_id in bad for key in batch.keys):
            raise StatementError("a value is out of range", sqlstate="22003")
        return RunResult(schedules=len(batch.keys))

    monkeypatch.setattr("scheduler.generation.batches._in_one_transaction", attempt)
    keys = tuple(ScheduleKey(doctor, 1) for doctor in range(1, 501))
    result = do_batch(None, Batch(REQUEST, None, keys))  # type: ignore[arg-type]  # the attempts ask for nothing
    assert {failure.key.doctor_id for failure in result.schedules_failed} == bad
    assert result.schedules == 500
    assert len(attempts) <= at_most
