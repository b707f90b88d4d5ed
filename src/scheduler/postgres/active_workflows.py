"""Active workflows: those of many offerings, read in one statement.

Owns: the statement that reads from which workflows the visits of offerings choose (W1).
Must not know: which workflow is chosen (`core.insurance`), how a row becomes a value (`workflows`).
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, NamedTuple

from pydantic import JsonValue
from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import InvalidWorkflowError
from scheduler.core.workflows import Workflow, WorkflowStep
from scheduler.postgres.workflows import StoredStep, step_of

_MINUTE: Final = timedelta(minutes=1)
_ACTIVE: Final = text("""
select workflow.service_offering_id, workflow.id, workflow.name, workflow.insurance_plan_id,
    workflow.total_estimated_minutes,
    step.position, step.duration_minutes, step.location_type, step.requires_preparation, step.can_be_skipped, step.meta,
    template.id, template.name, template.default_duration_minutes, template.requires_location,
    need.kind, need.quantity, need.same_as_position
from scheduling.service_workflows workflow
left join scheduling.workflow_steps step
    on step.tenant_id = workflow.tenant_id and step.service_workflow_id = workflow.id
left join scheduling.step_templates template
    on template.tenant_id = step.tenant_id and template.id = step.step_template_id
left join scheduling.workflow_step_needs need
    on need.tenant_id = step.tenant_id and need.workflow_step_id = step.id
where workflow.tenant_id = (select identity.current_tenant_id())
  and workflow.service_offering_id = any(cast(:offerings as bigint[]))
  and workflow.active
  and (workflow.insurance_plan_id is null or workflow.insurance_plan_id = :plan or workflow.id = :workflow)
order by workflow.id
""")


class _Step(NamedTuple):
    position: int
    duration_minutes: int | None
    location_type: str | None
    requires_preparation: bool
    can_be_skipped: bool
    meta: dict[str, JsonValue] | None


class _Template(NamedTuple):
    id: int
    name: str
    default_duration_minutes: int
    requires_location: bool


class _Need(NamedTuple):
    kind: str
    quantity: int
    same_as_position: int | None


def workflows_of(
    session: Session, offering_ids: Iterable[int], *, plan_id: int | None, workflow_id: int | None = None
) -> Mapping[int, tuple[Workflow, ...] | InvalidWorkflowError]:
    """Return the active workflows of offerings for a plan and for no plan, or the error that their rows raise.

    The workflow with the id is among them, whatever its plan.
    """
    named: dict[int, dict[int, tuple[Any, ...]]] = {}
    steps: dict[int, dict[int, StoredStep]] = {}
    found = session.connection().execute(
        _ACTIVE, {"offerings": list(offering_ids), "plan": plan_id, "workflow": workflow_id}
    )
    for offering_id, id_, *rest in found:
        named.setdefault(offering_id, {})[id_] = tuple(rest[:3])
        if rest[3] is None:
            continue
        of_workflow = steps.setdefault(id_, {})
        stored = of_workflow.get(rest[3])
        if stored is None:
            step: Any = _Step(*rest[3:9])
            template: Any = _Template(*rest[9:13])
            stored = of_workflow[rest[3]] = StoredStep(step, template, [])
        if rest[13] is not None:
            need: Any = _Need(*rest[13:])
            stored.needs.append(need)
    known: dict[str, WorkflowStep] = {}  # the workflows of doctors often have the same steps

    def value_of(stored: StoredStep) -> WorkflowStep:
        key = repr(stored)
        if key not in known:
            known[key] = step_of(stored)
        return known[key]

    workflows: dict[int, tuple[Workflow, ...] | InvalidWorkflowError] = {}
    for offering_id, of_offering in named.items():
        try:
            workflows[offering_id] = tuple(
                Workflow(
                    id_,
                    name,
                    offering_id,
                    tuple(map(value_of, steps.get(id_, {}).values())),
                    insurance_plan_id=plan,
                    total_estimated=minutes * _MINUTE,
                )
                for id_, (name, plan, minutes) in of_offering.items()
            )
        except InvalidWorkflowError as error:
            workflows[offering_id] = error
    return workflows
