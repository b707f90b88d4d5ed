"""The times of visits and the choice of a workflow, against the slow walker (W1-W6)."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import assume, event, given
from hypothesis import strategies as st

from oracles import walker
from scheduler.core.errors import InvalidWorkflowError, WorkflowNotFoundError
from scheduler.core.insurance import InsurancePlan, PlanAcceptance, select_workflow
from scheduler.core.lifecycle import StepStatus
from scheduler.core.visits import retime, walk, walk_back
from scheduler.core.workflows import StepTemplate, TimedStep, Workflow, WorkflowStep

ZERO = datetime(2027, 3, 28, 0, tzinfo=UTC)  # European clocks change at 01:00Z: minutes are real minutes all the same
MINUTE = timedelta(minutes=1)


def minute_of(instant: datetime) -> int:
    return (instant - ZERO) // MINUTE


def times_of(steps: Iterable[TimedStep]) -> dict[int, tuple[int, int]]:
    return {timed.position: (minute_of(timed.start_at), minute_of(timed.end_at)) for timed in steps}


@st.composite
def workflow_steps(draw: st.DrawFn, position: int) -> WorkflowStep:
    return WorkflowStep(
        position,
        StepTemplate(draw(st.integers(1, 9)), "step", draw(st.integers(1, 40)) * MINUTE),
        duration=draw(st.none() | st.integers(1, 40).map(lambda minutes: minutes * MINUTE)),
        requires_preparation=draw(st.booleans()),
        can_be_skipped=draw(st.booleans()),
        preparation=draw(st.integers(0, 15)) * MINUTE,
        max_wait=draw(st.integers(0, 15)) * MINUTE,
    )


@st.composite
def workflows(draw: st.DrawFn, least: int = 1) -> Workflow:
    positions = draw(st.lists(st.integers(1, 6), min_size=least, max_size=5, unique=True))
    return Workflow(1, "visit", 1, tuple(draw(workflow_steps(position)) for position in positions))


@st.composite
def allowed_requests(draw: st.DrawFn, workflow: Workflow) -> tuple[set[int], dict[int, timedelta]]:
    """Draw positions to skip and waits that the workflow allows."""
    skippable = [step.position for step in workflow.steps if step.can_be_skipped]
    skip = draw(st.sets(st.sampled_from(skippable))) if skippable else set()
    walked = [step for step in workflow.steps if step.position not in skip]
    assume(walked)
    waits = {
        step.position: draw(st.integers(0, step.max_wait // MINUTE)) * MINUTE for step in walked if draw(st.booleans())
    }
    return skip, waits


def plain(workflow: Workflow) -> list[walker.PlainStep]:
    return [
        walker.PlainStep(
            step.position,
            (step.template.default_duration if step.duration is None else step.duration) // MINUTE,
            step.preparation // MINUTE if step.requires_preparation else 0,
            step.max_wait // MINUTE,
            step.can_be_skipped,
        )
        for step in workflow.steps
    ]


def painted(workflow: Workflow, skip: set[int], waits: dict[int, timedelta]) -> list[str] | None:
    plain_waits = {position: wait // MINUTE for position, wait in waits.items()}
    return walker.paint(plain(workflow), skip=skip, waits=plain_waits)


@given(st.data(), workflows(), st.integers(-2_000, 2_000))
def test_w2_w3_walk_agrees_with_a_visit_painted_minute_by_minute(
    data: st.DataObject, workflow: Workflow, start: int
) -> None:
    skip, waits = data.draw(allowed_requests(workflow))
    minutes = painted(workflow, skip, waits)
    assert minutes is not None
    assert times_of(walk(workflow, ZERO + start * MINUTE, skip=skip, waits=waits)) == walker.read(minutes, first=start)


@given(st.data(), workflows())
def test_w3_walk_refuses_exactly_the_skips_that_are_not_allowed(data: st.DataObject, workflow: Workflow) -> None:
    """Positions and waits are arbitrary: the slow walker decides which requests are refused."""
    positions = st.sampled_from([*(step.position for step in workflow.steps), 7])
    skippable = [step.position for step in workflow.steps if step.can_be_skipped]
    skip = data.draw(st.sets(st.one_of(positions, st.sampled_from(skippable)) if skippable else positions, max_size=2))
    # The wait is often none, and before a skipped step.
    waiting = st.one_of(positions, st.sampled_from(sorted(skip))) if skip else positions
    minutes = data.draw(st.dictionaries(waiting, st.one_of(st.just(0), st.integers(-1, 16)), max_size=2))
    waits = {position: wait * MINUTE for position, wait in minutes.items()}
    allowed = painted(workflow, skip, waits) is not None
    event(f"allowed: {allowed}")
    if allowed:
        assert walk(workflow, ZERO, skip=skip, waits=waits)
    else:
        with pytest.raises(InvalidWorkflowError):
            walk(workflow, ZERO, skip=skip, waits=waits)


@given(st.data(), workflows())
def test_w2_steps_tile_the_visit(data: st.DataObject, workflow: Workflow) -> None:
    """Steps follow in position order, without overlaps, and only preparation and waits are gaps."""
    skip, waits = data.draw(allowed_requests(workflow))
    for before, after in pairwise(walk(workflow, ZERO, skip=skip, waits=waits)):
        prepared = after.step.preparation if after.step.requires_preparation else 0 * MINUTE
        assert after.position > before.position
        assert after.start_at - before.end_at == prepared + waits.get(after.position, 0 * MINUTE)


@given(st.data(), workflows())
def test_w3_skipping_is_as_if_the_step_were_not_there(data: st.DataObject, workflow: Workflow) -> None:
    skip, waits = data.draw(allowed_requests(workflow))
    shorter = replace(workflow, steps=tuple(step for step in workflow.steps if step.position not in skip))
    assert walk(workflow, ZERO, skip=skip, waits=waits) == walk(shorter, ZERO, waits=waits)


@given(st.data(), workflows(), st.integers(-2_000, 2_000))
def test_w4_walk_back_agrees_with_trying_every_first_minute(data: st.DataObject, workflow: Workflow, at: int) -> None:
    """The rule holds with and without an anchor (W4)."""
    skip, waits = data.draw(allowed_requests(workflow))
    positions = [step.position for step in workflow.steps if step.position not in skip]
    anchor = data.draw(st.none() | st.sampled_from(positions))
    minutes = painted(workflow, skip, waits)
    assert minutes is not None
    steps = walk_back(workflow, ZERO + at * MINUTE, anchor=anchor, skip=skip, waits=waits)
    assert times_of(steps) == walker.read_back(minutes, at=at, anchor=anchor)


@given(st.data(), workflows())
def test_w4_walking_back_from_the_end_of_a_walk_is_the_walk(data: st.DataObject, workflow: Workflow) -> None:
    """The two directions are inverse to each other."""
    skip, waits = data.draw(allowed_requests(workflow))
    steps = walk(workflow, ZERO, skip=skip, waits=waits)
    assert walk_back(workflow, steps[-1].end_at, skip=skip, waits=waits) == steps


@given(workflows(), st.integers(-14, 14))
def test_w2_the_zone_of_the_start_changes_nothing(workflow: Workflow, hours: int) -> None:
    """The times are instants and are returned in UTC (T1)."""
    elsewhere = ZERO.astimezone(timezone(timedelta(hours=hours)))
    steps = walk(workflow, elsewhere)
    assert steps == walk(workflow, ZERO)
    assert {instant.tzinfo for timed in steps for instant in (timed.start_at, timed.end_at)} == {UTC}


@st.composite
def visits(draw: st.DrawFn) -> list[TimedStep]:
    """Draw timed steps, as walked or as a person entered them, of any statuses, in any order."""
    workflow = draw(workflows(least=3))
    steps = [
        replace(timed, status=draw(st.sampled_from([*StepStatus, StepStatus.SCHEDULED])))
        for timed in walk(workflow, ZERO)
    ]
    if draw(st.booleans()):
        steps = [
            replace(timed, start_at=start, end_at=start + draw(st.integers(1, 40)) * MINUTE)
            for timed, start in zip(
                steps,
                draw(st.lists(minutes_near, min_size=len(steps), max_size=len(steps))),
                strict=True,
            )
        ]
    return draw(st.permutations(steps))


minutes_near = st.integers(-30, 150).map(lambda minute: ZERO + minute * MINUTE)


@given(visits(), st.integers(-60, 250))
def test_w5_retime_agrees_with_trying_later_and_later_minutes(visit: list[TimedStep], now: int) -> None:
    planned = [
        walker.Planned(
            timed.position,
            timed.status.value,
            *times_of([timed])[timed.position],
            timed.step.preparation // MINUTE if timed.step.requires_preparation else 0,
        )
        for timed in visit
    ]
    assert times_of(retime(visit, ZERO + now * MINUTE)) == walker.delay(planned, now=now)


@given(visits(), minutes_near)
def test_w5_retime_moves_only_scheduled_steps_only_later_and_whole(visit: list[TimedStep], now: datetime) -> None:
    before = {timed.position: timed for timed in visit}
    for timed in retime(visit, now):
        was = before[timed.position]
        if was.status is StepStatus.SCHEDULED:
            assert timed.start_at >= max(was.start_at, now)
            assert timed.end_at - timed.start_at == was.end_at - was.start_at
            assert replace(timed, start_at=was.start_at, end_at=was.end_at) == was
        else:
            assert timed == was


@given(visits(), minutes_near)
def test_w5_retiming_twice_is_retiming_once(visit: list[TimedStep], now: datetime) -> None:
    """A step that was moved just enough does not move again."""
    once = retime(visit, now)
    assert retime(once, now) == once


@given(st.data(), workflows())
def test_w5_a_visit_on_time_stays_as_it_is(data: st.DataObject, workflow: Workflow) -> None:
    """Steps before `now` are completed, the step at `now` is in progress, later ones are scheduled."""
    skip, waits = data.draw(allowed_requests(workflow))
    steps = walk(workflow, ZERO, skip=skip, waits=waits)
    now = data.draw(st.datetimes(ZERO.replace(tzinfo=None), steps[-1].end_at.replace(tzinfo=None))).replace(tzinfo=UTC)
    on_time = tuple(
        replace(timed, status=StepStatus.COMPLETED)
        if timed.end_at <= now
        else replace(timed, status=StepStatus.IN_PROGRESS)
        if timed.start_at <= now
        else timed
        for timed in steps
    )
    assert retime(on_time, now) == on_time


# A few offerings and plans, so that a plan-less workflow and one for the patient's plan often meet.
plain_workflows = st.lists(
    st.builds(
        walker.PlainWorkflow,
        id=st.integers(1, 99),
        offering=st.sampled_from((1, 1, 1, 2)),
        plan=st.sampled_from((None, 1, 1, 2)),
        active=st.sampled_from((True, True, True, False)),
    ),
    max_size=6,
    unique_by=lambda workflow: workflow.id,
)


@given(plain_workflows, st.sampled_from((1, 1, 1, 2)), st.sampled_from((None, 1, 1, 2)))
def test_w1_the_choice_agrees_with_looking_through_all(
    candidates: list[walker.PlainWorkflow], offering: int, plan: int | None
) -> None:
    """The only workflow that fits is returned; none or several are an error."""
    step = WorkflowStep(1, StepTemplate(1, "step", MINUTE))
    offered = [
        Workflow(plain.id, "visit", plain.offering, (step,), insurance_plan_id=plain.plan, active=plain.active)
        for plain in candidates
    ]
    insurance_plan = None if plan is None else InsurancePlan(plan, "plan")
    acceptance = None if plan is None else PlanAcceptance(5, plan)
    chosen: list[int | str] = []
    try:
        selected = select_workflow(
            offered,
            service_offering_id=offering,
            day=date(2027, 3, 1),
            insurance_plan=insurance_plan,
            acceptance=acceptance,
        )
        chosen.append(str(selected.id))
    except WorkflowNotFoundError:
        pass
    except InvalidWorkflowError:
        chosen.append("several")
    event(f"chosen: {len(chosen)}")
    fitting = walker.choose(candidates, offering=offering, plan=plan)
    assert chosen == ([str(workflow_id) for workflow_id in fitting] if len(fitting) < 2 else ["several"])


@given(workflows(), st.none() | st.integers(0, 300))
def test_w6_the_estimate_error_is_the_estimate_less_the_walked_length(workflow: Workflow, estimate: int | None) -> None:
    """The estimate does not change the walk."""
    declared = replace(workflow, total_estimated=None if estimate is None else estimate * MINUTE)
    length = len(painted(workflow, set(), {}) or [])
    disagrees = estimate is not None and estimate != length
    expected = (estimate - length) * MINUTE if disagrees and estimate is not None else None
    assert (declared.estimate_error, walk(declared, ZERO)) == (expected, walk(workflow, ZERO))
