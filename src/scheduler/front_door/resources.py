"""Resources: the rooms, nurses and devices of a facility, each used by one step at a time.

Owns: the fields of a resource.
Must not know: which steps need which kind (`workflows`).
"""

from collections.abc import Mapping
from typing import ClassVar, TypedDict, Unpack

from sqlmodel import col

from scheduler import models
from scheduler.core.ids import DoctorId, FacilityId, ResourceId
from scheduler.core.readers import flag, optional, text
from scheduler.front_door.fields import Field, reference, resource_kind
from scheduler.front_door.repository import Repository


class ResourceFields(TypedDict, total=False):
    """Fields of a resource that `change` takes."""

    name: str
    active: bool
    doctor: DoctorId | models.Doctor | None


class Resources(Repository[models.Resource, ResourceId, ResourceId | models.Resource]):
    """The resources of a tenant."""

    _model = models.Resource
    _id = ResourceId
    _noun = "resource"
    _is_switched = True
    _fields: ClassVar[Mapping[str, Field]] = {
        "kind": Field("kind", resource_kind, fixed=True),
        "name": Field("name", text),
        "at": Field("facility_id", reference(FacilityId, models.Facility), fixed=True, model=models.Facility),
        "active": Field("active", flag),
        "doctor": Field("doctor_id", optional(reference(DoctorId, models.Doctor)), model=models.Doctor),
    }

    def add(
        self,
        kind: str,
        name: str,
        *,
        at: FacilityId | models.Facility,
        doctor: DoctorId | models.Doctor | None = None,
    ) -> ResourceId:
        """Add a resource of a facility and return the id. `kind` is a word such as room, nurse or device.

        `doctor` says that this person is also a doctor: whoever uses the one takes the time of both.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            NotFoundError: there is no such facility or doctor.
            DuplicateError: the facility has a resource of this kind and name.
        """
        return self._insert(kind=kind, name=name, at=at, doctor=doctor)

    def of(self, facility: FacilityId | models.Facility, *, kind: str | None = None) -> list[models.Resource]:
        """Return the resources of a facility that are not switched off, all or those of a kind, by their ids.

        Raises:
            InvalidInputError: the kind cannot be one.
        """
        resource = models.Resource
        place = self._id_of("resource: facility", facility, FacilityId, models.Facility)
        query = self._live().where(col(resource.facility_id) == place).order_by(col(resource.id))
        if kind is not None:
            query = query.where(col(resource.kind) == resource_kind("resource: kind", kind))
        return [*self._session.scalars(query)]

    def change(self, resource: ResourceId | models.Resource, **fields: Unpack[ResourceFields]) -> None:
        """Change the name or the doctor of a resource, or switch it off and on. Errors are those of `add`."""
        self._update(resource, fields)

    def delete(self, resource: ResourceId | models.Resource) -> None:
        """Switch a resource off: no new step uses it. The steps that have it keep it."""
        self._switch_off(resource)
