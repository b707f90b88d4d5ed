"""Workflows in PostgreSQL: rows become the core's workflows, plans and acceptances; timed steps become rows.

Owns: a step's `meta` and rows of needs, loading the workflows of an offering, and the rows of an appointment's steps.
Holds: W2 (declared preparation and allowed waits are in a step's `meta`), W7 (no row of needs means the doctor).
Must not know: which workflow is chosen (`core.insurance`), how steps get their times (`core.visits`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import UUID

from pydantic import JsonValue
from sqlmodel import Session, and_, col, select

from scheduler import models as rows
from scheduler.core.errors import InvalidWorkflowError
from scheduler.core.insurance import InsurancePlan, PlanAcceptance
from scheduler.core.validation import Validator
from scheduler.core.workflows import PATIENT, Need, StepTemplate, TimedStep, Workflow, WorkflowStep

StepIds = Mapping[int, int]
"""The id of a workflow's step, by its position."""

_NEW: Final = "new"
_PREPARATION: Final = "preparation_minutes"
_MAX_WAIT: Final = "max_wait_minutes"
_MINUTE: Final = timedelta(minutes=1)
_CHECK: Final = Validator(InvalidWorkflowError)


class StoredStep(NamedTuple):
    """The rows of a workflow's step: the step itself, its template, and its needs."""

    step: rows.WorkflowStep
    template: rows.StepTemplate
    needs: list[rows.WorkflowStepNeed]


def template_of(row: rows.StepTemplate) -> StepTemplate:
    """Return a step template as the core's value. A row that is not written yet has the id "new", here and below."""
    return StepTemplate(row.id or _NEW, row.name, row.default_duration_minutes * _MINUTE, row.requires_location)


def step_of(stored: StoredStep) -> WorkflowStep:
    """Return a workflow's step as the core's value.

    Raises:
        InvalidWorkflowError: `meta` has a value that cannot be read; the message names the step and the key.
    """
    row, template, needs = stored
    return WorkflowStep(
        row.position,
        template_of(template),
        duration=None if row.duration_minutes is None else row.duration_minutes * _MINUTE,
        location_type=row.location_type,
        requires_preparation=bool(row.requires_preparation),
        can_be_skipped=bool(row.can_be_skipped),
        preparation=_minutes_in(row, _PREPARATION),
        max_wait=_minutes_in(row, _MAX_WAIT),
        needs=_needs_in(needs),
    )


def meta_of(step: WorkflowStep) -> dict[str, JsonValue] | None:
    """Return the `meta` of a workflow's step, or None for a step without anything to keep there.

    Raises:
        InvalidWorkflowError: a length is not whole minutes.
    """
    meta: dict[str, JsonValue] = {}
    for key, length in ((_PREPARATION, step.preparation), (_MAX_WAIT, step.max_wait)):
        if length % _MINUTE:
            field = key.removesuffix("_minutes")
            raise InvalidWorkflowError(f"step {step.position}: {field} must be whole minutes, not {length}")
        if length:
            meta[key] = length // _MINUTE
    return meta or None


def needs_of(step: WorkflowStep, *, tenant_id: UUID) -> list[rows.WorkflowStepNeed]:
    """Return the rows of a step's needs, without the step's id: none for the default, `patient` for nobody."""
    if step.needs is None:
        return []
    need = rows.WorkflowStepNeed
    return [
        need(tenant_id=tenant_id, kind=each.kind, quantity=each.quantity, same_as_position=each.same_as)
        for each in step.needs
    ] or [need(tenant_id=tenant_id, kind=PATIENT)]


def _needs_in(needs: Sequence[rows.WorkflowStepNeed]) -> tuple[Need, ...] | None:
    if [row.kind for row in needs] == [PATIENT]:
        return ()
    return tuple(Need(row.kind, row.quantity, row.same_as_position) for row in needs) or None


def workflow_of(row: rows.ServiceWorkflow, steps: Iterable[StoredStep]) -> Workflow:
    """Return a workflow as the core's value, from its row and the rows of its steps.

    Raises:
        InvalidWorkflowError: the rows contradict each other.
    """
    return Workflow(
        row.id or _NEW,
        row.name,
        row.service_offering_id,
        tuple(step_of(step) for step in steps),
        insurance_plan_id=row.insurance_plan_id,
        total_estimated=row.total_estimated_minutes * _MINUTE,
        active=bool(row.active),
    )


def plan_of(row: rows.InsurancePlan) -> InsurancePlan:
    """Return an insurance plan as the core's value."""
    return InsurancePlan(row.id or _NEW, row.name, row.effective_from, row.effective_to)


def acceptance_of(row: rows.FacilityInsurancePlan) -> PlanAcceptance:
    """Return a facility's acceptance of a plan as the core's value."""
    return PlanAcceptance(row.facility_id, row.insurance_plan_id, bool(row.enabled), row.accepted_since)


