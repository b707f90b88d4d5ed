"""Fingerprints: digests that change with everything that decides a schedule's slots.

Owns: the digest over rules, exceptions, closures and zone, and the versions of engine and tz database in it; which
exceptions and closures are over, and so leave the digest of later days.
Holds: R3.
Must not know: where digests are kept.
"""

from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256
from typing import Final

from scheduler.core.errors import InvalidInputError
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, Schedule
from scheduler.core.validation import Validator

_CHECK: Final = Validator(InvalidInputError)

ENGINE_VERSION: Final = "2"
"""Increased whenever the same schedule would expand to other slots than before."""


_REACH: Final = timedelta(days=3)
"""An override or a closure decides windows of its local day, which may reach into the next; zones differ by a day."""


def relevant_from(day: date) -> datetime:
    """Return an instant whose earlier exceptions and closures decide no slot of a local day or later, in any zone."""
    return datetime.combine(max(day, date.min + _REACH) - _REACH, time(), UTC)


def fingerprint(schedule: Schedule, *, tzdata_version: str, since: date | None = None) -> str:
    """Return a hexadecimal digest of everything that decides the schedule's slots, whatever the order of its parts.

    `tzdata_version` names the release of the tz database that the zones come from, such as `2026f`. With `since`, the
    digest covers slots that start on that local day or later: exceptions and closures that are over do not count.

    Raises:
        InvalidInputError: the schedule is not a `Schedule`, the version is not a text, or `since` is not a date.
    """
    _CHECK.instance("schedule", schedule, Schedule)
    _CHECK.text("tzdata_version", tzdata_version)
    exceptions, closures = schedule.exceptions, schedule.closures
    if since is not None:
        _CHECK.day("since", since)
        begin = relevant_from(since)
        exceptions = tuple(exception for exception in exceptions if exception.end_at >= begin)
        closures = tuple(closure for closure in closures if closure.day >= begin.date())
    parts = [ENGINE_VERSION, tzdata_version, schedule.zone.key, repr(schedule.doctor_id), repr(schedule.facility_id)]
    for group in (schedule.rules, exceptions, closures):
        parts += sorted(map(_field_values, group))
    return sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()


def _field_values(part: AvailabilityRule | AvailabilityException | Closure) -> str:
    return repr((type(part).__name__, *(getattr(part, field.name) for field in fields(part))))
