"""Workflows by example: values, choice (W1), times (W2-W5), estimate (W6) and resources (W7)."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from scheduler.core.errors import InvalidSpanError, InvalidWorkflowError, WorkflowNotFoundError
from scheduler.core.insurance import InsurancePlan, PlanAcceptance, select_workflow
from scheduler.core.lifecycle import StepStatus
from scheduler.core.visits import retime, walk, walk_back
from scheduler.core.workflows import Need, StepTemplate, TimedStep, Workflow, WorkflowStep

DAY = date(2027, 3, 1)
PLAN = InsurancePlan(7, "Basic", effective_from=date(2027, 1, 1), effective_to=date(2027, 12, 31))
ACCEPTED = PlanAcceptance(5, 7, accepted_since=date(2027, 2, 1))


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def clock(text: str) -> datetime:
    return datetime.fromisoformat(f"2027-03-01T{text}:00+00:00")


RECEPTION = WorkflowStep(1, StepTemplate(1, "reception", minutes(5)), can_be_skipped=True, needs=())
SAMPLE = WorkflowStep(
    2,
    StepTemplate(2, "blood sample", minutes(10)),
    location_type="laboratory",
    needs=(Need("nurse"), Need("chair")),
    can_be_skipped=True,
    max_wait=minutes(15),
)
CONSULTATION = WorkflowStep(
    3,
    StepTemplate(3, "consultation", minutes(30)),
    duration=minutes(20),
    requires_preparation=True,
    preparation=minutes(5),
)
AFTERCARE = WorkflowStep(4, StepTemplate(4, "aftercare", minutes(10)))


def needing(*steps: dict[str, int | Need]) -> tuple[WorkflowStep, ...]:
    """Return a step for each dictionary of needs: a need, or the quantity of a kind."""
    return tuple(
        WorkflowStep(
            position,
            StepTemplate(1, "scan", minutes(10)),
            needs=tuple(need if isinstance(need, Need) else Need(kind, need) for kind, need in needs.items()),
        )
        for position, needs in enumerate(steps, start=1)
    )


VISIT = Workflow(1, "check-up", 4, (RECEPTION, SAMPLE, CONSULTATION, AFTERCARE))


def shown(steps: Iterable[TimedStep]) -> list[str]:
    return [f"{timed.position} {timed.start_at:%H:%M}-{timed.end_at:%H:%M}" for timed in steps]


def offered(workflow_id: int, plan: int | None = None, *, active: bool = True) -> Workflow:
    return replace(VISIT, id=workflow_id, insurance_plan_id=plan, active=active)


def test_w1_the_workflow_of_the_plan_wins_over_the_plan_less_one() -> None:
    chosen = select_workflow(
        [offered(1), offered(2, 7), offered(3, 8)],
        service_offering_id=4,
        day=DAY,
        insurance_plan=PLAN,
        acceptance=ACCEPTED,
    )
    assert chosen.id == 2


def test_w1_without_one_for_the_plan_the_plan_less_workflow_serves() -> None:
    chosen = select_workflow(
        [offered(1), offered(2, 7, active=False), offered(3, 8)],
        service_offering_id=4,
        day=DAY,
        insurance_plan=PLAN,
        acceptance=ACCEPTED,
    )
    assert chosen.id == 1


def test_w1_without_a_plan_only_the_plan_less_workflow_serves() -> None:
    assert select_workflow([offered(2, 7), offered(1)], service_offering_id=4, day=DAY).id == 1


def test_w1_a_missing_workflow_is_named_with_its_offering() -> None:
    with pytest.raises(WorkflowNotFoundError, match=r"offering 4 lacks .*: none without an insurance plan$"):
        select_workflow([offered(2, 7)], service_offering_id=4, day=DAY)


def test_w1_a_missing_workflow_is_named_with_the_patients_plan() -> None:
    with pytest.raises(WorkflowNotFoundError, match=r"neither one for insurance plan 7 \(Basic\)"):
        select_workflow(
            [offered(1, active=False)],
            service_offering_id=4,
            day=DAY,
            insurance_plan=PLAN,
            acceptance=ACCEPTED,
        )


def test_w1_another_offerings_workflow_does_not_serve() -> None:
    with pytest.raises(WorkflowNotFoundError, match="offering 9"):
        select_workflow([offered(1)], service_offering_id=9, day=DAY)


def test_w1_two_workflows_that_fit_equally_are_refused_with_both_ids() -> None:
    with pytest.raises(InvalidWorkflowError, match="fit equally: 1, 2"):
        select_workflow([offered(2), offered(1)], service_offering_id=4, day=DAY)


@pytest.mark.parametrize("day", [date(2027, 1, 1), date(2027, 12, 31)])
def test_w1_a_plan_is_in_force_on_its_first_and_its_last_day(day: date) -> None:
    chosen = select_workflow(
        [offered(1, 7)],
        service_offering_id=4,
        day=day,
        insurance_plan=PLAN,
        acceptance=PlanAcceptance(5, 7),
    )
    assert chosen.id == 1


def test_w1_a_plan_is_accepted_on_its_first_day() -> None:
    chosen = select_workflow(
        [offered(1, 7)],
        service_offering_id=4,
        day=date(2027, 2, 1),
        insurance_plan=PLAN,
        acceptance=ACCEPTED,
    )
    assert chosen.id == 1


@pytest.mark.parametrize(
    ("day", "acceptance", "message"),
    [
        (date(2026, 12, 31), ACCEPTED, "not in force on 2026-12-31: it is effective from 2027-01-01"),
        (date(2028, 1, 1), ACCEPTED, "not in force on 2028-01-01: it was effective to 2027-12-31"),
        (DAY, None, "not accepted by the facility: no acceptance is recorded"),
        (DAY, replace(ACCEPTED, enabled=False), "not accepted by facility 5: it is disabled"),
        (date(2027, 1, 31), ACCEPTED, "facility 5 on 2027-01-31: it is accepted since 2027-02-01"),
    ],
)
def test_w1_an_unusable_plan_is_refused_despite_a_plan_less_workflow(
    day: date, acceptance: PlanAcceptance | None, message: str
) -> None:
    with pytest.raises(WorkflowNotFoundError, match=message):
        select_workflow(
            [offered(1), offered(2, 7)],
            service_offering_id=4,
            day=day,
            insurance_plan=PLAN,
            acceptance=acceptance,
        )


@pytest.mark.parametrize("plan", [None, InsurancePlan(8, "Other")])
def test_w1_an_acceptance_of_another_plan_than_the_patients_is_refused(plan: InsurancePlan | None) -> None:
    with pytest.raises(InvalidWorkflowError, match="the acceptance is of insurance plan 7"):
        select_workflow([offered(1)], service_offering_id=4, day=DAY, insurance_plan=plan, acceptance=ACCEPTED)


def test_w1_an_instant_instead_of_a_day_is_refused() -> None:
    with pytest.raises(InvalidWorkflowError, match="day must be a date"):
        select_workflow([offered(1)], service_offering_id=4, day=clock("09:00"))


def test_w2_preparation_is_a_gap_before_its_step() -> None:
    assert shown(walk(VISIT, clock("09:00"))) == [
        "1 09:00-09:05",
        "2 09:05-09:15",
        "3 09:20-09:40",
        "4 09:40-09:50",
    ]


def test_w2_preparation_of_the_first_step_lies_inside_the_visit() -> None:
    assert shown(walk(VISIT, clock("09:00"), skip=[1, 2])) == ["3 09:05-09:25", "4 09:25-09:35"]


def test_w2_preparation_counts_only_where_it_is_required() -> None:
    unprepared = replace(VISIT, steps=(AFTERCARE, replace(CONSULTATION, requires_preparation=False)))
    assert shown(walk(unprepared, clock("09:00"))) == ["3 09:00-09:20", "4 09:20-09:30"]


def test_w2_the_longest_allowed_wait_is_a_gap_before_its_step() -> None:
    steps = walk(VISIT, clock("09:00"), waits={2: minutes(15)})
    assert shown(steps[:2]) == ["1 09:00-09:05", "2 09:20-09:30"]


@pytest.mark.parametrize(
    ("waits", "message"),
    [
        ({2: minutes(15.5)}, "the wait before step 2 must be at most 0:15:00, not 0:15:30"),
        ({3: minutes(1)}, "the wait before step 3 must be at most 0:00:00, not 0:01:00"),
        ({2: minutes(-1)}, "zero or more"),
        ({2: 5}, "must be a timedelta"),
        ({6: minutes(0)}, "workflow 1 has no step at position 6"),
        ({2: minutes(15), 3: minutes(1)}, "the wait before step 3 must be at most 0:00:00, not 0:01:00"),
        ({2: minutes(15), 6: minutes(0)}, "workflow 1 has no step at position 6"),
    ],
)
def test_w2_a_wait_that_the_step_does_not_allow_is_refused(waits: dict[int, timedelta], message: str) -> None:
    with pytest.raises(InvalidWorkflowError, match=message):
        walk(VISIT, clock("09:00"), waits=waits)


def test_w3_a_wait_before_a_skipped_step_is_refused() -> None:
    with pytest.raises(InvalidWorkflowError, match="the step is skipped"):
        walk(VISIT, clock("09:00"), skip=[2], waits={2: minutes(5)})


def test_w3_a_skipped_step_leaves_no_gap() -> None:
    assert shown(walk(VISIT, clock("09:00"), skip=[2]))[:2] == ["1 09:00-09:05", "3 09:10-09:30"]


def test_w3_a_step_that_may_not_be_skipped_is_named() -> None:
    with pytest.raises(InvalidWorkflowError, match=r"step 3 \(consultation\) must not be skipped"):
        walk(VISIT, clock("09:00"), skip=[3])


def test_w3_an_unknown_position_to_skip_is_refused() -> None:
    with pytest.raises(InvalidWorkflowError, match="no step at position 5"):
        walk(VISIT, clock("09:00"), skip=[5])


def test_w3_a_visit_with_all_steps_skipped_is_refused() -> None:
    with pytest.raises(InvalidWorkflowError, match="no step is left"):
        walk(replace(VISIT, steps=(RECEPTION,)), clock("09:00"), skip=[1])


def test_w2_an_empty_draft_cannot_be_walked() -> None:
    with pytest.raises(InvalidWorkflowError, match="no step is left"):
        walk(replace(VISIT, steps=(), active=False), clock("09:00"))


def test_w2_seconds_are_kept() -> None:
    (timed,) = walk(replace(VISIT, steps=(replace(AFTERCARE, duration=timedelta(seconds=90)),)), clock("09:00"))
    assert timed.end_at == datetime(2027, 3, 1, 9, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "place",
    [
        lambda at: walk(VISIT, at),
        lambda at: walk_back(VISIT, at),
        lambda at: walk_back(VISIT, at, anchor=3),
        lambda at: retime((), at),
    ],
    ids=["walk", "walk_back", "anchored", "retime"],
)
def test_w2_a_naive_instant_is_refused(place: Callable[[datetime], object]) -> None:
    with pytest.raises(InvalidSpanError, match="naive"):
        place(datetime(2027, 3, 1, 9))


@pytest.mark.parametrize(
    "place",
    [
        lambda: walk(VISIT, datetime.max.replace(tzinfo=UTC)),
        lambda: walk_back(VISIT, datetime.min.replace(tzinfo=UTC)),
        lambda: retime(walk(VISIT, clock("09:00")), datetime.max.replace(tzinfo=UTC)),
    ],
    ids=["walk", "walk_back", "retime"],
)
def test_w2_a_visit_outside_the_calendar_is_refused(place: Callable[[], object]) -> None:
    with pytest.raises(InvalidSpanError, match="leaves the years 1 to 9999"):
        place()


def test_w2_a_visit_that_may_last_over_a_year_is_refused() -> None:
    half, tiny = timedelta(days=183), timedelta(microseconds=1)

    def of(length: timedelta, **fields: Any) -> Workflow:
        step = WorkflowStep(2, StepTemplate(1, "step", length), requires_preparation=True, **fields)
        return Workflow(1, "visit", 4, (WorkflowStep(1, StepTemplate(1, "step", half)), step))

    assert of(half).steps
    assert of(tiny, max_wait=half - 2 * tiny, preparation=tiny).steps
    for length, fields in (
        (half + tiny, {}),
        (half, {"max_wait": tiny}),
        (half, {"preparation": tiny}),
        (timedelta.max, {}),
        (tiny, {"max_wait": timedelta.max}),
        (tiny, {"preparation": timedelta.max}),
    ):
        with pytest.raises(InvalidWorkflowError, match=r"^workflow 1: steps .* must together last at most 366 days$"):
            of(length, **fields)


def test_w4_without_an_anchor_the_visit_ends_at_the_instant() -> None:
    assert shown(walk_back(VISIT, clock("10:00"))) == [
        "1 09:10-09:15",
        "2 09:15-09:25",
        "3 09:30-09:50",
        "4 09:50-10:00",
    ]


def test_w4_an_anchored_step_starts_at_the_instant() -> None:
    assert shown(walk_back(VISIT, clock("10:00"), anchor=3)) == [
        "1 09:40-09:45",
        "2 09:45-09:55",
        "3 10:00-10:20",
        "4 10:20-10:30",
    ]


def test_w4_the_instants_come_back_in_utc() -> None:
    at = datetime.fromisoformat("2027-03-01T15:45:00+05:45")
    assert walk_back(VISIT, at)[-1].end_at.isoformat() == "2027-03-01T10:00:00+00:00"


@pytest.mark.parametrize("anchor", [2, 9])
def test_w4_an_anchor_that_is_skipped_or_unknown_is_refused(anchor: int) -> None:
    with pytest.raises(InvalidWorkflowError, match=f"no step of the visit is at the anchor position {anchor}"):
        walk_back(VISIT, clock("10:00"), anchor=anchor, skip=[2])


def under_way(*statuses: str, waits: dict[int, timedelta] | None = None) -> tuple[TimedStep, ...]:
    """Return the visit from 09:00 on, with its first steps in these statuses."""
    steps = walk(VISIT, clock("09:00"), waits=waits)
    begun = [replace(timed, status=StepStatus(status)) for timed, status in zip(steps, statuses, strict=False)]
    return (*begun, *steps[len(begun) :])


def test_w5_a_step_that_overruns_delays_later_steps_and_preparation() -> None:
    assert shown(retime(under_way("completed", "in_progress"), clock("09:22"))) == [
        "1 09:00-09:05",
        "2 09:05-09:15",
        "3 09:27-09:47",
        "4 09:47-09:57",
    ]


def test_w5_a_step_in_progress_that_is_on_time_delays_no_step() -> None:
    steps = under_way("completed", "in_progress")
    assert retime(steps, clock("09:10")) == steps


def test_w5_a_visit_that_has_not_begun_starts_at_now() -> None:
    assert shown(retime(under_way(), clock("09:03")))[0] == "1 09:03-09:08"


def test_w5_a_delay_shortens_the_wait_first() -> None:
    steps = under_way("in_progress", waits={2: minutes(15)})
    assert shown(retime(steps, clock("09:12")))[1:3] == ["2 09:20-09:30", "3 09:35-09:55"]


def test_w5_preparation_is_kept_after_a_step_that_was_completed_late() -> None:
    reception, sample, consultation, aftercare = under_way("completed", "completed")
    late = replace(sample, end_at=clock("09:21"))
    assert shown(retime((reception, late, consultation, aftercare), clock("09:22")))[2] == "3 09:26-09:46"


def test_w5_a_step_completed_ahead_of_its_plan_delays_no_step() -> None:
    """The aftercare was done first, and the consultation, which needs preparation, is due."""
    done = replace(under_way()[3], status=StepStatus.COMPLETED)
    steps = (*under_way("completed", "cancelled")[:3], done)
    assert retime(steps, clock("09:20")) == steps


@pytest.mark.parametrize("status", ["cancelled", "no_show"])
def test_w5_a_cancelled_step_or_no_show_delays_no_step(status: str) -> None:
    """The preparation of the next step does not wait for that step either."""
    reception, sample, consultation, aftercare = under_way("completed", status)
    steps = (reception, replace(sample, end_at=clock("09:18")), consultation, aftercare)
    assert retime(steps, clock("09:18")) == steps


def test_w5_the_order_in_which_the_steps_are_given_changes_nothing() -> None:
    steps = under_way("in_progress")
    assert retime(steps[::-1], clock("09:30")) == retime(steps, clock("09:30"))


def test_w5_a_step_left_for_later_waits_for_the_one_in_progress() -> None:
    reception, sample, consultation, aftercare = under_way("completed")
    begun = replace(consultation, status=StepStatus.IN_PROGRESS)
    assert shown(retime((reception, sample, begun, aftercare), clock("09:30"))) == [
        "1 09:00-09:05",
        "2 09:40-09:50",
        "3 09:20-09:40",
        "4 09:50-10:00",
    ]


def test_w5_the_real_length_of_a_step_is_kept() -> None:
    (timed,) = walk(replace(VISIT, steps=(AFTERCARE,)), clock("09:00"))
    longer = replace(timed, end_at=clock("09:45"))
    assert shown(retime([longer], clock("10:00"))) == ["4 10:00-10:45"]


def test_w5_two_steps_at_one_position_are_refused() -> None:
    (timed, *_) = under_way()
    with pytest.raises(InvalidWorkflowError, match="two steps of the visit are at position 1"):
        retime([timed, timed], clock("09:00"))


@pytest.mark.parametrize(
    ("estimate", "error"),
    [(None, None), (minutes(50), None), (minutes(60), minutes(10)), (minutes(0), minutes(-50))],
)
def test_w6_an_estimate_that_disagrees_with_the_steps_is_reported(
    estimate: timedelta | None, error: timedelta | None
) -> None:
    assert replace(VISIT, total_estimated=estimate).estimate_error == error


def test_w7_each_timed_step_names_its_resource_and_its_place() -> None:
    kinds = [[need.kind for need in timed.step.all_needs] for timed in walk(VISIT, clock("09:00"))]
    assert kinds == [[], ["chair", "nurse"], ["doctor"], ["doctor"]]
    assert [timed.location_type for timed in walk(VISIT, clock("09:00"))] == [None, "laboratory", None, None]
    assert [step.has_doctor for step in VISIT.steps] == [False, False, True, True]


def test_a_workflow_keeps_its_steps_in_position_order() -> None:
    shuffled = replace(VISIT, steps=(AFTERCARE, SAMPLE, CONSULTATION, RECEPTION))
    assert shuffled == VISIT


def test_ids_may_be_uuids() -> None:
    assert replace(VISIT, id=UUID(int=3)).id == UUID(int=3)


def test_a_status_read_as_text_becomes_the_status() -> None:
    text: Any = "in_progress"
    assert replace(under_way()[0], status=text).status is StepStatus.IN_PROGRESS


@pytest.mark.parametrize(
    ("value", "change", "message"),
    [
        (RECEPTION.template, {"id": None}, "step template id must be"),
        (RECEPTION.template, {"id": True}, "step template id must be"),
        (RECEPTION.template, {"name": " "}, "step template 1: name"),
        (RECEPTION.template, {"name": 5}, "step template 1: name"),
        (RECEPTION.template, {"default_duration": minutes(0)}, "step template 1: default_duration .* longer"),
        (RECEPTION.template, {"default_duration": 5}, "default_duration must be a timedelta"),
        (RECEPTION, {"position": 0}, "position must be a whole number from 1, not 0"),
        (RECEPTION, {"position": True}, "position must be"),
        (RECEPTION, {"position": "1"}, "position must be"),
        (RECEPTION, {"duration": minutes(0)}, "step 1: duration"),
        (RECEPTION, {"location_type": ""}, "step 1: location_type"),
        (RECEPTION, {"preparation": minutes(-1)}, "step 1: preparation"),
        (RECEPTION, {"preparation": None}, "step 1: preparation"),
        (RECEPTION, {"max_wait": minutes(-1)}, "step 1: max_wait"),
        (RECEPTION, {"needs": "doctor"}, "step 1: needs must be a sequence of Need, not str"),
        (RECEPTION, {"needs": (Need("room"), Need("room", 2))}, "step 1: needs must name each kind once"),
        (Need("room"), {"kind": ""}, "need: kind must be"),
        (Need("room"), {"kind": "patient"}, "need: kind must not be patient"),
        (Need("room"), {"kind": "doctor", "quantity": 2}, "need of doctor: a visit has one doctor"),
        (Need("room"), {"quantity": 0}, "need of room: quantity must be a whole number from 1"),
        (Need("room"), {"same_as": 0}, "need of room: same_as must be a whole number from 1"),
        (VISIT, {"steps": needing({"room": 1}, {"nurse": Need("nurse", same_as=1)})}, "step 2: same_as 1 must name"),
        (VISIT, {"steps": needing({"room": 2}, {"room": Need("room", same_as=1)})}, "step 2: same_as 1 must name"),
        (VISIT, {"steps": needing({"room": Need("room", same_as=2)}, {"room": 1})}, "step 1: same_as 2 must name"),
        (
            VISIT,
            {"steps": needing({"room": 1}, {"room": Need("room", same_as=1)}, {"room": Need("room", same_as=2)})},
            "step 3: same_as 2 must name",
        ),
        (
            VISIT,
            {
                "steps": needing(
                    {"room": 1, "nurse": 1}, {"room": Need("room", same_as=1), "nurse": Need("nurse", same_as=1)}
                )
            },
            "same_as is for one kind of a workflow, not for nurse, room",
        ),
        (VISIT, {"id": 1.5}, "workflow id"),
        (VISIT, {"name": ""}, "workflow 1: name"),
        (VISIT, {"service_offering_id": None}, "workflow 1: service_offering_id"),
        (VISIT, {"steps": (SAMPLE, RECEPTION, SAMPLE)}, "two steps are at position 2"),
        (VISIT, {"steps": ()}, "workflow 1 is active and has no step"),
        (VISIT, {"insurance_plan_id": True}, "workflow 1: insurance_plan_id"),
        (VISIT, {"total_estimated": minutes(-1)}, "workflow 1: total_estimated"),
        (PLAN, {"id": None}, "insurance plan id"),
        (PLAN, {"name": ""}, "insurance plan 7: name"),
        (PLAN, {"effective_from": "2027-01-01"}, "insurance plan 7: effective_from must be a date"),
        (PLAN, {"effective_to": clock("09:00")}, "insurance plan 7: effective_to must be a date"),
        (PLAN, {"effective_to": date(2026, 12, 31)}, "effective_to 2026-12-31 is before effective_from"),
        (ACCEPTED, {"facility_id": None}, "facility_id"),
        (ACCEPTED, {"insurance_plan_id": None}, "insurance_plan_id"),
        (ACCEPTED, {"accepted_since": 2027}, "accepted_since must be a date"),
        (walk(VISIT, clock("09:00"))[1], {"end_at": clock("09:05")}, "step 2: span .* is empty"),
        (walk(VISIT, clock("09:00"))[1], {"start_at": datetime(2027, 3, 1)}, "step 2: start .* is naive"),
        (walk(VISIT, clock("09:00"))[1], {"status": "skipped"}, "step 2: status: 'skipped' is not a step status"),
    ],
)
def test_an_invalid_field_is_refused(value: Any, change: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidWorkflowError, match=message):
        replace(value, **change)


@pytest.mark.parametrize(("first", "last"), [(None, None), (DAY, None), (None, DAY), (DAY, DAY)])
def test_w1_a_plan_open_at_either_side_is_in_force(first: date | None, last: date | None) -> None:
    chosen = select_workflow(
        [offered(1)],
        service_offering_id=4,
        day=DAY,
        insurance_plan=InsurancePlan(7, "Open", effective_from=first, effective_to=last),
        acceptance=PlanAcceptance(5, 7),
    )
    assert chosen.id == 1
