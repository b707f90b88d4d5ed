"""The search for visits (Q1, Q2) and the resources of its steps (W7), against trial minute by minute."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

from hypothesis import given

from oracles.minute_sets import minute_of
from oracles.visit_search import ExpectedStep, ExpectedVisit, World, find_by_trial
from scheduler.core.candidates import Candidate
from scheduler.core.offers import VisitOffer
from scheduler.core.search import find_visits, visit_at
from scheduler.core.spans import Span
from support.visit_worlds import worlds


def search(world: World) -> list[VisitOffer]:
    """Return the visits that the search finds in a world."""
    return list(
        find_visits(
            world.candidates,
            world.resources,
            world.span,
            patient=world.patient,
            skip=world.skip,
            weekdays=world.weekdays,
            part_of_day=world.part_of_day,
        )
    )


def plain(offer: VisitOffer) -> ExpectedVisit:
    """Return an offer in the form of the oracle."""
    steps = (
        ExpectedStep(step.step.position, minute_of(step.start_at), minute_of(step.end_at), dict(step.resources))
        for step in offer.steps
    )
    return ExpectedVisit(offer.offering_id, offer.workflow_id, offer.slot, tuple(steps))


@given(worlds())
def test_q1_search_agrees_with_brute_force(world: World) -> None:
    assert [plain(offer) for offer in search(world)] == find_by_trial(world)


def candidate_of(world: World, offer: VisitOffer) -> Candidate:
    """Return the candidate of an offer."""
    (candidate,) = (candidate for candidate in world.candidates if candidate.offering_id == offer.offering_id)
    return candidate


@given(worlds())
def test_q1_two_parts_of_a_span_have_the_visits_of_the_whole(world: World) -> None:
    middle = world.span.start + world.span.duration // 120 * 60
    if middle == world.span.start:
        return
    parts = (Span(world.span.start, middle), Span(middle, world.span.end))
    assert [offer for part in parts for offer in search(replace(world, span=part))] == search(world)


@given(worlds())
def test_q1_steps_follow_each_other_with_allowed_waits(world: World) -> None:
    for offer in search(world):
        anchor = next((one for one in offer.steps if one.step.has_doctor), offer.steps[0])
        assert anchor.start_at == offer.slot.start_at
        for one, following in pairwise(offer.steps):
            wait = following.start_at - one.end_at - following.step.lead
            assert timedelta(0) <= wait <= following.step.max_wait


@given(worlds())
def test_q2_buffers_and_steps_of_the_doctor_meet_no_other_use(world: World) -> None:
    for offer in search(world):
        candidate = candidate_of(world, offer)
        taken = [(one.start_at - one.step.lead, one.end_at) for one in offer.steps if one.step.has_doctor]
        if taken:
            taken[0] = (taken[0][0] - candidate.buffer_before, taken[0][1])
            taken[-1] = (taken[-1][0], taken[-1][1] + candidate.buffer_after)
        for use in candidate.calendar.uses:
            if offer.slot.capacity == 1 or use.slot != offer.slot.identity:
                assert not any(use.span.overlaps(Span(*times)) for times in taken)


@given(worlds())
def test_q2_a_visit_meets_no_other_visit_of_the_patient(world: World) -> None:
    for offer in search(world):
        assert not any(own.overlaps(Span(offer.start_at, offer.end_at)) for own in world.patient)


@given(worlds())
def test_w7_same_resources_serve_the_steps_that_share_them(world: World) -> None:
    for offer in search(world):
        of_position: dict[int, tuple[object, ...]] = {}
        for one in offer.steps:
            for need in one.step.all_needs:
                if need.kind == "nurse":
                    serving = one.resources["nurse"]
                    assert len(set(serving)) == need.quantity
                    assert of_position.setdefault(need.same_as or one.step.position, serving) == serving


@given(worlds())
def test_q1_a_visit_that_is_found_is_decided_on_alike(world: World) -> None:
    """It is what booking asks: the same visit at its times, and none where its slot is full."""
    for offer in search(world):
        candidate = candidate_of(world, offer)
        again = visit_at(candidate, world.resources, offer.wanted, patient=world.patient)
        assert again is not None
        assert (again.wanted.starts, again.slot) == (offer.wanted.starts, offer.slot)
        full = replace(candidate.calendar, full=[*candidate.calendar.full, offer.slot.identity])
        assert visit_at(replace(candidate, calendar=full), world.resources, offer.wanted) is None
