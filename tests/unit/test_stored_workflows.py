"""Rows of workflows: the `meta` of a step, the rows of its needs, and the rows of an appointment's steps."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from scheduler import models
from scheduler.core.errors import InvalidWorkflowError
from scheduler.core.visits import walk
from scheduler.core.workflows import Need, StepTemplate, Workflow, WorkflowStep
from scheduler.postgres.workflows import StoredStep, appointment_steps, meta_of, needs_of, step_of, template_of

TENANT = uuid4()
SCAN = models.StepTemplate(tenant_id=TENANT, id=3, name="scan", default_duration_minutes=20, requires_location=True)


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def stored(*needs: models.WorkflowStepNeed, **fields: Any) -> StoredStep:
    row = {"position": 2, "step_template_id": 3, "service_workflow_id": 1}
    return StoredStep(models.WorkflowStep(**{"tenant_id": TENANT, **row, **fields}), SCAN, list(needs))


def need(kind: str, quantity: int = 1, same_as_position: int | None = None) -> models.WorkflowStepNeed:
    return models.WorkflowStepNeed(
        tenant_id=TENANT, workflow_step_id=7, kind=kind, quantity=quantity, same_as_position=same_as_position
    )


def test_w2_preparation_and_waits_are_in_the_meta_of_a_step() -> None:
    step = step_of(stored(requires_preparation=True, meta={"preparation_minutes": 5, "max_wait_minutes": 10}))
    assert (step.lead, step.max_wait, step.length) == (minutes(5), minutes(10), minutes(20))


@pytest.mark.parametrize(
    ("needs", "kinds"),
    [
        (None, []),
        ((), ["patient"]),
        ((Need("doctor"),), ["doctor"]),
        ((Need("room"), Need("nurse", 2, same_as=1), Need("doctor")), ["doctor", "nurse", "room"]),
    ],
)
def test_w7_the_rows_of_a_steps_needs_are_read_as_they_were_written(
    needs: tuple[Need, ...] | None, kinds: list[str]
) -> None:
    step = WorkflowStep(2, template_of(SCAN), needs=needs)
    rows = needs_of(step, tenant_id=TENANT)
    assert [row.kind for row in rows] == kinds
    assert step_of(stored(*rows[::-1])) == step


def test_w7_a_stored_step_without_needs_has_the_doctor() -> None:
    assert step_of(stored()).all_needs == (Need("doctor"),)
    assert step_of(stored(need("patient"))).all_needs == ()
    assert step_of(stored(need("room", 2, same_as_position=1))).all_needs == (Need("room", 2, same_as=1),)


def test_w7_a_stored_step_needs_nobody_or_somebody() -> None:
    with pytest.raises(InvalidWorkflowError, match="kind must not be patient"):
        step_of(stored(need("nurse"), need("patient")))


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
        step_of(stored(meta=meta))


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
    rows = appointment_steps(timed, {1: 11, 2: 12, 3: 13}, tenant_id=TENANT, appointment_id=5)
    assert [
        (row.appointment_id, row.workflow_step_id, row.step_template_id, row.position, row.location) for row in rows
    ] == [(5, 12, 3, 2, "lab"), (5, 13, 3, 3, None)]
    assert [(f"{row.scheduled_start_at:%H:%M}", f"{row.scheduled_end_at:%H:%M}", row.status) for row in rows] == [
        ("09:00", "09:20", "scheduled"),
        ("09:20", "09:30", "scheduled"),
    ]
    with pytest.raises(InvalidWorkflowError, match="no step at position 3"):
        appointment_steps(timed, {2: 12}, tenant_id=TENANT, appointment_id=5)
