"""The search for visits (Q1, Q2) and the resources of its steps (W7), against trial minute by minute."""

from hypothesis import given

from oracles.minute_sets import minute_of
from oracles.visit_search import ExpectedStep, ExpectedVisit, World, find_by_trial
from scheduler.core.search import VisitOffer, find_visits
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
