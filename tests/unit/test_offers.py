"""Offers as JSON: for a browser and back."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.core.errors import InvalidInputError
from scheduler.core.offers import OfferedStep, VisitOffer
from scheduler.core.slots import Slot
from scheduler.core.workflows import Need, StepTemplate, WorkflowStep

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
TEN = timedelta(minutes=10)
RECEPTION = WorkflowStep(1, StepTemplate(5, "réception", TEN), needs=())
DOCTOR = WorkflowStep(3, StepTemplate(6, "doctor", TEN), needs=(Need("doctor"), Need("nurse", 2)))
OFFER = VisitOffer(
    7,
    8,
    Slot(NINE + TEN, NINE + 3 * TEN, 1, 2, 7, 4, 9, NINE - TEN),
    (
        OfferedStep(RECEPTION, NINE, NINE + TEN, {}),
        OfferedStep(DOCTOR, NINE + TEN, NINE + 2 * TEN, {"nurse": (4, 3)}),
    ),
)


def test_an_offer_comes_back_from_json() -> None:
    assert VisitOffer.from_json(OFFER.to_json()) == OFFER
    assert VisitOffer.from_json(json.loads(OFFER.to_json())) == OFFER
    assert (OFFER.start_at, OFFER.end_at) == (NINE, NINE + 2 * TEN)
    assert [(step.position, step.name) for step in OFFER.steps] == [(1, "réception"), (3, "doctor")]


def test_an_offer_on_a_slot_for_any_offering_comes_back() -> None:
    offer = replace(OFFER, slot=Slot(NINE + TEN, NINE + 3 * TEN, 1, 2))
    assert VisitOffer.from_json(offer.to_json()) == offer


def test_the_json_of_an_offer_lacks_what_the_workflow_says() -> None:
    step = replace(DOCTOR, max_wait=TEN, location_type="room", can_be_skipped=True)
    offer = replace(OFFER, steps=(OFFER.steps[0], replace(OFFER.steps[1], step=step)))
    assert VisitOffer.from_json(offer.to_json()) == OFFER


def test_q2_the_json_of_an_offer_does_not_choose_its_channel() -> None:
    shown = replace(OFFER, channel="phone").to_json()
    assert (VisitOffer.from_json(shown).channel, VisitOffer.from_json(shown, channel="web").channel) == ("desk", "web")
    with pytest.raises(InvalidInputError, match="channel"):
        VisitOffer.from_json(json.loads(shown) | {"channel": "phone"})
    with pytest.raises(InvalidInputError, match=r"^offer: channel "):
        VisitOffer.from_json(shown, channel=" ")


def test_an_id_that_is_no_row_has_no_json() -> None:
    with pytest.raises(InvalidInputError, match=r"^offer: offering_id must be a whole number for JSON, not str$"):
        replace(OFFER, offering_id="7").to_json()


def changed(change: Callable[[Any], object]) -> Any:
    """Return the JSON of the offer with a change."""
    value = json.loads(OFFER.to_json())
    change(value)
    return value


MALFORMED: list[tuple[Any, str]] = [
    ("", "the offer is not JSON"),
    ("{", "the offer is not JSON"),
    ("[]", "offer: expected a JSON object, not a list"),
    (None, "offer: expected a JSON object, not null"),
    (b"{}", "offer: expected JSON, not a bytes"),
    ({"offering_id": NINE}, "offer: expected JSON, not a dict"),
    ({}, "offer: offering_id is missing"),
    (changed(lambda offer: offer.update(offering_id="7")), "offer: offering_id must be a whole number"),
    (changed(lambda offer: offer.update(offering_id=2**63)), "offer: offering_id must be a whole number"),
    (changed(lambda offer: offer.update(workflow_id=True)), "offer: workflow_id must be a whole number"),
    (changed(lambda offer: offer.update(price=1)), "offer: unknown field 'price'"),
    (changed(lambda offer: offer.pop("slot")), "offer: slot: expected a JSON object, not null"),
    (changed(lambda offer: offer["slot"].update(price=1)), "offer: slot: unknown field 'price'"),
    (changed(lambda offer: offer["slot"].pop("doctor_id")), "offer: slot: doctor_id is missing"),
    (changed(lambda offer: offer["slot"].update(capacity=0)), "offer: slot: capacity must be a whole number"),
    (changed(lambda offer: offer["slot"].update(start_at="2027-03-01T09:10")), "offer: slot: start_at must be an"),
    (changed(lambda offer: offer["slot"].update(start_at="soon")), "offer: slot: start_at must be an instant"),
    (changed(lambda offer: offer["slot"].update(start_at=5)), "offer: slot: start_at must be an instant"),
    (changed(lambda offer: offer["slot"].update(end_at="0001-01-01T00:00Z")), "offer: slot: end_at must be an instant"),
    (changed(lambda offer: offer["slot"].update(end_at="2027-03-01T08:00Z")), "offer: slot: end_at must be after"),
    (changed(lambda offer: offer.update(steps=[])), "offer: steps must not be empty"),
    (changed(lambda offer: offer.update(steps={})), "offer: steps must be a list"),
    (changed(lambda offer: offer["steps"].reverse()), "offer: steps must be in order, one after another"),
    (changed(lambda offer: offer["steps"][0].update(end_at="2027-03-01T09:15Z")), "offer: steps must be in order"),
    (changed(lambda offer: offer["steps"][1].pop("position")), "offer: step 2: position is missing"),
    (changed(lambda offer: offer["steps"][1].update(name=" ")), "offer: step 2: name is missing"),
    (changed(lambda offer: offer["steps"][1].update(doctor="yes")), "offer: step 2: doctor must be true or false"),
    (changed(lambda offer: offer["steps"][1].update(price=1)), "offer: step 2: unknown field 'price'"),
    (changed(lambda offer: offer["steps"][1].update(resources=[])), "offer: step 2: resources must be an object"),
    (changed(lambda offer: offer["steps"][1].update(resources={"nurse": 3})), "offer: step 2: resources: 'nurse' must"),
    (changed(lambda offer: offer["steps"][1].update(resources={"nurse": [3, 3]})), "offer: step 2: resources: 'nurse'"),
    (changed(lambda offer: offer["steps"][1].update(resources={"nurse": [0]})), "offer: step 2: resources: 'nurse'"),
    (changed(lambda offer: offer["steps"][1].update(resources={"nurse": []})), "offer: step 2: need of nurse"),
    (changed(lambda offer: offer["steps"][1].update(resources={"doctor": [1]})), "offer: step 2: step 3: needs must"),
    (changed(lambda offer: offer["steps"][1].update(resources={"patient": [1]})), "offer: step 2: need: kind must"),
]  # fmt: skip


@pytest.mark.parametrize(("value", "message"), MALFORMED, ids=[message for _, message in MALFORMED])
def test_a_malformed_offer_is_refused_by_its_field(value: Any, message: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        VisitOffer.from_json(value)
    assert str(refused.value).startswith(message)
