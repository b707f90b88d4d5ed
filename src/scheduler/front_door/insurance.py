"""Insurance: providers, their plans, and the facilities that accept a plan.

Owns: the fields of providers and plans, and the acceptance of a plan.
Must not know: which workflow a plan leads to (`workflows`).
"""

from collections.abc import Mapping
from datetime import date
from typing import ClassVar, TypedDict, Unpack

from sqlmodel import col, select

from scheduler import models
from scheduler.core.errors import NotFoundError
from scheduler.core.ids import FacilityId, PlanId, ProviderId, RowId
from scheduler.core.insurance import PlanAcceptance
from scheduler.core.readers import day, optional, text
from scheduler.front_door.context import Context
from scheduler.front_door.fields import Field, reference
from scheduler.front_door.parts import AnyFacility
from scheduler.front_door.repository import Repository
from scheduler.postgres.savepoints import refusable
from scheduler.postgres.workflows import acceptance_of, plan_of

AnyPlan = PlanId | models.InsurancePlan


class ProviderFields(TypedDict, total=False):
    """Fields of an insurance provider that `change` takes."""

    name: str
    website: str | None


class Providers(Repository[models.InsuranceProvider, ProviderId, ProviderId | models.InsuranceProvider]):
    """The insurance providers of a tenant. None is deleted, since patients and past visits have its plans."""

    _model = models.InsuranceProvider
    _id = ProviderId
    _noun = "insurance provider"
    _fields: ClassVar[Mapping[str, Field]] = {
        "name": Field("name", text),
        "website": Field("website", optional(text)),
    }

    def add(self, name: str, *, website: str | None = None) -> ProviderId:
        """Add an insurance provider and return the id.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
        """
        return self._insert(name=name, website=website)

    def change(self, provider: ProviderId | models.InsuranceProvider, **fields: Unpack[ProviderFields]) -> None:
        """Change fields of an insurance provider. Errors are those of `add`."""
        self._update(provider, fields)


class PlanFields(TypedDict, total=False):
    """Fields of an insurance plan that `change` takes."""

    code: str
    name: str
    effective_from: date | None
    effective_to: date | None


class Plans(Repository[models.InsurancePlan, PlanId, AnyPlan]):
    """The insurance plans of a tenant. None is deleted, since past visits have its workflows: give it an end."""

    _model = models.InsurancePlan
    _id = PlanId
    _noun = "insurance plan"
    _fields: ClassVar[Mapping[str, Field]] = {
        "provider": Field("insurance_provider_id", reference(ProviderId, models.InsuranceProvider), fixed=True),
        "code": Field("plan_code", text),
        "name": Field("name", text),
        "effective_from": Field("effective_from", optional(day)),
        "effective_to": Field("effective_to", optional(day)),
    }

    def add(
        self,
        provider: ProviderId | models.InsuranceProvider,
        code: str,
        *,
        name: str,
        effective_from: date | None = None,
        effective_to: date | None = None,
    ) -> PlanId:
        """Add an insurance plan and return the id. Both days are days on which it is in force; None leaves it open.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            MissingReferenceError: there is no such provider.
            DuplicateError: the provider has a plan with this code.
        """
        return self._insert(
            provider=provider, code=code, name=name, effective_from=effective_from, effective_to=effective_to
        )

    def change(self, plan: AnyPlan, **fields: Unpack[PlanFields]) -> None:
        """Change fields of an insurance plan; its provider stays. Errors are those of `add`."""
        self._update(plan, fields)

    def _check(self, row: models.InsurancePlan) -> None:
        plan_of(row)


class _Acceptances(Repository[models.FacilityInsurancePlan, RowId, RowId]):
    """The acceptances of plans by facilities, which have no id for callers: a facility and a plan name one."""

    _model = models.FacilityInsurancePlan
    _id = RowId
    _noun = "acceptance"
    _fields: ClassVar[Mapping[str, Field]] = {
        "plan": Field("insurance_plan_id", reference(PlanId, models.InsurancePlan)),
        "at": Field("facility_id", reference(FacilityId, models.Facility), model=models.Facility),
        "since": Field("accepted_since", optional(day)),
    }

    def find(self, plan: object, at: object) -> models.FacilityInsurancePlan | None:
        """Return the acceptance of a plan by a facility."""
        columns = self._columns({"plan": plan, "at": at})
        row = models.FacilityInsurancePlan
        query = select(row).where(
            col(row.insurance_plan_id) == columns["insurance_plan_id"], col(row.facility_id) == columns["facility_id"]
        )
        return self._session.exec(query).first()

    def at(self, facility: object) -> tuple[PlanAcceptance, ...]:
        """Return the acceptances of a facility, by plan."""
        row = models.FacilityInsurancePlan
        where = col(row.facility_id) == self._columns({"at": facility})["facility_id"]
        found = self._session.exec(select(row).where(where).order_by(col(row.insurance_plan_id)))
        return tuple(map(acceptance_of, found))

    def set(self, plan: object, at: object, since: object) -> None:
        """Write an acceptance, or change the one that is there."""
        columns = self._columns({"plan": plan, "at": at, "since": since})
        row = self.find(plan, at)
        if row is None:
            self._write(models.FacilityInsurancePlan(tenant_id=self._context.tenant_id, enabled=True, **columns))
            return
        with refusable(self._session):
            row.enabled, row.accepted_since = True, columns["accepted_since"]
            self._session.flush()

    def _check(self, row: models.FacilityInsurancePlan) -> None:
        acceptance_of(row)


class Insurance:
    """Insurance: its `providers`, their `plans`, and the facilities that accept them."""

    def __init__(self, context: Context) -> None:
        self.providers: Providers = Providers(context)
        self.plans: Plans = Plans(context)
        self._acceptances = _Acceptances(context)
        self._session = context.session

    def add_provider(self, name: str, *, website: str | None = None) -> ProviderId:
        """Add an insurance provider and return the id: `providers.add`."""
        return self.providers.add(name, website=website)

    def add_plan(
        self,
        provider: ProviderId | models.InsuranceProvider,
        code: str,
        *,
        name: str,
        effective_from: date | None = None,
        effective_to: date | None = None,
    ) -> PlanId:
        """Add an insurance plan and return the id: `plans.add`."""
        return self.plans.add(provider, code, name=name, effective_from=effective_from, effective_to=effective_to)

    def accept(self, plan: AnyPlan, *, at: AnyFacility, since: date | None = None) -> None:
        """Let a facility accept a plan from a day on, or without a first day; an earlier answer is replaced.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            NotFoundError: there is no such facility.
            MissingReferenceError: there is no such plan.
        """
        self._acceptances.set(plan, at, since)

    def refuse(self, plan: AnyPlan, *, at: AnyFacility) -> None:
        """Let a facility no longer accept a plan. Visits stay.

        Raises:
            InvalidInputError: an argument is of another kind.
            NotFoundError: there is no such facility, or it has never accepted the plan.
        """
        row = self._acceptances.find(plan, at)
        if row is None:
            raise NotFoundError("the facility has not accepted this plan")
        with refusable(self._session):
            row.enabled = False
            self._session.flush()

    def accepted(self, at: AnyFacility) -> tuple[PlanAcceptance, ...]:
        """Return the answers of a facility to plans, accepted or no longer, by plan.

        Raises:
            InvalidInputError: the argument is of another kind.
        """
        return self._acceptances.at(at)
