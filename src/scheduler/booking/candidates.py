"""Offerings sought: which offerings may serve a visit, with what decides about them.

Owns: the statements that read offerings, and the resources of facilities.
Must not know: calendars, slots, which visit is found.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from scheduler.booking.errors import NoSuchNeedError, NotOfferedError
from scheduler.booking.payers import Payer
from scheduler.booking.policies import policies_of
from scheduler.booking.sought_visits import Sought
from scheduler.core.calendars import Resource
from scheduler.core.channels import DESK
from scheduler.core.errors import InvalidWorkflowError, WorkflowNotFoundError
from scheduler.core.offers import WantedVisit
from scheduler.core.overrides import BookingRule
from scheduler.core.policies import ANY_START, Starts
from scheduler.core.policy_rows import Place
from scheduler.core.spans import Span
from scheduler.core.visits import left_of
from scheduler.core.workflows import DOCTOR, LONGEST_VISIT, Workflow, WorkflowStep
from scheduler.core.zones import EARLIEST, LATEST, MICROSECOND, before, instant_at, zone_of
from scheduler.postgres.active_workflows import workflows_of
from scheduler.postgres.resource_schedules import openings_of
from scheduler.postgres.schedules import ScheduleKey

_DAY: Final = timedelta(days=1)
_OFFERINGS: Final = text("""
select offering.id, offering.doctor_id, offering.facility_id, facility.timezone,
    offering.buffer_before_minutes, offering.buffer_after_minutes, offering.service_id, exists (
        select from scheduling.booking_caps where tenant_id = (select identity.current_tenant_id())
    ) as may_be_capped
from scheduling.service_offerings offering
join scheduling.facilities facility
    on facility.tenant_id = offering.tenant_id and facility.id = offering.facility_id and facility.deleted_at is null
join scheduling.doctors doctor
    on doctor.tenant_id = offering.tenant_id and doctor.id = offering.doctor_id and doctor.deleted_at is null
join scheduling.facility_doctors post
    on post.tenant_id = offering.tenant_id and post.doctor_id = offering.doctor_id
    and post.facility_id = offering.facility_id and post.active
where offering.tenant_id = (select identity.current_tenant_id())
  and (offering.service_id = :service or offering.id = :offering)
  and offering.active and (offering.visibility = 'public' or :private)
  and (cast(:doctors as bigint[]) is null or offering.doctor_id = any(cast(:doctors as bigint[])))
  and (cast(:facilities as bigint[]) is null or offering.facility_id = any(cast(:facilities as bigint[])))
order by offering.id
""")
_RESOURCES: Final = text("""
select resource.id, resource.kind, resource.facility_id, resource.doctor_id, exists (
    select from scheduling.resource_rules rule
    where rule.tenant_id = resource.tenant_id and rule.resource_id = resource.id
) or exists (
    select from scheduling.resource_exceptions exception
    where exception.tenant_id = resource.tenant_id and exception.resource_id = resource.id
) or exists (
    select from scheduling.facility_closures closure
    where closure.tenant_id = resource.tenant_id and closure.facility_id = resource.facility_id
      and closure.day >= :since
) as has_hours
from scheduling.resources resource
where resource.tenant_id = (select identity.current_tenant_id()) and resource.active
  and resource.facility_id = any(cast(:facilities as bigint[])) and resource.kind = any(cast(:kinds as text[]))
