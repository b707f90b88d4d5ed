"""Opening hours: weekly hours and clinics of the openings format, as availability rules.

Owns: times of day, pairs of times, and the slot fields of the openings format (`docs/openings.md`).
Holds: T2 (a pair that closes at or before it opens ends next day), A2 through the rules that are built here.
Must not know: files, places and doctors, days of the calendar, the database.
"""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import date, time, timedelta
from typing import Final, NamedTuple

from scheduler.core.errors import InvalidInputError
from scheduler.core.json_fields import Fields, Json, list_from, object_from, shown
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityRule
from scheduler.core.zones import DAYS_OF_WEEK

MAX_TEXT_LENGTH: Final = 255
SECONDS_PER_DAY: Final = 86_400
_MAX_SLOT_MINUTES: Final = 1440
_MAX_CAPACITY: Final = 10_000
_DAY_NUMBERS: Final = {name.lower(): number for number, name in enumerate(DAYS_OF_WEEK)}
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?|24:00(?::00)?")


class Offer(NamedTuple):
    """The slot fields that weekly hours and clinics inherit from their doctor and place."""

    slot_duration: timedelta
    slot_interval: timedelta | None = None
    slot_alignment: timedelta | None = None
    capacity: int = 1
    release: Release | None = None


class ParsedHours(NamedTuple):
    """A window without a name yet. `opens` and `closes` are seconds since midnight."""

    day_of_week: int | None
    opens: int
    closes: int
    offer: Offer
    code: str | None = None
    effective_from: date | None = None
    effective_until: date | None = None
    recurrence: str | None = None


def offer_of(fields: Fields, inherited: Offer) -> Offer:
    """Take the slot fields of an object and inherit missing ones; the interval only if the length is inherited too."""
    duration, interval = minutes_of(fields, "slot_minutes"), minutes_of(fields, "interval_minutes")
    if duration is None and interval is None:
        interval = inherited.slot_interval
    return Offer(
        duration or inherited.slot_duration,
        interval,
        minutes_of(fields, "alignment_minutes") or inherited.slot_alignment,
        capacity_of(fields) or inherited.capacity,
        release_of(fields) or inherited.release,
    )


def rules_of(weekly: Json, clinics: Json, offer: Offer) -> tuple[AvailabilityRule, ...]:
    """Build the rules of weekly hours and clinics, named by weekday and start or by the clinic's code.

    Raises:
        InvalidInputError: a day, time or number cannot be read, or a rule contradicts itself.
    """
    windows = [*_weekly_windows(weekly, offer), *_clinic_windows(clinics, offer)]
    # Sorted, so that the order of the days in a line does not change the names of its rules.
    windows.sort(key=lambda window: (window.day_of_week or 0, window.opens, window.closes, repr(window)))
    used_names: Counter[str] = Counter()
    return tuple(_rule(window, used_names) for window in windows)


def pairs_from(value: Json, *, where: str) -> Iterator[tuple[int, int]]:
    """Read `[opens, closes]` pairs as seconds since midnight.

    Raises:
        InvalidInputError: a pair or a time cannot be read.
    """
    for pair in list_from(value, where=where):
        if not isinstance(pair, list) or len(pair) != 2:  # noqa: PLR2004  # opens and closes
            raise InvalidInputError(f"{where}: expected a pair [opens, closes], not {shown(pair)}")
        yield clock_from(pair[0], where=where), clock_from(pair[1], where=where, closing=True)


def clock_from(value: Json, *, where: str, closing: bool = False) -> int:
    """Read a wall-clock time as seconds since midnight; only a closing time can be 24:00."""
    match = _CLOCK.fullmatch(value) if isinstance(value, str) else None
    if match is None or (match[1] is None and not closing):
        raise InvalidInputError(f"{where}: {shown(value)} is not a time of day such as 08:30")
    hours, minutes, seconds = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds) if match[1] else SECONDS_PER_DAY


def minutes_of(fields: Fields, name: str) -> timedelta | None:
    """Take a length of 1 to 1440 whole minutes; None if the field is missing or null."""
    count = fields.whole(name, maximum=_MAX_SLOT_MINUTES)
    return None if count is None else timedelta(minutes=count)


