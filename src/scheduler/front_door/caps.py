"""Caps: at most so many visits a local day or week of one thing.

Owns: the fields of a cap.
Must not know: how visits are counted, and how a visit beyond a cap is refused (`booking.caps`).
"""

from collections.abc import Mapping
from typing import ClassVar, Final

from sqlmodel import col

from scheduler import models
from scheduler.core.caps import Period, target_of
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import CapId, DoctorId, FacilityId, OfferingId, PatientId, ServiceId
from scheduler.core.readers import optional
from scheduler.core.validation import Validator
from scheduler.front_door.fields import Field, reference, word
from scheduler.front_door.repository import Repository
from scheduler.postgres.savepoints import refusable

_CHECK: Final = Validator(InvalidInputError)


def _most(field: str, value: object) -> object:
    _CHECK.whole(field, value)
    return value


class Caps(Repository[models.BookingCap, CapId, CapId | models.BookingCap]):
    """The caps of a tenant."""

    _model = models.BookingCap
    _id = CapId
    _noun = "cap"
    _fields: ClassVar[Mapping[str, Field]] = {
        "most": Field("most", _most),
        "per": Field("period", word(Period), fixed=True),
        "doctor": Field("doctor_id", optional(reference(DoctorId, models.Doctor)), fixed=True, model=models.Doctor),
        "offering": Field(
            "service_offering_id",
            optional(reference(OfferingId, models.ServiceOffering)),
            fixed=True,
            model=models.ServiceOffering,
        ),
        "service": Field(
            "service_id", optional(reference(ServiceId, models.Service)), fixed=True, model=models.Service
        ),
        "facility": Field(
            "facility_id", optional(reference(FacilityId, models.Facility)), fixed=True, model=models.Facility
        ),
        "patient": Field(
            "patient_id", optional(reference(PatientId, models.Patient)), fixed=True, model=models.Patient
        ),
    }

    def set(  # noqa: PLR0913  # one of these
        self,
        most: int,
        *,
        per: Period,
        doctor: DoctorId | models.Doctor | None = None,
        offering: OfferingId | models.ServiceOffering | None = None,
        service: ServiceId | models.Service | None = None,
        facility: FacilityId | models.Facility | None = None,
        patient: PatientId | models.Patient | None = None,
    ) -> CapId:
        """Let at most so many visits be booked in a local day or week of one doctor, offering or patient.

        Or of a service at a facility: give both. A cap that is set again has the new number. The visits that there are
        stay, also beyond the cap. A hold counts until it ends; what is cancelled or a no-show does not count. A hold
        is for no patient yet, so the cap of a patient counts visits only.

        Raises:
            InvalidInputError: `most` is no whole number from 1, none or several things are given, or a service without
                a facility; the message names the field.
            NotFoundError: there is no such doctor, offering, service, facility or patient.
            DuplicateError: another transaction has just set the same cap.
        """
        target_of(doctor=doctor, offering=offering, service=service, facility=facility, patient=patient)
        fields = {
            "doctor": doctor,
            "offering": offering,
            "service": service,
            "facility": facility,
            "patient": patient,
            "per": per,
        }
        columns = self._columns(fields)
        cap = models.BookingCap
        same = [col(getattr(cap, name)).is_not_distinct_from(value) for name, value in columns.items()]
        row = self._session.scalars(self._live().where(*same)).one_or_none()
        if row is None:
            return self._insert(most=most, **fields)
        return CapId(self._update(row, {"most": most}).id or 0)

    def remove(self, cap: CapId | models.BookingCap) -> None:
        """Remove a cap.

        Raises:
            NotFoundError: there is no such cap.
        """
        row = self._get(cap, anew=True)
        with refusable(self._session):
            self._session.delete(row)
