"""Random queries for the search for visits, small enough for a constraint solver.

Some doctors, a day or a few, visits of up to four steps with waits, preparation, buffers, rooms and nurses, some of
whom serve two steps or are doctors themselves.
"""

from collections.abc import Iterable, Sequence
from datetime import time, timedelta
from random import Random
from typing import Final, NamedTuple

from scheduler.core import (
    AvailabilityException,
    AvailabilityRule,
    Candidate,
    DoctorCalendar,
    ExceptionType,
    Need,
    Resource,
    Schedule,
    Span,
    StepTemplate,
    Use,
    Workflow,
    WorkflowStep,
)
from search import FIRST, MINUTE, OFFERING, PLACE

_DOCTOR: Final = "doctor"

Pieces = Sequence[tuple[int, int]]
"""Times in minutes since the first day began."""


class Query(NamedTuple):
    """A search: who may serve the visit, the resources, the span, the patient's own visits, and the working times."""

    candidates: Sequence[Candidate]
    resources: Sequence[Resource]
    span: Span
    own: Sequence[Span]
    working: Sequence[Pieces]

    @property
    def span_of_slots(self) -> Span:
        """The span with a day more, since the slot of a visit may start after the span."""
        return Span(self.span.start, self.span.end + timedelta(days=1))


def query(random: Random, *, doctors: int, days: int) -> Query:
    """Return a random query of up to so many doctors, nurses and days, and half as many rooms."""
    workflow = _workflow(random)
    candidates, working = [], []
    days = random.randint(1, days)
    for doctor in range(1, random.randint(1, doctors) + 1):
        schedule, pieces = _schedule(random, doctor, days)
        calendar = DoctorCalendar(schedule, [Use(span) for span in _uses(random, days, random.choice((0, 3, 8)))])
        before, after = (random.choice((0, 5, 10)) * MINUTE for _ in range(2))
        candidates.append(Candidate(OFFERING, workflow, calendar, before, after))
        working.append(pieces)
    nurses, rooms = random.randint(1, doctors), random.randint(1, doctors // 2 + 1)
    resources = [
        Resource(
            number,
            kind,
            PLACE,
            uses=_uses(random, days, random.choice((0, 4, 10))),
            doctor_id=random.choice((None, None, None, 1, 2)) if kind == "nurse" else None,
        )
        for number, kind in enumerate(["nurse"] * nurses + ["room"] * rooms, start=1)
    ]
    start = FIRST + random.choice((0, 570, 630)) * MINUTE
    return Query(candidates, resources, Span(start, FIRST + timedelta(days=days)), _uses(random, days, 1), working)


def _uses(random: Random, days: int, most: int) -> list[Span]:
    """Return times that may overlap."""
    starts = [random.randrange(days) * 1440 + random.randrange(470, 800) for _ in range(random.randint(0, most * days))]
    return [Span(at := FIRST + start * MINUTE, at + random.choice((5, 15, 30)) * MINUTE) for start in starts]


def _workflow(random: Random) -> Workflow:
    steps: list[WorkflowStep] = []
    for position in range(1, random.choice((1, 2, 3, 4)) + 1):
        needs = []
        for kind in random.choice(((_DOCTOR,), (_DOCTOR, "room"), ("nurse",), ("nurse", "room"), ())):
            first = next((step for step in steps if any(need.kind == kind for need in step.all_needs)), None)
            same_as = first.position if first and kind == "nurse" and random.random() < 0.5 else None
            quantity = 1 if kind != "nurse" or same_as or random.random() < 0.7 else 2
            if same_as and first:
                quantity = next(need.quantity for need in first.all_needs if need.kind == kind)
            needs.append(Need(kind, quantity, same_as=same_as))
        steps.append(
            WorkflowStep(
                position,
                StepTemplate(1, "a step", random.choice((5, 10, 20)) * MINUTE),
                requires_preparation=True,
                preparation=random.choice((0, 0, 5)) * MINUTE,
                max_wait=random.choice((0, 5, 15, 30)) * MINUTE,
                needs=needs,
            )
        )
    return Workflow(1, "visit", OFFERING, tuple(steps))


def _schedule(random: Random, doctor: int, days: int) -> tuple[Schedule, Pieces]:
    """Return the schedule of a doctor who works in the mornings, and the working time."""
    begin, middle, end = 9 * 60, 10 * 60 + random.choice((0, 20, 30)), 12 * 60
    pause = random.choice((0, 0, 15))
    length = random.choice((10, 15, 20, 30)) * MINUTE
    windows = ((begin, middle), (middle + pause, end))
    rules = [
        AvailabilityRule(
            number, None, _clock(low), _clock(high), length, recurrence="FREQ=DAILY", effective_from=FIRST.date()
        )
        for number, (low, high) in enumerate(windows, start=1)
    ]
    away = random.choice((None, None, 570, 615))
    pieces = [(day * 1440 + low, day * 1440 + high) for day in range(days + 2) for low, high in windows]
    blocks = []
    if away is not None:
        start = FIRST + away * MINUTE
        blocks = [AvailabilityException(1, ExceptionType.BLOCKED, start, start + 25 * MINUTE)]
        pieces = [
            part
            for low, high in union(pieces)
            for part in ((low, min(high, away)), (max(low, away + 25), high))
            if part[0] < part[1]
        ]
    return Schedule(doctor, PLACE, "Europe/London", rules, blocks), union(pieces)


def _clock(minute: int) -> time:
    return time(minute // 60, minute % 60)


def union(times: Iterable[tuple[int, int]]) -> Pieces:
    """Return times without overlaps, in order; those that touch become one."""
    united: list[tuple[int, int]] = []
    for low, high in sorted(times):
        if united and low <= united[-1][1]:
            united[-1] = united[-1][0], max(high, united[-1][1])
        else:
            united.append((low, high))
    return united
