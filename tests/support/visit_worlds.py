"""Hypothesis strategies: small worlds for the search for visits.

Owns: the strategies of candidates, resources and searches, near an instant at which a week begins or a clock changes.
Times are few whole minutes, so that trying every wait is feasible.
Must not know: how visits are found.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from oracles.minute_sets import MINUTE
from oracles.minutes import expand_by_minutes
from oracles.visit_search import World
from scheduler.core.calendars import DoctorCalendar, Resource
from scheduler.core.candidates import Candidate
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.spans import Span
from scheduler.core.uses import Use
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import DOCTOR, Need, StepTemplate, Workflow, WorkflowStep

ORIGINS = (
    datetime(2027, 3, 27, tzinfo=UTC),  # a week begins (weeks count from 2000-01-01), and Gaza's clock changes
    datetime(2027, 3, 6, tzinfo=UTC),  # a week begins
    datetime(2027, 3, 28, 1, tzinfo=UTC),  # London's clock skips an hour
    datetime(2027, 10, 31, 1, tzinfo=UTC),  # London's clock repeats an hour
    datetime(2027, 3, 1, 9, tzinfo=UTC),
)
ZONES = tuple(map(ZoneInfo, ("Europe/London", "Asia/Gaza", "Pacific/Auckland")))
POSITIONS = (2, 3, 5, 8)
RESOURCES = ((9, "nurse"), (3, "room"), (7, "nurse"), (1, "nurse"))


def some(*values: object) -> st.SearchStrategy:
    """Draw one of the values; repeat a value to draw it more often."""
    return st.sampled_from(values)


origins, zones = st.sampled_from(ORIGINS), st.sampled_from(ZONES)
halves = some(False, True)
seldom = some(False, False, False, False, True)
beginnings = st.integers(-24, 6).map(lambda count: 5 * count)
window_lengths = some(180, 120, 240, 180, 90, 45)
spell_lengths = some(5, 7, 15, 5, 40)
minutes_near = st.integers(-90, 120)
slot_lengths = some(20, 15, 30, 45, 10)
intervals = some(None, None, None, 20, 25, 40)
capacities = some(1, 1, 1, 2, 3)
offerings = some(None, None, None, None, 1, 2)
step_lengths = some(5, 10, 2, 5, 15)
leads = some(0, 0, 0, 5, 3)
waits = some(0, 8, 3, 5)
needs_drawn = some(
    None,
    None,
    (DOCTOR, "nurse"),
    ("nurse",),
    ("nurse",),
    ("nurse",),
    ("nurse", "room"),
    ("room",),
    ("room", DOCTOR),
    (),
)
quantities = some(1, 1, 1, 1, 2)
buffers = some(0, 10, 5)


@st.composite
def schedules(draw: st.DrawFn, origin: datetime, *, doctor_id: int, facility_id: int, zone: ZoneInfo) -> Schedule:
    """Draw a schedule with windows near an instant."""

    def wall(count: int) -> datetime:
        return (origin + count * MINUTE).astimezone(zone)

    rules = []
    for number in range(draw(some(1, 1, 2))):
        begin = draw(beginnings)
        length, interval = draw(slot_lengths), draw(intervals)
        rules.append(
            AvailabilityRule(
                number + 1,
                wall(begin).isoweekday() % 7,
                wall(begin).time(),
                wall(begin + draw(window_lengths)).time(),
                length * MINUTE,
                slot_interval=interval and interval * MINUTE,
                capacity=draw(capacities),
                service_offering_id=draw(offerings),
                release=Release(draw(some(1, 2)), wall(begin).time()) if draw(seldom) else None,
            )
        )
    exceptions = []
    for number in range(draw(some(0, 0, 0, 1, 2))):
        kind = draw(st.sampled_from(ExceptionType))
        start = origin + draw(minutes_near) * MINUTE
        rule_id = draw(some(None, *(rule.id for rule in rules)))
        exceptions.append(AvailabilityException(number + 1, kind, start, start + draw(spell_lengths) * MINUTE, rule_id))
    closures = []
    if draw(seldom):
        begin = draw(minutes_near)
        times = (wall(begin).time(), wall(begin + draw(spell_lengths)).time()) if draw(halves) else ()
        closures.append(Closure(1, wall(begin).date(), *times))
    return Schedule(doctor_id, facility_id, zone, rules, exceptions, closures)


@st.composite
def uses(draw: st.DrawFn, origin: datetime) -> Span:
    """Draw a short time near an instant."""
    start = origin + draw(minutes_near) * MINUTE
    return Span(start, start + draw(spell_lengths) * MINUTE)


@st.composite
def calendars(draw: st.DrawFn, origin: datetime, *, doctor_id: int, facility_id: int, zone: ZoneInfo) -> DoctorCalendar:
    """Draw a doctor's calendar, whose uses may share slots of several places."""
    schedule = draw(schedules(origin, doctor_id=doctor_id, facility_id=facility_id, zone=zone))
    slots = expand_by_minutes(schedule, Span(origin - 180 * MINUTE, origin + 300 * MINUTE))
    of_slots = draw(st.lists(st.sampled_from(slots), max_size=2)) if slots else []
    taken = [Use(draw(uses(origin))) for _ in range(draw(some(0, 1, 2, 3)))]
    taken += [Use(Span(slot.start_at, slot.end_at), slot.identity) for slot in of_slots]
    full = [draw(st.sampled_from(slots)).identity] if slots and draw(seldom) else []
    return DoctorCalendar(schedule, taken, full)


