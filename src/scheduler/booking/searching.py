"""Searching: visits found in the tables, as the core finds them in values.

Owns: the search week by week, so that nothing is read beyond the offers that are asked for.
Holds: Q1 and Q2 from the tables: the schedule decides which slots there are, and a slot that is not stored is not
offered.
Must not know: which user asks, how an offer is held or booked.

A visit is found in the week in which it starts. What is taken is known for as long before and after the week as its
visits can reach, so the offers of the weeks, one after another, are those of the whole span.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import Any, Final

from sqlmodel import Session

from scheduler.booking.calendars import ReadCalendar, read_calendars
from scheduler.booking.candidates import Fit, fitting
from scheduler.booking.caps import ReachedCap, capped_times, caps_reached
from scheduler.booking.loading import Without, stored, taken, visits_of
from scheduler.booking.releasing import released_by, unreleased
from scheduler.booking.sought_visits import Sought
from scheduler.core.calendars import DoctorCalendar, Resource, calendar_with, resource_with
from scheduler.core.candidates import Candidate
from scheduler.core.errors import InvalidInputError
from scheduler.core.offers import VisitOffer, WantedVisit
from scheduler.core.overrides import BookingRule
from scheduler.core.resource_hours import beyond_hours
from scheduler.core.search import find_visits, visit_at, visit_without_slot
from scheduler.core.spans import Span
from scheduler.core.uses import inside
from scheduler.core.weekdays import Weekday
from scheduler.core.working_time import WEEK
from scheduler.core.zones import MICROSECOND, instant, instant_at, micros
from scheduler.postgres.schedules import ScheduleKey

_MINUTE: Final = timedelta(minutes=1)
_FIRST_BATCH: Final = 16
_NOTHING: Final = Without()


class Search:
    """The search in the tables for one visit that starts in a span."""

    def __init__(self, session: Session, sought: Sought, span: Span, *, without: Without = _NOTHING) -> None:
        """Load all but what is taken.

        Raises:
            NotFoundError: there is no such plan.
            WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: no offering can serve the visit, and why.
        """
        self._session = session
        self._without = without
        self.sought: Sought = sought
        self.fits: Sequence[Fit]
        self.resources: Sequence[Resource]
        self.fits, self.resources = fitting(session, sought, span)
        if BookingRule.HOURS in sought.relaxed:
            self.resources = [_always_open(resource) for resource in self.resources]
        self._margin = max(map(_reach, self.fits), default=0)
        first = inside(micros(span.start) - self._margin, micros(span.end))
        since = date.min if first is None else first.start.date()
        keys = [fit.offering.key for fit in self.fits]
        self.calendars: Sequence[ReadCalendar] = read_calendars(session, keys, since)
        pairs = zip(self.fits, self.calendars, strict=True)
        by = released_by(sought)
        needs_slot = BookingRule.HOURS not in sought.relaxed
        asked = [
            (_candidate(fit, calendar, by, needs_slot=needs_slot), fit.starts.within(span), span)
            for fit, read in pairs
            for calendar, span in (_generated(fit, read) if needs_slot else self._beyond_hours(fit, read, by))
        ]
        self._asked = [(candidate, span) for candidate, _, span in asked]
        found = [(candidate, span) for candidate, span, _ in asked if span is not None]
        self._candidates = [candidate for candidate, _ in found]
        self._spans = [span for _, span in found]
        self._span = Span(min(one.start for one in self._spans), max(one.end for one in self._spans)) if found else None

    def offers(
        self,
        *,
        weekdays: Iterable[Weekday] = (),
        part_of_day: tuple[time, time] | None = None,
        batch_size: int = _FIRST_BATCH,
    ) -> Iterator[VisitOffer]:
        """Yield the offers of the span, earliest first; what is taken is read week by week."""
        if self._span is None:
            return
        patient, around = self.sought.patient_id, self._around(self._span)
        own = [] if patient is None or around is None else visits_of(self._session, patient, around)
        for week in _weeks(self._span):
            candidates, resources = self.near(week)
            found = find_visits(
                candidates,
                resources,
                week,
                patient=own,
                skip=self.sought.skip,
                weekdays=weekdays,
                part_of_day=part_of_day,
            )
            size = batch_size
            while batch := list(islice(found, size)):
                there = stored(self._session, (offer.slot for offer in batch))
                yield from (self._on_channel(offer) for offer in batch if offer.slot.identity in there)
                size *= 2

    def without_slot(self, start_at: datetime) -> VisitOffer | None:
        """Return the visit without a slot that starts at an instant, where hours may be broken; None without one."""
        candidates, resources = self.near(Span(start_at, start_at + MICROSECOND))
        for candidate in candidates:
            offer = visit_without_slot(candidate, resources, start_at, skip=self.sought.skip)
            return None if offer is None else self._on_channel(offer)
        return None

    def still(self, wanted: WantedVisit) -> VisitOffer | None:
        """Return a visit of the one offering that is sought, at its times; None if it is not possible now."""
        return self._visit_at(*self.near(_start_of(wanted)), wanted)

    def by_schedule(self, wanted: WantedVisit) -> VisitOffer | None:
        """Return a visit of the one offering that is sought, as if nothing else were booked."""
        return self._visit_at(self._candidates, self.resources, wanted)

    def near(self, span: Span, *, by_policy: bool = True) -> tuple[list[Candidate], list[Resource]]:
        """Return the candidates whose visits may start in a span, and the resources, with what is taken around it.

        Unless `by_policy`, also those whose visits start too soon or too late by their policy.
        """
        pairs = zip(self._candidates, self._spans, strict=True) if by_policy else self._asked
        candidates = [candidate for candidate, sought in pairs if sought.overlaps(span)]
        around = self._around(span)
        if not candidates or around is None:
            return [], []
        schedules: Any = [found.calendar.schedule for found in candidates]
        resources: Any = self.resources
        exceed = BookingRule.PLACES in self.sought.relaxed
        busy = taken(
            self._session,
            around,
            doctors={each.doctor_id for each in (*schedules, *resources)} - {None},
            resources=[resource.id for resource in resources],
            share=any(found.calendar.loaded.has_places for found in candidates),
            exceed=exceed,
            without=self._without,
        )
        capped = self._capped(candidates, span)
        with_taken = []
        for found, schedule in zip(candidates, schedules, strict=True):
            key = ScheduleKey(schedule.doctor_id, schedule.facility_id)
            calendar = calendar_with(
                found.calendar,
                busy.doctors.get(key.doctor_id, ()),
                busy.shared.get(key.doctor_id, ()),
                [*found.calendar.loaded.full, *busy.full.get(key, ())],
                busy.exceedable.get(key, ()) if exceed else (),
            )
            with_taken.append(replace(found, calendar=calendar, capped=capped.get(int(found.offering_id), ())))
        return with_taken, [
            resource_with(resource, busy.of_resource(resource.id, resource.doctor_id)) for resource in resources
        ]

    def caps_reached(self, start_at: datetime) -> list[ReachedCap]:
        """Return the caps that are reached for a visit of the one offering that starts at an instant."""
        (fit,) = self.fits
        if not fit.offering.may_be_capped or BookingRule.CAP in self.sought.relaxed:
            return []
        patient_id = self.sought.patient_id
        return caps_reached(self._session, fit.offering.id, start_at, patient_id=patient_id, without=self._without)

    def _visit_at(
        self, candidates: Iterable[Candidate], resources: Iterable[Resource], wanted: WantedVisit
    ) -> VisitOffer | None:
        for candidate in candidates:
            if candidate.workflow.id == wanted.workflow_id:
                offer = visit_at(candidate, resources, wanted)
                return None if offer is None else self._on_channel(offer)
        return None

    def _on_channel(self, offer: VisitOffer) -> VisitOffer:
        channel = self.sought.channel
        return offer if offer.channel == channel else replace(offer, channel=channel)

    def _capped(self, candidates: Iterable[Candidate], span: Span) -> Mapping[int, tuple[Span, ...]]:
        """Return the times near a span that caps take away, by the id of the offering."""
        ids = {candidate.offering_id for candidate in candidates}
        offerings = [fit.offering for fit in self.fits if fit.offering.id in ids and fit.offering.may_be_capped]
        if not offerings or BookingRule.CAP in self.sought.relaxed:
            return {}
        return capped_times(self._session, offerings, span, patient_id=self.sought.patient_id, without=self._without)

    def _beyond_hours(self, fit: Fit, read: ReadCalendar, by: datetime | None) -> Iterator[tuple[DoctorCalendar, Span]]:
        """Yield the calendar without the hours of the doctor, and the span that is sought.

        A slot that waits for its release takes no visit: the hours are not what keeps the visit from it.
        """
        around = self._around(fit.span)
        if not isinstance(read.calendar, InvalidInputError) and around is not None:
            schedule = read.calendar.schedule
            yield DoctorCalendar(beyond_hours(schedule), full=tuple(unreleased(schedule, around, by))), fit.span

    def _around(self, span: Span) -> Span | None:
        """Return a span with the time before it, and that of two visits after it.

        The slot of a visit that starts in the span may lie a visit behind it, and a visit around that slot reaches as
        far again.
        """
        return inside(micros(span.start) - self._margin, micros(span.end) + 2 * self._margin)


def _start_of(wanted: WantedVisit) -> Span:
    start_at = min(wanted.starts.values())
    return Span(start_at, start_at + MICROSECOND)


def _reach(fit: Fit) -> int:
    """Return the longest time that a visit and its buffers take, in microseconds."""
    steps = sum((step.lead + step.length + step.max_wait) // MICROSECOND for step in fit.steps)
    return steps + (fit.offering.buffer_before + fit.offering.buffer_after) * (_MINUTE // MICROSECOND)


def _generated(fit: Fit, read: ReadCalendar) -> Iterator[tuple[DoctorCalendar, Span]]:
    """Yield the calendar, and the part of the span that is sought before its last generated day ends, if any."""
    calendar, days = read.calendar, read.checkpoint.days.spans
    if not isinstance(calendar, InvalidInputError) and days:
        end = min(fit.span.end, instant_at(calendar.schedule.zone, days[-1].until))
        if fit.span.start < end:
            yield calendar, Span(fit.span.start, end)


def _always_open(resource: Resource) -> Resource:
    return resource if resource.opening is None else replace(resource, opening=beyond_hours(resource.opening))


def _candidate(fit: Fit, calendar: DoctorCalendar, released_by: datetime | None, *, needs_slot: bool) -> Candidate:
    return Candidate(
        fit.offering.id,
        fit.workflow,
        calendar,
        fit.offering.buffer_before * _MINUTE,
        fit.offering.buffer_after * _MINUTE,
        fit.bookable,
        released_by=released_by,
        needs_slot=needs_slot,
    )


def _weeks(span: Span) -> Iterator[Span]:
    """Yield the parts of a span in the weeks of the calendars."""
    begin, last = micros(span.start), micros(span.end)
    while begin < last:
        end = min((begin // WEEK + 1) * WEEK, last)
        yield Span(instant(begin), instant(end))
        begin = end
