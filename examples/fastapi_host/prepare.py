"""Prepare the database: the migrations of the library and of the portal, and a clinic with two weeks of slots.

It needs the owner of the database; the application a member of `scheduler_app` and `scheduler_desk`.
"""

import os
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from alembic import command
from alembic.config import Config

from scheduler import OfferingId, Scheduler, Weekday, upgrade

TWENTY_MINUTES = timedelta(minutes=20)


def migrate(url: str) -> None:
    """Run the migrations of the library, then those of the portal, whose foreign keys need the library's tables."""
    upgrade(url)
    command.upgrade(Config(Path(__file__).with_name("alembic.ini")), "head")


def open_clinic(url: str, *, from_day: date) -> OfferingId:
    """Create a tenant with a clinic, generate its slots, and return the offering that has them."""
    with Scheduler(url) as clinic:
        clinic.add_tenant("bayside", name="Bayside Clinics")
        with clinic.tenant("bayside") as work:
            place = work.facilities.add("main", name="Main Street", zone="Europe/London")
            anna = work.doctors.add("Anna", "Ray", at=[place])
            checkup = work.services.add("check-up", duration=TWENTY_MINUTES)
            offering = work.offerings.add(checkup, by=anna, at=place)
            work.rules.add(anna, at=place, on=Weekday.MONDAY, start=time(9), end=time(12), slot_duration=TWENTY_MINUTES)
        clinic.generate("bayside", from_day=from_day, days=14)
    return offering


if __name__ == "__main__":
    database_url = os.environ["SCHEDULER_DATABASE_URL"]
    migrate(database_url)
    today = datetime.now(UTC).date()
    monday = today + timedelta(days=7 - today.weekday())
    offered = open_clinic(database_url, from_day=today)
    with Scheduler(database_url) as clinic, clinic.tenant("bayside") as work:
        service = work.offerings.get(offered).service_id
    for path in (f"slots?offering={offered}&day={monday}", f"offers?service={service}&start={monday}T00:00:00Z"):
        print(f"curl 'localhost:8000/bayside/{path}'")  # noqa: T201  # its output
