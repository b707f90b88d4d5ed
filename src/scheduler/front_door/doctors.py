"""Doctors: the people who have slots, and the facilities at which they work."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, TypedDict, Unpack

from sqlmodel import col, select

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, FacilityId, UserId
from scheduler.core.readers import optional, text, uuid
from scheduler.front_door.fields import Field
from scheduler.front_door.repository import Repository
from scheduler.front_door.schedule_changes import ScheduleChange, changing
from scheduler.postgres.savepoints import refusable
from scheduler.postgres.schedules import ScheduleKey


class DoctorFields(TypedDict, total=False):
    """Fields of a doctor that `change` takes."""

    first_name: str
    last_name: str
    display_name: str
    user: UserId | None
    specialty: str | None
    at: Iterable[FacilityId | models.Facility]


class Doctors(Repository[models.Doctor, DoctorId, DoctorId | models.Doctor]):
    """The doctors of a tenant."""

    _model = models.Doctor
    _id = DoctorId
    _noun = "doctor"
    _fields: ClassVar[Mapping[str, Field]] = {
        "first_name": Field("first_name", text),
        "last_name": Field("last_name", text),
        "display_name": Field("display_name", text),
        "user": Field("user_id", optional(uuid)),
        "specialty": Field("specialty", optional(text)),
    }

    def add(
        self,
        first_name: str,
        last_name: str,
        *,
        at: Iterable[FacilityId | models.Facility],
        display_name: str | None = None,
        user: UserId | None = None,
        specialty: str | None = None,
    ) -> DoctorId:
        """Add a doctor who works at these facilities, and return the id. Without a display name it is both names.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            NotFoundError: there is no such facility.
            MissingReferenceError: there is no such user.
            DuplicateError: the user is another doctor already.
        """
        facilities = self._facility_ids(at)
        shown = f"{first_name} {last_name}" if display_name is None else display_name
        with refusable(self._session):
            doctor = self._insert(
                first_name=first_name, last_name=last_name, display_name=shown, user=user, specialty=specialty
            )
            self._employ(doctor, facilities)
        return doctor

    def change(self, doctor: DoctorId | models.Doctor, **fields: Unpack[DoctorFields]) -> ScheduleChange:
        """Change fields of a doctor. `at` lists all facilities at which the doctor works from now on.

        Where the doctor no longer works, open slots are taken away at once. Errors are those of `add`.
        """
        own = {name: value for name, value in fields.items() if name != "at"}
        row = self.get(doctor)
        with changing(self._context, self._keys(row) if "at" in fields else ()) as under_way:
            self._get(row, anew=True)
            self._update(row, own)
            if "at" in fields:
                self._employ(self._read(row), self._facility_ids(fields["at"]))
        return under_way.change

    def delete(self, doctor: DoctorId | models.Doctor) -> ScheduleChange:
        """Delete a doctor softly: the open slots are taken away, the visits stay and are conflicts."""
        row = self.get(doctor)
        with changing(self._context, self._keys(row)) as under_way:
            self._delete_softly(row)
        return under_way.change

    def _keys(self, doctor: models.Doctor) -> list[ScheduleKey]:
        state = models.ScheduleState
        query = select(state.facility_id).where(col(state.doctor_id) == doctor.id)
        return [ScheduleKey(int(self._read(doctor)), facility) for facility in self._session.exec(query)]

    def _employ(self, doctor: DoctorId, facilities: Iterable[int]) -> None:
        """Let a doctor work at exactly these facilities; a former post stays, switched off."""
        post = models.FacilityDoctor
        query = select(post).where(col(post.doctor_id) == doctor)
        found = self._session.exec(query, execution_options={"populate_existing": True})  # as they are after the lock
        posts = {row.facility_id: row for row in found}
        wanted = set(facilities)
        for facility, row in posts.items():
            row.active = facility in wanted
        for facility in sorted(wanted - posts.keys()):
            self._session.add(post(tenant_id=self._context.tenant_id, doctor_id=doctor, facility_id=facility))
        self._session.flush()

    def _facility_ids(self, at: Iterable[FacilityId | models.Facility]) -> list[int]:
        if not isinstance(at, Iterable):
            raise InvalidInputError("doctor: at must be a list of facilities")
        ids = [int(self._id_of("doctor: at", facility, FacilityId, models.Facility)) for facility in at]
        for id_ in ids:
            self._referred("at", models.Facility, id_)
        return ids
