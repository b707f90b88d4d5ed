"""Hypothesis strategies: zones, days, rules, exceptions, closures, schedules and spans.

Owns: the strategies that property tests share. Days lean to clock changes, rules to the days around the span, and
exceptions to the rules' hours, so that few examples cover many cases that matter.
All times are whole minutes from 1973 on, as the minute oracle needs (older offsets have seconds).
Must not know: the behaviour of the engine.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from scheduler.core.errors import InvalidRecurrenceError
from scheduler.core.recurrence import recurrence
from scheduler.core.releases import Release
from scheduler.core.schedules import (
    AvailabilityException,
    AvailabilityRule,
    Closure,
    ExceptionType,
    Schedule,
)
from scheduler.core.slots import Id
from scheduler.core.spans import Span

ODD_ZONES = (
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",  # a change of half an hour
    "Asia/Kathmandu",  # 45 minutes off the hour
    "America/Havana",  # changes at midnight
    "Pacific/Apia",  # skipped 2011-12-30
    "Africa/Casablanca",  # changes around Ramadan
    "Antarctica/Troll",  # a change of two hours
    "America/St_Johns",  # changed at 00:01 until 2011, back into the day before
)
ALL_ZONES = tuple((files("tzdata") / "zones").read_text(encoding="ascii").split())
FIRST_DAY, LAST_DAY = date(1973, 1, 1), date(2099, 12, 31)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
CLOCK_TIMES = tuple(time(hour, minute) for hour in (0, 1, 2, 3, 8, 12, 22, 23) for minute in (0, 15, 30))
WEEKDAY_CODES = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")

# Strategies are constructed once: constructing them for each example costs more than drawing from them.
zones: SearchStrategy[ZoneInfo] = st.sampled_from((*ODD_ZONES * 100, *ALL_ZONES)).map(ZoneInfo)
ids = st.one_of(st.integers(), st.text(), st.uuids())
minutes = st.integers(min_value=0, max_value=24 * 60 - 1).map(lambda count: time(*divmod(count, 60)))
clock_times = st.one_of(st.sampled_from(CLOCK_TIMES), st.sampled_from(CLOCK_TIMES), minutes)
# Few lengths, so that rules often yield the same slots.
lengths = st.sampled_from((15, 20, 30, 30, 45, 60, 7, 1, 90, 240)).map(lambda count: count * MINUTE)
perhaps_lengths = st.one_of(st.none(), lengths)
spells = st.one_of(lengths, st.integers(1, 1440).map(lambda count: count * MINUTE))
# E-mail addresses in lower case, by the grammar of HTML.
emails = (
    st.tuples(
        st.text("abcdefghijklmnopqrstuvwxyz0123456789.!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=64),
        st.lists(st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True), min_size=1, max_size=6),
    )
    .map(lambda parts: f"{parts[0]}@{'.'.join(parts[1])}")
    .filter(lambda text: len(text) <= 254)
)

HALVES = st.booleans()
THIRDS = st.integers(0, 2)
FOLDS = st.integers(0, 1)
NEXT_DAYS = st.integers(-1, 1)
BEGINNINGS = st.integers(-1440, 720)
LENGTHS_OF_SPANS = st.one_of(st.just(4320), st.integers(1, 4320))
ANY_DAYS = st.dates(FIRST_DAY, LAST_DAY)
ABOUT_A_CHANGE = st.integers(-2, 1)
UNTIL_DAYS = st.dates(date(2005, 1, 1), date(2045, 1, 1))
COUNTS = st.integers(1, 400)
SOME_WEEKDAYS = st.lists(st.sampled_from(WEEKDAY_CODES), min_size=1, max_size=4, unique=True).map(",".join)
NUMBERED_WEEKDAY = st.builds("{}{}".format, st.sampled_from((1, 2, 3, 4, -1, -2)), st.sampled_from(WEEKDAY_CODES))
SOME_MONTHS = st.lists(st.integers(1, 12), min_size=6, unique=True).map(lambda some: ",".join(map(str, some)))
RECURRENCES = st.one_of(
    st.builds("FREQ=DAILY;BYDAY={}".format, SOME_WEEKDAYS),
    st.builds("FREQ=WEEKLY;BYDAY={}".format, SOME_WEEKDAYS),
    st.builds("FREQ=WEEKLY;BYDAY={};BYSETPOS={}".format, SOME_WEEKDAYS, st.sampled_from((1, -1))),
    st.just("FREQ=WEEKLY"),
    st.builds("FREQ=WEEKLY;BYMONTH={}".format, SOME_MONTHS),
    st.builds("FREQ=MONTHLY;BYDAY={}".format, NUMBERED_WEEKDAY),
    st.builds("FREQ=MONTHLY;BYDAY={};BYSETPOS={}".format, SOME_WEEKDAYS, st.sampled_from((1, 2, -1))),
    st.builds("FREQ=MONTHLY;BYMONTHDAY={},{}".format, st.integers(1, 28), st.integers(-28, -1)),
    st.builds("FREQ=YEARLY;BYDAY={}".format, NUMBERED_WEEKDAY),
    st.builds("FREQ=YEARLY;BYDAY={};BYMONTH={}".format, NUMBERED_WEEKDAY, SOME_MONTHS),
    st.builds("FREQ=YEARLY;BYYEARDAY={},{}".format, st.integers(1, 365), st.integers(-365, -1)),
    st.builds("FREQ=YEARLY;BYWEEKNO={};BYDAY={}".format, st.integers(1, 52), SOME_WEEKDAYS),
)


@lru_cache(maxsize=64)
def clock_changes(zone: ZoneInfo) -> tuple[date, ...]:
    """Return the days near which the zone's offset changes, until 2045 (at most one change in five days)."""

    def offset(noon: datetime) -> timedelta | None:
        return noon.astimezone(zone).utcoffset()

    fifth = [datetime(1973, 1, 1, 12, tzinfo=UTC) + number * 5 * DAY for number in range(72 * 73)]
    around = [noon for noon in fifth if offset(noon) != offset(noon + 5 * DAY)]
    noons = [noon + number * DAY for noon in around for number in range(5)]
    return tuple((noon + DAY).date() for noon in noons if offset(noon) != offset(noon + DAY))


