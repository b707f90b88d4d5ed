"""Portal of patients around the library: open slots as JSON, and rows of its own beside those of the library.

A real portal would sign its users in, and check that the user may use the clinic of the address.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

from fastapi import FastAPI
from pydantic import AwareDatetime, BaseModel
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import col, select

import models
import visits
from clinics import Clinics
from errors import add_error_handlers
from scheduler import AsyncScheduler, OfferingId, Slot
from scheduler import models as scheduling


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the database. A unit of work looks for no table in `public` unless SQLAlchemy names that schema."""
    url = make_url(os.environ["SCHEDULER_DATABASE_URL"]).set(drivername="postgresql+psycopg")
    engine = create_async_engine(url, execution_options={"schema_translate_map": {None: "public"}})
    try:
        async with AsyncScheduler(engine) as scheduler:
            app.state.scheduler = scheduler
            yield
    finally:
        await engine.dispose()


app = FastAPI(title="Portal of patients", lifespan=lifespan)
app.include_router(visits.router)
add_error_handlers(app)


class OpenSlot(BaseModel):
    """A slot as a client sees it. A `Slot` itself is a tuple, which JSON would show as an array."""

    start_at: AwareDatetime
    end_at: AwareDatetime
    doctor_id: int


class NewPatient(BaseModel):
    """A patient to register, and the user who will sign in."""

    email: str
    first_name: str
    last_name: str


class RegisteredPatient(BaseModel):
    """A patient of the portal, with the name that the library keeps."""

    id: int
    user: str
    name: str


@app.get("/{clinic}/slots", response_model=list[OpenSlot])
async def open_slots(clinics: Clinics, clinic: str, offering: int, day: date) -> list[Slot]:
    """Return the open slots of an offering on a day."""
    async with clinics.tenant(clinic) as work:
        return await work.slots.open(OfferingId(offering), day=day)


@app.post("/{clinic}/patients", status_code=201)
async def register(clinics: Clinics, clinic: str, new: NewPatient) -> int:
    """Write a user and a patient of the portal and a patient of the library: all of them, or none."""
    async with clinics.tenant(clinic) as work:
        user = models.User(tenant_id=work.tenant_id, email=new.email)
        work.session.add(user)
        await work.session.flush()
        chart = await work.patients.add(new.first_name, new.last_name, email=new.email)
        patient = models.Patient(tenant_id=work.tenant_id, chart_id=chart, user=user)
        work.session.add(patient)
        await work.session.flush()
        return patient.id or 0


@app.get("/{clinic}/patients")
async def patients(clinics: Clinics, clinic: str) -> list[RegisteredPatient]:
    """Return the registered patients: rows of the portal, joined to rows of the library."""
    query = (
        select(models.Patient, scheduling.Patient)
        .join(scheduling.Patient)
        .where(col(scheduling.Patient.deleted_at).is_(None))
        .order_by(col(models.Patient.id))
    )
    async with clinics.tenant(clinic) as work:
        return [
            RegisteredPatient(id=own.id or 0, user=own.user.email, name=f"{chart.first_name} {chart.last_name}")
            for own, chart in await work.session.exec(query)
        ]
