"""Visits: the times of a workflow's steps, forwards, backwards and after a delay.

Owns: the way from a workflow and an instant to timed steps, and their shift after a delay.
Holds: W2 (steps tile the visit), W3 (skipping closes the gap), W4 (walking back), W5 (a delay shortens nothing).
Must not know: whose calendar is free, where a workflow comes from, wall clocks.

A visit is a sequence of wait, preparation, step; wait, preparation, step; and so on. Waits and preparation are its only
gaps; those of the first step lie between the visit's start and that step.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from scheduler.core.errors import InvalidSpanError, InvalidWorkflowError
from scheduler.core.lifecycle import StepStatus
from scheduler.core.spans import utc
from scheduler.core.validation import Validator
from scheduler.core.workflows import TimedStep, Workflow, WorkflowStep

_NO_TIME: Final = timedelta(0)
_CHECK: Final = Validator(InvalidWorkflowError)


def walk(
    workflow: Workflow,
    start_at: datetime,
    *,
    skip: Iterable[int] = (),
    waits: Mapping[int, timedelta] | None = None,
) -> tuple[TimedStep, ...]:
    """Put the steps one after another from an aware instant on, in position order (W2, W3).

    `skip` names positions to leave out, with their waits and preparation. `waits` maps a position to the wait before
    that step's preparation. The times are in UTC.

    Raises:
        InvalidWorkflowError: the workflow lacks a position, a step must not be skipped, all steps are skipped, a wait
            is negative, longer than the step allows, or before a skipped step, or an argument is of another kind.
        InvalidSpanError: `start_at` is naive, or the visit leaves the calendar.

    >>> from datetime import UTC, datetime
    >>> from scheduler.core.workflows import StepTemplate
    >>> quarter = StepTemplate(1, "check-up", default_duration=timedelta(minutes=15))
    >>> steps = (WorkflowStep(1, quarter), WorkflowStep(2, quarter, duration=timedelta(minutes=30)))
    >>> for timed in walk(Workflow(1, "visit", 7, steps), datetime(2027, 3, 1, 9, tzinfo=UTC)):
    ...     print(timed.position, f"{timed.start_at:%H:%M}-{timed.end_at:%H:%M}")
    1 09:00-09:15
    2 09:15-09:45
    """
    return _place(_offsets(workflow, skip, waits), utc(start_at, name="start_at"), offset=_NO_TIME)


def walk_back(
    workflow: Workflow,
    at: datetime,
    *,
    anchor: int | None = None,
    skip: Iterable[int] = (),
    waits: Mapping[int, timedelta] | None = None,
) -> tuple[TimedStep, ...]:
    """Time the steps so that the visit ends, or the step at `anchor` starts, at an aware instant (W4).

    The steps before an anchor end where its wait and preparation begin; the later ones follow it. `skip` and `waits`
    are as in `walk`; the times are in UTC.

    Raises:
        InvalidWorkflowError: as in `walk`, or the anchor is unknown or skipped.
        InvalidSpanError: `at` is naive, or the visit leaves the calendar.
    """
    offsets = _offsets(workflow, skip, waits)
    if anchor is not None:
        _CHECK.whole("anchor", anchor)
    if anchor is None:
        return _place(offsets, utc(at, name="at"), offset=offsets[-1].end)
    for step_offset in offsets:
        if step_offset.step.position == anchor:
            return _place(offsets, utc(at, name="at"), offset=step_offset.start)
    raise InvalidWorkflowError(f"workflow {workflow.id}: no step of the visit is at the anchor position {anchor!r}")


def retime(steps: Iterable[TimedStep], now: datetime) -> tuple[TimedStep, ...]:
    """Delay the steps of one visit that have not begun by just enough (W5); return all steps in position order.

    - Only `scheduled` steps move, each as a whole: none gets earlier, shorter or longer.
    - No step starts before `now`, nor before the previous step has ended and its own preparation has passed.
    - A step in progress ends at `now` at the earliest, and every step that has not begun waits for it, also a step of a
      lower position.
    - Cancelled steps, no-shows and steps completed ahead of their plan (with an end after `now`) delay no other step.
    - A delay shortens the wait first; preparation is kept whole after a step that moved or has begun.

    `now` is an aware instant; the times are in UTC.

    Raises:
        InvalidWorkflowError: two steps have the same position, or one is not a `TimedStep`.
        InvalidSpanError: `now` is naive, or the visit leaves the calendar.
    """
    now = utc(now, name="now")
    visit = sorted(_CHECK.sequence("steps", steps, TimedStep), key=lambda timed: timed.position)
    for timed, following in pairwise(visit):
        if timed.position == following.position:
            raise InvalidWorkflowError(f"two steps of the visit are at position {timed.position}")
    ends = (_end_of_begun(timed, now) for timed in visit)
    free_at = max((end for end in ends if end is not None), default=None)
    retimed: list[TimedStep] = []
    for timed in visit:
        if timed.status is not StepStatus.SCHEDULED:
            retimed.append(timed)
            continue
        earliest = now if free_at is None else max(now, _after(free_at, timed.step.lead))
        delay = max(earliest - timed.start_at, _NO_TIME)
        free_at = _after(timed.end_at, delay)
        retimed.append(replace(timed, start_at=_after(timed.start_at, delay), end_at=free_at))
    return tuple(retimed)


def left_of(workflow: Workflow, skipped: Iterable[int]) -> tuple[WorkflowStep, ...]:
    """Return the steps of a visit that skips some positions (W3), in order.

    Raises:
        InvalidWorkflowError: the workflow lacks a position, a step must not be skipped, or all steps are skipped.
    """
    return tuple(step_offset.step for step_offset in _offsets(workflow, skipped, None))


class _StepOffset(NamedTuple):
    """The start and end of a step, counted from the visit's start."""

    step: WorkflowStep
    start: timedelta
    end: timedelta


