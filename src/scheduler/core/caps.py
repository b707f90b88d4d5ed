"""Caps: at most so many visits a local day or ISO week of one thing.

Owns: the periods and targets of caps, the words for a cap that is reached, and the times that a full period takes.
Holds: Q4 (a day is local, a week is that of ISO 8601, from Monday on).
Must not know: how visits are counted.
"""

from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidInputError
from scheduler.core.intervals import merge
from scheduler.core.spans import Span
from scheduler.core.uses import inside
from scheduler.core.zones import DAY, day_number, instants_showing


class Period(StrEnum):
    """The time for which a cap counts: a local day, or a local week from Monday on."""

    DAY = "day"
    WEEK = "week"

    @property
    def days(self) -> int:
        """How many days it has."""
        return 1 if self is Period.DAY else 7


class CapTarget(StrEnum):
    """The kind of thing whose visits a cap counts."""

    DOCTOR = "doctor"
    OFFERING = "offering"
    SERVICE = "service"
    PATIENT = "patient"


def target_of(*, doctor: object, offering: object, service: object, facility: object, patient: object) -> CapTarget:
    """Return the one target that is given, each None but it; a service comes with a facility.

    Raises:
        InvalidInputError: none or several are given, a service without a facility, or a facility without a service.
    """
    values = zip(CapTarget, (doctor, offering, service, patient), strict=True)
    given = [target for target, value in values if value is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none of them"
        raise InvalidInputError(f"cap: give one of doctor, offering, service with facility, or patient, not {found}")
    (target,) = given
    if (target is CapTarget.SERVICE) != (facility is not None):
        raise InvalidInputError("cap: a service is capped at a facility: give service and facility together")
    return target


def text_of(target: CapTarget, period: Period, most: int) -> str:
    """Say that a cap is reached."""
    at = " at the facility" if target is CapTarget.SERVICE else ""
    return f"the {target}'s {'' if period is Period.DAY else 'weekly '}cap of {most}{at} is reached"


def full_spans(zone: ZoneInfo, periods: Iterable[tuple[Period, date]]) -> tuple[Span, ...]:
    """Return the times in which the local date lies in one of the periods, each given by its first day."""
    shown = merge(
        part
        for period, first in periods
        for day in range(day_number(first), day_number(first) + period.days)
        for part in instants_showing(zone, day, day * DAY, (day + 1) * DAY)
    )
    spans = (inside(begin, end) for begin, end in shown)
    return tuple(span for span in spans if span is not None)
