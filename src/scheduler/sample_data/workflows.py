"""Sample workflows: the steps of a visit, for each offering.

Owns: the invented step templates, workflows, their steps and needs, as rows and as values of the core.
Must not know: appointments.

Every offering has a general workflow, and one with an additional step for an insurance plan. The reception needs
nobody; every other step needs the doctor and a room.
"""

from dataclasses import dataclass
from typing import Final

import scheduler.models as rows
from scheduler.core.workflows import DOCTOR, PATIENT, Workflow
from scheduler.postgres.workflows import StepIds, StoredStep, workflow_of
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.places import Places

_TEMPLATES: Final = (("Reception", 5), ("Insurance check", 5), ("Treatment", 15))


@dataclass(frozen=True)
class WalkableWorkflow:
    """A workflow as the value that `walk` takes, and the ids of its steps. The rows of a visit refer to these."""

    workflow: Workflow
    step_ids: StepIds


def make_workflows(
    factory: Factory, places: Places, plan: rows.InsurancePlan
) -> dict[tuple[int, bool], WalkableWorkflow]:
    """Make workflows; return them by offering, and whether they are for patients of the plan."""
    templates = factory.write(
        [factory.build(rows.StepTemplate, name=name, default_duration_minutes=minutes) for name, minutes in _TEMPLATES]
    )
    kinds = [(offering, insured) for offering in places.offerings for insured in (False, True)]
    workflows = factory.write(
        factory.build(
            rows.ServiceWorkflow,
            service_offering_id=offering.id,
            insurance_plan_id=plan.id if insured else None,
            name="insured visit" if insured else "visit",
            total_estimated_minutes=places.lengths[offering.id or 0],
        )
        for offering, insured in kinds
    )
    made = {}
    for (offering, insured), workflow in zip(kinds, workflows, strict=True):
        used_templates = [template for template in templates if insured or template.name != "Insurance check"]
        last_minutes = workflow.total_estimated_minutes - sum(
            template.default_duration_minutes for template in used_templates[:-1]
        )
        steps = [
            factory.build(
                rows.WorkflowStep,
                service_workflow_id=workflow.id,
                step_template_id=template.id,
                position=position,
                duration_minutes=last_minutes if template is used_templates[-1] else None,
                location_type="reception" if position == 1 else "room",
                can_be_skipped=position == 1,
            )
            for position, template in enumerate(used_templates, start=1)
        ]
        stored = [StoredStep(step, template, []) for step, template in zip(steps, used_templates, strict=True)]
        made[offering.id or 0, insured] = (workflow, stored)
    all_steps = [step for _, steps in made.values() for step in steps]
    factory.write([step for step, _, _ in all_steps])
    for step, _, needs in all_steps:
        needed = (PATIENT,) if step.location_type == "reception" else (DOCTOR, "room")
        needs.extend(factory.build(rows.WorkflowStepNeed, workflow_step_id=step.id, kind=each) for each in needed)
    factory.write(need for _, _, needs in all_steps for need in needs)
    return {
        kind: WalkableWorkflow(workflow_of(workflow, steps), {step.position: step.id or 0 for step, _, _ in steps})
        for kind, (workflow, steps) in made.items()
    }
