"""The errors of booking: their facts."""

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.booking import errors
from scheduler.core.errors import SchedulerError
from scheduler.core.reasons import Reason, ReasonCode

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
REASON = Reason(ReasonCode.BOOKED, NOON, NOON + timedelta(hours=1), "booked")
REFUSALS = [
    (errors.BookingError("no visit"), {}),
    (errors.NotOfferedError("no visit", [REASON], NOON), {"reasons": (REASON,), "next_start_at": NOON}),
    (errors.SlotTakenError("no visit", NOON), {"next_start_at": NOON}),
    (errors.HoldEndedError("no visit"), {}),
    (errors.UnknownHoldError("no visit"), {}),
    (errors.KeyReusedError("no visit"), {}),
    (errors.OutcomeUnknownError("no visit", "k1"), {"key": "k1"}),
    (errors.OverrideNotNeededError("no visit"), {}),
    (errors.PatientBusyError("no visit", 7), {"visit_id": 7}),
    (errors.CapReachedError("no visit", 7, 12), {"cap": 7, "count": 12}),
    (errors.TooLateError("no visit", NOON), {"until": NOON}),
    (errors.TooManyHoldsError("no visit", 3), {"most": 3}),
    (errors.NoSuchNeedError("no visit", "nurse", 7), {"kind": "nurse", "facility": 7}),
]


@pytest.mark.parametrize(("error", "facts"), REFUSALS, ids=lambda value: type(value).__name__)
def test_a_refusal_keeps_its_facts_when_pickled(error: errors.BookingError, facts: dict[str, Any]) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # its own text
    assert type(copy) is type(error)
    assert isinstance(copy, SchedulerError)
    assert str(copy) == str(error) == "no visit"
    assert {name: getattr(copy, name) for name in facts} == facts


def test_every_refusal_of_booking_is_tested() -> None:
    def below(kind: type[errors.BookingError]) -> set[type[errors.BookingError]]:
        return {kind}.union(*(below(child) for child in kind.__subclasses__()))

    assert {type(error) for error, _ in REFUSALS} == below(errors.BookingError)
