"""Expansion property by property (T2-T4, A1-A6, S1-S4) and against a minute-by-minute oracle (S5)."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from oracles.minute_sets import instant_of, minute_of, minutes_of, spans_of
from oracles.minutes import ONE_DAY, effective, expand_by_minutes, works
from scheduler.core.expansion import expand
from scheduler.core.schedules import (
    AvailabilityException,
    AvailabilityRule,
    Closure,
    ExceptionType,
    Schedule,
)
from scheduler.core.slots import Slot, SlotIdentity
from scheduler.core.spans import Span
from scheduler.core.zones import instant_at
from support.strategies import (
    MINUTE,
    ODD_ZONES,
    cases,
    clock_times,
    closures,
    days,
    exceptions,
    lengths,
    moments,
    rules,
    spans_near,
    unlimited,
    weekdays_and_recurrences,
    zones,
)

OVERRIDES = (ExceptionType.OVERRIDE,)
REMOVING = (ExceptionType.BLOCKED, ExceptionType.EMERGENCY)


@st.composite
def lone_rules(draw: st.DrawFn) -> tuple[AvailabilityRule, ZoneInfo, date, Span]:
    """Draw a plain rule of a day, its zone, the day, and a span that holds all of its window."""
    zone = draw(zones)
    day = draw(days(zone))
    rule = replace(draw(rules(day, plain=True)), day_of_week=day.isoweekday() % 7)
    noon = datetime.combine(day, time(12), UTC)
    return rule, zone, day, Span(noon - 2 * ONE_DAY, noon + 3 * ONE_DAY)


def starts_on(slots: list[Slot], zone: ZoneInfo) -> set[date]:
    """Return the local dates on which slots start."""
    return {slot.start_at.astimezone(zone).date() for slot in slots}


def starts_on_one_day(zone: ZoneInfo, *instants: datetime) -> bool:
    """Tell whether instants are on one local date."""
    return len({at.astimezone(zone).date() for at in instants}) == 1


def has_day(zone: ZoneInfo, day: date) -> bool:
    """Tell whether a zone has a day: one that it skipped has no window (T3)."""
    return datetime.combine(day, time(12), zone).astimezone(UTC).astimezone(zone).date() == day


def removed(exceptions_: tuple[AvailabilityException, ...], slot: Slot) -> bool:
    """Tell whether a blocked or emergency exception removes a slot (A5, A6)."""
    return any(
        exception.type in REMOVING
        and exception.rule_id in {None, slot.rule_id}
        and exception.start_at < slot.end_at
        and slot.start_at < exception.end_at
        for exception in exceptions_
    )


def concerning(rules_: Iterable[AvailabilityRule], schedule: Schedule) -> list[AvailabilityException]:
    """Return the exceptions of a schedule that concern all rules or one of these."""
    rule_ids = {None, *(rule.id for rule in rules_)}
    return [exception for exception in schedule.exceptions if exception.rule_id in rule_ids]


@pytest.mark.parametrize("key", ODD_ZONES)
@given(st.data())
def test_s5_expansion_agrees_with_the_minutes_in_every_odd_zone(key: str, data: st.DataObject) -> None:
    schedule, span = data.draw(cases(ZoneInfo(key)))
    assert list(expand(schedule, span)) == expand_by_minutes(schedule, span)


@given(cases())
def test_s5_expansion_agrees_with_the_minutes_in_any_zone(case: tuple[Schedule, Span]) -> None:
    schedule, span = case
    assert list(expand(schedule, span)) == expand_by_minutes(schedule, span)


@given(lone_rules())
def test_t2_a_night_window_equals_its_evening_plus_its_morning(
    where: tuple[AvailabilityRule, ZoneInfo, date, Span],
) -> None:
    rule, zone, day, span = where
    night = replace(rule, slot_duration=MINUTE, slot_interval=None, end_time=min(rule.start_time, rule.end_time))
    evening = replace(night, end_time=time(0))
    morning = replace(night, id=2, day_of_week=(day.isoweekday() + 1) % 7, start_time=time(0))
    parts = [evening, morning] if night.end_time > time(0) else [evening]
    assume(has_day(zone, day))
    whole = expand(Schedule(7, 5, zone, [night]), span)
    assert [slot.start_at for slot in whole] == [slot.start_at for slot in expand(Schedule(7, 5, zone, parts), span)]


@given(zones.flatmap(lambda zone: st.tuples(st.just(zone), days(zone))), st.lists(clock_times, min_size=4, max_size=4))
@example((ZoneInfo("Europe/London"), date(2027, 3, 28)), [time(0, 30), time(0, 59), time(1, 30), time(3)])  # skipped
def test_t3_windows_that_do_not_overlap_on_the_wall_do_not_overlap_in_utc(
    where: tuple[ZoneInfo, date], clocks: list[time]
) -> None:
    zone, day = where
    first, end, begin, last = sorted(clocks)
    assume(first < end and begin < last)
    weekday = day.isoweekday() % 7
    early = AvailabilityRule(1, weekday, first, end, MINUTE)
    # Another offering, so that an overlap hides no slot (S2).
    late = AvailabilityRule(2, weekday, begin, last, MINUTE, service_offering_id=2)
    noon = datetime.combine(day, time(12), UTC)
    slots = list(expand(Schedule(7, 5, zone, [early, late]), Span(noon - 2 * ONE_DAY, noon + 2 * ONE_DAY)))
    assert all(before.end_at <= after.start_at for before, after in pairwise(slots))
    assert [slot.rule_id for slot in slots] == sorted(slot.rule_id or 0 for slot in slots)


@given(cases(types=REMOVING), lengths)
def test_t4_a_slot_lasts_its_real_minutes_on_every_day(case: tuple[Schedule, Span], length: timedelta) -> None:
    schedule, span = case
    # A night for each weekday, so that a change of the clock nearly always lies in a window.
    nights = [AvailabilityRule(90 + number, number, time(22), time(8), length) for number in range(7)]
    rules_ = [*schedule.rules, *nights]
    durations = {rule.id: rule.slot_duration for rule in rules_}
    for slot in expand(Schedule(7, 5, schedule.zone, rules_, schedule.exceptions, schedule.closures), span):
        assert slot.rule_id is not None
        assert slot.duration == durations[slot.rule_id]


@given(cases())
def test_a1_slots_are_those_of_the_schedules_doctor_at_its_facility(case: tuple[Schedule, Span]) -> None:
    schedule, span = case
    another = Schedule("ada", "ward", schedule.zone, schedule.rules, schedule.exceptions, schedule.closures)
    renamed = [slot._replace(doctor_id="ada", facility_id="ward") for slot in expand(schedule, span)]
    assert list(expand(another, span)) == renamed


@given(lone_rules(), st.data())
def test_a2_dates_and_recurrence_narrow_a_rule(
    where: tuple[AvailabilityRule, ZoneInfo, date, Span], data: st.DataObject
) -> None:
    rule, zone, day, span = where
    wide = list(expand(Schedule(7, 5, zone, [rule]), span))
    before, after = day - ONE_DAY, day + ONE_DAY
    first, last = data.draw(
        st.sampled_from(((None, None), (day, None), (after, None), (None, day), (None, before), (before, after)))
    )
    own_days = st.one_of(st.just((rule.day_of_week, None)), weekdays_and_recurrences(day, first, rule.start_time))
    weekday, text = data.draw(own_days)
    active = data.draw(st.sampled_from((True, True, True, False)))
    narrow = replace(
        rule, day_of_week=weekday, effective_from=first, effective_until=last, recurrence=text, active=active
    )
    # A rule without a weekday may have windows on the days beside, too.
    beside = [Closure(number, day + number * ONE_DAY) for number in range(-5, 6) if number]
    expected = wide if works(narrow, zone, day) else []
    assert list(expand(Schedule(7, 5, zone, [narrow], (), beside), span)) == expected


@given(cases(), st.randoms(use_true_random=False))
def test_a3_the_order_of_entry_changes_nothing(case: tuple[Schedule, Span], random: Random) -> None:
    schedule, span = case
    rules_, exceptions_, closures_ = list(schedule.rules), list(schedule.exceptions), list(schedule.closures)
    random.shuffle(rules_)
    random.shuffle(exceptions_)
    random.shuffle(closures_)
    mixed = Schedule(schedule.doctor_id, schedule.facility_id, schedule.zone, rules_, exceptions_, closures_)
    assert expand(mixed, span) == expand(schedule, span)


@given(lone_rules())
def test_a3_a_closure_removes_only_windows_that_start_on_its_day(
    where: tuple[AvailabilityRule, ZoneInfo, date, Span],
) -> None:
    rule, zone, day, span = where
    daily = [replace(rule, id=number, day_of_week=number, service_offering_id=number) for number in range(7)]
    remaining = [slot for slot in expand(Schedule(7, 5, zone, daily), span) if slot.rule_id != day.isoweekday() % 7]
    assert list(expand(Schedule(7, 5, zone, daily, (), [Closure(1, day)]), span)) == remaining


@given(cases(), st.data())
def test_a3_a_closed_time_removes_the_slots_that_overlap_it(case: tuple[Schedule, Span], data: st.DataObject) -> None:
    schedule, span = case
    # A single rule with an offering, so that no slot shares its identity with another (S2).
    rule = [replace(rule, service_offering_id=1) for rule in schedule.rules[:1]]
    changes = [exception for exception in concerning(rule, schedule) if exception.type in REMOVING]
    before = expand(Schedule(7, 5, schedule.zone, rule, changes), span)
    closure = data.draw(closures(span.start.date() + ONE_DAY, partial=True))
    if before:  # from a slot's start on, so that an example nearly always removes a slot
        wall = data.draw(st.sampled_from(before)).start_at.astimezone(schedule.zone)
        closure = Closure(1, wall.date(), wall.time(), data.draw(clock_times))
    assert closure.start_time is not None
    assert closure.end_time is not None
    start, end = (timedelta(hours=at.hour, minutes=at.minute) for at in (closure.start_time, closure.end_time))
    opens = instant_at(schedule.zone, closure.day, start)
    closes = instant_at(schedule.zone, closure.day, end if end > start else end + ONE_DAY)
    if instant_at(schedule.zone, closure.day) == instant_at(schedule.zone, closure.day + ONE_DAY):
        closes = opens  # the zone skipped the day
    after = expand(Schedule(7, 5, schedule.zone, rule, changes, [closure]), span)
    assert list(after) == [slot for slot in before if max(slot.start_at, opens) >= min(slot.end_at, closes)]


@given(lone_rules())
def test_a3_a_day_closed_from_midnight_to_midnight_has_no_slots(
    where: tuple[AvailabilityRule, ZoneInfo, date, Span],
) -> None:
    rule, zone, day, span = where
    daily = [replace(rule, id=number, day_of_week=number) for number in range(7)]
    closed = expand(Schedule(7, 5, zone, daily, (), [Closure(1, day, time(0), time(0))]), span)
    begin, end = instant_at(zone, day), instant_at(zone, day + ONE_DAY)
    whole = expand(Schedule(7, 5, zone, daily), span)
    assert list(closed) == [slot for slot in whole if max(slot.start_at, begin) >= min(slot.end_at, end)]


@given(cases(types=OVERRIDES))
def test_a3_an_override_opens_on_a_closed_day_as_on_any_other(case: tuple[Schedule, Span]) -> None:
    schedule, span = case
    override_days = {exception.start_at.astimezone(schedule.zone).date() for exception in schedule.exceptions}
    everywhere = [replace(exception, rule_id=None) for exception in schedule.exceptions]
    opened = Schedule(7, 5, schedule.zone, schedule.rules, everywhere)
    closed = Schedule(7, 5, schedule.zone, schedule.rules, everywhere, map(Closure, range(9), override_days))
    assert expand(closed, span) == expand(opened, span)


@given(cases(types=OVERRIDES), st.data())
def test_a3_an_override_opens_at_a_closed_time_as_at_any_other(
    case: tuple[Schedule, Span], data: st.DataObject
) -> None:
    schedule, span = case
    everywhere = [replace(exception, rule_id=None, slot_duration=MINUTE) for exception in schedule.exceptions]
    opened = Schedule(7, 5, schedule.zone, (), everywhere)
    near = span.start.date() + ONE_DAY
    closed = replace(opened, closures=[data.draw(closures(near, closure_id=number, partial=True)) for number in (1, 2)])
    assert expand(closed, span) == expand(opened, span)


@given(lone_rules(), st.data())
def test_a4_an_override_replaces_the_windows_of_its_date(
    where: tuple[AvailabilityRule, ZoneInfo, date, Span], data: st.DataObject
) -> None:
    rule, zone, day, span = where
    override = data.draw(exceptions(day, zone, types=OVERRIDES))
    override = replace(override, rule_id=None, slot_duration=None, slot_interval=None, capacity=None)
    assume(override.start_at.astimezone(zone).date() == day)
    length, step = rule.slot_duration, rule.slot_interval or rule.slot_duration
    starts = [
        override.start_at + number * step
        for number in range(26 * 60)
        if override.start_at + number * step + length <= override.end_at
    ]
    slots = expand(Schedule(7, 5, zone, [rule], [override]), span)
    assert [slot.start_at for slot in slots] == [start for start in starts if start in span]
    assert all(slot[2:7] == (7, 5, rule.service_offering_id, rule.capacity, rule.id) for slot in slots)


@given(cases(types=OVERRIDES), st.data())
def test_a4_the_slots_of_an_override_have_its_own_parameters(case: tuple[Schedule, Span], data: st.DataObject) -> None:
    schedule, span = case
    length, step = data.draw(lengths), data.draw(lengths)
    everywhere = [
        replace(exception, rule_id=None, slot_duration=length, slot_interval=step, capacity=4)
        for exception in schedule.exceptions
    ]
    # An override that touches another one of its day continues it (A4).
    everywhere += [
        replace(override, id=100 + number, start_at=override.end_at, end_at=override.end_at + length)
        for number, override in enumerate(everywhere)
        if starts_on_one_day(schedule.zone, override.start_at, override.end_at)
    ]
    shut = [Closure(number, span.start.date() + number * ONE_DAY) for number in range(-3, 6)]
    opened: dict[date, set[int]] = {}
    for override in everywhere:
        day = override.start_at.astimezone(schedule.zone).date()
        opened.setdefault(day, set()).update(minutes_of([Span(override.start_at, override.end_at)]))
    starts = {
        window.start + number * step
        for minutes in opened.values()
        for window in spans_of(minutes)
        for number in range((window.duration - length) // step + 1)
    }
    slots = expand(Schedule(7, 5, schedule.zone, schedule.rules, everywhere, shut), span)
    assert {slot.start_at for slot in slots} == {start for start in starts if start in span}
    assert all((slot.duration, slot.capacity) == (length, 4) for slot in slots)


@given(cases(types=OVERRIDES))
def test_a4_an_override_with_neither_rule_nor_duration_yields_no_slot(case: tuple[Schedule, Span]) -> None:
    schedule, span = case
    without_duration = [replace(exception, slot_duration=None) for exception in schedule.exceptions]
    inactive = [replace(rule, active=False) for rule in schedule.rules]
    assert list(expand(Schedule(7, 5, schedule.zone, inactive, without_duration), span)) == []


def block_over(data: st.DataObject, slots: Sequence[Slot]) -> list[AvailabilityException]:
    """Draw a block that reaches into one of the slots, so that an example nearly always removes something."""
    if not slots:
        return []
    slot = data.draw(st.sampled_from(slots))
    before, after = (data.draw(st.sampled_from((-30, -1, 0, 1, 30))) * MINUTE for _ in range(2))
    start, end = slot.start_at + before, slot.end_at + after
    kind, rule_id = data.draw(st.sampled_from(REMOVING)), data.draw(st.sampled_from((None, slot.rule_id)))
    return [AvailabilityException(60, kind, start, end, rule_id)] if start < end else []


def override_at(data: st.DataObject, slots: Sequence[Slot]) -> list[AvailabilityException]:
    """Draw an override over one of the slots, so that it nearly always replaces a window."""
    if not slots:
        return []
    slot = data.draw(st.sampled_from(slots))
    return [AvailabilityException(61, ExceptionType.OVERRIDE, slot.start_at, slot.end_at)]


@given(cases(), st.data())
def test_a5_a_block_removes_exactly_the_slots_that_it_overlaps(
    case: tuple[Schedule, Span], data: st.DataObject
) -> None:
    schedule, span = case
    # A single rule with an offering, so that no slot shares its identity with another (S2).
    rule = [replace(rule, service_offering_id=1) for rule in schedule.rules[:1]]
    near = span.start.date() + ONE_DAY
    rule_ids = [rule.id for rule in rule]
    blocks = [
        data.draw(exceptions(near, schedule.zone, exception_id=number, types=REMOVING, rule_ids=rule_ids))
        for number in (50, 51)
    ]
    changes = concerning(rule, schedule)
    before = expand(Schedule(7, 5, schedule.zone, rule, changes, schedule.closures), span)
    blocks += block_over(data, before)
    after = expand(Schedule(7, 5, schedule.zone, rule, [*changes, *blocks], schedule.closures), span)
    assert list(after) == [slot for slot in before if not removed(tuple(blocks), slot)]


@given(cases(), st.data())
def test_a5_no_slot_overlaps_a_block(case: tuple[Schedule, Span], data: st.DataObject) -> None:
    schedule, span = case
    blocks = [*schedule.exceptions, *block_over(data, expand(schedule, span))]
    blocked = Schedule(7, 5, schedule.zone, schedule.rules, blocks, schedule.closures)
    assert not [slot for slot in expand(blocked, span) if removed(tuple(blocks), slot)]


@given(cases())
def test_a5_blocked_and_emergency_remove_the_same_slots(case: tuple[Schedule, Span]) -> None:
    schedule, span = case
    swap = {
        ExceptionType.BLOCKED: ExceptionType.EMERGENCY,
        ExceptionType.EMERGENCY: ExceptionType.BLOCKED,
        ExceptionType.OVERRIDE: ExceptionType.OVERRIDE,
    }
    swapped = [replace(exception, type=swap[exception.type]) for exception in schedule.exceptions]
    other = Schedule(7, 5, schedule.zone, schedule.rules, swapped, schedule.closures)
    assert expand(other, span) == expand(schedule, span)


@given(cases(), st.data())
def test_a6_an_exception_that_names_a_rule_leaves_the_others_alone(
    case: tuple[Schedule, Span], data: st.DataObject
) -> None:
    schedule, span = case
    # Each rule has its own offering, so that no two slots share an identity (S2); the first rule has a twin.
    apart = [replace(rule, service_offering_id=rule.id) for rule in schedule.rules]
    apart += [replace(rule, id=20, service_offering_id=20) for rule in apart[:1]]
    named = [replace(exception, rule_id=1) for exception in schedule.exceptions if apart]
    without = expand(Schedule(7, 5, schedule.zone, apart, (), schedule.closures), span)
    of_first = [slot for slot in without if slot.rule_id == 1]
    named += [
        replace(exception, rule_id=1) for exception in (*block_over(data, of_first), *override_at(data, of_first))
    ]
    with_named = expand(Schedule(7, 5, schedule.zone, apart, named, schedule.closures), span)
    others = [slot for slot in with_named if slot.rule_id not in {1, None}]
    assert others == [slot for slot in without if slot.rule_id != 1]


@pytest.mark.parametrize("change", [block_over, override_at])
@given(cases(), st.data())
def test_a6_an_exception_of_one_rule_acts_on_it_as_one_for_all_rules(
    change: Callable[[st.DataObject, Sequence[Slot]], list[AvailabilityException]],
    case: tuple[Schedule, Span],
    data: st.DataObject,
) -> None:
    schedule, span = case
    # An override without a rule id asks for the dates of its base rules; one with a rule id does not (A4).
    rules_ = [replace(unlimited(rule), active=True, service_offering_id=rule.id) for rule in schedule.rules]
    alone = rules_[:1]
    whole = expand(Schedule(7, 5, schedule.zone, alone, (), schedule.closures), span)
    changes = [*schedule.exceptions, *change(data, whole)]
    named = [replace(exception, rule_id=1) for exception in changes if alone]
    for_all = [replace(exception, rule_id=None) for exception in named]
    slots = expand(Schedule(7, 5, schedule.zone, rules_, named, schedule.closures), span)
    expected = expand(Schedule(7, 5, schedule.zone, alone, for_all if alone else (), schedule.closures), span)
    assert [slot for slot in slots if slot.rule_id == 1] == list(expected)


@given(lone_rules(), st.one_of(st.none(), lengths))
def test_s1_slots_start_in_steps_from_the_first_and_fill_the_window(
    where: tuple[AvailabilityRule, ZoneInfo, date, Span], alignment: timedelta | None
) -> None:
    rule, zone, day, span = where
    assume(has_day(zone, day))
    step = rule.slot_interval or rule.slot_duration
    opens, closes = (timedelta(hours=clock.hour, minutes=clock.minute) for clock in (rule.start_time, rule.end_time))
    end = instant_at(zone, day, closes if opens < closes else closes + ONE_DAY)
    open_minutes = [instant_of(minute) for minute in range(minute_of(instant_at(zone, day, opens)), minute_of(end))]
    firsts = [
        minute
        for minute in open_minutes
        if alignment is None
        or (minute.astimezone(zone).hour * 60 + minute.astimezone(zone).minute) * MINUTE % alignment == timedelta(0)
    ]
    starts = [slot.start_at for slot in expand(Schedule(7, 5, zone, [replace(rule, slot_alignment=alignment)]), span)]
    expected = []
    if firsts:
        steps = range((end - firsts[0]) // step + 1)
        expected = [firsts[0] + k * step for k in steps if firsts[0] + k * step + rule.slot_duration <= end]
    assert starts == expected


@given(cases())
def test_s2_an_identity_yields_one_slot(case: tuple[Schedule, Span]) -> None:
    schedule, span = case
    identities = [slot.identity for slot in expand(schedule, span)]
    assert len(identities) == len(set(identities))


@given(cases(types=REMOVING), lengths)
def test_s2_each_identity_of_a_single_rule_stays(case: tuple[Schedule, Span], length: timedelta) -> None:
    schedule, span = case
    # The first rule has a twin with other ends and a twin with another offering.
    twins = [
        [replace(rule, id=20, slot_duration=length), replace(rule, id=21, service_offering_id=9)]
        for rule in schedule.rules[:1]
    ]
    several = [*schedule.rules, *(twin for pair in twins for twin in pair)]
    for_all = concerning((), schedule)

    def identities(*rules_: AvailabilityRule) -> set[SlotIdentity]:
        parts = Schedule(7, 5, schedule.zone, rules_, for_all, schedule.closures)
        return {slot.identity for slot in expand(parts, span)}

    assert identities(*several) == {identity for rule in several for identity in identities(rule)}


@given(lone_rules(), st.integers(-3, 3))
def test_s2_the_lower_rule_id_wins(where: tuple[AvailabilityRule, ZoneInfo, date, Span], other: int) -> None:
    rule, zone, _, span = where
    assume(other != rule.id)
    twin = replace(rule, id=other, capacity=rule.capacity + 1)
    winner = min(rule, twin, key=lambda candidate: int(str(candidate.id)))
    assert expand(Schedule(7, 5, zone, [rule, twin]), span) == expand(Schedule(7, 5, zone, [winner]), span)


@given(lone_rules(), lengths, st.integers(1, 30).map(lambda count: count * MINUTE))
def test_s3_slots_may_overlap(
    where: tuple[AvailabilityRule, ZoneInfo, date, Span], length: timedelta, step: timedelta
) -> None:
    rule, zone, _, span = where
    long = replace(rule, slot_duration=length, slot_interval=step)
    short = replace(rule, slot_duration=MINUTE, slot_interval=step)
    end = {slot.end_at for slot in expand(Schedule(7, 5, zone, [replace(short, slot_interval=MINUTE)]), span)}
    starts = [slot.start_at for slot in expand(Schedule(7, 5, zone, [short]), span)]
    fitting = [start for start in starts if start + length <= max(end)]
    assert [slot.start_at for slot in expand(Schedule(7, 5, zone, [long]), span)] == fitting


@given(cases(), st.data())
def test_s4_expansion_is_local(case: tuple[Schedule, Span], data: st.DataObject) -> None:
    schedule, span = case
    whole = list(expand(schedule, span))
    slot_starts = st.sampled_from([slot.start_at for slot in whole] or [span.start])
    middle = data.draw(st.one_of(slot_starts, moments(span.start.date() + ONE_DAY, schedule.zone)))
    assume(span.start < middle < span.end)
    halves = (Span(span.start, middle), Span(middle, span.end))
    assert [slot for half in halves for slot in expand(schedule, half)] == whole


@given(cases(), st.data())
def test_s4_slots_are_in_order_and_start_in_the_span(case: tuple[Schedule, Span], data: st.DataObject) -> None:
    schedule, span = case
    slots = list(expand(schedule, span))
    assert slots == sorted(slots, key=lambda slot: (slot.start_at, slot.end_at, slot.service_offering_id or 0))
    assert all(slot.start_at in span for slot in slots)
    ends = [slot.start_at for slot in slots if slot.start_at > span.start]
    part = Span(span.start, data.draw(st.sampled_from(ends or [span.end])))
    assert list(expand(schedule, part)) == [slot for slot in slots if slot.start_at < part.end]


@given(cases(), st.data())
def test_s4_a_shorter_span_yields_a_part_of_the_same_slots(case: tuple[Schedule, Span], data: st.DataObject) -> None:
    schedule, span = case
    part = data.draw(spans_near(span.start.date() + ONE_DAY, schedule.zone))
    shared = [slot for slot in expand(schedule, span) if slot.start_at in part]
    assert [slot for slot in expand(schedule, part) if slot.start_at in span] == shared


@given(zones.flatmap(lambda zone: st.tuples(st.just(zone), days(zone))))
def test_the_oracle_finds_a_window_on_each_day_that_a_zone_has(where: tuple[ZoneInfo, date]) -> None:
    """Check the oracle: whole-day windows of every weekday cover all time."""
    zone, day = where
    daily = [AvailabilityRule(number, number, time(), time(), MINUTE, 240 * MINUTE) for number in range(7)]
    noon = datetime.combine(day, time(12), UTC)
    slots = expand_by_minutes(Schedule(7, 5, zone, daily), Span(noon, noon + 2 * ONE_DAY))
    assert all(effective(rule, day) for rule in daily)
    gaps = [late.start_at - early.start_at for early, late in pairwise(slots)]
    assert max(gaps) <= 240 * MINUTE
    assert starts_on(slots, zone)
