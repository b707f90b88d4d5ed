"""Calendars: the schedules and uses of doctors and resources, among which a visit is sought.

Owns: calendar and resource as values, and the loaded parts of them: open slots, working time, unused time.
Holds: Q1 (a slot that is full takes no visit).
Must not know: workflows, which visit is sought.

A calendar keeps what it has loaded, so a second search in it is faster.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, NamedTuple, Self

from scheduler.core.chains import Ranges
from scheduler.core.errors import InvalidInputError
from scheduler.core.expansion import expand
from scheduler.core.intervals import subtract
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Id, SlotColumns, SlotIdentity, Slots
from scheduler.core.spans import Span
from scheduler.core.uses import Use, Uses, inside
from scheduler.core.validation import Validator
from scheduler.core.working_time import WEEK, WorkingTime
from scheduler.core.zones import instant, micros

_CHECK: Final = Validator(InvalidInputError)


class OpenSlot(NamedTuple):
    """A slot that can take another visit: one `beyond_places` though visits have all its places (B8)."""

    start: int
    end: int
    service_offering_id: Id | None
    capacity: int
    rule_id: Id | None
    released_at: datetime | None
    beyond_places: bool = False

    @property
    def is_shared(self) -> bool:
        """Whether the visit may have the doctor together with others, within the slot (B1)."""
        return self.capacity > 1 or self.beyond_places


FullSlot = tuple[int, int, Id | None]
"""The start and end of a slot that takes no other visit, and its offering."""


class LoadedCalendar:
    """The loaded part of a doctor's calendar; times are microseconds since 2000-01-01T00:00Z (see `zones`)."""

    def __init__(
        self,
        schedule: Schedule,
        uses: Uses,
        full: Collection[FullSlot],
        exceeded: Collection[FullSlot] = (),
    ) -> None:
        self._schedule = schedule
        self._working = WorkingTime(schedule)
        self._uses = uses
        self.full: Collection[FullSlot] = full
        self._exceeded = exceeded
        capacities = [part.capacity for parts in (schedule.rules, schedule.exceptions) for part in parts]
        self.has_places: bool = any(capacity is not None and capacity > 1 for capacity in capacities)
        self._weeks: dict[int, SlotColumns] = {}

    def share(self, other: Self) -> None:
        """Keep what is loaded of the schedule in one place with another calendar of the same schedule."""
        self._working, self._weeks = other._working, other._weeks

    def working(self, begin: int, end: int) -> Ranges:
        """Return the doctor's working time at the facility within `[begin, end)`."""
        return self._working.within(begin, end)

    def unused(self, begin: int, end: int, *, beside: OpenSlot | None = None) -> Ranges:
        """Return the time of `[begin, end)` without uses; those that share a slot of several places do not count."""
        if beside is None or not beside.is_shared:
            taken = self._uses.taken(begin, end)
        else:
            ids = self._schedule.doctor_id, self._schedule.facility_id, beside.service_offering_id
            own = SlotIdentity(instant(beside.start), instant(beside.end), *ids)
            taken = self._uses.taken_beside(own, begin, end)
        return list(subtract([(begin, end)], taken))

    def has_shared_slots(self, begin: int, end: int) -> bool:
        """Tell whether a slot of several places may start in `[begin, end)`."""
        if self._exceeded:
            return True
        if not self.has_places:
            return False
        weeks = range(begin // WEEK, (end - 1) // WEEK + 1)
        return any(kind.capacity > 1 for week in weeks for kind in self._columns(week).kinds)

    def open_slots(self, begin: int, end: int) -> Iterator[OpenSlot]:
        """Yield the slots that start in `[begin, end)` and can take another visit, sorted by start."""
        for week in range(begin // WEEK, (end - 1) // WEEK + 1):
            starts, ends, kinds, of_kind = self._columns(week)
            for place in range(bisect_left(starts, begin), bisect_left(starts, end)):
                kind = of_kind[kinds[place]]
                key = starts[place], ends[place], kind.service_offering_id
                if key not in self.full:
                    yield OpenSlot(starts[place], ends[place], *kind)
                elif key in self._exceeded:
                    yield OpenSlot(starts[place], ends[place], *kind, beyond_places=True)

    def has_full_slot(self, begin: int, offering_id: Id) -> bool:
        """Tell whether a slot that starts then, for the offering or for any, takes no other visit."""
        return any(start == begin and offering in {None, offering_id} for start, _, offering in self.full)

    def _columns(self, week: int) -> SlotColumns:
        if week not in self._weeks:
            span, schedule = inside(week * WEEK, (week + 1) * WEEK), self._schedule
            slots = Slots(schedule.doctor_id, schedule.facility_id, ()) if span is None else expand(schedule, span)
            self._weeks[week] = slots.columns()
        return self._weeks[week]


class LoadedResource:
    """The loaded part of the time of a resource, in the same unit."""

    def __init__(self, opening: Schedule | None, uses: Uses) -> None:
        self._opening = None if opening is None else WorkingTime(opening)
        self._uses = uses

    def share(self, other: Self) -> None:
        """Keep what is loaded of the opening times in one place with another resource of the same opening times."""
        self._opening = other._opening

    def free(self, begin: int, end: int) -> Ranges:
        """Return the time within `[begin, end)` in which the resource is open and not used."""
        opened = [(begin, end)] if self._opening is None else self._opening.within(begin, end)
        return list(subtract(opened, self._uses.taken(begin, end)))


@dataclass(frozen=True, slots=True)
class DoctorCalendar:
    """The slots and the free time of a doctor at one facility.

    `uses` are those of the doctor at all facilities, with their buffers. `full` are the slots that take no other visit:
    those whose places are booked or held, those that a person cancelled, and in a calendar without hours those that
    wait for their release.

    Raises:
        InvalidInputError: a field is of another kind.
    """

    schedule: Schedule
    uses: Sequence[Use] = ()
    full: Collection[SlotIdentity] = ()
    loaded: LoadedCalendar = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _CHECK.instance("schedule", self.schedule, Schedule)
        object.__setattr__(self, "uses", _CHECK.sequence("uses", self.uses, Use))
        object.__setattr__(self, "full", frozenset(_CHECK.sequence("full", self.full, SlotIdentity)))
        full = {(micros(slot.start_at), micros(slot.end_at), slot.service_offering_id) for slot in self.full}
        object.__setattr__(self, "loaded", LoadedCalendar(self.schedule, Uses(self.uses), full))


@dataclass(frozen=True, slots=True)
class Resource:
    """A person, room or device of a facility that steps of visits need, with its opening times and uses.

    Without opening times it is free whenever it is not used. `doctor_id` is the doctor who is this person: then `uses`
    has also the uses of the doctor.

    Raises:
        InvalidInputError: a field is of another kind.
    """

    id: Id
    kind: str
    facility_id: Id
    opening: Schedule | None = None
    uses: Sequence[Span] = ()
    doctor_id: Id | None = None
    loaded: LoadedResource = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _CHECK.id("resource: id", self.id)
        name = f"resource {self.id}"
        _CHECK.text(f"{name}: kind", self.kind)
        _CHECK.id(f"{name}: facility_id", self.facility_id)
        if self.opening is not None:
            _CHECK.instance(f"{name}: opening", self.opening, Schedule)
        object.__setattr__(self, "uses", _CHECK.sequence(f"{name}: uses", self.uses, Span))
        _CHECK.optional_id(f"{name}: doctor_id", self.doctor_id)
        uses = Uses([Use(span) for span in self.uses])
        object.__setattr__(self, "loaded", LoadedResource(self.opening, uses))


def calendar_with(
    calendar: DoctorCalendar,
    times: Ranges,
    shared: Iterable[Use] = (),
    full: Iterable[FullSlot] = (),
    exceeded: Iterable[FullSlot] = (),
) -> DoctorCalendar:
    """Return the calendar of the same schedule, which is not loaded anew, with what is taken in another week.

    `times` are those of uses that nobody shares, in microseconds. They are many, so `uses` and `full` lack them. Full
    slots that may be `exceeded` take one visit more than they have places.
    """
    other = DoctorCalendar(calendar.schedule)
    uses = Uses(tuple(shared), times)
    loaded = LoadedCalendar(calendar.schedule, uses, frozenset(full), frozenset(exceeded))
    loaded.share(calendar.loaded)
    object.__setattr__(other, "loaded", loaded)
    return other


def resource_with(resource: Resource, times: Ranges) -> Resource:
    """Return the resource of the same opening times, which are not loaded anew, with what is taken in another week."""
    other = Resource(resource.id, resource.kind, resource.facility_id, resource.opening, doctor_id=resource.doctor_id)
    loaded = LoadedResource(resource.opening, Uses((), times))
    loaded.share(resource.loaded)
    object.__setattr__(other, "loaded", loaded)
    return other
