"""The life cycle by example: the tables (L1), steps and appointment together (L2), the records (L3)."""

import pickle
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from scheduler.core.errors import InvalidSpanError, InvalidWorkflowError, NotFoundError, TransitionRefusedError
from scheduler.core.lifecycle import (
    AppointmentState,
    AppointmentStatus,
    SlotStatus,
    StepState,
    StepStatus,
    Subject,
    SubjectKind,
    Transition,
    transition,
)

NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
APPOINTMENT = Subject(SubjectKind.APPOINTMENT, 40)

# Copied from the rule's text by hand, not from the code.
APPOINTMENT_TABLE = """
scheduled -> checked_in | cancelled | no_show
checked_in -> in_progress | cancelled | no_show | scheduled
in_progress -> completed | cancelled
no_show -> scheduled
"""
STEP_TABLE = """
scheduled -> in_progress | completed | no_show | cancelled
in_progress -> completed | cancelled
"""


def pairs(table: str) -> set[tuple[str, str]]:
    lines = [line.split(" -> ") for line in table.strip().splitlines()]
    return {(before, after) for before, following in lines for after in following.split(" | ")}


def state(status: str, *steps: str) -> AppointmentState:
    """Return appointment 40 with steps 1, 2 and so on."""
    return AppointmentState(
        40,
        AppointmentStatus(status),
        tuple(StepState(number, StepStatus(step)) for number, step in enumerate(steps, start=1)),
    )


def step(number: int) -> Subject:
    return Subject(SubjectKind.APPOINTMENT_STEP, number)


@pytest.mark.parametrize("before", AppointmentStatus)
@pytest.mark.parametrize("after", AppointmentStatus)
def test_l1_an_appointment_has_the_transitions_of_its_table_only(
    before: AppointmentStatus, after: AppointmentStatus
) -> None:
    actual: AppointmentStatus | None = None
    with suppress(TransitionRefusedError):
        actual = transition(before, after)
    assert actual is (after if (before.value, after.value) in pairs(APPOINTMENT_TABLE) else None)


@pytest.mark.parametrize("before", StepStatus)
@pytest.mark.parametrize("after", StepStatus)
def test_l1_a_step_has_the_transitions_of_its_table_only(before: StepStatus, after: StepStatus) -> None:
    actual: StepStatus | None = None
    with suppress(TransitionRefusedError):
        actual = transition(before, after)
    assert actual is (after if (before.value, after.value) in pairs(STEP_TABLE) else None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (AppointmentStatus.SCHEDULED, StepStatus.CANCELLED),
        (StepStatus.SCHEDULED, AppointmentStatus.CANCELLED),
    ],
)
def test_l1_a_status_of_another_kind_with_the_same_text_is_refused(before: Any, after: Any) -> None:
    with pytest.raises(TransitionRefusedError, match="they are statuses of different things"):
        transition(before, after)


def test_l1_the_new_status_may_be_given_as_its_text() -> None:
    text: Any = "checked_in"
    assert transition(AppointmentStatus.SCHEDULED, text) is AppointmentStatus.CHECKED_IN
    result = state("scheduled", "scheduled").transition(text, at=NOON, by=9)
    assert result.state.status is AppointmentStatus.CHECKED_IN
    begun = result.state.transition_step(1, "in_progress", at=NOON, by=9)  # type: ignore[arg-type]
    assert begun.state == state("in_progress", "in_progress")
    cancelled = state("scheduled", "scheduled").transition("cancelled", at=NOON, by=9)  # type: ignore[arg-type]
    assert cancelled.state == state("cancelled", "cancelled")


@pytest.mark.parametrize("text", ["foo", "checked_in", None, 1])
def test_l1_a_text_that_is_no_status_is_refused(text: Any) -> None:
    with pytest.raises(InvalidWorkflowError, match=rf"^to: {text!r} is not a step status \(scheduled, in_progress"):
        transition(StepStatus.SCHEDULED, text)


@pytest.mark.parametrize("current", ["scheduled", SlotStatus.OPEN, None])
def test_l1_a_status_of_neither_table_is_refused(current: Any) -> None:
    with pytest.raises(InvalidWorkflowError, match="current must be an AppointmentStatus or a StepStatus, not"):
        transition(current, current)


def test_l1_a_check_in_of_the_wrong_patient_can_be_corrected() -> None:
    result = state("checked_in", "scheduled").transition(AppointmentStatus.SCHEDULED, at=NOON, by=9)
    assert result.state == state("scheduled", "scheduled")


