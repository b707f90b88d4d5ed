"""Visits over HTTP: found, held, booked, moved and cancelled.

An offer goes to the browser and comes back as JSON. Nothing in it is believed: each call decides on the visit anew.
"""

import json
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, HTTPException
from pydantic import AwareDatetime, BaseModel, ConfigDict, NaiveDatetime

import models
from clinics import Clinics
from scheduler import AppointmentStatus, AsyncWork, PatientId, ServiceId, Span, StepStatus, VisitId, VisitOffer

router = APIRouter(prefix="/{clinic}")
Key = Annotated[str | None, Header(alias="Idempotency-Key")]
Place = dict[str, Any] | str
"""An offer, or the token of a hold."""


class NewHold(BaseModel):
    """An offer that somebody looks at."""

    offer: dict[str, Any]


class HeldOffer(BaseModel):
    """The hold of an offer. Its token books the visit, so it is shown to nobody else."""

    model_config = ConfigDict(from_attributes=True)
    token: str
    ends_at: AwareDatetime


class NewVisit(BaseModel):
    """A visit to book, for a patient of the portal."""

    place: Place
    patient: int


class NewPlace(BaseModel):
    """The place to which a visit moves."""

    place: Place


class BookedStep(BaseModel):
    """A step of a visit."""

    model_config = ConfigDict(from_attributes=True)
    name: str
    start_at: AwareDatetime
    end_at: AwareDatetime
    status: StepStatus


class BookedVisit(BaseModel):
    """A visit as a client sees it. The patient was told `local_start`, on the clock of `zone`."""

    model_config = ConfigDict(from_attributes=True)
    id: int
    status: AppointmentStatus
    start_at: AwareDatetime
    end_at: AwareDatetime
    local_start: NaiveDatetime
    zone: str
    steps: list[BookedStep]


@router.get("/offers")
async def offers(clinics: Clinics, clinic: str, service: int, start: AwareDatetime) -> list[dict[str, Any]]:
    """Return the earliest visits of a week."""
    async with clinics.tenant(clinic) as work:
        week = Span(start, start + timedelta(days=7))
        return [json.loads(offer.to_json()) for offer in await work.visits.find(ServiceId(service), between=week)]


@router.post("/holds", status_code=201)
async def hold(clinics: Clinics, clinic: str, new: NewHold, key: Key = None) -> HeldOffer:
    """Hold the visit of an offer, so that nobody else books it while a form is filled in."""
    async with clinics.tenant(clinic) as work:
        held = await work.visits.hold(VisitOffer.from_json(new.offer), key=key)
    return HeldOffer.model_validate(held)


@router.post("/visits", status_code=201)
async def book(clinics: Clinics, clinic: str, new: NewVisit, key: Key = None) -> BookedVisit:
    """Book a visit, held or not; a repeated request with its key gets the first answer."""
    async with clinics.tenant(clinic) as work:
        patient, place = await chart_of(work, new.patient), place_of(new.place)
        if isinstance(place, str):
            visit = await work.visits.confirm(place, patient=patient, key=key)
        else:
            visit = await work.visits.book(place, patient=patient, key=key)
    return BookedVisit.model_validate(visit)


@router.put("/visits/{visit}")
async def move(clinics: Clinics, clinic: str, visit: int, new: NewPlace, key: Key = None) -> BookedVisit:
    """Move a visit: it keeps its id."""
    async with clinics.tenant(clinic) as work:
        moved = await work.visits.reschedule(VisitId(visit), to=place_of(new.place), key=key)
    return BookedVisit.model_validate(moved)


@router.delete("/visits/{visit}")
async def cancel(clinics: Clinics, clinic: str, visit: int, reason: str) -> BookedVisit:
    """Cancel a visit, whose place is free at once."""
    async with clinics.tenant(clinic) as work:
        return BookedVisit.model_validate(await work.visits.cancel(VisitId(visit), reason=reason))


def place_of(place: Place) -> VisitOffer | str:
    """Return the offer, or the token as it is."""
    return place if isinstance(place, str) else VisitOffer.from_json(place)


async def chart_of(work: AsyncWork, patient: int) -> PatientId:
    """Return the library's id of a patient of the portal."""
    row = await work.session.get(models.Patient, patient)
    if row is None:
        raise HTTPException(404, f"no patient has the id {patient}")
    return PatientId(row.chart_id)
