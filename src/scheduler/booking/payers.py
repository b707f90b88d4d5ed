"""Payers: the insurance plan that pays for a visit, and the workflow that follows from it.

Owns: the statements that read a plan, and its acceptance by facilities.
Holds: W1 (the workflow follows from the plan, on the local day of the visit).
Must not know: offerings, which visit is sought.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import NotFoundError
from scheduler.core.insurance import InsurancePlan, PlanAcceptance, select_workflow
from scheduler.core.workflows import Workflow

_PLAN: Final = text("""
select id, name, effective_from, effective_to from scheduling.insurance_plans
where tenant_id = (select identity.current_tenant_id()) and id = :plan
""")
_ACCEPTANCES: Final = text("""
select facility_id, insurance_plan_id, enabled, accepted_since from scheduling.facility_insurance_plans
where tenant_id = (select identity.current_tenant_id()) and insurance_plan_id = :plan
  and facility_id = any(cast(:facilities as bigint[]))
""")


class Payer:
    """The plan that pays, with its acceptance by facilities; or nobody's."""

    def __init__(self, session: Session, plan_id: int | None, facility_ids: Iterable[int]) -> None:
        self.plan: InsurancePlan | None = None
        self._acceptances: Mapping[int, PlanAcceptance] = {}
        if plan_id is None:
            return
        row = session.connection().execute(_PLAN, {"plan": plan_id}).one_or_none()
        if row is None:
            raise NotFoundError(f"no insurance plan has the id {plan_id}")
        self.plan = InsurancePlan(*row)
        accepted = session.connection().execute(_ACCEPTANCES, {"plan": plan_id, "facilities": list(facility_ids)})
        self._acceptances = {row.facility_id: PlanAcceptance(*row) for row in accepted}

    def workflow(
        self, workflows: Iterable[Workflow], offering_id: int, facility_id: int, first: date, last: date
    ) -> tuple[Workflow, date, date]:
        """Return the workflow of the visits of some local days, with the first and last on which the plan pays."""
        begin, end = first, last
        acceptance = self._acceptances.get(facility_id)
        if self.plan is not None:
            starts = [self.plan.effective_from, None if acceptance is None else acceptance.accepted_since]
            begin = min([max([first, *filter(None, starts)]), last])
            end = last if self.plan.effective_to is None else min(last, self.plan.effective_to)
        chosen = select_workflow(
            workflows,
            service_offering_id=offering_id,
            day=begin,
            insurance_plan=self.plan,
            acceptance=acceptance,
        )
        return chosen, begin, end
