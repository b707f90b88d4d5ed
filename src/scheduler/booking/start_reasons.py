"""Start reasons: why the starts of visits of one offering are not offered.

Owns: the starts that an offering has in a span, and the reasons against each of them: those against its slot, those
against the steps, and those of the rules that others add to `RULES`.
Holds: Q3 (one code gives the reasons of an instant and of a day), in the order of the codes.
Must not know: whether the start is offered (`searching`), how it is shown.

A start is that of the first step, of a visit without waits. All is read for the span at once, so the number of
statements does not depend on that of the starts.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from sqlmodel import Session

from scheduler.booking.candidates import Fit
from scheduler.booking.caps import ReachedCap
from scheduler.booking.loading import stored
from scheduler.booking.releasing import reason_of_release
from scheduler.booking.searching import Search
from scheduler.booking.unfit_visits import UnfitPlan
from scheduler.core.calendars import OpenSlot
from scheduler.core.free_starts import Stock
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import Schedule
from scheduler.core.search import find_visits
from scheduler.core.slot_reasons import starting_slots
from scheduler.core.slots import Slot, SlotIdentity
from scheduler.core.spans import Span
from scheduler.core.zones import EARLIEST, after, before, instant_at, micros, zone_of
from scheduler.postgres.uses import booking_contexts

_NO_TIME: Final = timedelta(0)
_RANK: Final = {code: rank for rank, code in enumerate(ReasonCode)}
_TAKEN: Final = frozenset({ReasonCode.BOOKED, ReasonCode.HELD})


class Start(NamedTuple):
    """A start of an offering: that of the visit without waits, and a slot, its anchor's."""

    start_at: datetime
    slot: Slot


class Question(NamedTuple):
    """The starts of one offering whose reasons are asked for."""

    session: Session
    search: Search
    fit: Fit
    schedule: Schedule
    starts: Sequence[Start]
    now: datetime


Rule = Callable[[Question], Iterable[Reason]]
"""Reasons of a rule against starts: the `starts` of a reason are the starts of their slots."""


def _in_the_past(question: Question) -> Iterator[Reason]:
    for start_at, slot in question.starts:
        if start_at < question.now <= slot.start_at:  # a slot in the past is a reason of its own
            yield Reason(ReasonCode.NOTICE, start_at, start_at, "the visit begins in the past", (slot.start_at,))


def _against_the_policy(question: Question) -> Iterator[Reason]:
    for start_at, slot in question.starts:
        for reason in question.fit.starts.reasons(start_at) if start_at >= question.now else ():
            yield replace(reason, starts=(slot.start_at,))


def _of_full_days(question: Question) -> Iterator[Reason]:
    zone, reached = zone_of(question.fit.offering.zone), dict[date, list[ReachedCap]]()
    for start_at, slot in question.starts:
        day = start_at.astimezone(zone).date()
        if day not in reached:
            reached[day] = question.search.caps_reached(start_at)
        for cap in reached[day]:
            yield Reason(ReasonCode.CAP, start_at, slot.end_at, cap.text, (slot.start_at,), cause_id=cap.id)


def _of_unreleased_slots(question: Question) -> Iterator[Reason]:
    zone = zone_of(question.fit.offering.zone)
    for _, slot in question.starts:
        reason = reason_of_release(question.search.sought, slot, zone)
        if reason is not None:
            yield reason


RULES: Final[Sequence[Rule]] = (_in_the_past, _against_the_policy, _of_full_days, _of_unreleased_slots)
"""Asked once for all starts; a rule needs no more than a few statements a day."""


def reasons_of_starts(  # noqa: PLR0913  # what decides
    session: Session,
    search: Search,
    schedule: Schedule,
    span: Span,
    *,
    now: datetime,
    names: bool,
    offered: Collection[SlotIdentity] = (),
) -> dict[datetime, list[Reason]]:
    """Return the starts in a span of the one offering that is sought, in order, with the reasons against each.

    The slots of visits that are `offered` are left out. With `names`, visits and holds are named.
    """
    (fit,) = search.fits
    ahead = ahead_of(fit)
    within = Span(after(span.start, ahead), after(span.end, ahead))
    doctor_id = fit.offering.doctor_id
    bookings = booking_contexts(session, [doctor_id], within.start, within.end, now=now)[doctor_id]
    found = starting_slots(schedule, within, bookings=bookings, offering_id=fit.offering.id)
    slots = {**found.scheduled, **{slot.identity: slot for slot, _ in found.against}}
    suited = [slot for slot in slots.values() if slot.service_offering_id in {None, fit.offering.id}]
    starts = [Start(slot.start_at - ahead, slot) for slot in suited if slot.identity not in offered]
    inquiry = _Inquiry(Question(session, search, fit, schedule, starts, now), span, found.against)
    reasons: dict[datetime, list[Reason]] = {}
    for start in starts:
        reasons.setdefault(start.start_at, []).extend(
            inquiry.reasons(start, is_scheduled=start.slot.identity in found.scheduled)
        )
    known = {slot.start_at for slot in suited}
    for slot in slots.values():
        if slot.start_at not in known:
            text = "the slots that start then are for other offerings"
            reasons[slot.start_at - ahead] = [_of_slot(ReasonCode.OFF_GRID, slot, text)]
    zone = zone_of(fit.offering.zone)
    return {start_at: told(reasons[start_at], zone, names=names) for start_at in sorted(reasons)}


