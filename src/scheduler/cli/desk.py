"""Desk of the command line: a unit of work of a tenant, and visits and offers in words.

Owns: the unit of work in which the commands of the desk read and book, and how they name a visit.
Must not know: the commands.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, TypeVar

import typer

from scheduler import models
from scheduler.booking.visits import Visit
from scheduler.cli.rendering import between, offset_time
from scheduler.cli.settings import now, opened, random_bytes
from scheduler.core.zones import zone_of
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work

AsJsonLine = Annotated[bool, typer.Option("--json", help="Print the visit as one line of JSON.")]

_Row = TypeVar("_Row")


@contextmanager
def desk(url: str | None, tenant: str) -> Iterator[Work]:
    """Open the database, and run the block as one transaction of the host for a tenant."""
    with opened(url) as database:
        scheduler = Scheduler(database, clock=now, random_bytes=random_bytes)
        with scheduler.tenant(tenant) as work:
            yield work


class Names:
    """The names of what a visit has, each read once; also of rows that were deleted since."""

    def __init__(self, work: Work) -> None:
        self._session = work.session
        self._tenant_id = work.tenant_id

    def facility(self, id_: int) -> models.Facility:
        """Return a facility."""
        return self._row(models.Facility, id_)

    def doctor(self, id_: int) -> str:
        """Return the name of a doctor."""
        return self._row(models.Doctor, id_).display_name

    def service(self, offering_id: int) -> str:
        """Return the name of the service of an offering."""
        return self._row(models.Service, self._row(models.ServiceOffering, offering_id).service_id).name

    def resource(self, id_: int) -> str:
        """Return kind and name of a resource: `nurse Nina`; its id if a hold names one that is gone."""
        resource = self._session.get(models.Resource, (self._tenant_id, int(id_)))
        return f"resource {id_}" if resource is None else f"{resource.kind} {resource.name}"

    def step(self, workflow_step_id: int) -> str:
        """Return the name of a step of a workflow; its id if a hold names one that is gone."""
        step = self._session.get(models.WorkflowStep, (self._tenant_id, workflow_step_id))
        return (
            f"step {workflow_step_id}" if step is None else self._row(models.StepTemplate, step.step_template_id).name
        )

    def patient(self, id_: int) -> str:
        """Return the name of a patient."""
        patient = self._row(models.Patient, id_)
        return f"{patient.first_name} {patient.last_name}"

    def _row(self, model: type[_Row], id_: int) -> _Row:
        return self._session.get_one(model, (self._tenant_id, int(id_)))


def booked_visit(visit: Visit, names: Names) -> str:
    """Describe a visit in a line, without its patient: `visit 12: check-up with Anna Ray at Main Street, ...`."""
    times = between(visit.start_at, visit.end_at, zone=zone_of(visit.zone))
    service, doctor = names.service(visit.offering_id), names.doctor(visit.doctor_id)
    place = names.facility(visit.facility_id).name
    return f"visit {visit.id}: {service} with {doctor} at {place}, {times} ({visit.zone}), {visit.status.value}"


def visit_as_json(visit: Visit) -> dict[str, object]:
    """Return a visit for `--json`: ids, status and times, and no text about its patient."""
    fields = ("id", "status", "patient_id", "doctor_id", "facility_id", "offering_id")
    zone = zone_of(visit.zone)
    times = {name: offset_time(at, zone=zone) for name, at in (("start_at", visit.start_at), ("end_at", visit.end_at))}
    return {name: getattr(visit, name) for name in fields} | times | {"zone": visit.zone}
