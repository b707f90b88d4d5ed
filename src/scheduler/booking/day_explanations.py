"""Day explanations: each start of an offering on a local day, with its visit or the reasons against it.

Owns: the explanation of a day as a value, its text for people, and its making.
Holds: Q3 (what is offered is what the search finds; each other start has a reason).
Must not know: the reasons (`start_reasons`), who asks.
"""

from dataclasses import dataclass
from datetime import date, datetime

from sqlmodel import Session

from scheduler.booking.refusing import schedule_of
from scheduler.booking.searching import Search
from scheduler.booking.sought_visits import Sought
from scheduler.booking.start_reasons import clock, reasons_of_starts
from scheduler.core.errors import SchedulerError
from scheduler.core.offers import VisitOffer
from scheduler.core.reasons import Reason
from scheduler.core.shown_times import has_clock_change, offset_text
from scheduler.core.slots import Id
from scheduler.core.zones import local_day, zone_of

_ALL = 2**31 - 1


@dataclass(frozen=True, slots=True)
class ExplainedStart:
    """A start of a day: the visit that is offered then, or the reasons why none is, the strongest first.

    `start_at` is in UTC. A start that is not offered is that of a visit without waits.
    """

    start_at: datetime
    offer: VisitOffer | None = None
    reasons: tuple[Reason, ...] = ()

    @property
    def is_offered(self) -> bool:
        """Whether a visit can be booked that starts then."""
        return self.offer is not None


@dataclass(frozen=True, slots=True)
class DayExplanation:
    """The starts of an offering on a local day of its facility, in order, each once."""

    offering_id: Id
    day: date
    zone: str
    starts: tuple[ExplainedStart, ...]

    @property
    def offered(self) -> tuple[ExplainedStart, ...]:
        """The starts with a visit."""
        return tuple(start for start in self.starts if start.is_offered)

    @property
    def refused(self) -> tuple[ExplainedStart, ...]:
        """The starts without a visit, each with its reasons."""
        return tuple(start for start in self.starts if not start.is_offered)

    def lines(self) -> list[str]:
        """Return a line about the day, and one for each start, in the local time of the facility.

        On a day on which the clock changes, the times have their offset.
        """
        counts = f"{len(self.offered)} offered, {len(self.refused)} not offered"
        return [f"{self.day.isoformat()} ({self.zone}): {counts}", *map(self._line, self.starts)]

    def clock(self, at: datetime) -> str:
        """Return the local time of an instant, with its offset on a day on which the clock changes."""
        zone = zone_of(self.zone)
        shown = clock(at.astimezone(zone), self.day)
        return shown + offset_text(zone, at) if has_clock_change(zone, self.day) else shown

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def _line(self, start: ExplainedStart) -> str:
        if start.offer is None:
            return f"{self.clock(start.start_at)} not offered: {'; '.join(each.text for each in start.reasons)}"
        steps = (f"{step.name} {self.clock(step.start_at)}-{self.clock(step.end_at)}" for step in start.offer.steps)
        return f"{self.clock(start.start_at)} offered: {', '.join(steps)}"


def explain_day(
    session: Session, sought: Sought, day: date, zone: str, *, now: datetime, names: bool
) -> DayExplanation:
    """Return each start of the one offering that is sought on a local day of its facility.

    With `names`, visits and holds are named.

    Raises:
        NotOfferedError: the offering has no visits at all: it is switched off or private, or its schedule is invalid.
        NotFoundError, WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: it cannot serve the visit at all.
        WallClockError: the day lies in the first or last days of the calendar.
    """
    span = local_day(zone_of(zone), day)
    if span is None:
        return DayExplanation(sought.offering_id or 0, day, zone, ())
    search = Search(session, sought, span)
    schedule = schedule_of(search, f"offering {sought.offering_id} has no visit on {day.isoformat()}")
    if isinstance(schedule, SchedulerError):
        raise schedule
    offered: dict[datetime, VisitOffer] = {}
    slots = set()
    for offer in search.offers(batch_size=_ALL):
        if offer.start_at >= now:
            offered.setdefault(offer.start_at, offer)
            slots.add(offer.slot.identity)
    refused = reasons_of_starts(session, search, schedule, span, now=now, names=names, offered=slots)
    starts = [ExplainedStart(start_at, offer) for start_at, offer in offered.items()]
    starts += [ExplainedStart(at, None, tuple(reasons)) for at, reasons in refused.items() if at not in offered]
    return DayExplanation(sought.offering_id or 0, day, zone, tuple(sorted(starts, key=lambda start: start.start_at)))
