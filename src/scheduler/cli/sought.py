"""Services and offerings in the words of the command line: a code, a name, `service:3` or `offering:7`.

Owns: the reading of these words, and the offerings that they mean.
Must not know: what is done with an offering.
"""

import re
from typing import Final

from sqlmodel import col, select

from scheduler import models
from scheduler.core import ids
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.front_door.work import Work

_ID: Final = re.compile(r"(?P<kind>service|offering):(?P<id>\d{1,18})", re.ASCII)
_SERVICES_NAMED: Final = 5


def read_sought(work: Work, what: str) -> ids.ServiceId | ids.OfferingId:
    """Read what is sought: `service:3`, `offering:7`, or the code or the name of a service.

    Raises:
        NotFoundError: there is no such service or offering.
        InvalidInputError: several services have the name.
    """
    if (given := _ID.fullmatch(what)) is not None:
        id_ = int(given["id"])
        if given["kind"] == "service":
            return ids.ServiceId(work.services.get(ids.ServiceId(id_)).id or 0)
        return ids.OfferingId(work.offerings.get(ids.OfferingId(id_)).id or 0)
    services = work.services.all()
    meant = [service for service in services if service.code == what]
    meant = meant or [service for service in services if service.name.casefold() == what.casefold()]
    if len(meant) > 1:
        several = ", ".join(f"service:{service.id}" for service in meant)
        raise InvalidInputError(f"several services are called {what!r}: give one of {several}")
    if not meant:
        known = ", ".join(repr(service.name) for service in services[:_SERVICES_NAMED])
        hint = (
            f"; the services are {known}{' …' if len(services) > _SERVICES_NAMED else ''}"
            if known
            else "; there is none"
        )
        raise NotFoundError(f"no service {what!r}{hint}")
    return ids.ServiceId(meant[0].id or 0)


def offerings_sought(
    work: Work, what: str, *, doctor_id: int | None = None, facility_slug: str | None = None
) -> list[models.ServiceOffering]:
    """Return the offering that is sought, or those of the service that are switched on.

    Raises:
        NotFoundError: there is no such service, offering, doctor or facility, or no offering there.
        InvalidInputError: several services have the name.
    """
    sought = read_sought(work, what)
    offering = models.ServiceOffering
    query = select(offering).where(offering.tenant_id == work.tenant_id).order_by(col(offering.id))
    if isinstance(sought, ids.OfferingId):
        query = query.where(offering.id == int(sought))
    else:
        query = query.where(offering.service_id == int(sought), col(offering.active))
    if doctor_id is not None:
        query = query.where(offering.doctor_id == work.doctors.get(ids.DoctorId(doctor_id)).id)
    if facility_slug is not None:
        query = query.where(offering.facility_id == work.facilities.by_slug(facility_slug).id)
    found = list(work.session.exec(query))
    if not found:
        raise NotFoundError(f"nobody offers {what!r} there: `scheduler find` lists what is offered")
    return found