order by resource.id
""")


class Offering(NamedTuple):
    """An offering that may serve the visit: its doctor, facility with zone, buffers in minutes, and service.

    It may be capped if the tenant has any caps.
    """

    id: int
    doctor_id: int
    facility_id: int
    zone: str
    buffer_before: int
    buffer_after: int
    service_id: int
    may_be_capped: bool

    @property
    def key(self) -> ScheduleKey:
        """The key of the schedule of its doctor there."""
        return ScheduleKey(self.doctor_id, self.facility_id)


class Fit(NamedTuple):
    """An offering with the workflow of its visits, the span that is sought, and the limits of plan and policy.

    The policy does not narrow the span: it narrows `bookable`, and has its `starts`.
    """

    offering: Offering
    workflow: Workflow
    steps: Sequence[WorkflowStep]
    span: Span
    bookable: Span | None
    starts: Starts = ANY_START


class Fitting(NamedTuple):
    """The offerings that can serve the visit at all, and the resources of their facilities."""

    fits: Sequence[Fit]
    resources: Sequence[Resource]


def fitting(session: Session, sought: Sought, span: Span) -> Fitting:
    """Return the offerings that can serve the visit in a span.

    Those that lack a workflow for the plan, a resource that a step needs, or a step that is to be skipped are left out.

    Raises:
        NotFoundError: there is no such plan.
        WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: no offering is left: why the first is left out.
    """
    offerings = _offerings(session, sought)
    if not offerings:
        return Fitting((), ())
    workflow_id: Any = None if sought.wanted is None else sought.wanted.workflow_id
    ids = [offering.id for offering in offerings]
    workflows = workflows_of(session, ids, plan_id=sought.plan_id, workflow_id=workflow_id)
    plan_id, skip = sought.plan_id, frozenset(sought.skip)
    if sought.wanted is not None:
        plan_id, skip = _pinned(workflows.get(ids[0], ()), sought.wanted)
    payer = Payer(session, plan_id, {offering.facility_id for offering in offerings})
    faults: list[InvalidWorkflowError | WorkflowNotFoundError | NoSuchNeedError] = []
    fits = []
    for offering in offerings:
        try:
            fits.append(_fit(offering, workflows.get(offering.id, ()), payer, skip, span))
        except (InvalidWorkflowError, WorkflowNotFoundError) as error:
            faults.append(error)
    resources = _resources(session, fits, before(span.start, LONGEST_VISIT).date())
    complete = []
    for fit in fits:
        fault = _missing_need(fit, resources)
        if fault is None:
            complete.append(fit)
        else:
            faults.append(fault)
    if not complete:
        raise faults[0]
    return Fitting(_by_policy(session, sought, complete), resources)


def _by_policy(session: Session, sought: Sought, fits: list[Fit]) -> list[Fit]:
    """Limit the visits of each offering to the starts that its policy allows."""
    if sought.now is None:
        return fits
    offerings = [fit.offering for fit in fits]
    places = [Place(sought.channel, one.facility_id, one.doctor_id, one.id) for one in offerings]
    allowed = zip(offerings, policies_of(session, places), strict=True)
    found = [_relaxed(policy.starts(sought.now, zone_of(offering.zone)), sought) for offering, policy in allowed]
    return [fit if starts.are_all else _within(fit, starts) for fit, starts in zip(fits, found, strict=True)]


def _relaxed(starts: Starts, sought: Sought) -> Starts:
    """Return the starts without the rules that the visit may break."""
    return starts._replace(
        begin=EARLIEST if BookingRule.NOTICE in sought.relaxed else starts.begin,
        end=LATEST if BookingRule.HORIZON in sought.relaxed else starts.end,
    )


def _within(fit: Fit, starts: Starts) -> Fit:
    return fit._replace(bookable=starts.within(fit.bookable), starts=starts)


def _pinned(workflows: Sequence[Workflow] | InvalidWorkflowError, wanted: WantedVisit) -> tuple[Any, frozenset[int]]:
    """Return the plan of the workflow of a wanted visit, and the positions that the visit leaves out."""
    if isinstance(workflows, InvalidWorkflowError):
        raise workflows
    for workflow in workflows:
        if workflow.id == wanted.workflow_id:
            positions = {step.position for step in workflow.steps}
            return workflow.insurance_plan_id, frozenset(positions.difference(wanted.starts))
    message = (
        f"workflow {wanted.workflow_id} is not in use any more by offering {wanted.offering_id}: find a visit again"
    )
    raise NotOfferedError(message)


def _offerings(session: Session, sought: Sought) -> list[Offering]:
    wanted = {
        "service": sought.service_id,
        "offering": sought.offering_id,
        "private": sought.channel == DESK,
        "doctors": list(sought.doctor_ids) or None,
        "facilities": list(sought.facility_ids) or None,
    }
    return [Offering(*row) for row in session.connection().execute(_OFFERINGS, wanted)]


def _fit(
    offering: Offering,
    workflows: tuple[Workflow, ...] | InvalidWorkflowError,
    payer: Payer,
    skip: frozenset[int],
    span: Span,
) -> Fit:
    if isinstance(workflows, InvalidWorkflowError):
        raise workflows
    zone = zone_of(offering.zone)
    first, last = span.start.astimezone(zone).date(), (span.end - MICROSECOND).astimezone(zone).date()
    workflow, begin, end = payer.workflow(workflows, offering.id, offering.facility_id, first, last)
    # A limit of the plan decides which visit around a slot is the best; the span that is sought does not.
    start_at, end_at = EARLIEST if begin == first else instant_at(zone, begin), LATEST
    if end != last:
        end_at = instant_at(zone, end + _DAY)
    bookable = None if (start_at, end_at) == (EARLIEST, LATEST) else Span(start_at, end_at)
    within = Span(max(span.start, start_at), min(span.end, end_at))
    return Fit(offering, workflow, left_of(workflow, skip), within, bookable)


def _resources(session: Session, fits: Sequence[Fit], since: date) -> list[Resource]:
    kinds = {need.kind for fit in fits for step in fit.steps for need in step.all_needs} - {DOCTOR}
    if not kinds:
        return []
    wanted = {"facilities": list({fit.offering.facility_id for fit in fits}), "kinds": list(kinds), "since": since}
    found = session.connection().execute(_RESOURCES, wanted).all()
    openings = openings_of(session, [row.id for row in found if row.has_hours], since=since)
    return [
        Resource(id_, kind, facility_id, openings.get(id_), doctor_id=doctor_id)
        for id_, kind, facility_id, doctor_id, _ in found
    ]


def _missing_need(fit: Fit, resources: Iterable[Resource]) -> NoSuchNeedError | None:
    """Return an error about the first need of a step for which the facility has too few resources."""
    facility_id, doctor_id = fit.offering.facility_id, fit.offering.doctor_id
    there = Counter(resource.kind for resource in resources if resource.facility_id == facility_id)
    own = Counter(resource.kind for resource in resources if resource.doctor_id == doctor_id)
    for step in fit.steps:
        for need in step.all_needs:
            beside = there[need.kind] - (own[need.kind] if step.has_doctor else 0)
            if need.kind != DOCTOR and beside < need.quantity:
                return NoSuchNeedError(
                    f"step {step.position} ({step.template.name}) needs {need.quantity} of {need.kind},"
                    f" and facility {facility_id} has {beside}",
                    need.kind,
                    facility_id,
                )
    return None
