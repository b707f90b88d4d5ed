"""Visit search: the visits that can be booked.

Owns: the reading of a search's arguments, and the plan that pays: the one given, else the patient's own.
Must not know: how visits are found (`booking.searching`), how one is booked.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime, time
from itertools import islice
from typing import Any, Final, TypeVar

from scheduler import models
from scheduler.booking.calls import at_the_desk
from scheduler.booking.day_explanations import DayExplanation, explain_day
from scheduler.booking.overriding import offer_of, refuse_override
from scheduler.booking.people import Person, ask
from scheduler.booking.policies import check_known
from scheduler.booking.refusing import not_offered
from scheduler.booking.searching import Search
from scheduler.booking.sought_visits import Sought
from scheduler.core.channels import DESK, WEB, check_channel
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, PatientId, PlanId, RowId, ServiceId
from scheduler.core.offers import VisitOffer
from scheduler.core.overrides import BookingRule, Override
from scheduler.core.search import find_visits
from scheduler.core.spans import Span, utc
from scheduler.core.validation import Validator
from scheduler.core.weekdays import Weekday
from scheduler.core.zones import in_calendar
from scheduler.front_door.facilities import Facilities
from scheduler.front_door.offerings import Offerings
from scheduler.front_door.patients import Patients
from scheduler.front_door.repository import OfTenant
from scheduler.front_door.services import Services

_CHECK: Final = Validator(InvalidInputError)
_MOST: Final = 2**31 - 1
"""A larger limit is none; `islice` refuses one beyond 2 ** 63."""
_Kind = TypeVar("_Kind", bound=RowId)


class VisitSearch(OfTenant):
    """The visits of a tenant that can be booked."""

    def find(  # noqa: PLR0913  # what a caller can ask for
        self,
        what: ServiceId | models.Service | OfferingId | models.ServiceOffering,
        *,
        between: Span,
        patient: PatientId | models.Patient | None = None,
        plan: PlanId | models.InsurancePlan | None = None,
        doctors: Iterable[DoctorId | models.Doctor] = (),
        facilities: Iterable[FacilityId | models.Facility] = (),
        weekdays: Iterable[Weekday] = (),
        part_of_day: tuple[time, time] | None = None,
        skip: Iterable[int] = (),
        channel: str = DESK,
        limit: int = 10,
    ) -> list[VisitOffer]:
        """Return the earliest visits that start in a span, for a service by any doctor, or one offering.

        Each step has its doctor and resources free, and the patient has no other visit. The workflow is that of the
        plan, by default the patient's. `skip` names positions to leave out, `weekdays` and `part_of_day` are of the
        facility's clock. An offering that cannot serve the visit is left out while another one can. Nothing is held.

        `channel` is `desk` for staff, who also see private offerings and slots that are not released yet. Any other
        word stands for the public: `web`, or one that a policy has. A visit within the notice or after the horizon of
        its policy is not offered. A user who is not staff is of the public in each case.

        Raises:
            InvalidInputError: an argument is invalid; the message names it.
            NotFoundError: there is no such service, offering, patient or plan.
            WorkflowNotFoundError: no workflow serves the plan, or it is not in force or not accepted.
            InvalidWorkflowError: no workflow has the positions to skip, or the steps must not be skipped.
            NoSuchNeedError: a step needs more resources of a kind than the facility has.
        """
        _CHECK.whole("visits: limit", limit)
        _CHECK.instance("visits: between", between, Span)
        days = _CHECK.sequence("visits: weekdays", weekdays, Weekday)
        find_visits((), (), between, weekdays=days, part_of_day=part_of_day)  # refuses what the core refuses
        sought = self._sought(
            what,
            patient=patient,
            plan=plan,
            skip=skip,
            channel=channel,
            doctor_ids=self._ids("doctors", doctors, DoctorId, models.Doctor),
            facility_ids=self._ids("facilities", facilities, FacilityId, models.Facility),
        )
        now = utc(self._context.clock())
        if between.end <= now:
            return []
        with at_the_desk(self._session):
            search = Search(self._session, sought, Span(max(between.start, now), between.end))
            return list(islice(search.offers(weekdays=days, part_of_day=part_of_day), min(limit, _MOST)))

    def offer_at(
        self,
        offering: OfferingId | models.ServiceOffering,
        start_at: datetime,
        *,
        plan: PlanId | models.InsurancePlan | None = None,
        skip: Iterable[int] = (),
        channel: str = DESK,
        override: Override | None = None,
    ) -> VisitOffer:
        """Return the visit that starts at an instant, which is the start of its first step.

        With an `override`, which `book` needs again, it may break the rules that this names.

        Raises:
            NotAllowedError: the user may not override, as in `book`.
            NotOfferedError: no visit starts then; `reasons` has why, `next_start_at` the next start within 35 days.
            InvalidInputError: an argument is invalid; the message names it.
            NotFoundError, WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: as in `find`.
        """
        start = in_calendar(utc(start_at, name="visits: start_at"), start_at)
        sought = self._sought(
            self._offering(offering),
            plan=plan,
            skip=skip,
            channel=channel,
        )
        if override is not None:
            sought = replace(sought, relaxed=self._relaxed(override, offering))
        now = utc(self._context.clock())
        with at_the_desk(self._session):
            if start >= now:
                found = offer_of(self._session, sought, start)
                if found is not None:
                    return found
            raise not_offered(self._session, sought, start, now=now)

    def explain(
        self,
        offering: OfferingId | models.ServiceOffering,
        day: date,
        *,
        channel: str = DESK,
        plan: PlanId | models.InsurancePlan | None = None,
    ) -> DayExplanation:
        """Explain a local day of the facility: each start of the offering, with its visit or why there is none.

        The offered starts are those that `find` returns for the day. A user who is not staff is not told which visits
        and holds there are, nor when a hold ends.

        Raises:
            NotOfferedError: the offering has no visits at all: it is switched off or private, or its schedule invalid.
            InvalidInputError: an argument is invalid; the message names it.
            NotFoundError, WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: as in `find`.
        """
        _CHECK.day("visits: day", day)
        self._offering(offering)  # refuses an object of another kind, `_sought` a number
        sought = self._sought(offering, plan=plan, skip=(), channel=channel)
        facility_id = FacilityId(Offerings(self._context).get(OfferingId(sought.offering_id or 0)).facility_id)
        zone = Facilities(self._context).get(facility_id).timezone
        now = utc(self._context.clock())
        with at_the_desk(self._session):
            return explain_day(self._session, sought, day, zone, now=now, names=sought.names)

    def _offering(self, offering: object) -> OfferingId:
        return OfferingId(self._id_of("visits: offering", offering, OfferingId, models.ServiceOffering))

    def _relaxed(self, override: Override, offering: OfferingId | models.ServiceOffering) -> frozenset[BookingRule]:
        """Return the rules of an override, having seen that the person may break them."""
        _CHECK.instance("visits: override", override, Override)
        doctor_id = int(Offerings(self._context).get(offering).doctor_id)
        refuse_override(self._session, ask(self._session, self._context.user_id), doctor_id)
        return frozenset(override.rules)

    def _channel(self, channel: str, by: Person) -> str:
        """Return the channel on which a person asks: the channel of staff is not that of others.

        Whether anybody knows the channel, `check_known` says.

        Raises:
            InvalidInputError: it is no word.
        """
        check_channel("visits: channel", channel)
        return by.channel if channel == DESK else channel

    def _sought(  # noqa: PLR0913  # the fields of what is sought
        self,
        what: object,
        *,
        plan: object,
        skip: Iterable[int],
        channel: str,
        patient: PatientId | models.Patient | None = None,
        doctor_ids: Iterable[int] = (),
        facility_ids: Iterable[int] = (),
    ) -> Sought:
        """Read what is sought, and look it up as the user."""
        by = ask(self._session, self._context.user_id)
        positions = _CHECK.sequence("visits: skip", skip, int)
        self._session.flush()  # what the host has changed counts
        channel = self._channel(channel, by)
        if channel not in {DESK, WEB}:
            with at_the_desk(self._session):
                check_known(self._session, "visits", channel)
        service_id = offering_id = None
        if isinstance(what, ServiceId | models.Service):
            service_id = int(Services(self._context).get(what).id or 0)
        elif isinstance(what, OfferingId | models.ServiceOffering):
            offering_id = int(Offerings(self._context).get(what).id or 0)
        else:
            raise InvalidInputError(
                "visits: the first argument must be of type ServiceId or OfferingId, such as OfferingId(1),"
                f" not {type(what).__name__}"
            )
        plan_id = None if plan is None else int(self._id_of("visits: plan", plan, PlanId, models.InsurancePlan))
        patient_id = None
        if patient is not None:
            row = Patients(self._context).get(patient)
            patient_id = int(row.id or 0)
            plan_id = row.default_insurance_plan_id if plan_id is None else plan_id
        return Sought(
            service_id=service_id,
            offering_id=offering_id,
            doctor_ids=frozenset(doctor_ids),
            facility_ids=frozenset(facility_ids),
            plan_id=plan_id,
            patient_id=patient_id,
            skip=positions,
            channel=channel,
            names=by.is_staff,
            now=utc(self._context.clock()),
        )

    def _ids(self, field: str, values: Iterable[object], kind: type[_Kind], owner: type[Any]) -> list[int]:
        name = f"visits: {field}"
        return [
            int(self._id_of(name, value, kind, owner)) for value in _CHECK.sequence(name, values, object, shown=kind)
        ]
