"""Wanted visits by example: a visit is decided on at its times, whatever an offer says (Q1, B1)."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from scheduler.core.candidates import Candidate
from scheduler.core.errors import InvalidInputError, InvalidWorkflowError
from scheduler.core.ids import read_uuid
from scheduler.core.offers import WantedVisit
from scheduler.core.search import find_visits, visit_at
from unit.test_visit_search import (
    DOCTOR,
    MORNING,
    NURSE,
    THE_DAY,
    at,
    candidate,
    minutes,
    nurse,
    rule,
    schedule,
    shown,
    slot,
    span,
    step,
    visit,
)

TALK_AND_SAMPLE = visit(step(1, 20, DOCTOR), step(2, 10, NURSE, wait=15))


def wanted(*starts: str, of: tuple[str, str] = ("09:00", "09:20"), **fields: Any) -> WantedVisit:
    values: dict[str, Any] = {"offering_id": 1, "workflow_id": 1, "slot": slot(*of)} | fields
    return WantedVisit(starts=dict(enumerate(map(at, starts), start=1)), **values)


def decided(one: WantedVisit, who: Candidate | None = None, *nurses: Any, **narrow: Any) -> str | None:
    found = visit_at(candidate(TALK_AND_SAMPLE) if who is None else who, nurses or [nurse(3), nurse(4)], one, **narrow)
    return None if found is None else shown(found)


def test_q1_a_wanted_visit_keeps_its_times_and_resources() -> None:
    for offer in find_visits([candidate(TALK_AND_SAMPLE)], [nurse(3), nurse(4)], THE_DAY):
        assert visit_at(candidate(TALK_AND_SAMPLE), [nurse(3), nurse(4)], offer.wanted) == offer
    later = wanted("09:00", "09:30", resources=frozenset({4}))
    assert decided(later) == "09:00-09:20, 09:30-09:40 nurse 4"


def test_b1_a_resource_that_is_taken_is_replaced() -> None:
    one = wanted("09:00", "09:20", resources=frozenset({3}))
    assert decided(one, None, nurse(3, span("09:25", "09:40")), nurse(4)) == "09:00-09:20, 09:20-09:30 nurse 4"
    assert decided(one, None, nurse(3, span("09:25", "09:40"))) is None


@pytest.mark.parametrize(
    "starts",
    [("09:00", "09:36"), ("09:00", "09:19"), ("09:05", "09:25"), ("09:20", "09:40")],
    ids=["a longer wait", "steps that overlap", "beside the slot", "on another slot"],
)
def test_q1_times_that_the_workflow_does_not_allow_are_refused(starts: tuple[str, str]) -> None:
    assert decided(wanted(*starts)) is None


def test_q1_a_wanted_visit_needs_its_doctor_slot_policy_and_patient() -> None:
    one = wanted("09:00", "09:20")
    for who in (
        candidate(TALK_AND_SAMPLE, MORNING, span("09:10", "09:15")),
        candidate(TALK_AND_SAMPLE, full=[slot("09:00", "09:20")]),
        candidate(TALK_AND_SAMPLE, schedule(rule("10:00", "11:00"))),
        candidate(TALK_AND_SAMPLE, bookable=span("09:01", "10:00")),
    ):
        assert decided(one, who) is None
    assert decided(one, patient=[span("09:29", "09:40")]) is None
    assert decided(one, patient=[span("09:30", "09:40")]) is not None
    assert decided(wanted("09:00", "09:20", of=("09:00", "09:30"))) is None


def test_q1_one_of_several_choices_of_same_resources_is_free() -> None:
    again = replace(NURSE, same_as=1)
    workflow = visit(step(1, 10, NURSE), step(2, 20, DOCTOR), step(3, 10, again))
    nurses = [nurse(3, span("09:25", "09:30")), nurse(4)]
    one = WantedVisit(1, 1, slot("09:00", "09:20"), {1: at("08:50"), 2: at("09:00"), 3: at("09:20")})
    assert decided(one, candidate(workflow), *nurses) == "08:50-09:00 nurse 4, 09:00-09:20, 09:20-09:30 nurse 4"
    assert decided(one, candidate(workflow), nurses[0]) is None


def test_w3_steps_are_left_out_only_if_they_may_be() -> None:
    assert decided(wanted("09:00")) == "09:00-09:20"
    with pytest.raises(InvalidWorkflowError, match="must not be skipped"):
        decided(WantedVisit(1, 1, slot("09:00", "09:20"), {2: at("09:20")}))
    with pytest.raises(InvalidWorkflowError, match=r"no steps at \[1, 2, 3\]"):
        decided(wanted("09:00", "09:20", "09:30"))
    with pytest.raises(InvalidInputError, match="wanted must be a WantedVisit"):
        visit_at(candidate(), [], minutes(1))  # type: ignore[arg-type]  # as a caller may


def test_a_uuid_is_read_from_the_objects_that_have_it() -> None:
    class Owner:
        key = uuid4()

    assert read_uuid("user", Owner(), owners={Owner: "key"}) == Owner.key
    assert read_uuid("user", Owner.key, owners={Owner: "key"}) == Owner.key
    with pytest.raises(InvalidInputError, match="user must be a UUID"):
        read_uuid("user", 7, owners={UUID: "int"})
