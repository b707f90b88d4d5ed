"""Booking policies: when a visit may be booked and cancelled, and how long a hold lasts.

Owns: the policy of a visit, and the starts that it allows.
Holds: Q2 (notice and horizon).
Must not know: which rows decide a policy (`policy_rows`), who asks, whether a visit fits otherwise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidInputError
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.spans import Span, utc
from scheduler.core.validation import Validator
from scheduler.core.zones import (
    DAY,
    EARLIEST,
    FIRST_INSTANT,
    LAST_INSTANT,
    LATEST,
    MICROSECOND,
    clock_micros,
    instant,
    instant_of,
    micros,
    wall_of,
)

USUAL_HOLD: Final = timedelta(minutes=10)
"""How long a hold lasts if no policy says it."""
LONGEST_HOLD: Final = timedelta(hours=24)
"""How long a hold lasts at most."""
LONGEST_LEAD: Final = timedelta(days=366)
"""The longest notice, and the longest time before a visit after which it is not cancelled."""

_CHECK: Final = Validator(InvalidInputError)
_NO_TIME: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class DaysBefore:
    """Whole local days before a visit's day, until a time of day: one day before, until 16:00.

    Both are on the facility's clock. Zero days before is the day of the visit itself.

    Raises:
        InvalidInputError: a field is invalid.
    """

    days: int
    until: time

    def __post_init__(self) -> None:
        _CHECK.whole("days before: days", self.days, lowest=0)
        if self.days > LONGEST_LEAD.days:
            raise InvalidInputError(f"days before: days must be at most {LONGEST_LEAD.days}, not {self.days}")
        if not isinstance(self.until, time) or self.until.tzinfo is not None:
            raise InvalidInputError(f"days before: until must be a naive time of day, not {self.until!r}")

    def __str__(self) -> str:
        return f"{local_days(self.days)} before, until {self.until:%H:%M}"


Lead = timedelta | DaysBefore
"""How long before a visit: a length, or whole local days until a time of day."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of a visit: the notice, the horizon in local days, and how long holds last.

    `horizon` and `offer_lasts` are None if no row says them. Without a row, a visit may be booked and cancelled until
    it begins.
    """

    notice: Lead = _NO_TIME
    horizon: int | None = None
    hold_lasts: timedelta = USUAL_HOLD
    offer_lasts: timedelta | None = None
    cancel_until: Lead = _NO_TIME

    def starts(self, now: datetime, zone: ZoneInfo) -> "Starts":
        """Return the starts that notice and horizon allow at an instant, in a facility's zone."""
        at = micros(utc(now))
        begin, end = EARLIEST, LATEST
        if self.notice != _NO_TIME:
            begin = _first_start(self.notice, at, zone)
        if self.horizon is not None:
            end = _midnight(zone, _local_day(zone, at) + self.horizon + 1)
        return Starts(begin, end, self)

    def last_cancellation(self, start_at: datetime, zone: ZoneInfo) -> datetime:
        """Return the last instant at which people who are cared for may cancel a visit, at most its start."""
        return last_instant(self.cancel_until, start_at, zone)


class Starts(NamedTuple):
    """The instants `[begin, end)` at which visits may start by a policy; none if they are not in order."""

    begin: datetime
    end: datetime
    policy: Policy

    @property
    def are_all(self) -> bool:
        """Whether every start is allowed."""
        return (self.begin, self.end) == (EARLIEST, LATEST)

    def within(self, span: Span | None) -> Span | None:
        """Return the allowed instants of a span, or of all time; None if there is none."""
        begin, end = (EARLIEST, LATEST) if span is None else (span.start, span.end)
        begin, end = max(begin, self.begin), min(end, self.end)
        return Span(begin, end) if begin < end else None

    def reasons(self, start_at: datetime) -> Iterator[Reason]:
        """Yield why the policy does not allow a start, the strongest first."""
        if start_at >= self.end:
            text = f"it starts after the booking horizon of {local_days(self.policy.horizon or 0)}"
            yield Reason(ReasonCode.HORIZON, start_at, start_at, text)
        if start_at < self.begin:
            text = f"it starts within the minimum notice ({self.policy.notice})"
            yield Reason(ReasonCode.NOTICE, start_at, start_at, text)


ANY_START: Final = Starts(EARLIEST, LATEST, Policy())
"""All starts, as without a policy."""


def local_days(count: int) -> str:
    """Return a number of local days in words."""
    return "1 local day" if count == 1 else f"{count} local days"


def last_instant(lead: Lead, start_at: datetime, zone: ZoneInfo) -> datetime:
    """Return the last instant that is so long before a start, at most the start itself."""
    at = micros(utc(start_at))
    if isinstance(lead, DaysBefore):
        day = _local_day(zone, at) - lead.days
        return instant(min(at, _inside(instant_of(zone, day, day * DAY + clock_micros(lead.until)))))
    return instant(_inside(at - lead // MICROSECOND))


def _first_start(notice: Lead, now: int, zone: ZoneInfo) -> datetime:
    if not isinstance(notice, DaysBefore):
        return instant(_inside(now + notice // MICROSECOND))
    day = _local_day(zone, now)
    until = clock_micros(notice.until)
    # At the change of a clock, the time of day of the day before may be this instant.
    while instant_of(zone, day - 1, (day - 1) * DAY + until) >= now:
        day -= 1
    while instant_of(zone, day, day * DAY + until) < now:
        day += 1
    return _midnight(zone, day + notice.days)


def _local_day(zone: ZoneInfo, at: int) -> int:
    """Return the number of the local day in which an instant lies, as days begin by T3."""
    day = wall_of(zone, at) // DAY
    return day + 1 if instant_of(zone, day + 1, (day + 1) * DAY) <= at else day


def _midnight(zone: ZoneInfo, day: int) -> datetime:
    return instant(_inside(instant_of(zone, day, day * DAY)))


def _inside(at: int) -> int:
    return min(max(at, FIRST_INSTANT), LAST_INSTANT)
