"""Reasons against the steps of a visit by example (Q3)."""

from datetime import UTC, datetime, time, timedelta

import pytest

from scheduler.booking.unfit_visits import UnfitPlan
from scheduler.core.calendars import DoctorCalendar, OpenSlot, Resource
from scheduler.core.candidates import Candidate
from scheduler.core.free_starts import Stock
from scheduler.core.schedules import AvailabilityRule, Schedule
from scheduler.core.spans import Span
from scheduler.core.workflows import DOCTOR, Need, StepTemplate, Workflow, WorkflowStep
from scheduler.core.zones import micros

MINUTE = timedelta(minutes=1)
NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
"""The doctor works from nine to ten, and has one slot, of twenty minutes."""


def told(*needs: tuple[str, ...], nurse_taken: int = 0) -> list[str]:
    """Return the reasons against a visit at nine, whose steps last ten minutes and wait up to an hour."""
    steps = tuple(
        WorkflowStep(number, StepTemplate(1, "talk", 10 * MINUTE), max_wait=60 * MINUTE, needs=tuple(map(Need, kinds)))
        for number, kinds in enumerate(needs, start=1)
    )
    rule = AvailabilityRule(1, 1, time(9), time(10), 20 * MINUTE, slot_interval=60 * MINUTE)
    calendar = DoctorCalendar(Schedule(7, 5, zone="UTC", rules=[rule]))
    uses = [Span(NINE, NINE + nurse_taken * MINUTE)] if nurse_taken else []
    plan = UnfitPlan(
        Candidate(1, Workflow(1, "visit", 1, steps), calendar), frozenset(), Stock([Resource(1, "nurse", 5, uses=uses)])
    )
    slot = OpenSlot(micros(NINE), micros(NINE + 20 * MINUTE), None, 1, 1, None)
    return [f"{reason.code}: {reason.text}" for reason in plan.reasons(slot)]


@pytest.mark.parametrize(
    ("needs", "nurse_taken", "reason"),
    [
        ([(DOCTOR,), (DOCTOR, "nurse")], 55, "no_resource: step 2 (talk) has no room: it needs 1 of nurse"),
        (
            [(DOCTOR,), ("nurse",), (DOCTOR,)],
            55,
            "no_resource: step 3 (talk) has no room: it does not follow the others",
        ),
        ([(DOCTOR,)] * 7, 0, "outside_rules: step 7 (talk) has no room: the doctor does not work then"),
    ],
    ids=["the nurse is taken", "the nurse before is taken", "the doctor goes home"],
)
def test_q3_a_step_is_outside_the_rules_by_the_hours_alone(
    needs: list[tuple[str, ...]], nurse_taken: int, reason: str
) -> None:
    assert told(*needs, nurse_taken=nurse_taken) == [reason]


def test_q3_steps_with_room_have_no_reason() -> None:
    assert told((DOCTOR,), (DOCTOR, "nurse"), nurse_taken=50) == []