@st.composite
def days(draw: st.DrawFn, zone: ZoneInfo) -> date:
    """Draw a local day, in two of three cases near a change of the zone's offset."""
    changes = clock_changes(zone)
    if not changes or draw(THIRDS) == 0:
        return draw(ANY_DAYS)
    return draw(st.sampled_from(changes)) + draw(ABOUT_A_CHANGE) * DAY


@st.composite
def spans(draw: st.DrawFn, *, longest: int = 3 * 24 * 60) -> Span:
    """Draw a span of whole minutes within a few days, so that two of them often meet."""
    start = datetime(2027, 3, 1, tzinfo=UTC) + draw(st.integers(0, 2 * longest)) * MINUTE
    return Span(start, start + draw(st.integers(1, longest)) * MINUTE)


@st.composite
def recurrences(draw: st.DrawFn, *, anchored: bool, near: date | None = None) -> str:
    """Draw an RFC 5545 recurrence that counts from an anchor only if `anchored`; it may end near a day."""
    text: str = draw(RECURRENCES)
    if anchored:
        text = draw(st.sampled_from((text, text, "FREQ=DAILY", "FREQ=WEEKLY", "FREQ=MONTHLY", "FREQ=YEARLY")))
        text += draw(st.sampled_from(("", "", ";INTERVAL=2", ";INTERVAL=3")))
    text += draw(st.sampled_from(("", "", ";WKST=SU", ";WKST=WE")))
    ends = ["", "", f";UNTIL={draw(UNTIL_DAYS):%Y%m%d}"]
    if near is not None:
        until = datetime.combine(near + draw(NEXT_DAYS) * DAY, draw(clock_times))
        ends += [f";UNTIL={until:%Y%m%dT%H%M%S}", f";UNTIL={until:%Y%m%dT%H%M%SZ}"]
    if anchored:
        ends.append(f";COUNT={draw(COUNTS)}")
    return text + draw(st.sampled_from(ends))


@st.composite
def weekdays_and_recurrences(
    draw: st.DrawFn, near: date, anchor: date | None, start_time: time
) -> tuple[int | None, str | None]:
    """Draw the weekday of a day, or None, with a recurrence; or the weekday alone if the recurrence cannot open."""
    own = near.isoweekday() % 7
    text = draw(recurrences(anchored=anchor is not None, near=near))
    for weekday in draw(st.sampled_from(((own, None), (None,)))):
        with suppress(InvalidRecurrenceError):
            recurrence(text, weekday=weekday, anchor=anchor, start_time=start_time)
            return weekday, text
    return own, None


DAYS_BEFORE = st.sampled_from((None, None, None, None, 0, 1, 2, 30))


@st.composite
def rules(draw: st.DrawFn, near: date, *, rule_id: int = 1, plain: bool = False) -> AvailabilityRule:
    """Draw a rule that often has a window near a day; a plain rule has no dates, recurrence or alignment."""
    day = near + draw(st.sampled_from((0, 0, -1, 1, 2))) * DAY
    weekday: int | None = day.isoweekday() % 7
    effective_from = effective_until = text = alignment = release = None
    start_time = draw(clock_times)
    if not plain:
        effective_from = draw(st.sampled_from((None, None, None, *(day - ago * DAY for ago in (-1, 0, 1, 9, 400)))))
        effective_until = draw(st.sampled_from((None, None, None, *(day + ahead * DAY for ahead in (0, 1, 8)))))
        alignment = draw(perhaps_lengths)
        if draw(st.integers(0, 3)) == 3:
            weekday, text = draw(weekdays_and_recurrences(day, effective_from, start_time))
        days_before = draw(DAYS_BEFORE)
        if days_before is not None:
            released = draw(clock_times)
            release = Release(days_before, released if days_before else min(released, start_time))
    if effective_from is not None and effective_until is not None:
        effective_until = max(effective_from, effective_until)
    return AvailabilityRule(
        id=rule_id,
        day_of_week=weekday,
        start_time=start_time,
        end_time=draw(clock_times),
        slot_duration=draw(lengths),
        slot_interval=draw(perhaps_lengths),
        slot_alignment=alignment,
        capacity=draw(st.sampled_from((1, 1, 2))),
        service_offering_id=draw(st.sampled_from((None, 1, 2))),
        effective_from=effective_from,
        effective_until=effective_until,
        recurrence=text,
        active=plain or draw(st.integers(0, 7)) < 7,
        release=release,
    )


