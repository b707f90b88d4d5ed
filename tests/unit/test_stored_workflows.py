"""Rows of workflows: what the `meta` of a step says, and the rows of an appointment's steps."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from scheduler import models
from scheduler.core.errors import InvalidWorkflowError
from scheduler.core.visits import walk
from scheduler.core.workflows import Need, StepTemplate, Workflow, WorkflowStep
from scheduler.postgres.workflows import appointment_steps, meta_of, step_of

TENANT = uuid4()
SCAN = models.StepTemplate(tenant_id=TENANT, id=3, name="scan", default_duration_minutes=20, requires_location=True)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def stored(**fields: Any) -> models.WorkflowStep:
    row = {"position": 2, "step_template_id": 3, "service_workflow_id": 1}
    return models.WorkflowStep(**{"tenant_id": TENANT, **row, **fields})


def test_w2_preparation_and_waits_are_in_the_meta_of_a_step() -> None:
    step = step_of(stored(requires_preparation=True, meta={"preparation_minutes": 5, "max_wait_minutes": 10}), SCAN)
    assert (step.lead, step.max_wait, step.length) == (minutes(5), minutes(10), minutes(20))


@pytest.mark.parametrize(
    ("meta", "needs"),
    [
        (None, (Need("doctor"),)),
        ({}, (Need("doctor"),)),
        ({"resource_kind": "room"}, (Need("room"),)),
        ({"resource_kind": "patient"}, ()),
    ],
)
def test_w7_the_kind_of_resource_is_in_the_meta_of_a_step(meta: dict[str, Any] | None, needs: tuple[Need, ...]) -> None:
    step = step_of(stored(meta=meta), SCAN)
    assert step.all_needs == needs
    assert meta_of(step) == (meta or None)


@pytest.mark.parametrize("needs", [(Need("room"), Need("nurse")), (Need("room", 2),)])
def test_w7_several_resources_have_no_place_in_the_meta(needs: tuple[Need, ...]) -> None:
    step = WorkflowStep(1, StepTemplate(3, "scan", minutes(20)), needs=needs)
    with pytest.raises(InvalidWorkflowError, match="a stored step needs one resource of one kind"):
        meta_of(step)


@pytest.mark.parametrize(
    ("meta", "key"),
    [
        ({"preparation_minutes": "5"}, "meta.preparation_minutes"),
        ({"preparation_minutes": True}, "meta.preparation_minutes"),
        ({"preparation_minutes": 2.5}, "meta.preparation_minutes"),
        ({"max_wait_minutes": -1}, "meta.max_wait_minutes"),
        ({"max_wait_minutes": None}, "meta.max_wait_minutes"),
        ({"max_wait_minutes": 10**30}, "meta.max_wait_minutes"),
    ],
)
def test_a_meta_that_cannot_be_read_is_named_with_its_step(meta: dict[str, Any], key: str) -> None:
    with pytest.raises(InvalidWorkflowError, match=f"^step 2: {key} "):
        step_of(stored(meta=meta), SCAN)


def test_a_kind_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidWorkflowError, match="need: kind must be"):
        step_of(stored(meta={"resource_kind": 7}), SCAN)


def test_the_meta_of_a_plain_step_is_empty() -> None:
    assert meta_of(WorkflowStep(1, StepTemplate(3, "scan", minutes(20)))) is None


@pytest.mark.parametrize("field", ["preparation", "max_wait"])
def test_a_length_between_minutes_has_no_place_in_the_meta(field: str) -> None:
    step = WorkflowStep(1, StepTemplate(3, "scan", minutes(20)), **{field: minutes(2.5)})  # type: ignore[arg-type]
    with pytest.raises(InvalidWorkflowError, match=f"^step 1: {field} must be whole minutes"):
        meta_of(step)


def test_a_walked_visit_has_a_row_for_each_step_that_is_not_skipped() -> None:
    scan = StepTemplate(3, "scan", minutes(20))
    steps = (
        WorkflowStep(1, StepTemplate(4, "form", minutes(5)), can_be_skipped=True),
        WorkflowStep(2, scan, location_type="lab", needs=(Need("device"),)),
        WorkflowStep(3, scan, duration=minutes(10)),
    )
    timed = walk(Workflow(1, "visit", 7, steps), datetime(2027, 3, 1, 9, tzinfo=UTC), skip=[1])
    rows = appointment_steps(timed, {1: 11, 2: 12, 3: 13}, tenant_id=TENANT, appointment_id=5, resources={2: 8})
    assert [
        (row.appointment_id, row.workflow_step_id, row.step_template_id, row.position, row.location, row.resource_id)
        for row in rows
    ] == [(5, 12, 3, 2, "lab", 8), (5, 13, 3, 3, None, None)]
    assert [(f"{row.scheduled_start_at:%H:%M}", f"{row.scheduled_end_at:%H:%M}", row.status) for row in rows] == [
        ("09:00", "09:20", "scheduled"),
        ("09:20", "09:30", "scheduled"),
    ]
    with pytest.raises(InvalidWorkflowError, match="no step at position 3"):
        appointment_steps(timed, {2: 12}, tenant_id=TENANT, appointment_id=5)
