"""Parts of schedules: rows that belong to one doctor at one facility.

Owns: the doctor and the facility of a new part, and that the doctor works there.
Must not know: the parts, which are rules and exceptions.
"""

from typing import Any

from sqlalchemy import Select
from sqlmodel import col, select

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, FacilityId
from scheduler.front_door.repository import Id, Repository, Row, Which
from scheduler.postgres.schedules import ScheduleKey

AnyDoctor = DoctorId | models.Doctor
AnyFacility = FacilityId | models.Facility
AnyPart = models.AvailabilityRule | models.AvailabilityException


class PartsOfSchedules(Repository[Row, Id, Which]):
    """Rows of a table of which each belongs to one doctor at one facility."""

    def _read_key(self, who: AnyDoctor, at: AnyFacility) -> ScheduleKey:
        return ScheduleKey(
            int(self._id_of(f"{self._noun}: who", who, DoctorId, models.Doctor)),
            int(self._id_of(f"{self._noun}: at", at, FacilityId, models.Facility)),
        )

    def _of(self, who: AnyDoctor, at: AnyFacility) -> Select[Any]:
        """Select the rows of a doctor at a facility."""
        key = self._read_key(who, at)
        return self._live().where(self._model.doctor_id == key.doctor_id, self._model.facility_id == key.facility_id)

    def _key_of_new(self, who: AnyDoctor, at: AnyFacility) -> ScheduleKey:
        """Return doctor and facility of a new row.

        Raises:
            NotFoundError: there is no such doctor or facility.
            InvalidInputError: the doctor does not work at the facility.
        """
        key = self._read_key(who, at)
        self._check_place(key)
        return key

    def _check_place(self, key: ScheduleKey, *, anew: bool = False) -> None:
        """Refuse a doctor who does not work at the facility; `anew` reads the rows again, as after a lock."""
        self._referred("who", models.Doctor, key.doctor_id, anew=anew)
        self._referred("at", models.Facility, key.facility_id, anew=anew)
        post = models.FacilityDoctor
        query = select(post.id).where(
            col(post.doctor_id) == key.doctor_id, col(post.facility_id) == key.facility_id, col(post.active)
        )
        if self._session.exec(query).first() is None:
            raise InvalidInputError(
                f"{self._noun}: doctor {key.doctor_id} does not work at facility {key.facility_id}:"
                " list all places of the doctor in work.doctors.change(doctor, at=[...])"
            )


def key_of(row: AnyPart) -> ScheduleKey:
    """Return the key of the schedule that a row is a part of."""
    return ScheduleKey(row.doctor_id, row.facility_id)
