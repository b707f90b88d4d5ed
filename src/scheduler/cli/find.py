"""`scheduler find`: visits that can be booked."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from heapq import merge
from itertools import islice
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlmodel import col, select

from scheduler import models
from scheduler.booking.errors import NoSuchNeedError
from scheduler.cli.desk import Names, desk
from scheduler.cli.rendering import between
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, DoctorId, Tenant, read_days, readable
from scheduler.cli.sought import read_sought
from scheduler.cli.terminal import echo, printable
from scheduler.core import ids
from scheduler.core.errors import InvalidWorkflowError, WorkflowNotFoundError
from scheduler.core.offers import VisitOffer
from scheduler.core.zones import local_day, zone_of
from scheduler.front_door.work import Work

DEFAULT_DAYS: Final = 14


def find(
    what: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE",
            callback=readable,
            help="A service by its code, its name or `service:ID`; or one doctor's offering of it, `offering:ID`.",
        ),
    ],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="The first local day. [default: today]")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, metavar="NUMBER", help="So many local days.")] = DEFAULT_DAYS,
    doctor: DoctorId = None,
    facility: Annotated[
        str | None, typer.Option("--facility", callback=readable, metavar="SLUG", help="Only at this facility.")
    ] = None,
    patient: Annotated[
        int | None,
        typer.Option("--patient", metavar="ID", help="Leave out times of this patient's other visits; use their plan."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="NUMBER", help="At most so many visits.")] = 10,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each offer as a line of JSON, which `scheduler book` reads.")
    ] = False,
) -> None:
    """Find visits that can be booked, earliest first, and number them.

    Nothing is held: somebody else may book a visit meanwhile. `scheduler find SERVICE --json > offers` and
    `scheduler book --offer offers --number 2 --patient ID` book the second.
    """
    with desk(url, tenant) as work:
        begin, end = read_days(first, days, None, default_days=DEFAULT_DAYS)
        offers = found_offers(
            work, what, begin, end, doctor_id=doctor, facility_slug=facility, patient_id=patient, limit=limit
        )
        names = Names(work)
        lines = [offer.to_json() for offer in offers]
        table = offers_table(offers, names)
    if as_json:
        for line in lines:
            echo(line)
    elif offers:
        Console().print(table)
    else:
        echo("no visit can be booked on these days; `scheduler explain DAY --offering SERVICE` says why")


def found_offers(
    work: Work,
    what: str,
    begin: date,
    end: date,
    *,
    doctor_id: int | None,
    facility_slug: str | None,
    patient_id: int | None,
    limit: int,
) -> list[VisitOffer]:
    """Return the earliest visits that begin on local days `[begin, end)`, each of its facility's clock.

    Raises:
        NotFoundError: there is no such service, offering, doctor, facility or patient.
        WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: no facility can serve the visit; why the first.
    """
    sought = read_sought(work, what)
    patient = None if patient_id is None else ids.PatientId(patient_id)
    doctors = () if doctor_id is None else (work.doctors.get(ids.DoctorId(doctor_id)),)
    only = None if facility_slug is None else int(work.facilities.by_slug(facility_slug).id or 0)
    faults: list[InvalidWorkflowError | WorkflowNotFoundError | NoSuchNeedError] = []
    found: list[list[VisitOffer]] = []
    for zone, facilities in _facilities_by_zone(work, sought, only).items():
        span = local_day(zone_of(zone), begin, end)
        if span is None:
            continue
        try:
            found.append(
                work.visits.find(
                    sought, between=span, doctors=doctors, facilities=facilities, patient=patient, limit=limit
                )
            )
        except (InvalidWorkflowError, WorkflowNotFoundError, NoSuchNeedError) as error:
            faults.append(error)
    if faults and not found:
        raise faults[0]
    return list(islice(merge(*found, key=lambda offer: offer.start_at), limit))


def _facilities_by_zone(
    work: Work, sought: ids.ServiceId | ids.OfferingId, only: int | None
) -> dict[str, list[ids.FacilityId]]:
    """Return the facilities of the offerings that are sought, by zone: each zone has its own days."""
    offering, facility = models.ServiceOffering, models.Facility
    column = col(offering.service_id) if isinstance(sought, ids.ServiceId) else col(offering.id)
    of_offerings = select(offering.facility_id).where(column == int(sought))
    query = select(facility.id, facility.timezone).where(col(facility.id).in_(of_offerings)).order_by(col(facility.id))
    by_zone: dict[str, list[ids.FacilityId]] = defaultdict(list)
    for id_, zone in work.session.exec(query):
        if only in {None, id_}:
            by_zone[zone].append(ids.FacilityId(id_ or 0))
    return by_zone


def offers_table(offers: Sequence[VisitOffer], names: Names) -> Table:
    """Draw visits that can be booked, a row each, in the wall-clock time of their facilities."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("#", justify="right", style="dim", no_wrap=True)
    table.add_column("when", no_wrap=True)
    for name in ("doctor", "facility", "with"):
        table.add_column(name)
    table.add_column("offering", justify="right")
    zones = {names.facility(int(offer.slot.facility_id)).timezone for offer in offers}
    for number, offer in enumerate(offers, start=1):
        facility = names.facility(int(offer.slot.facility_id))
        when = between(offer.start_at, offer.end_at, zone=zone_of(facility.timezone))
        place = f"{facility.name} ({facility.timezone})" if len(zones) > 1 else facility.name
        cells = (when, names.doctor(int(offer.slot.doctor_id)), place, resources_of(offer, names))
        table.add_row(str(number), *(Text(printable(cell)) for cell in cells), str(offer.offering_id))
    if len(zones) == 1:
        table.caption, table.caption_justify = f"times of {printable(*zones)}", "left"
    return table


def resources_of(offer: VisitOffer, names: Names) -> str:
    """Return the resources of all steps of an offer, each once: `nurse Nina, room 1`."""
    ids_ = (id_ for step in offer.steps for of_kind in step.resources.values() for id_ in of_kind)
    return ", ".join(names.resource(int(id_)) for id_ in dict.fromkeys(ids_))
