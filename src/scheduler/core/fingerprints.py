"""Fingerprints: digests that change with everything that decides a schedule's slots.

Owns: the digest over rules, exceptions, closures and zone, and the versions of engine and tz database in it.
Holds: R3.
Must not know: where digests are kept.
"""

from dataclasses import fields
from hashlib import sha256
from typing import Final

from scheduler.core.errors import InvalidInputError
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, Schedule
from scheduler.core.validation import Validator

_CHECK: Final = Validator(InvalidInputError)

ENGINE_VERSION: Final = "2"
"""Increased whenever the same schedule would expand to other slots than before."""


def fingerprint(schedule: Schedule, *, tzdata_version: str) -> str:
    """Return a hexadecimal digest of everything that decides the schedule's slots, whatever the order of its parts.

    `tzdata_version` names the release of the tz database that the zones come from, such as `2026f`.

    Raises:
        InvalidInputError: the schedule is not a `Schedule`, or the version is not a text.
    """
    _CHECK.instance("schedule", schedule, Schedule)
    _CHECK.text("tzdata_version", tzdata_version)
    parts = [ENGINE_VERSION, tzdata_version, schedule.zone.key, repr(schedule.doctor_id), repr(schedule.facility_id)]
    for group in (schedule.rules, schedule.exceptions, schedule.closures):
        parts += sorted(map(_field_values, group))
    return sha256("\n".join(parts).encode("utf-8", "backslashreplace")).hexdigest()


def _field_values(part: AvailabilityRule | AvailabilityException | Closure) -> str:
    return repr((type(part).__name__, *(getattr(part, field.name) for field in fields(part))))