def test_l1_a_refusal_names_the_allowed_statuses() -> None:
    with pytest.raises(
        TransitionRefusedError,
        match=r"^appointment: no transition from in_progress to no_show; allowed: cancelled, completed$",
    ):
        transition(AppointmentStatus.IN_PROGRESS, AppointmentStatus.NO_SHOW)


def test_l1_a_refusal_from_a_final_status_allows_nothing() -> None:
    with pytest.raises(TransitionRefusedError, match=r"allowed: nothing$"):
        transition(StepStatus.COMPLETED, StepStatus.CANCELLED)


def test_l1_a_refusal_keeps_both_statuses_when_pickled() -> None:
    with pytest.raises(TransitionRefusedError) as refused:
        transition(StepStatus.COMPLETED, StepStatus.CANCELLED)
    copy = pickle.loads(pickle.dumps(refused.value))  # noqa: S301  # its own text
    assert (copy.before, copy.after, str(copy)) == (
        StepStatus.COMPLETED,
        StepStatus.CANCELLED,
        str(refused.value),
    )


def test_a_slot_has_four_statuses() -> None:
    assert [status.value for status in SlotStatus] == ["open", "reserved", "booked", "cancelled"]


def test_l2_the_first_step_begun_puts_the_appointment_in_progress() -> None:
    result = state("checked_in", "scheduled", "scheduled").transition_step(1, StepStatus.IN_PROGRESS, at=NOON, by=9)
    assert result.state == state("in_progress", "in_progress", "scheduled")


def test_l2_a_step_completed_at_once_has_begun_too() -> None:
    result = state("checked_in", "scheduled", "scheduled").transition_step(2, StepStatus.COMPLETED, at=NOON, by=9)
    assert result.state == state("in_progress", "scheduled", "completed")


@pytest.mark.parametrize("to", [StepStatus.CANCELLED, StepStatus.NO_SHOW])
def test_l2_a_step_that_will_not_take_place_does_not_begin_the_appointment(to: StepStatus) -> None:
    result = state("checked_in", "scheduled", "scheduled").transition_step(1, to, at=NOON, by=9)
    assert result.state == state("checked_in", to.value, "scheduled")


@pytest.mark.parametrize("status", ["scheduled", "no_show", "cancelled", "completed"])
def test_l2_a_step_begins_only_between_check_in_and_the_end(status: str) -> None:
    with pytest.raises(TransitionRefusedError, match=f"^appointment: no transition from {status} to"):
        state(status, "scheduled").transition_step(1, StepStatus.IN_PROGRESS, at=NOON, by=9)


@pytest.mark.parametrize("other", ["completed", "cancelled", "no_show"])
def test_l2_the_last_step_left_to_do_completes_the_appointment(other: str) -> None:
    result = state("in_progress", other, "in_progress").transition_step(2, StepStatus.COMPLETED, at=NOON, by=9)
    assert result.state == state("completed", other, "completed")


def test_l2_skipping_the_last_step_left_to_do_completes_the_appointment() -> None:
    result = state("in_progress", "completed", "scheduled").transition_step(2, StepStatus.CANCELLED, at=NOON, by=9)
    assert result.state.status is AppointmentStatus.COMPLETED


def test_l2_steps_cancelled_before_check_in_complete_no_appointment() -> None:
    result = state("scheduled", "scheduled").transition_step(1, StepStatus.CANCELLED, at=NOON, by=9)
    assert result.state == state("scheduled", "cancelled")


def test_l2_cancelling_cancels_the_steps_that_have_not_begun() -> None:
    before = state("in_progress", "completed", "in_progress", "scheduled", "scheduled")
    result = before.transition(AppointmentStatus.CANCELLED, at=NOON, by=9)
    assert result.state == state("cancelled", "completed", "in_progress", "cancelled", "cancelled")


def test_l2_a_step_in_progress_can_finish_after_a_cancellation() -> None:
    result = state("cancelled", "in_progress").transition_step(1, StepStatus.COMPLETED, at=NOON, by=9)
    assert result.state == state("cancelled", "completed")


def test_l2_a_no_show_can_be_corrected_with_all_its_steps() -> None:
    before = state("scheduled", "scheduled", "scheduled")
    absent = before.transition(AppointmentStatus.NO_SHOW, at=NOON, by=9).state
    assert absent.transition(AppointmentStatus.SCHEDULED, at=NOON, by=9).state == before


