"""The reasons against steps (Q3), compared with what the search finds with and without the visits of others."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given

from oracles.visit_search import World
from scheduler.booking.unfit_visits import UnfitPlan
from scheduler.core.calendars import DoctorCalendar, OpenSlot
from scheduler.core.candidates import Candidate
from scheduler.core.free_starts import Stock
from scheduler.core.reasons import ReasonCode
from scheduler.core.search import find_visits
from scheduler.core.spans import Span
from scheduler.core.zones import micros
from support.visit_worlds import worlds

TAKEN = {ReasonCode.BOOKED, ReasonCode.NO_RESOURCE}
HOUR = timedelta(hours=1)


def with_long_waits(candidate: Candidate) -> Candidate:
    """Return a candidate whose visits may wait into the evening of their doctor, at any start."""
    steps = tuple(replace(step, max_wait=20 * step.max_wait) for step in candidate.workflow.steps)
    return replace(candidate, workflow=replace(candidate.workflow, steps=steps), bookable=None, capped=())


@given(worlds())
def test_q3_steps_that_the_hours_allow_are_refused_as_taken(world: World) -> None:
    """A visit that fits alone is refused by what others take, and by nothing if it fits beside them."""
    alone = [replace(one, uses=()) for one in world.resources]
    taken = [replace(one, uses=[Span(use.start, use.end + HOUR) for use in one.uses]) for one in world.resources]
    for candidate in map(with_long_waits, world.candidates):
        plan = UnfitPlan(candidate, frozenset(world.skip), Stock(taken))
        fitting = {offer.slot.identity for offer in find_visits([candidate], taken, world.span, skip=world.skip)}
        undisturbed = replace(candidate, calendar=DoctorCalendar(candidate.calendar.schedule))
        for offer in find_visits([undisturbed], alone, world.span, skip=world.skip):
            slot = offer.slot
            opened = OpenSlot(micros(slot.start_at), micros(slot.end_at), *slot[4:])
            codes = {reason.code for reason in plan.reasons(opened)}
            assert codes <= TAKEN
            assert not codes or slot.identity not in fitting
