"""Openings lines: one line of an openings file, read into a place.

Owns: the fields of a place and of its listed doctors, and the fields that doctors inherit (`docs/openings.md`).
Holds: A1 (each doctor of a place gets a schedule, validated as it is built), T2 (all times are in the place's zone).
Must not know: the file and its other lines, the database.
"""

import json
import re
from collections.abc import Iterator
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidInputError, SchedulerError
from scheduler.core.json_fields import Fields, Json, day_from, object_from, shown
from scheduler.core.schedules import AvailabilityRule, Closure, Schedule
from scheduler.core.zones import zone_of
from scheduler.openings.format.exceptions import altered_days, exceptions_of, listed_exceptions
from scheduler.openings.format.hours import MAX_TEXT_LENGTH, Offer, clock_from, offer_of, rules_of, time_of
from scheduler.openings.places import ClosedDay, Doctor, Place

_HOURS: Final = ("weekly", "clinics")
_ADDRESS_FIELDS: Final = ("address", "city", "postcode")
_COUNTRY: Final = re.compile(r"[A-Z]{2}")
_NO_HOURS: Final = "no hours are given: `weekly` or `clinics` is missing (null means that there are none)"

_FIELDS: Final = (
    *("code", "name", "timezone", "weekly", "alterations", "closures", "clinics", "exceptions", "doctors"),
    *("slot_minutes", "interval_minutes", "alignment_minutes", "capacity", "release"),
    *(*_ADDRESS_FIELDS, "phone", "country", "locale"),
)
# As unknown fields, these common names of other formats would be kept, and have no effect.
_NAMES: Final = {
    **{field.replace("_", ""): field for field in _FIELDS},
    **dict.fromkeys(("hours", "openinghours", "openingtimes", "workinghours", "weeklyhours", "timetable"), "weekly"),
    **dict.fromkeys(("holidays", "closeddays"), "closures"),
    **dict.fromkeys(("practitioners", "physicians"), "doctors"),
    **dict.fromkeys(("slotduration", "slotlength"), "slot_minutes"),
    "slotinterval": "interval_minutes",
    "slotalignment": "alignment_minutes",
}
# Like `country`, but a field of its own.
_OTHER_NAMES: Final = frozenset({"county"})


class _ParsedDoctor(NamedTuple):
    """A doctor whose exceptions are not parsed yet."""

    code: str
    first_name: str
    last_name: str
    display_name: str
    specialty: str | None
    role: str | None
    rules: tuple[AvailabilityRule, ...]
    exceptions: Json


def place_of(value: Json, offer: Offer) -> Place:
    """Build the place of one line; `offer` fills in slot fields that the line does not have.

    Raises:
        InvalidInputError: a field cannot be read, or a rule or exception contradicts itself.
        WallClockError: the time zone is unknown.
    """
    fields = Fields(value)
    fields.check_spelling(_NAMES, other=_OTHER_NAMES)
    slug = fields.needed_code("code")
    zone_name = fields.take("timezone")
    if not isinstance(zone_name, str):
        fields.refuse(f"timezone must be an IANA name such as 'Europe/London', not {shown(zone_name)}")
    zone = zone_of(zone_name)
    name = fields.needed_text("name", max_length=MAX_TEXT_LENGTH)
    country = fields.text("country", max_length=2)
    if country is not None and not _COUNTRY.fullmatch(country):
        fields.refuse(f"country {shown(country)} must be two capital letters such as 'GB'")
    closures = _closures(fields.take("closures"))
    doctors = _doctors(fields, slug=slug, name=name, zone=zone, closures=closures, offer=offer)
    address = [fields.text(part, max_length=MAX_TEXT_LENGTH) for part in _ADDRESS_FIELDS]
    return Place(
        slug=slug,
        name=name,
        zone=zone,
        doctors=doctors,
        closures=closures,
        address=", ".join(part for part in address if part) or None,
        phone=fields.text("phone", max_length=50),
        country=country,
        locale=fields.text("locale", max_length=10),
        further=json.dumps(fields.rest(), sort_keys=True),
    )