def test_l2_an_appointment_with_an_unfinished_step_is_not_completed() -> None:
    with pytest.raises(TransitionRefusedError, match=r"^appointment 40 is not complete: step 2 is scheduled$"):
        state("in_progress", "completed", "scheduled").transition(AppointmentStatus.COMPLETED, at=NOON, by=9)


def test_l2_an_appointment_without_steps_is_completed_by_a_person() -> None:
    begun = state("checked_in").transition(AppointmentStatus.IN_PROGRESS, at=NOON, by=9).state
    assert begun == state("in_progress")
    assert begun.transition(AppointmentStatus.COMPLETED, at=NOON, by=9).state == state("completed")


def test_l2_an_appointment_begun_without_open_steps_is_completed() -> None:
    result = state("checked_in", "cancelled").transition(AppointmentStatus.IN_PROGRESS, at=NOON, by=9)
    assert result.state.status is AppointmentStatus.COMPLETED


def test_l2_an_unknown_step_is_not_found() -> None:
    with pytest.raises(NotFoundError, match=r"^appointment 40 has no step 3$"):
        state("checked_in", "scheduled").transition_step(3, StepStatus.IN_PROGRESS, at=NOON, by=9)


def test_l3_a_transition_records_user_instant_before_and_after() -> None:
    result = state("scheduled").transition(AppointmentStatus.CHECKED_IN, at=NOON, by="reception")
    assert result.transitions == (
        Transition(APPOINTMENT, AppointmentStatus.SCHEDULED, AppointmentStatus.CHECKED_IN, NOON, "reception"),
    )


def test_l3_the_consequences_of_a_step_are_recorded_after_it() -> None:
    result = state("checked_in", "scheduled").transition_step(1, StepStatus.COMPLETED, at=NOON, by=9)
    assert result.transitions == (
        Transition(step(1), StepStatus.SCHEDULED, StepStatus.COMPLETED, NOON, 9),
        Transition(APPOINTMENT, AppointmentStatus.CHECKED_IN, AppointmentStatus.IN_PROGRESS, NOON, 9),
        Transition(APPOINTMENT, AppointmentStatus.IN_PROGRESS, AppointmentStatus.COMPLETED, NOON, 9),
    )


def test_l3_cancelling_records_the_appointment_and_its_steps() -> None:
    result = state("scheduled", "scheduled", "cancelled", "scheduled").transition(
        AppointmentStatus.CANCELLED, at=NOON, by=9
    )
    assert [(record.subject, record.after.value) for record in result.transitions] == [
        (APPOINTMENT, "cancelled"),
        (step(1), "cancelled"),
        (step(3), "cancelled"),
    ]


def test_l3_the_instant_of_a_transition_is_kept_in_utc() -> None:
    local = NOON.astimezone(timezone(timedelta(hours=2)))
    result = state("scheduled").transition(AppointmentStatus.CHECKED_IN, at=local, by=9)
    assert result.transitions[0].at.isoformat() == "2027-03-01T12:00:00+00:00"


def test_l3_a_naive_instant_is_refused() -> None:
    with pytest.raises(InvalidSpanError, match="at 2027-03-01T12:00:00 is naive"):
        state("scheduled").transition(AppointmentStatus.CHECKED_IN, at=NOON.replace(tzinfo=None), by=9)


@pytest.mark.parametrize("nobody", [None, "", True])
def test_l3_a_transition_without_a_user_is_refused(nobody: Any) -> None:
    with pytest.raises(InvalidWorkflowError, match="a transition needs the id of the user who made it, not"):
        state("scheduled").transition(AppointmentStatus.CHECKED_IN, at=NOON, by=nobody)


def test_statuses_read_as_text_become_statuses() -> None:
    text: Any = "scheduled"
    parsed = AppointmentState(40, text, (StepState(1, text),))
    assert (parsed.status, parsed.steps[0].status) == (AppointmentStatus.SCHEDULED, StepStatus.SCHEDULED)
    assert (type(parsed.status), type(parsed.steps[0].status)) == (AppointmentStatus, StepStatus)


def test_an_unknown_status_is_refused() -> None:
    text: Any = "skipped"
    with pytest.raises(
        InvalidWorkflowError, match=r"appointment 40: step 1: status: 'skipped' is not a step status \(scheduled"
    ):
        AppointmentState(40, AppointmentStatus.SCHEDULED, (StepState(1, text),))


def test_two_steps_with_the_same_id_are_refused() -> None:
    with pytest.raises(InvalidWorkflowError, match="appointment 40 has two steps with the same id"):
        AppointmentState(40, AppointmentStatus.SCHEDULED, (StepState(1), StepState(1)))