def capacity_of(fields: Fields) -> int | None:
    """Take the number of bookings per slot; None if the field is missing or null."""
    return fields.whole("capacity", maximum=_MAX_CAPACITY)


def release_of(fields: Fields) -> Release | None:
    """Take the release of slots; None if the field is missing or null."""
    value = fields.take("release")
    if value is None:
        return None
    parts = Fields(value, where="release")
    days_before = parts.take("days_before")
    if isinstance(days_before, bool) or not isinstance(days_before, int):
        parts.refuse(f"days_before must be a whole number from 0, not {shown(days_before)}")
    release = Release(days_before, time_of(clock_from(parts.take("at"), where="release: at")))
    parts.end()
    return release


def time_of(clock: int) -> time:
    """Return seconds since midnight as a time; 24:00 is 00:00 of the next day."""
    return time(clock % SECONDS_PER_DAY // 3600, clock // 60 % 60, clock % 60)


def shown_clock(clock: int) -> str:
    """Format a time of day: 08:30, or 08:30:15."""
    text = f"{clock // 3600:02}:{clock // 60 % 60:02}"
    return text if clock % 60 == 0 else f"{text}:{clock % 60:02}"


def numbered(name: str, used_names: Counter[str]) -> str:
    """Return the name, with a number if the name is in use already."""
    used_names[name] += 1
    return name if used_names[name] == 1 else f"{name} #{used_names[name]}"


def _rule(window: ParsedHours, used_names: Counter[str]) -> AvailabilityRule:
    if window.code is not None:
        name = f"clinic {window.code}"
        if name in used_names:
            raise InvalidInputError(f"clinics: two clinics have the code {window.code!r}")
        used_names[name] += 1
    else:
        day = "any day" if window.day_of_week is None else DAYS_OF_WEEK[window.day_of_week].lower()
        name = numbered(f"{day} {shown_clock(window.opens)}", used_names)
    return AvailabilityRule(
        id=name,
        day_of_week=window.day_of_week,
        start_time=time_of(window.opens),
        end_time=time_of(window.closes),
        **window.offer._asdict(),
        effective_from=window.effective_from,
        effective_until=window.effective_until,
        recurrence=window.recurrence,
    )


def _weekly_windows(weekly: Json, offer: Offer) -> Iterator[ParsedHours]:
    days: set[int] = set()
    for name, pairs in object_from(weekly, where="weekly").items():
        day = _day_of_week(name, where="weekly")
        if day in days:
            raise InvalidInputError(f"weekly: {name.lower()} appears twice")
        days.add(day)
        for opens, closes in pairs_from(pairs, where=f"weekly: {name}"):
            yield ParsedHours(day, opens, closes, offer)


def _clinic_windows(clinics: Json, offer: Offer) -> Iterator[ParsedHours]:
    for position, clinic in enumerate(list_from(clinics, where="clinics"), start=1):
        where = f"clinics: number {position}"
        fields = Fields(clinic, where=where)
        day, first_day = fields.take("day"), fields.day("effective_from")
        recurrence = fields.text("recurrence", max_length=MAX_TEXT_LENGTH)
        if day is None and recurrence is not None and first_day is None:
            fields.refuse("a clinic whose recurrence says the days needs effective_from")
        yield ParsedHours(
            None if day is None and recurrence is not None else _day_of_week(day, where=f"{where}: day"),
            clock_from(fields.take("opens"), where=f"{where}: opens"),
            clock_from(fields.take("closes"), where=f"{where}: closes", closing=True),
            offer_of(fields, offer),
            fields.code("code"),
            first_day,
            fields.day("effective_until"),
            recurrence,
        )
        fields.end()


def _day_of_week(value: Json, *, where: str) -> int:
    number = _DAY_NUMBERS.get(value.lower()) if isinstance(value, str) else None
    if number is None:
        raise InvalidInputError(f"{where}: {shown(value)} is not a day of the week such as monday")
    return number