def _doctors(
    fields: Fields, *, slug: str, name: str, zone: ZoneInfo, closures: tuple[ClosedDay, ...], offer: Offer
) -> tuple[Doctor, ...]:
    """Build the listed doctors of a place, or else one doctor who works its hours."""
    place_offer = offer_of(fields, offer)
    has_hours = fields.gives(*_HOURS)
    weekly, clinics = fields.take("weekly"), fields.take("clinics")
    place_rules = rules_of(weekly, clinics, place_offer)
    listed = fields.take("doctors")
    if listed is None:
        if not has_hours:
            fields.refuse(_NO_HOURS)
        # No listed doctor's code has a colon, so these two can never be the same person.
        parsed_doctors = [_ParsedDoctor(f"at:{slug}", "Duty", "practitioner", name, None, None, place_rules, None)]
    elif isinstance(listed, list) and listed:
        parsed_doctors = [
            _listed_doctor(
                Fields(value, where=f"doctors: number {position}"), weekly, clinics, place_offer, has_hours=has_hours
            )
            for position, value in enumerate(listed, start=1)
        ]
    else:
        fields.refuse(f"doctors must be a list with at least one doctor, not {shown(listed)}")
    all_rules = [rule for parsed in parsed_doctors for rule in parsed.rules]
    shared = (
        *altered_days(fields.take("alterations"), zone),
        *listed_exceptions(fields.take("exceptions"), zone, all_rules),
    )
    closed = [Closure(closure.name, closure.day, closure.start_time, closure.end_time) for closure in closures]
    doctors = []
    for parsed in parsed_doctors:
        own = listed_exceptions(parsed.exceptions, zone, parsed.rules)
        exceptions, reasons = exceptions_of((*shared, *own), parsed.rules)
        schedule = Schedule(parsed.code, slug, zone, parsed.rules, exceptions, closed)
        doctors.append(Doctor(*parsed[:4], schedule, parsed.specialty, parsed.role, reasons))
    return tuple(doctors)


def _listed_doctor(fields: Fields, weekly: Json, clinics: Json, inherited: Offer, *, has_hours: bool) -> _ParsedDoctor:
    code = fields.needed_code("code")
    first, last = (fields.needed_text(name, max_length=100) for name in ("first_name", "last_name"))
    offer = offer_of(fields, inherited)
    has_hours |= fields.gives(*_HOURS)
    own_weekly, own_clinics = fields.take("weekly"), fields.take("clinics")
    if own_weekly is not None or own_clinics is not None:
        weekly, clinics = own_weekly, own_clinics
    if not has_hours:
        fields.refuse(_NO_HOURS)
    try:
        rules = rules_of(weekly, clinics, offer)
    except SchedulerError as error:
        fields.refuse(str(error))
    parsed = _ParsedDoctor(
        code,
        first,
        last,
        fields.text("display_name", max_length=MAX_TEXT_LENGTH) or f"{first} {last}",
        fields.text("specialty", max_length=MAX_TEXT_LENGTH),
        fields.text("role", max_length=100),
        rules,
        fields.take("exceptions"),
    )
    fields.end()
    return parsed


def _closures(value: Json) -> tuple[ClosedDay, ...]:
    by_day = object_from(value, where="closures")
    return tuple(closed for day in sorted(by_day) for closed in _closures_of(day, by_day[day]))


def _closures_of(name: str, value: Json) -> Iterator[ClosedDay]:
    """Yield the closed day or the closed times of one date."""
    day, where = day_from(name, where="closures"), f"closures: {name}"
    if not isinstance(value, dict | list):
        yield ClosedDay(day, Fields({name: value}, where="closures").text(name, max_length=MAX_TEXT_LENGTH))
        return
    listed = [value] if isinstance(value, dict) else value
    if not listed:
        raise InvalidInputError(f"{where}: a list of closed times must have at least one")
    used: set[str] = set()
    for item in listed:
        fields = Fields(item, where=where)
        closed = ClosedDay(
            day,
            fields.text("reason", max_length=MAX_TEXT_LENGTH),
            time_of(clock_from(fields.take("from"), where=f"{where}: from")),
            time_of(clock_from(fields.take("until"), where=f"{where}: until", closing=True)),
        )
        fields.end()
        if closed.name in used:
            fields.refuse(
                f"the closed time from {closed.start_time:%H:%M} until {closed.end_time:%H:%M} is given twice"
            )
        used.add(closed.name)
        yield closed
