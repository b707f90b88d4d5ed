"""Workflows: the steps of an offering's visits, for the patients of one plan or for all.

Owns: the fields of step templates and workflows, the writing of steps, and the reading of the chosen workflow.
Must not know: how steps get their times (`core.visits`).
"""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any, ClassVar, Final, TypedDict, Unpack

from sqlmodel import col, select

from scheduler import models
from scheduler.core.errors import InvalidWorkflowError
from scheduler.core.ids import OfferingId, PlanId, StepTemplateId, WorkflowId, read_id
from scheduler.core.insurance import select_workflow
from scheduler.core.readers import flag, optional, text
from scheduler.core.validation import Validator
from scheduler.core.workflows import DOCTOR, StepTemplate, Workflow, WorkflowStep
from scheduler.core.zones import zone_of
from scheduler.front_door.fields import Field, minutes, reference, resource_kind
from scheduler.front_door.repository import Repository, fit
from scheduler.postgres.savepoints import refusable
from scheduler.postgres.workflows import (
    StoredStep,
    acceptance_of,
    active_workflows,
    load_workflow,
    meta_of,
    needs_of,
    plan_of,
    template_of,
    workflow_of,
)

AnyTemplate = StepTemplateId | StepTemplate | models.StepTemplate
AnyWorkflow = WorkflowId | Workflow | models.ServiceWorkflow

_CHECK: Final = Validator(InvalidWorkflowError)
_MINUTE: Final = timedelta(minutes=1)


class StepTemplateFields(TypedDict, total=False):
    """Fields of a step template that `change` takes."""

    name: str
    duration: timedelta
    requires_location: bool


class StepTemplates(Repository[models.StepTemplate, StepTemplateId, AnyTemplate]):
    """The step templates of a tenant. None is deleted, since workflows and past visits have its steps."""

    _model = models.StepTemplate
    _id = StepTemplateId
    _noun = "step template"
    _owners = (StepTemplate,)
    _fields: ClassVar[Mapping[str, Field]] = {
        "name": Field("name", text),
        "duration": Field("default_duration_minutes", minutes),
        "requires_location": Field("requires_location", flag),
    }

    def add(self, name: str, *, duration: timedelta, requires_location: bool = True) -> StepTemplate:
        """Add a kind of step, such as a blood sample, and return it for the steps of workflows.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
        """
        return self.of(self._insert(name=name, duration=duration, requires_location=requires_location))

    def of(self, template: AnyTemplate) -> StepTemplate:
        """Return a step template as the core's value, as it is stored.

        Raises:
            NotFoundError: there is no such step template.
        """
        return template_of(self.get(template))

    def change(self, template: AnyTemplate, **fields: Unpack[StepTemplateFields]) -> None:
        """Change fields of a step template, and so all steps without a duration of their own. Visits stay.

        The estimates of workflows stay, and `Workflow.estimate_error` reports them. Errors are those of `add`.
        """
        self._update(template, fields)


class WorkflowFields(TypedDict, total=False):
    """Fields of a workflow that `change` takes."""

    name: str
    active: bool