def unlimited(rule: AvailabilityRule) -> AvailabilityRule:
    """Return the rule without its dates, and on every day of its weekday or of the week."""
    every_day = "FREQ=DAILY" if rule.day_of_week is None else None
    return replace(rule, effective_from=None, effective_until=None, recurrence=every_day)


@st.composite
def moments(draw: st.DrawFn, near: date, zone: ZoneInfo) -> datetime:
    """Draw the instant of a wall time near a day, also in the second pass of a repeated hour."""
    wall = datetime.combine(near + draw(NEXT_DAYS) * DAY, draw(clock_times), zone)
    return wall.replace(fold=draw(FOLDS)).astimezone(UTC)


@st.composite
def exceptions(
    draw: st.DrawFn,
    near: date,
    zone: ZoneInfo,
    *,
    exception_id: int = 1,
    types: tuple[ExceptionType, ...] = tuple(ExceptionType),
    rule_ids: Sequence[Id] = (),
) -> AvailabilityException:
    """Draw an exception near a day; an override lasts at most a day on the wall clock."""
    kind = draw(st.sampled_from(types))
    start = draw(moments(near, zone))
    length = draw(spells)
    rule_id = draw(st.sampled_from((None, *rule_ids)))
    if kind is not ExceptionType.OVERRIDE:
        return AvailabilityException(exception_id, kind, start, start + length, rule_id)
    while on_the_wall(start, start + length, zone) > DAY:  # the clock goes forward in between
        start, length = start + 10 * MINUTE, max(MINUTE, length - 10 * MINUTE)
    return AvailabilityException(
        id=exception_id,
        type=kind,
        start_at=start,
        end_at=start + length,
        rule_id=rule_id,
        slot_duration=draw(perhaps_lengths),
        slot_interval=draw(perhaps_lengths),
        capacity=draw(st.sampled_from((None, None, 1, 3))),
    )


def on_the_wall(start: datetime, end: datetime, zone: ZoneInfo) -> timedelta:
    """Return the time that passes on the wall clock between two instants."""
    return end.astimezone(zone).replace(tzinfo=None) - start.astimezone(zone).replace(tzinfo=None)


@st.composite
def closures(draw: st.DrawFn, near: date, *, closure_id: int = 1, partial: bool | None = None) -> Closure:
    """Draw a closure near a day; `partial` decides whether it has times, None draws either."""
    day = near + draw(NEXT_DAYS) * DAY
    if draw(HALVES) if partial is None else not partial:
        return Closure(closure_id, day)
    return Closure(closure_id, day, draw(clock_times), draw(clock_times))


@st.composite
def schedules(
    draw: st.DrawFn, near: date, zone: ZoneInfo, *, types: tuple[ExceptionType, ...] = tuple(ExceptionType)
) -> Schedule:
    """Draw a schedule with windows near a day."""
    count = draw(st.sampled_from((1, 2, 3, 2, 0)))
    drawn = [draw(rules(near, rule_id=number + 1)) for number in range(count)]
    wants_twin = draw(HALVES)
    if drawn and wants_twin:  # so that two rules often yield the same slot
        twin = draw(st.sampled_from(drawn))
        drawn.append(replace(twin, id=draw(st.sampled_from((0, 8))), capacity=twin.capacity + 1))
    changes = [
        draw(exceptions(near, zone, exception_id=number, types=types, rule_ids=[rule.id for rule in drawn]))
        for number in range(draw(st.sampled_from((0, 1, 2, 3))))
    ]
    closed = [draw(closures(near, closure_id=number)) for number in range(draw(st.sampled_from((0, 0, 0, 1, 1, 2))))]
    return Schedule(7, 5, zone, drawn, changes, closed)


@st.composite
def spans_near(draw: st.DrawFn, near: date, zone: ZoneInfo) -> Span:
    """Draw a span of up to four days around a day, often between two wall times that matter."""
    ends = sorted((draw(moments(near, zone)), draw(moments(near, zone))))
    if ends[0] < ends[1] and draw(HALVES):
        return Span(*ends)
    start = datetime.combine(near, time(tzinfo=UTC)) + draw(BEGINNINGS) * MINUTE
    return Span(start, start + draw(LENGTHS_OF_SPANS) * MINUTE)


@st.composite
def cases(
    draw: st.DrawFn, zone: ZoneInfo | None = None, *, types: tuple[ExceptionType, ...] = tuple(ExceptionType)
) -> tuple[Schedule, Span]:
    """Draw a schedule and a span with windows in it."""
    zone = zone or draw(zones)
    near = draw(days(zone))
    return draw(schedules(near, zone, types=types)), draw(spans_near(near, zone))