@st.composite
def steps(draw: st.DrawFn, position: int, earlier: Sequence[WorkflowStep]) -> WorkflowStep:
    """Draw a step, which may need the nurses of an earlier one."""
    kinds: tuple[str, ...] | None = draw(needs_drawn)
    needs: list[Need] = []
    for kind in kinds or ():
        own = [
            (step, need) for step in earlier for need in step.all_needs if need.kind == kind and need.same_as is None
        ]
        if kind == "nurse" and own and draw(halves):
            step, need = draw(st.sampled_from(own))
            needs.append(Need(kind, need.quantity, same_as=step.position))
        else:
            needs.append(Need(kind, 1 if kind == DOCTOR else draw(quantities)))
    length = draw(step_lengths) * MINUTE
    lead = draw(leads)
    return WorkflowStep(
        position,
        StepTemplate(1, "step", length),
        requires_preparation=lead > 0,
        preparation=lead * MINUTE,
        max_wait=draw(waits) * MINUTE,
        needs=None if kinds is None else needs,
        can_be_skipped=True,
    )


@st.composite
def workflows(draw: st.DrawFn, number: int) -> Workflow:
    """Draw a workflow of a few steps."""
    drawn: list[WorkflowStep] = []
    for position in POSITIONS[: draw(some(1, 2, 3, 2, 3, 4))]:
        drawn.append(draw(steps(position, drawn)))
    return Workflow(number, "visit", number, tuple(drawn))


@st.composite
def all_resources(draw: st.DrawFn, origin: datetime, facilities: dict[int, ZoneInfo]) -> list[Resource]:
    """Draw resources of the facilities, some of whom are doctors."""
    drawn = []
    for number, kind in RESOURCES[: draw(some(4, 3, 4, 2, 0))]:
        facility_id = draw(st.sampled_from((1, 1, *facilities)))
        opening = None
        if draw(seldom):
            opening = draw(schedules(origin, doctor_id=99, facility_id=facility_id, zone=facilities[facility_id]))
        drawn.append(
            Resource(
                number,
                kind,
                facility_id,
                opening,
                [draw(uses(origin)) for _ in range(draw(some(0, 1, 2, 3)))],
                doctor_id=draw(some(None, None, None, None, 1, 2)),
            )
        )
    return drawn


@st.composite
def spans(draw: st.DrawFn, origin: datetime) -> Span:
    """Draw the span of a search: the hours around an instant, a part of them, or some weeks."""
    kind = draw(some("hours", "hours", "hours", "part", "weeks"))
    if kind == "hours":
        return Span(origin - 300 * MINUTE, origin + 400 * MINUTE)
    if kind == "part":
        start = origin + draw(minutes_near) * MINUTE
        return Span(start, start + draw(some(1, 10, 60, 120)) * MINUTE)
    start = origin - draw(some(0, 3, 7)) * timedelta(days=1)
    return Span(start, start + draw(some(4, 8, 15)) * timedelta(days=1))


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Draw a world with at most two doctors, two facilities and three candidates."""
    origin = draw(origins)
    facilities = {number: draw(zones) for number in range(1, draw(some(1, 1, 2)) + 1)}
    candidates = []
    for number in range(1, draw(some(1, 1, 2, 3)) + 1):
        facility_id = draw(st.sampled_from((1, *facilities)))
        near = origin + draw(minutes_near) * MINUTE
        candidates.append(
            Candidate(
                number,
                draw(workflows(number)),
                draw(
                    calendars(
                        origin,
                        doctor_id=draw(some(1, 1, 2)),
                        facility_id=facility_id,
                        zone=facilities[facility_id],
                    )
                ),
                draw(buffers) * MINUTE,
                draw(buffers) * MINUTE,
                Span(near - 60 * MINUTE, near + 90 * MINUTE) if draw(seldom) else None,
                (Span(near - 30 * MINUTE, near + 30 * MINUTE),) if draw(seldom) else (),
                near - draw(some(1, 2)) * timedelta(days=1) if draw(halves) else None,
            )
        )
    shortest = min(len(candidate.workflow.steps) for candidate in candidates)
    skip = draw(st.sets(st.sampled_from(POSITIONS[:shortest]), max_size=1)) if shortest > 1 else set()
    part = None
    if draw(seldom):
        wall = (origin + draw(minutes_near) * MINUTE).astimezone(facilities[1])
        part = wall.time(), (wall + draw(some(30, 60, 600)) * MINUTE).time()
    return World(
        candidates,
        draw(all_resources(origin, facilities)),
        draw(spans(origin)),
        [draw(uses(origin)) for _ in range(draw(some(0, 0, 0, 1, 2)))],
        skip,
        draw(st.sets(st.sampled_from(Weekday), min_size=1)) if draw(seldom) else (),
        part,
    )