class Workflows(Repository[models.ServiceWorkflow, WorkflowId, AnyWorkflow]):
    """The workflows of a tenant."""

    _model = models.ServiceWorkflow
    _id = WorkflowId
    _noun = "workflow"
    _owners = (Workflow,)
    _is_switched = True
    _fields: ClassVar[Mapping[str, Field]] = {
        "offering": Field("service_offering_id", reference(OfferingId, models.ServiceOffering), fixed=True),
        "plan": Field("insurance_plan_id", optional(reference(PlanId, models.InsurancePlan)), fixed=True),
        "name": Field("name", text),
        "active": Field("active", flag),
    }

    def add(
        self,
        offering: OfferingId | models.ServiceOffering,
        *,
        steps: Sequence[WorkflowStep],
        name: str = "standard",
        plan: PlanId | models.InsurancePlan | None = None,
    ) -> Workflow:
        """Add the steps of an offering's visits, for the patients of one plan or else for all, and return them.

        A step's template counts as it is stored. To put other steps in the place of an active workflow, `replace` it.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            NotFoundError: there is no such step template.
            MissingReferenceError: there is no such offering or plan.
            DuplicateError: the offering has an active workflow for this plan, or for all.
        """
        columns = self._columns({"offering": offering, "plan": plan, "name": name})
        given = _CHECK.sequence("workflow: steps", steps, WorkflowStep)
        with refusable(self._session):
            stored = [self._step(step) for step in given]
            row = models.ServiceWorkflow(
                tenant_id=self._context.tenant_id, total_estimated_minutes=1, active=True, **columns
            )
            value = workflow_of(row, stored)  # refuses what the core would refuse
            row.total_estimated_minutes = sum((step.lead + step.length for step in value.steps), 0 * _MINUTE) // _MINUTE
            fit(
                "workflow: the length of the steps", self._model, "total_estimated_minutes", row.total_estimated_minutes
            )
            self._session.add(row)
            self._session.flush()
            for step, _, _ in stored:
                step.service_workflow_id = int(row.id or 0)
            self._session.add_all(step for step, _, _ in stored)
            self._session.flush()
            for step, _, needs in stored:
                for need in needs:
                    need.workflow_step_id = int(step.id or 0)
                self._session.add_all(needs)
            self._session.flush()
        return workflow_of(row, stored)

    def replace(self, workflow: AnyWorkflow, *, steps: Sequence[WorkflowStep], name: str | None = None) -> Workflow:
        """Put a workflow with other steps in the place of one, and return it. Past visits keep the former's steps.

        Errors are those of `add`.
        """
        with refusable(self._session):
            former = self._switch_off(workflow)
            return self.add(
                OfferingId(former.service_offering_id),
                steps=steps,
                name=former.name if name is None else name,
                plan=None if former.insurance_plan_id is None else PlanId(former.insurance_plan_id),
            )

    def of(
        self,
        offering: OfferingId | models.ServiceOffering,
        *,
        plan: PlanId | models.InsurancePlan | None = None,
        day: date | None = None,
    ) -> Workflow:
        """Return the workflow for a visit (W1): that for the patient's plan, else that for all patients.

        `day` is the visit's local day at the facility, on which the plan must be in force and accepted; None is today.

        Raises:
            WorkflowNotFoundError: there is none, or the plan is not in force or not accepted by the facility.
            NotFoundError: there is no such offering or plan.
            InvalidInputError: an argument is of another kind, or stored steps cannot be read; the message names it.
        """
        offered: Any = self._referred(
            "offering",
            models.ServiceOffering,
            int(self._id_of("workflow: offering", offering, OfferingId, models.ServiceOffering)),
        )
        if day is None:
            facility: Any = self._referred("facility", models.Facility, offered.facility_id)
            day = self._context.clock().astimezone(zone_of(facility.timezone)).date()
        workflows = active_workflows(self._session, offered.id)
        if plan is None:
            return select_workflow(workflows, service_offering_id=offered.id, day=day)
        plan_id = int(self._id_of("workflow: plan", plan, PlanId, models.InsurancePlan))
        acceptance = models.FacilityInsurancePlan
        accepted = self._session.exec(
            select(acceptance).where(
                col(acceptance.facility_id) == offered.facility_id, col(acceptance.insurance_plan_id) == plan_id
            )
        ).first()
        return select_workflow(
            workflows,
            service_offering_id=offered.id,
            day=day,
            insurance_plan=plan_of(self._referred("plan", models.InsurancePlan, plan_id)),
            acceptance=None if accepted is None else acceptance_of(accepted),
        )

    def value(self, workflow: AnyWorkflow) -> Workflow:
        """Return a workflow with its steps as the core's value, also one that is switched off."""
        return load_workflow(self._session, self.get(workflow))

    def change(self, workflow: AnyWorkflow, **fields: Unpack[WorkflowFields]) -> None:
        """Change the name of a workflow, or switch it off and on; `replace` its steps. Errors are those of `add`."""
        self._update(workflow, fields)

    def delete(self, workflow: AnyWorkflow) -> None:
        """Switch a workflow off: no new visit has its steps. Visits that have them keep them."""
        self._switch_off(workflow)

    def _step(self, step: WorkflowStep) -> StoredStep:
        name = f"workflow: step {step.position}"
        template_id = read_id(f"{name}: template", step.template, StepTemplateId, StepTemplate)
        for need in step.all_needs:
            if need.kind != DOCTOR:
                resource_kind(f"{name}: needs: kind", need.kind)
            fit(f"{name}: needs: kind", models.WorkflowStepNeed, "kind", need.kind)
            fit(f"{name}: need of {need.kind}: quantity", models.WorkflowStepNeed, "quantity", need.quantity)
        row = models.WorkflowStep(
            tenant_id=self._context.tenant_id,
            step_template_id=int(template_id),
            position=step.position,
            duration_minutes=None if step.duration is None else minutes(f"{name}: duration", step.duration),
            location_type=None if step.location_type is None else text(f"{name}: location_type", step.location_type),
            requires_preparation=step.requires_preparation,
            can_be_skipped=step.can_be_skipped,
            meta=meta_of(step),
        )
        for column, field in (("position", "position"), ("duration_minutes", "duration"), ("location_type",) * 2):
            fit(f"{name}: {field}", models.WorkflowStep, column, getattr(row, column))
        template = self._referred(f"step {step.position}: template", models.StepTemplate, int(template_id))
        return StoredStep(row, template, needs_of(step, tenant_id=self._context.tenant_id))
