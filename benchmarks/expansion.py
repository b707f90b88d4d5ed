"""Expansion of schedules against its peers, and its cost as schedules grow."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import repeat
from zoneinfo import ZoneInfo

from rich.table import Table

import peers
from measuring import best_times
from scheduler import AvailabilityException, AvailabilityRule, ExceptionType, Schedule, Slot, Slots, Span, expand
from scheduler.core import progressions, zones

ZONE = ZoneInfo("Europe/London")
FIRST, DAYS = date(2027, 2, 1), 90  # over the clock change of 2027-03-28
MINUTE = timedelta(minutes=1)
SOME_ZONES = (
    "Europe/London",
    "Europe/Madrid",
    "America/New_York",
    "America/St_Johns",
    "America/Los_Angeles",
    "Australia/Sydney",
    "Asia/Kathmandu",
    "Asia/Tokyo",
)


def span(days: int = DAYS) -> Span:
    """Return the local days from the first."""
    midnight = partial(datetime.combine, time=time(), tzinfo=ZONE)
    return Span(midnight(FIRST), midnight(FIRST + timedelta(days=days)))


def weekdays(doctor_id: int) -> Schedule:
    """Return Monday to Friday, 09:00-17:00, in slots of 20 minutes."""
    rules = [AvailabilityRule(day, day, peers.OPENS, peers.CLOSES, peers.LENGTH) for day in range(1, 6)]
    return Schedule(doctor_id, 1, ZONE, rules)


def expand_each(schedules: Sequence[Schedule], use: Callable[[Slots], object]) -> None:
    """Expand the schedules in turn, using the slots of each before the next."""
    for schedule in schedules:
        use(expand(schedule, span()))


def expand_each_uncached(schedules: Sequence[Schedule], use: Callable[[Slots], object]) -> None:
    """Do the same with all caches emptied before each expansion: offsets, instants, steps."""
    for schedule in schedules:
        for cached in (zones.steady_offset, zones._change, progressions.offsets, progressions.lanes):  # noqa: SLF001
            cached.cache_clear()
        use(expand(schedule, span()))


def check(name: str, slots: Sequence[Slot], expected: Sequence[Slot]) -> None:
    """Stop unless a peer returns the same slots."""
    if slots != expected:
        raise SystemExit(f"{name} returns other slots: nothing to compare")


def of_many_hours(count: int, *, rounds: int) -> Table:
    """Compare on schedules that differ in hours and zone, so that caches help little."""
    hours = [
        (
            time(7 + number % 3, number % 6 * 10),
            time(15 + number % 5, number % 4 * 15),
            ZoneInfo(SOME_ZONES[number % 8]),
        )
        for number in range(count)
    ]
    schedules = [
        Schedule(number, 1, zone, [AvailabilityRule(day, day, opens, closes, peers.LENGTH) for day in range(1, 6)])
        for number, (opens, closes, zone) in enumerate(hours)
    ]
    margin_span = Span(span().start - timedelta(days=1), span().end + timedelta(days=1))

    def expand_all(use: Callable[[Slots], object]) -> None:
        for schedule in schedules:
            use(expand(schedule, margin_span))

    def run_loop() -> int:
        return sum(
            len(peers.loop(zone, FIRST - timedelta(days=1), DAYS + 2, number, opens, closes))
            for number, (opens, closes, zone) in enumerate(hours)
        )

    count_of_slots = sum(len(expand(schedule, margin_span)) for schedule in schedules)
    # The edges differ: the days of the loop are local, those of the span are not.
    if abs(run_loop() - count_of_slots) > count_of_slots // 100:
        raise SystemExit("the loop returns other slots: nothing to compare")
    loop = "(a) datetime and zoneinfo, each time by itself"
    times = best_times(
        {
            "expand, every Slot made": partial(expand_all, list),
            "expand().columns()": partial(expand_all, Slots.columns),
            loop: run_loop,
        },
        rounds=rounds,
    )
    table = Table(
        title=f"{count:,} schedules of differing hours and zones, {count_of_slots:,} slots", title_justify="left"
    )
    for heading in ("way", "ns a slot", "times (a)"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, seconds in times.items():
        table.add_row(name, f"{seconds / count_of_slots * 1e9:,.0f}", f"{times[loop] / seconds:.1f}")
    return table


def against_peers(count: int, *, rounds: int, slow_count: int) -> Table:
    """Compare ways to expand `count` schedules; the slow peers do `slow_count` of them and are scaled up."""
    schedules = [weekdays(doctor_id) for doctor_id in range(1, count + 1)]
    slow = schedules[:slow_count]
    expected = list(expand(schedules[0], span()))
    peers_by_name: dict[str, Callable[..., list[Slot]]] = {
        "(a) datetime and zoneinfo, each time by itself": peers.loop,
        "(a') the same, counting in UTC": peers.careful_loop,
        "(b) dateutil.rrule and zoneinfo": peers.with_rrule,
        "(c) recurring-ical-events": peers.with_calendar,
    }
    for name, peer in peers_by_name.items():
        check(name, peer(ZONE, FIRST, DAYS, 1), expected)

    def run_peer(peer: Callable[..., list[Slot]], expanded: Sequence[Schedule]) -> None:
        for schedule in expanded:
            peer(ZONE, FIRST, DAYS, schedule.doctor_id)

    finished_fields = [slot[:] for slot in expected]

    def make_values_only() -> None:
        for _ in schedules:
            list(map(tuple.__new__, repeat(Slot), finished_fields))

    candidates: dict[str, Callable[[], object]] = {
        "expand, every Slot made": partial(expand_each, schedules, list),
        "expand, no Slot read": partial(expand_each, schedules, len),
        "expand().columns()": partial(expand_each, schedules, Slots.columns),
        "expand, every Slot made, empty caches": partial(expand_each_uncached, schedules, list),
        "expand().columns(), empty caches": partial(expand_each_uncached, schedules, Slots.columns),
        "(floor) making Slot values from finished fields": make_values_only,
    }
    expanded_by_name = {name: slow if name.startswith(("(b)", "(c)")) else schedules for name in peers_by_name}
    candidates |= {name: partial(run_peer, peer, expanded_by_name[name]) for name, peer in peers_by_name.items()}
    times = best_times(candidates, rounds=rounds)
    for name, expanded in expanded_by_name.items():
        times[name] *= len(schedules) / len(expanded)
    count_of_slots = count * len(expected)
    base, rrule_time = times[next(iter(peers_by_name))], times["(b) dateutil.rrule and zoneinfo"]
    table = Table(title=f"{count:,} schedule{'s' if count > 1 else ''}, {count_of_slots:,} slots", title_justify="left")
    for heading in ("way", "ns a slot", "times (a)", "times (b)"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, seconds in times.items():
        table.add_row(
            name, f"{seconds / count_of_slots * 1e9:,.0f}", f"{base / seconds:.1f}", f"{rrule_time / seconds:.1f}"
        )
    return table


def _with_exceptions(count: int) -> Schedule:
    """Block ten minutes at many times within the 90 days, several in a window."""
    minutes = DAYS * 24 * 60
    begin = span().start
    blocks = [begin + timedelta(minutes=(number * minutes) // count) for number in range(count)]
    exceptions = [
        AvailabilityException(number, ExceptionType.BLOCKED, at, at + 10 * MINUTE) for number, at in enumerate(blocks)
    ]
    return Schedule(1, 1, ZONE, weekdays(1).rules, exceptions)


def _with_rules(count: int) -> Schedule:
    """Spread windows of five minutes over the week, one rule each, without overlaps."""
    rules = []
    for number in range(count):
        minute = number // 7 * 5
        opens, closes = time(minute // 60, minute % 60), time((minute + 5) // 60 % 24, (minute + 5) % 60)
        rules.append(AvailabilityRule(number, number % 7, opens, closes, 5 * MINUTE))
    return Schedule(1, 1, ZONE, rules)


def growth(*, rounds: int) -> Table:
    """Measure the cost of doubling the rules, exceptions or days of a schedule. Linear is about 2."""
    table = Table(
        title="cost of a schedule as it grows (linear: each doubling costs about twice)", title_justify="left"
    )
    for heading in ("", "number", "ms", "of half the number"):
        table.add_column(heading, justify="left" if not heading else "right")
    kinds: dict[str, tuple[Sequence[int], Callable[[int], Callable[[], object]]]] = {
        "rules": ((250, 500, 1000, 2000), lambda count: partial(expand, _with_rules(count), span())),
        "exceptions": ((250, 500, 1000, 2000), lambda count: partial(expand, _with_exceptions(count), span())),
        "days": ((90, 180, 360, 720), lambda count: partial(expand, weekdays(1), span(count))),
    }
    for kind, (counts, candidate) in kinds.items():
        times = best_times({str(count): candidate(count) for count in counts}, rounds=rounds)
        previous = None
        for count in counts:
            seconds = times[str(count)]
            table.add_row(kind, f"{count:,}", f"{seconds * 1e3:.2f}", f"{seconds / previous:.2f}" if previous else "")
            previous = seconds
    return table