def active_workflows(session: Session, offering_id: int) -> tuple[Workflow, ...]:
    """Return the workflows of an offering from which a booking chooses (W1), in the order of their ids.

    Raises:
        InvalidWorkflowError: the rows of a workflow contradict each other, such as an active one without a step.
    """
    workflow = rows.ServiceWorkflow
    query = select(workflow).where(col(workflow.service_offering_id) == offering_id, col(workflow.active))
    found = list(session.exec(query.order_by(col(workflow.id))))
    steps = _steps(session, (int(row.id or 0) for row in found))
    return tuple(workflow_of(row, steps[int(row.id or 0)]) for row in found)


def load_workflow(session: Session, row: rows.ServiceWorkflow) -> Workflow:
    """Return a workflow of which the row is known, with its steps.

    Raises:
        InvalidWorkflowError: the rows contradict each other.
    """
    id_ = int(row.id or 0)
    return workflow_of(row, _steps(session, [id_])[id_])


def follow_length(session: Session, offering_ids: Iterable[int], *, former: int, minutes: int) -> None:
    """Let the one-step workflows of offerings follow a new length of these, if they had the former one.

    Appointments keep their times: their steps are rows of their own.
    """
    workflow = rows.ServiceWorkflow
    query = select(workflow).where(col(workflow.service_offering_id).in_(list(offering_ids)), col(workflow.active))
    found = {int(row.id or 0): row for row in session.exec(query)}
    for id_, steps in _steps(session, found).items():
        if len(steps) == 1:
            (stored,) = steps
            if (stored.step.duration_minutes or stored.template.default_duration_minutes) == former:
                stored.step.duration_minutes = minutes
                found[id_].total_estimated_minutes = minutes + step_of(stored).lead // _MINUTE
    session.flush()


def step_ids(session: Session, workflow_id: int) -> StepIds:
    """Return the ids of a workflow's steps, by position."""
    step = rows.WorkflowStep
    query = select(step.position, step.id).where(col(step.service_workflow_id) == workflow_id)
    return {position: int(id_ or 0) for position, id_ in session.exec(query)}


def appointment_steps(
    timed_steps: Iterable[TimedStep],
    ids: StepIds,
    *,
    tenant_id: UUID,
    appointment_id: int,
) -> list[rows.AppointmentStep]:
    """Return the rows of an appointment's steps, as `walk` times them; they are not written.

    `ids` are those of `step_ids`. The resources of a step are rows of their own.

    Raises:
        InvalidWorkflowError: a step is of another workflow.
    """
    written = []
    for timed in timed_steps:
        if timed.position not in ids:
            raise InvalidWorkflowError(f"the workflow of the appointment has no step at position {timed.position}")
        written.append(
            rows.AppointmentStep(
                tenant_id=tenant_id,
                appointment_id=appointment_id,
                workflow_step_id=ids[timed.position],
                step_template_id=int(timed.step.template.id),
                position=timed.position,
                scheduled_start_at=timed.start_at,
                scheduled_end_at=timed.end_at,
                status=timed.status.value,
                location=timed.location_type,
            )
        )
    return written


def _steps(session: Session, workflow_ids: Iterable[int]) -> dict[int, list[StoredStep]]:
    """Return the steps of workflows, by workflow, in one statement; the core puts steps and needs in order."""
    step, template, need = rows.WorkflowStep, rows.StepTemplate, rows.WorkflowStepNeed
    steps: dict[int, dict[int | None, StoredStep]] = {id_: {} for id_ in workflow_ids}
    of_step = and_(col(template.tenant_id) == col(step.tenant_id), col(template.id) == col(step.step_template_id))
    needed = and_(col(need.tenant_id) == col(step.tenant_id), col(need.workflow_step_id) == col(step.id))
    query = select(step, template, need).join(template, of_step).join(need, needed, isouter=True)
    query = query.where(col(step.service_workflow_id).in_(steps))
    for row, its_template, its_need in session.exec(query) if steps else ():
        stored = steps[row.service_workflow_id].setdefault(row.id, StoredStep(row, its_template, []))
        if its_need is not None:  # a step without needs has no row on the other side of the join
            stored.needs.append(its_need)
    return {id_: list(found.values()) for id_, found in steps.items()}


def _minutes_in(row: rows.WorkflowStep, key: str) -> timedelta:
    """Read whole minutes of a step's `meta`, which other writers fill in as they like."""
    name = f"step {row.position}: meta.{key}"
    value = (row.meta or {}).get(key, 0)
    _CHECK.whole(name, value, lowest=0)
    try:
        return timedelta(minutes=value)  # type: ignore[arg-type]  # a whole number, as just checked
    except OverflowError:
        raise InvalidWorkflowError(f"{name} is too long") from None
