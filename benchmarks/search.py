"""The search for visits, against trying every wait of every step around each slot, minute by minute.

A visit has four steps: reception, a nurse, the doctor in a room, a nurse in a room. Both sides know the same slots and
uses; the other way looks each minute up by bisection in the uses of each resource, and stops at the first that fits.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import partial
from itertools import islice
from random import Random
from typing import Final, NamedTuple

from rich.table import Table

from measuring import best_times
from scheduler.core import (
    AvailabilityRule,
    Candidate,
    DoctorCalendar,
    Need,
    Resource,
    Schedule,
    Span,
    StepTemplate,
    Use,
    Workflow,
    WorkflowStep,
    expand,
    find_visits,
)

MINUTE: Final = timedelta(minutes=1)
FIRST: Final = datetime(2027, 3, 1, tzinfo=UTC)  # a Monday
OFFERING, PLACE = 7, 1
BUFFER: Final = 5 * MINUTE
FOUND: Final = 10
LONGEST_BEFORE: Final = 50 * MINUTE  # the steps before the doctor's, with their waits

Visit = tuple[int, tuple[datetime, ...]]
"""The doctor, and the starts of the steps."""


class World(NamedTuple):
    """The doctors who may serve the visit, and the resources of their facility."""

    candidates: Sequence[Candidate]
    resources: Sequence[Resource]
    span: Span


def visit() -> Workflow:
    """Return the workflow of a visit."""
    template = StepTemplate(1, "a step", 10 * MINUTE)
    nurse, room = Need("nurse"), Need("room")
    steps = (
        WorkflowStep(1, template, 5 * MINUTE, needs=()),
        WorkflowStep(2, template, needs=(nurse,), max_wait=15 * MINUTE),
        WorkflowStep(3, template, 20 * MINUTE, needs=(Need("doctor"), room), max_wait=20 * MINUTE),
        WorkflowStep(4, template, 15 * MINUTE, needs=(nurse, room), max_wait=30 * MINUTE),
    )
    return Workflow(1, "visit", OFFERING, steps)


def world(*, doctors: int, days: int, load: float, full_days: int = 0, zone: str = "Europe/London") -> World:
    """Return a world in which so much of each working day is taken, and all of the first days."""
    random = Random(1)  # noqa: S311  # a fixed world, not a secret

    def uses() -> list[Span]:
        starts = [
            FIRST + timedelta(days=day, hours=9, minutes=minute)
            for day in range(days)
            for minute in range(0, 480, 20)
            if day < full_days or random.random() < load
        ]
        return [Span(start, start + 20 * MINUTE) for start in starts]

    rules = [AvailabilityRule(day, day, time(9), time(17), 20 * MINUTE) for day in range(1, 6)]
    workflow = visit()
    return World(
        [
            Candidate(
                OFFERING,
                workflow,
                DoctorCalendar(Schedule(doctor, PLACE, zone, rules), [Use(span) for span in uses()]),
                buffer_after=BUFFER,
            )
            for doctor in range(1, doctors + 1)
        ],
        [
            Resource(number, kind, PLACE, uses=uses())
            for number, kind in enumerate(["room"] * (doctors * 2 // 5) + ["nurse"] * (doctors // 5), start=1)
        ],
        Span(FIRST, FIRST + timedelta(days=days)),
    )


def found(world: World) -> list[Visit]:
    """Return the first visits that the library finds."""
    offers = islice(find_visits(*world), FOUND)
    return [(offer.slot.doctor_id, tuple(step.start_at for step in offer.steps)) for offer in offers]  # type: ignore[misc]


def loaded_anew(world: World) -> World:
    """Return the same values, of which nothing is loaded."""
    candidates = [
        Candidate(OFFERING, one.workflow, DoctorCalendar(one.calendar.schedule, one.calendar.uses), buffer_after=BUFFER)
        for one in world.candidates
    ]
    resources = [Resource(one.id, one.kind, PLACE, uses=one.uses) for one in world.resources]
    return World(candidates, resources, world.span)


class Occupied:
    """The uses of a doctor or a resource, for bisection."""

    def __init__(self, spans: Sequence[Span]) -> None:
        ordered = sorted(spans)
        self._starts = [span.start for span in ordered]
        self._ends = [span.end for span in ordered]

    def is_free(self, start: datetime, end: datetime) -> bool:
        """Tell whether nothing is taken in `[start, end)`; the spans do not overlap."""
        place = bisect_right(self._starts, end - timedelta(microseconds=1))
        return not place or self._ends[place - 1] <= start


class Trials:
    """The search by trying every wait."""

    def __init__(self, world: World) -> None:
        self._slots = sorted(
            (slot.start_at, order)
            for order, candidate in enumerate(world.candidates)
            for slot in expand(candidate.calendar.schedule, world.span)
        )
        self._candidates = world.candidates
        self._doctors = [Occupied([use.span for use in one.calendar.uses]) for one in world.candidates]
        self._by_kind = {
            kind: [Occupied(one.uses) for one in world.resources if one.kind == kind] for kind in ("room", "nurse")
        }

    def first(self) -> list[Visit]:
        """Return the first visits, each with the shortest waits."""
        visits: list[Visit] = []
        for start, order in self._slots:
            if len(visits) >= FOUND and start - LONGEST_BEFORE > sorted(visits, key=by_start)[FOUND - 1][1][0]:
                break  # no later slot has an earlier visit
            times = self._around(start, order)
            if times is not None:
                visits.append((order + 1, times))
        return sorted(visits, key=by_start)[:FOUND]

    def _around(self, start: datetime, order: int) -> tuple[datetime, ...] | None:
        steps = self._candidates[order].workflow.steps
        is_free = self._doctors[order].is_free(start, start + steps[2].length + BUFFER)
        if not is_free or not self._fits(steps[2], start):
            return None
        before = self._before(steps[:2], start, steps[2].max_wait)
        after = self._after(steps[3], start + steps[2].length)
        return None if before is None or after is None else (*before, start, after)

    def _fits(self, step: WorkflowStep, start: datetime) -> bool:
        kinds = [need.kind for need in step.all_needs if need.kind != "doctor"]
        return all(any(taken.is_free(start, start + step.length) for taken in self._by_kind[kind]) for kind in kinds)

    def _before(
        self, steps: Sequence[WorkflowStep], following: datetime, max_wait: timedelta
    ) -> tuple[datetime, ...] | None:
        if not steps:
            return ()
        for minutes in range(max_wait // MINUTE + 1):
            start = following - minutes * MINUTE - steps[-1].length
            if self._fits(steps[-1], start):
                earlier = self._before(steps[:-1], start, steps[-1].max_wait)
                if earlier is not None:
                    return (*earlier, start)
        return None

    def _after(self, step: WorkflowStep, end: datetime) -> datetime | None:
        for minutes in range(step.max_wait // MINUTE + 1):
            if self._fits(step, end + minutes * MINUTE):
                return end + minutes * MINUTE
        return None


def by_start(visit: Visit) -> tuple[datetime, int]:
    """Return the place of a visit among others: by its start, then by the doctor."""
    return visit[1][0], visit[0]


def check(expected: Sequence[Visit], answer: Sequence[Visit]) -> None:
    """Stop unless both ways find the same visits, at least one."""
    if not expected or list(expected) != list(answer):
        raise SystemExit(f"trying finds {expected}, the search {answer}: nothing to compare")


def trials(world: World) -> list[Visit]:
    """Return the first visits by trying."""
    return Trials(world).first()


def next_found(worlds: Iterator[World]) -> list[Visit]:
    """Return the first visits of the next world."""
    return found(next(worlds))


def against_trials(*, rounds: int, doctors: int = 50, days: int = 90) -> Table:
    """Find the first visits by trying and by the search, on free days, on full days, and after full days."""
    title = f"first {FOUND} visits of four steps, {doctors} doctors, {days} days; best of {rounds} rounds"
    table = Table(title=title, title_justify="left")
    for heading in ("", "trying, ms", "search, ms", "loaded before, ms", "trying, of the search"):
        table.add_column(heading, justify="right" if heading else "left")
    worlds = {
        "3 of 10 taken": world(doctors=doctors, days=days, load=0.3),
        "9 of 10 taken": world(doctors=doctors, days=days, load=0.9),
        "all taken but the last third": world(doctors=doctors, days=days, load=0.3, full_days=days * 2 // 3),
    }
    for name, one in worlds.items():
        check(trials(one), found(one))
        copies = iter([loaded_anew(one) for _ in range(rounds)])  # made before, since making is not searching
        ways = {
            "trying": partial(trials, one),
            "search": partial(next_found, copies),
            "loaded": partial(found, one),
        }
        best = best_times(ways, rounds=rounds, once={"search"})
        milliseconds = (f"{seconds * 1000:,.1f}" for seconds in best.values())
        table.add_row(name, *milliseconds, f"{best['trying'] / best['search']:,.1f}")
    return table
