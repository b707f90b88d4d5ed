"""The search for visits, against a constraint solver that is asked the same: CP-SAT of OR-Tools, with one worker.

For each query the model chooses a slot, the starts of the steps and their resources. It is solved for the first slot in
order, and of its visits the one that ends first, then starts last; then again without this slot, until no slot can have
an earlier visit than the first ten. OR-Tools takes 270 MB, so requirements/benchmarks.txt is a list of its own.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice, pairwise
from operator import itemgetter
from random import Random
from time import process_time
from typing import Final, NamedTuple

from ortools.sat.python import cp_model
from rich.table import Table

from scheduler.core import Candidate, Span, WorkflowStep, expand, find_visits
from search import FIRST, FOUND, MINUTE
from search_queries import Pieces, Query, query, union

_DOCTOR: Final = "doctor"
_LAST: Final = 9 * 1440  # a minute beyond every visit
_FAR: Final = 10**5  # more than any minute

Visit = tuple[int, int]
"""The minute in which a visit starts, counted from the first day, and the place of its candidate."""


class Place(NamedTuple):
    """A slot that the model may choose: its start in minutes, and the place of its candidate."""

    start: int
    order: int


class Solver:
    """The model of a query."""

    def __init__(self, query: Query) -> None:
        self._query = query
        self._steps = query.candidates[0].workflow.steps
        self._leads = [step.lead // MINUTE for step in self._steps]
        self._lengths = [step.length // MINUTE for step in self._steps]
        self._waits = [step.max_wait // MINUTE for step in self._steps]
        self._with_doctor = [place for place, step in enumerate(self._steps) if step.has_doctor]
        self._anchor = self._with_doctor[0] if self._with_doctor else 0
        before = range(self._anchor)
        self._longest_before = sum(self._lengths[i] + self._leads[i + 1] + self._waits[i + 1] for i in before)
        self._model = cp_model.CpModel()
        self._starts = [self._model.new_int_var(-_LAST, _LAST, "") for _ in self._steps]
        self._slots = sorted(
            Place(minute_of(slot.start_at), order)
            for order, candidate in enumerate(query.candidates)
            for slot in expand(candidate.calendar.schedule, query.span_of_slots)
            if minute_of(slot.start_at) < minute_of(query.span.end) + self._longest_before
        )
        self._chosen = [self._model.new_bool_var("") for _ in self._slots]
        self._serves = [self._model.new_bool_var("") for _ in query.candidates]
        self._constrain_slots()
        self._constrain_order()
        for candidate, serves, working in zip(query.candidates, self._serves, query.working, strict=True):
            self._constrain_doctor(candidate, serves, working)
        self._constrain_resources()
        self._constrain_patient()

    def first(self) -> list[Visit]:
        """Return the first visits that start in the span, one for each slot at most."""
        span = range(minute_of(self._query.span.start), minute_of(self._query.span.end))
        visits: list[Visit] = []
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        while solver.solve(self._model) == cp_model.OPTIMAL:
            number = next(number for number, chosen in enumerate(self._chosen) if solver.value(chosen))
            slot = self._slots[number]
            if len(visits) >= FOUND and slot.start - self._longest_before > sorted(visits)[FOUND - 1][0]:
                break  # no later slot has an earlier visit
            start = solver.value(self._starts[0])
            if start in span:
                visits.append((start, slot.order))
            self._model.add(self._chosen[number] == 0)
        return sorted(visits, key=itemgetter(0, 1))[:FOUND]

    def _constrain_slots(self) -> None:
        """Choose the first slot, and of its visits the one that ends first, then starts last."""
        model = self._model
        model.add_exactly_one(self._chosen)
        for order, serves in enumerate(self._serves):
            own = [chosen for slot, chosen in zip(self._slots, self._chosen, strict=True) if slot.order == order]
            model.add(sum(own) == serves)
        starts = (slot.start * chosen for slot, chosen in zip(self._slots, self._chosen, strict=True))
        model.add(self._starts[self._anchor] == sum(starts))
        ranks = (number * _FAR * _FAR * chosen for number, chosen in enumerate(self._chosen))
        model.minimize(sum(ranks) + _FAR * self._starts[-1] - self._starts[0])

    def _constrain_order(self) -> None:
        for place, (start, following) in enumerate(pairwise(self._starts)):
            shortest = self._lengths[place] + self._leads[place + 1]
            self._model.add_linear_constraint(following - start, shortest, shortest + self._waits[place + 1])

    def _constrain_doctor(self, candidate: Candidate, serves: cp_model.IntVar, working: Pieces) -> None:
        if not self._with_doctor:
            return
        taken = self._fixed([use.span for use in candidate.calendar.uses])
        for place in self._with_doctor:
            lead, length = self._leads[place], self._lengths[place]
            domain = cp_model.Domain.from_intervals(
                [[low + lead, high - length] for low, high in working if low + lead <= high - length]
            )
            self._model.add_linear_expression_in_domain(self._starts[place], domain).only_enforce_if(serves)
            before = lead + (candidate.buffer_before // MINUTE if place == self._with_doctor[0] else 0)
            after = length + (candidate.buffer_after // MINUTE if place == self._with_doctor[-1] else 0)
            taken.append(self._interval(place, before, after, serves))
        self._model.add_no_overlap(taken)

    def _constrain_resources(self) -> None:
        resources = self._query.resources
        taken = [self._fixed(resource.uses) for resource in resources]
        of_group: dict[tuple[str, int], dict[int, cp_model.IntVar]] = {}
        for place, step in enumerate(self._steps):
            for need in step.all_needs:
                if need.kind == _DOCTOR:
                    continue
                key = need.kind, need.same_as or step.position
                if key not in of_group:
                    numbers = [number for number, resource in enumerate(resources) if resource.kind == need.kind]
                    of_group[key] = {number: self._model.new_bool_var("") for number in numbers}
                    self._model.add(sum(of_group[key].values()) == need.quantity)
                for number, serves in of_group[key].items():
                    taken[number].append(self._interval(place, self._leads[place], self._lengths[place], serves))
                    self._keep_apart(step, resources[number].doctor_id, serves)
        for intervals in taken:
            self._model.add_no_overlap(intervals)

    def _keep_apart(self, step: WorkflowStep, doctor_id: object, serves: cp_model.IntVar) -> None:
        """Let no doctor be a resource of the own step."""
        for candidate, of_doctor in zip(self._query.candidates, self._serves, strict=True):
            if step.has_doctor and candidate.calendar.schedule.doctor_id == doctor_id:
                self._model.add_at_most_one(serves, of_doctor)

    def _constrain_patient(self) -> None:
        first, end = self._starts[0], self._starts[-1] + self._lengths[-1]
        visit = self._model.new_interval_var(first, self._model.new_int_var(1, _LAST, ""), end, "")
        self._model.add_no_overlap([*self._fixed(self._query.own), visit])

    def _fixed(self, spans: Sequence[Span]) -> list[cp_model.IntervalVar]:
        times = union((minute_of(span.start), minute_of(span.end)) for span in spans)
        return [self._model.new_fixed_size_interval_var(low, high - low, "") for low, high in times]

    def _interval(self, place: int, before: int, after: int, serves: cp_model.IntVar) -> cp_model.IntervalVar:
        return self._model.new_optional_fixed_size_interval_var(
            self._starts[place] - before, before + after, serves, ""
        )


def minute_of(at: datetime) -> int:
    """Return the minutes since the first day began."""
    return (at - FIRST) // MINUTE


def found(query: Query) -> list[Visit]:
    """Return the first visits that the library finds."""
    places = {candidate.calendar.schedule.doctor_id: place for place, candidate in enumerate(query.candidates)}
    offers = islice(find_visits(query.candidates, query.resources, query.span, patient=query.own), FOUND)
    return [(minute_of(offer.start_at), places[offer.slot.doctor_id]) for offer in offers]


def check(number: int, expected: Sequence[Visit], answer: Sequence[Visit]) -> None:
    """Stop unless both ways find the same visits."""
    if list(expected) != list(answer):
        raise SystemExit(f"query {number}: the solver finds {expected}, the search {answer}: nothing to compare")


def against_cp_sat(*, queries: int = 1000, doctors: int = 8, days: int = 5) -> Table:
    """Answer random queries of up to so many doctors and days in both ways, with nothing loaded.

    The time is that of the processor: both ways have one thread, and the run takes a quarter of an hour.
    """
    random = Random(1)  # noqa: S311  # fixed queries, not secrets
    seconds = {"CP-SAT": 0.0, "search": 0.0}
    visits = 0
    for number in range(queries):
        asked = query(random, doctors=doctors, days=days)
        begun = process_time()
        answer = found(asked)
        seconds["search"] += (ended := process_time()) - begun
        expected = Solver(asked).first()
        seconds["CP-SAT"] += process_time() - ended
        check(number, expected, answer)
        visits += len(answer)
    if not visits:
        raise SystemExit("no query has a visit: nothing to compare")
    table = Table(
        title=f"{queries} random queries of up to {doctors} doctors and {days} days, {visits} visits found",
        title_justify="left",
    )
    for heading in ("", "ms for a query", "of the search"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, total in seconds.items():
        table.add_row(name, f"{total / queries * 1000:,.2f}", f"{total / seconds['search']:,.0f}")
    return table
