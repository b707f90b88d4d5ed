"""Insurance: plans, their acceptance by facilities, and the choice of a booking's workflow.

Owns: insurance plan and acceptance as values, and the choice of the workflow.
Holds: W1.
Must not know: how steps get their times (`visits`), whose calendar is free.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from scheduler.core.errors import InvalidWorkflowError, WorkflowNotFoundError
from scheduler.core.slots import Id
from scheduler.core.validation import Validator
from scheduler.core.workflows import Workflow

_CHECK: Final = Validator(InvalidWorkflowError)


@dataclass(frozen=True, slots=True)
class InsurancePlan:
    """An insurance plan and the days on which it is in force, both inclusive; None leaves that side open.

    Raises:
        InvalidWorkflowError: a field is invalid, or the plan ends before it begins.
    """

    id: Id
    name: str
    effective_from: date | None = None
    effective_to: date | None = None

    def __post_init__(self) -> None:
        _CHECK.id("insurance plan id", self.id)
        _CHECK.text(f"insurance plan {self.id}: name", self.name)
        effective = ("effective_from", "effective_to")
        _CHECK.days_in_order(f"insurance plan {self.id}", self.effective_from, self.effective_to, names=effective)


@dataclass(frozen=True, slots=True)
class PlanAcceptance:
    """The acceptance of an insurance plan by a facility; `accepted_since` is inclusive, None leaves it open.

    Raises:
        InvalidWorkflowError: a field is invalid; the message names it.
    """

    facility_id: Id
    insurance_plan_id: Id
    enabled: bool = True
    accepted_since: date | None = None

    def __post_init__(self) -> None:
        _CHECK.id("acceptance: facility_id", self.facility_id)
        _CHECK.id("acceptance: insurance_plan_id", self.insurance_plan_id)
        _CHECK.flag("acceptance: enabled", self.enabled)
        if self.accepted_since is not None:
            _CHECK.day("acceptance: accepted_since", self.accepted_since)


def select_workflow(
    workflows: Iterable[Workflow],
    *,
    service_offering_id: Id,
    day: date,
    insurance_plan: InsurancePlan | None = None,
    acceptance: PlanAcceptance | None = None,
) -> Workflow:
    """Return the workflow for a booking: the active one for the patient's plan, else the active plan-less one (W1).

    `day` is the visit's local day at the facility. Without an `acceptance` the facility does not accept the plan. A
    plan that is not in force or not accepted is refused even where a plan-less workflow exists: the caller books
    without insurance by naming no plan.

    Raises:
        WorkflowNotFoundError: no workflow fits, or the plan is not in force on the day or not accepted.
        InvalidWorkflowError: several workflows fit equally, the acceptance is of another plan, or an argument is of
            another kind.
    """
    candidates = _CHECK.sequence("workflows", workflows, Workflow)
    _CHECK.id("service_offering_id", service_offering_id)
    _CHECK.day("day", day)
    if insurance_plan is not None:
        _CHECK.instance("insurance_plan", insurance_plan, InsurancePlan)
    if acceptance is not None:
        _CHECK.instance("acceptance", acceptance, PlanAcceptance)
    if acceptance is not None and (insurance_plan is None or acceptance.insurance_plan_id != insurance_plan.id):
        named = "none" if insurance_plan is None else f"insurance plan {insurance_plan.id}"
        raise InvalidWorkflowError(
            f"the acceptance is of insurance plan {acceptance.insurance_plan_id}, the patient's plan is {named}"
        )
    if insurance_plan is not None:
        _refuse_unusable(insurance_plan, acceptance, day)
    offered = [
        workflow for workflow in candidates if workflow.active and workflow.service_offering_id == service_offering_id
    ]
    plan_less = [workflow for workflow in offered if workflow.insurance_plan_id is None]
    fitting = plan_less
    missing = "none without an insurance plan"
    if insurance_plan is not None:
        fitting = [workflow for workflow in offered if workflow.insurance_plan_id == insurance_plan.id] or plan_less
        missing = f"neither one for insurance plan {insurance_plan.id} ({insurance_plan.name}) nor one without a plan"
    if not fitting:
        raise WorkflowNotFoundError(f"service offering {service_offering_id} lacks an active workflow: {missing}")
    if len(fitting) > 1:
        ids = ", ".join(sorted(str(workflow.id) for workflow in fitting))
        raise InvalidWorkflowError(
            f"service offering {service_offering_id} has several active workflows that fit equally: {ids}"
        )
    return fitting[0]


def _refuse_unusable(plan: InsurancePlan, acceptance: PlanAcceptance | None, day: date) -> None:
    name = f"insurance plan {plan.id} ({plan.name})"
    if plan.effective_from is not None and day < plan.effective_from:
        raise WorkflowNotFoundError(f"{name} is not in force on {day}: it is effective from {plan.effective_from}")
    if plan.effective_to is not None and day > plan.effective_to:
        raise WorkflowNotFoundError(f"{name} is not in force on {day}: it was effective to {plan.effective_to}")
    if acceptance is None:
        raise WorkflowNotFoundError(f"{name} is not accepted by the facility: no acceptance is recorded")
    if not acceptance.enabled:
        raise WorkflowNotFoundError(f"{name} is not accepted by facility {acceptance.facility_id}: it is disabled")
    if acceptance.accepted_since is not None and day < acceptance.accepted_since:
        raise WorkflowNotFoundError(
            f"{name} is not accepted by facility {acceptance.facility_id} on {day}: "
            f"it is accepted since {acceptance.accepted_since}"
        )