def _offsets(workflow: Workflow, skip: Iterable[int], waits: Mapping[int, timedelta] | None) -> list[_StepOffset]:
    _CHECK.instance("workflow", workflow, Workflow)
    skipped = frozenset(_positions("skip", skip))
    _CHECK.instance("waits", waits := {} if waits is None else waits, Mapping)
    _positions("waits", waits)
    _check_request(workflow, skipped, waits)
    offsets: list[_StepOffset] = []
    end = _NO_TIME
    for step in workflow.steps:
        if step.position not in skipped:
            start = end + waits.get(step.position, _NO_TIME) + step.lead
            end = start + step.length
            offsets.append(_StepOffset(step, start, end))
    if not offsets:
        raise InvalidWorkflowError(f"workflow {workflow.id}: no step is left, at least one must not be skipped")
    return offsets


def _positions(field: str, values: Iterable[int]) -> tuple[int, ...]:
    positions = _CHECK.sequence(field, values, int)
    for position in positions:
        _CHECK.whole(f"{field}: position", position)
    return positions


def _check_request(workflow: Workflow, skipped: frozenset[int], waits: Mapping[int, timedelta]) -> None:
    steps = {step.position: step for step in workflow.steps}
    for position in (*skipped, *waits):
        if position not in steps:
            raise InvalidWorkflowError(f"workflow {workflow.id} has no step at position {position!r}")
    for position in skipped:
        step = steps[position]
        if not step.can_be_skipped:
            name = f"step {position} ({step.template.name})"
            raise InvalidWorkflowError(f"workflow {workflow.id}: {name} must not be skipped")
    for position, wait in waits.items():
        name = f"workflow {workflow.id}: the wait before step {position}"
        if position in skipped:
            raise InvalidWorkflowError(f"{name} must be left out, since the step is skipped")
        _CHECK.non_negative(name, wait)
        if wait > steps[position].max_wait:
            raise InvalidWorkflowError(f"{name} must be at most {steps[position].max_wait}, not {wait}")


def _place(offsets: Iterable[_StepOffset], at: datetime, *, offset: timedelta) -> tuple[TimedStep, ...]:
    """Time the steps so that the point of the visit at `offset` from its start falls on an instant."""
    return tuple(TimedStep(step, _after(at, start - offset), _after(at, end - offset)) for step, start, end in offsets)


def _end_of_begun(timed: TimedStep, now: datetime) -> datetime | None:
    if timed.status is StepStatus.IN_PROGRESS:
        return max(timed.end_at, now)
    if timed.status is StepStatus.COMPLETED and timed.end_at <= now:
        return timed.end_at
    return None  # a step completed ahead of its planned end delays no other


def _after(instant: datetime, length: timedelta) -> datetime:
    try:
        return instant + length
    except OverflowError:
        raise InvalidSpanError(f"a visit around {instant.isoformat()} leaves the years 1 to 9999") from None
