"""Offerings: a service as one doctor offers it at one facility.

Owns: the fields of an offering, and the workflow that a new one gets.
Must not know: which slots an offering has.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import ClassVar, Final, TypedDict, Unpack

from sqlmodel import col, select

from scheduler import models
from scheduler.core.errors import InvalidWorkflowError
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, ServiceId
from scheduler.core.readers import flag, optional
from scheduler.core.validation import Validator
from scheduler.core.workflows import StepTemplate, WorkflowStep
from scheduler.front_door.fields import Field, buffer_minutes, minutes, reference, word
from scheduler.front_door.repository import Repository
from scheduler.front_door.workflows import StepTemplates, Workflows
from scheduler.postgres.savepoints import refusable
from scheduler.postgres.workflows import follow_length, template_of

ZERO: Final = timedelta(0)
_CHECK: Final = Validator(InvalidWorkflowError)


class Visibility(StrEnum):
    """Whether patients may see an offering."""

    PUBLIC = "public"
    PRIVATE = "private"


class OfferingFields(TypedDict, total=False):
    """Fields of an offering that `change` takes."""

    duration: timedelta | None
    buffer_before: timedelta
    buffer_after: timedelta
    visibility: Visibility
    active: bool


class Offerings(Repository[models.ServiceOffering, OfferingId, OfferingId | models.ServiceOffering]):
    """The offerings of a tenant."""

    _model = models.ServiceOffering
    _id = OfferingId
    _noun = "offering"
    _is_switched = True
    _fields: ClassVar[Mapping[str, Field]] = {
        "service": Field("service_id", reference(ServiceId, models.Service), fixed=True, model=models.Service),
        "by": Field("doctor_id", reference(DoctorId, models.Doctor), fixed=True, model=models.Doctor),
        "at": Field("facility_id", reference(FacilityId, models.Facility), fixed=True, model=models.Facility),
        "duration": Field("default_duration_minutes", optional(minutes)),
        "buffer_before": Field("buffer_before_minutes", buffer_minutes),
        "buffer_after": Field("buffer_after_minutes", buffer_minutes),
        "visibility": Field("visibility", word(Visibility)),
        "active": Field("active", flag),
    }

    def add(  # noqa: PLR0913  # the fields of an offering
        self,
        service: ServiceId | models.Service,
        *,
        by: DoctorId | models.Doctor,
        at: FacilityId | models.Facility,
        duration: timedelta | None = None,
        buffer_before: timedelta = ZERO,
        buffer_after: timedelta = ZERO,
        visibility: Visibility = Visibility.PUBLIC,
        steps: Sequence[WorkflowStep] | None = None,
    ) -> OfferingId:
        """Add an offering with the workflow of its visits, and return the id. Without a duration it has its service's.

        The workflow, named standard, has these steps; without them one step, as long as the offering, with the doctor.
        An empty sequence means no workflow: add one for each insurance plan, say, with `work.workflows`.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            NotFoundError: there is no such service, doctor, facility or step template.
            DuplicateError: the doctor offers the service at the facility already, perhaps switched off.
        """
        with refusable(self._session):
            offering = self._insert(
                service=service,
                by=by,
                at=at,
                duration=duration,
                buffer_before=buffer_before,
                buffer_after=buffer_after,
                visibility=visibility,
            )
            if steps is None:
                steps = (WorkflowStep(1, self._template(offering), duration),)
            if given := _CHECK.sequence("offering: steps", steps, WorkflowStep):  # any iterable, which is read once
                Workflows(self._context).add(offering, steps=given)
        return offering

    def change(self, offering: OfferingId | models.ServiceOffering, **fields: Unpack[OfferingFields]) -> None:
        """Change fields of an offering, or switch it off and on; service, doctor and facility stay. Visits stay.

        A workflow of one step with the former length follows another duration; `work.workflows.replace` changes steps.
        Errors are those of `add`.
        """
        row = self.get(offering)
        with refusable(self._session):
            former = self._minutes(row)
            self._update(row, fields)
            if self._minutes(row) != former:
                follow_length(self._session, [int(self._read(row))], former=former, minutes=self._minutes(row))

    def delete(self, offering: OfferingId | models.ServiceOffering) -> None:
        """Switch an offering off: it has no open slots, its workflows and visits stay."""
        self._switch_off(offering)

    def _minutes(self, offering: models.ServiceOffering) -> int:
        """Return the length of an offering: its own, else that of its service, also of a deleted one."""
        if offering.default_duration_minutes is not None:
            return offering.default_duration_minutes
        service = self._session.get_one(models.Service, (self._context.tenant_id, offering.service_id))
        return service.default_duration_minutes

    def _template(self, offering: OfferingId) -> StepTemplate:
        """Return the step template of the service, which its offerings share; add it to the first one."""
        service = self._referred("service", models.Service, self.get(offering).service_id)
        template, length = models.StepTemplate, service.default_duration_minutes
        same = (col(template.name) == service.name, col(template.default_duration_minutes) == length)
        found = self._session.exec(select(template).where(*same).order_by(col(template.id)).limit(1)).first()
        if found is not None:
            return template_of(found)
        return StepTemplates(self._context).add(service.name, duration=timedelta(minutes=length))
