"""Opening lines: one line of an openings file, as a place.

Owns: the fields of a place and of the doctors that it lists, and what doctors inherit (`docs/openings.md`).
Holds: A1 (each doctor of a place gets a schedule, built and so validated here), T2 (all times are of its zone).
Must not know: the file and its other lines, the database.
"""

import json
import re
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidInputError, SchedulerError
from scheduler.core.schedules import AvailabilityRule, Closure, Schedule
from scheduler.core.zones import zone_of
from scheduler.openings.format.exceptions import altered_days, exceptions_of, listed_exceptions
from scheduler.openings.format.hours import LONGEST_TEXT, Offer, offer_of, rules_of
from scheduler.openings.format.json_fields import Fields, Json, day_from, shown
from scheduler.openings.places import ClosedDay, Doctor, Place

_ADDRESS: Final = ("address", "city", "postcode")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


class _Staff(NamedTuple):
    """A doctor whose exceptions are still to be read."""

    code: str
    first_name: str
    last_name: str
    display_name: str
    specialty: str | None
    role: str | None
    rules: tuple[AvailabilityRule, ...]
    exceptions: Json


def place_of(value: Json, offer: Offer) -> Place:
    """Build the place that one line says; `offer` is what it does not say of its slots.

    Raises:
        InvalidInputError: a field cannot be read, or a rule or exception contradicts itself.
        WallClockError: the zone is unknown.
    """
    fields = Fields(value)
    slug = fields.needed_code("code")
    zone_name = fields.take("timezone")
    if not isinstance(zone_name, str):
        fields.refuse(f"timezone must be an IANA name such as 'Europe/London', not {shown(zone_name)}")
    zone = zone_of(zone_name)
    name = fields.needed_text("name", longest=LONGEST_TEXT)
    country = fields.text("country", longest=2)
    if country is not None and not _COUNTRY.fullmatch(country):
        fields.refuse(f"country {shown(country)} must be two capital letters such as 'GB'")
    closures = _closures(fields.take("closures"))
    doctors = _doctors(fields, slug=slug, name=name, zone=zone, closures=closures, offer=offer)
    address = [fields.text(part, longest=LONGEST_TEXT) for part in _ADDRESS]
    return Place(
        slug=slug,
        name=name,
        zone=zone,
        doctors=doctors,
        closures=closures,
        address=", ".join(part for part in address if part) or None,
        phone=fields.text("phone", longest=50),
        country=country,
        locale=fields.text("locale", longest=10),
        further=json.dumps(fields.rest(), sort_keys=True),
    )


def _doctors(
    fields: Fields, *, slug: str, name: str, zone: ZoneInfo, closures: tuple[ClosedDay, ...], offer: Offer
) -> tuple[Doctor, ...]:
    """Build the doctors of a place: those it lists, or one who works its hours."""
    place_offer = offer_of(fields, offer)
    weekly, clinics = fields.take("weekly"), fields.take("clinics")
    place_rules = rules_of(weekly, clinics, place_offer)
    listed = fields.take("doctors")
    if listed is None:
        # A colon is in no listed doctor's code, so the two can never be one person.
        staff = [_Staff(f"at:{slug}", "Duty", "practitioner", name, None, None, place_rules, None)]
    elif isinstance(listed, list) and listed:
        staff = [
            _staff(Fields(entry, where=f"doctors: number {position}"), weekly, clinics, place_offer)
            for position, entry in enumerate(listed, start=1)
        ]
    else:
        fields.refuse(f"doctors must be a list of at least one, not {shown(listed)}")
    every_rule = [rule for person in staff for rule in person.rules]
    shared = (
        *altered_days(fields.take("alterations"), zone),
        *listed_exceptions(fields.take("exceptions"), zone, every_rule),
    )
    closed = [Closure(day.isoformat(), day) for day, _ in closures]
    doctors = []
    for person in staff:
        own = listed_exceptions(person.exceptions, zone, person.rules)
        exceptions = exceptions_of((*shared, *own), person.rules)
        schedule = Schedule(person.code, slug, zone, person.rules, (one.exception for one in exceptions), closed)
        reasons = tuple((one.exception.id, one.reason) for one in exceptions if one.reason)
        doctors.append(Doctor(*person[:4], schedule, person.specialty, person.role, reasons))
    return tuple(doctors)


def _staff(fields: Fields, weekly: Json, clinics: Json, inherited: Offer) -> _Staff:
    code = fields.needed_code("code")
    first, last = (fields.needed_text(name, longest=100) for name in ("first_name", "last_name"))
    offer = offer_of(fields, inherited)
    if "weekly" in fields or "clinics" in fields:
        weekly, clinics = fields.take("weekly"), fields.take("clinics")
    try:
        rules = rules_of(weekly, clinics, offer)
    except SchedulerError as error:
        fields.refuse(str(error))
    person = _Staff(
        code,
        first,
        last,
        fields.text("display_name", longest=LONGEST_TEXT) or f"{first} {last}",
        fields.text("specialty", longest=LONGEST_TEXT),
        fields.text("role", longest=100),
        rules,
        fields.take("exceptions"),
    )
    fields.end()
    return person


def _closures(value: Json) -> tuple[ClosedDay, ...]:
    if value is None:
        return ()
    if not isinstance(value, dict):
        raise InvalidInputError(f"closures must be an object, not {shown(value)}")
    fields = Fields(value, where="closures")
    return tuple(
        ClosedDay(day_from(name, where="closures"), fields.text(name, longest=LONGEST_TEXT)) for name in sorted(value)
    )
