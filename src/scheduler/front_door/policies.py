"""Policies: how early and how late visits are booked, how long holds last, until when patients cancel.

Owns: the fields of a policy, and the check that all rows of the tenant together let something be booked.
Holds: Q2 (one row a combination of channel, facility, doctor and offering).
Must not know: which row decides (`core.policy_rows`), where policies are asked (`booking`).
"""

from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlmodel import col, select

from scheduler import models
from scheduler.booking.calls import at_the_desk
from scheduler.booking.policies import check_known, policy_of, row_of, write_row
from scheduler.core.channels import check_channel
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, RowId
from scheduler.core.policies import Lead, Policy
from scheduler.core.policy_rows import Place, PolicyRow, refuse_contradictions
from scheduler.core.slots import Id
from scheduler.front_door.parts import AnyDoctor, AnyFacility
from scheduler.front_door.repository import OfTenant
from scheduler.postgres.database import advisory_lock
from scheduler.postgres.savepoints import refusable

AnyOffering = OfferingId | models.ServiceOffering
_DESK: Final = "desk"
_COLUMNS: Final = ("channel", "facility_id", "doctor_id", "service_offering_id")
_Kind = TypeVar("_Kind", bound=RowId)


class Policies(OfTenant):
    """The booking policies of a tenant."""

    def set(  # noqa: PLR0913  # what a policy has
        self,
        *,
        channel: str | None = None,
        facility: AnyFacility | None = None,
        doctor: AnyDoctor | None = None,
        offering: AnyOffering | None = None,
        notice: Lead | None = None,
        horizon: int | None = None,
        hold_lasts: timedelta | None = None,
        offer_lasts: timedelta | None = None,
        cancel_until: Lead | None = None,
    ) -> None:
        """Write the policy of a combination of channel, facility, doctor and offering; None stands for any of them.

        It replaces the former policy of the same combination; without any field there is none any more. A field that
        is None is decided by the next less specific policy: offering, then doctor, facility, channel. `notice` and
        `cancel_until` are a length before the visit, or `DaysBefore`; `horizon` counts local days after today. A
        channel of another word than `desk` and `web` exists as long as a policy has it.

        Raises:
            InvalidInputError: a field is invalid, a notice is longer than the horizon, or the combination has no visit.
            NotFoundError: there is no such facility, doctor or offering.
            NotAllowedError: the user is not staff.
        """
        place = self._place(channel, facility, doctor, offering)
        value = PolicyRow(place, notice, horizon, hold_lasts, offer_lasts, cancel_until)
        columns: Any = zip(_COLUMNS, place, strict=True)
        with refusable(self._session):
            advisory_lock(self._session, f"policies of {self._context.tenant_id}")
            row = self._row(place)
            if value.says_nothing:
                if row is not None:
                    self._session.delete(row)
            else:
                row = row or models.BookingPolicy(tenant_id=self._context.tenant_id, **dict(columns))
                write_row(row, value)
                self._session.add(row)
            self._session.flush()
            refuse_contradictions(self.all(), self._places())

    def effective(self, offering: AnyOffering, *, channel: str = _DESK) -> Policy:
        """Return the policy that decides the visits of an offering on a channel, field by field.

        Raises:
            InvalidInputError: nobody knows the channel.
            NotFoundError: there is no such offering.
        """
        check_channel("policies: channel", channel)
        offering_id = self._referred("offering", offering, OfferingId, models.ServiceOffering)
        self._session.flush()
        with at_the_desk(self._session):
            check_known(self._session, "policies", channel)
            return policy_of(self._session, offering_id, channel)

    def all(self) -> list[PolicyRow]:
        """Return the policies that are written, each for its combination, in the order in which they were."""
        model = models.BookingPolicy
        return [row_of(row) for row in self._session.exec(select(model).order_by(col(model.id)))]

    def _place(
        self,
        channel: str | None,
        facility: AnyFacility | None,
        doctor: AnyDoctor | None,
        offering: AnyOffering | None,
    ) -> Place:
        facility_id = self._referred("facility", facility, FacilityId, models.Facility)
        doctor_id = self._referred("doctor", doctor, DoctorId, models.Doctor)
        offering_id = self._referred("offering", offering, OfferingId, models.ServiceOffering)
        if offering_id is not None:
            row = self._session.get_one(models.ServiceOffering, (self._context.tenant_id, offering_id))
            if facility_id not in {None, row.facility_id} or doctor_id not in {None, row.doctor_id}:
                raise InvalidInputError("policy: the offering is of another facility or doctor: name the offering only")
        return Place(channel, facility_id, doctor_id, offering_id)

    def _referred(self, field: str, which: object, kind: type[_Kind], model: type[Any]) -> int | None:
        if which is None:
            return None
        id_ = int(self._id_of(f"policy: {field}", which, kind, model))
        row = self._session.get(model, (self._context.tenant_id, id_))
        if row is None or getattr(row, "deleted_at", None) is not None:
            raise NotFoundError(f"policy: no {field} has the id {id_}")
        return id_

    def _row(self, place: Place) -> models.BookingPolicy | None:
        model = models.BookingPolicy
        parts = zip(_COLUMNS, place, strict=True)
        same = [getattr(model, column).is_not_distinct_from(part) for column, part in parts]
        return self._session.exec(select(model).where(*same)).first()

    def _places(self) -> dict[Id, Place]:
        """Return facility and doctor of each offering that a policy names."""
        offering, policy = models.ServiceOffering, models.BookingPolicy
        named = select(col(policy.service_offering_id)).where(col(policy.service_offering_id).is_not(None))
        found = self._session.exec(select(offering).where(col(offering.id).in_(named)))
        return {row.id or 0: Place(None, row.facility_id, row.doctor_id, row.id) for row in found}
