"""Services: the entries of the catalogue, such as a check-up, whoever offers them and wherever.

Owns: the fields of a service, and the end of its offerings with it.
Must not know: the steps of a visit (`workflows`).
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, TypedDict, Unpack

from sqlmodel import col, select

from scheduler import models
from scheduler.core.ids import ServiceId
from scheduler.core.readers import optional, text
from scheduler.front_door.fields import Field, minutes, word
from scheduler.front_door.repository import Repository
from scheduler.postgres.savepoints import refusable
from scheduler.postgres.workflows import follow_length


class CodeSystem(StrEnum):
    """The catalogue that the code of a service comes from."""

    CPT = "CPT"
    HCPCS = "HCPCS"
    ICD = "ICD"
    CUSTOM = "Custom"
    """The tenant's own."""


class ServiceFields(TypedDict, total=False):
    """Fields of a service that `change` takes."""

    name: str
    duration: timedelta
    code: str | None
    code_system: CodeSystem


class Services(Repository[models.Service, ServiceId, ServiceId | models.Service]):
    """The services of a tenant."""

    _model = models.Service
    _id = ServiceId
    _noun = "service"
    _fields: ClassVar[Mapping[str, Field]] = {
        "name": Field("name", text),
        "duration": Field("default_duration_minutes", minutes),
        "code": Field("code", optional(text)),
        "code_system": Field("code_system", word(CodeSystem)),
    }

    def add(
        self, name: str, *, duration: timedelta, code: str | None = None, code_system: CodeSystem = CodeSystem.CPT
    ) -> ServiceId:
        """Add a service and return the id. `duration` counts for each offering without one of its own.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
        """
        return self._insert(name=name, duration=duration, code=code, code_system=code_system)

    def change(self, service: ServiceId | models.Service, **fields: Unpack[ServiceFields]) -> None:
        """Change fields of a service. Its offerings without a duration of their own follow another one. Visits stay.

        Of their workflows, those of one step with the former length follow. Errors are those of `add`.
        """
        row, offering = self.get(service), models.ServiceOffering
        with refusable(self._session):
            former = row.default_duration_minutes
            self._update(row, fields)
            if row.default_duration_minutes != former:
                query = select(offering.id).where(
                    col(offering.service_id) == row.id, col(offering.default_duration_minutes).is_(None)
                )
                ids = [int(id_ or 0) for id_ in self._session.exec(query)]
                follow_length(self._session, ids, former=former, minutes=row.default_duration_minutes)

    def delete(self, service: ServiceId | models.Service) -> None:
        """Delete a service softly, and switch its offerings off. Visits stay."""
        row = self.get(service)
        offering = models.ServiceOffering
        with refusable(self._session):
            for offered in self._session.exec(select(offering).where(col(offering.service_id) == row.id)):
                offered.active = False
            self._delete_softly(row)