class _Inquiry:
    """The knowledge of the slots of a span, read at once, and the reasons against each."""

    def __init__(self, question: Question, span: Span, against: Iterable[tuple[Slot, Reason]]) -> None:
        fit, search = question.fit, question.search
        self._now, self._zone = question.now, zone_of(fit.offering.zone)
        self._against: dict[SlotIdentity, list[Reason]] = defaultdict(list)
        for slot, reason in against:
            self._against[slot.identity].append(reason)
        self._by_start: dict[datetime, list[Reason]] = defaultdict(list)
        for rule in RULES:
            for reason in rule(question):
                for start_at in reason.starts:
                    self._by_start[start_at].append(reason)
        candidates, resources = search.near(span, by_policy=False)
        left = {step.position for step in fit.steps}
        skip = {step.position for step in fit.workflow.steps} - left
        waits = sum((step.max_wait for step in fit.steps), _NO_TIME)
        visits = find_visits(candidates, resources, Span(before(span.start, waits), span.end), skip=skip)
        self._found_at = {visit.slot.identity: visit.start_at for visit in visits}
        self._plans = [UnfitPlan(candidate, frozenset(skip), Stock(resources)) for candidate in candidates]
        self._stored = stored(question.session, (slot for _, slot in question.starts))
        days = search.calendars[0].checkpoint.days.spans
        self._generated_until = instant_at(self._zone, days[-1].until) if days else EARLIEST

    def reasons(self, start: Start, *, is_scheduled: bool) -> list[Reason]:
        """Return the reasons against a start and its slot, at least one."""
        start_at, slot = start
        found_at = self._found_at.get(slot.identity)
        reasons = [*self._against[slot.identity], *self._by_start[slot.start_at]]
        if is_scheduled and (slot.identity not in self._stored or start_at >= self._generated_until):
            reasons.append(_of_slot(ReasonCode.NOT_GENERATED, slot, "not generated yet"))
        elif is_scheduled and found_at is None:
            is_taken = any(reason.code in _TAKEN for reason in reasons)
            reasons += (each for each in self._of_steps(slot) if not (is_taken and each.code is ReasonCode.BOOKED))
        if not reasons and found_at is not None and found_at != start_at:
            code = ReasonCode.NOTICE if found_at < self._now else ReasonCode.NO_RESOURCE
            told_at = clock(found_at.astimezone(self._zone), start_at.astimezone(self._zone).date())
            reasons.append(_of_slot(code, slot, f"its steps have room only if the visit starts at {told_at}"))
        return reasons or [_of_slot(ReasonCode.CAPACITY, slot, "no place is left, or the steps find no time together")]

    def _of_steps(self, slot: Slot) -> list[Reason]:
        ids = slot.service_offering_id, slot.capacity, slot.rule_id, slot.released_at
        opened = OpenSlot(micros(slot.start_at), micros(slot.end_at), *ids)
        return [reason for plan in self._plans for reason in plan.reasons(opened)]


def ahead_of(fit: Fit) -> timedelta:
    """Return the time from the start of a visit without waits to that of its anchor."""
    anchor = next((place for place, step in enumerate(fit.steps) if step.has_doctor), 0)
    pairs = pairwise(fit.steps[: anchor + 1])
    return sum((step.length + following.lead for step, following in pairs), _NO_TIME)


def _of_slot(code: ReasonCode, slot: Slot, text: str) -> Reason:
    return Reason(code, slot.start_at, slot.end_at, text, (slot.start_at,), slot.rule_id)


def told(reasons: Iterable[Reason], zone: ZoneInfo, *, names: bool) -> list[Reason]:
    """Return reasons in the order of their codes, each text once, as a person may read them.

    Without `names`, neither visits nor holds are named, nor does it say when a hold ends.
    """
    shown = [_named(reason, zone) if names else _unnamed(reason) for reason in reasons]
    shown.sort(key=lambda reason: (_RANK[reason.code], reason.start_at))
    unique: dict[tuple[ReasonCode, str], Reason] = {}
    for reason in shown:
        unique.setdefault((reason.code, reason.text), reason)
    return list(unique.values())


def _named(reason: Reason, zone: ZoneInfo) -> Reason:
    if reason.code is not ReasonCode.HELD or reason.until is None:
        return reason
    until, day = reason.until.astimezone(zone), reason.start_at.astimezone(zone).date()
    return replace(reason, text=f"held until {clock(until, day)}")


def _unnamed(reason: Reason) -> Reason:
    if reason.code in _TAKEN and (reason.cause_id, reason.until) != (None, None):
        return replace(reason, text="taken", cause_id=None, until=None)
    if reason.code is ReasonCode.CANCELLED:
        return replace(reason, text="the slot was cancelled", cause_id=None)
    return reason


def clock(at: datetime, day: date) -> str:
    """Return a local time of a local day, with its date if it is of another day."""
    return f"{at:%H:%M}" if at.date() == day else f"{at:%Y-%m-%d %H:%M}"
