"""Caps by example: their targets, their words, and the times that a full period takes (Q4)."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from scheduler.core.caps import CapTarget, Period, full_spans, target_of, text_of
from scheduler.core.errors import InvalidInputError
from scheduler.core.zones import zone_of

NOTHING: dict[str, Any] = dict.fromkeys(("doctor", "offering", "service", "facility", "patient"))
ONE: list[tuple[CapTarget, dict[str, Any]]] = [
    (CapTarget.DOCTOR, {"doctor": 1}),
    (CapTarget.OFFERING, {"offering": 1}),
    (CapTarget.SERVICE, {"service": 1, "facility": 2}),
    (CapTarget.PATIENT, {"patient": 1}),
]
NOT_ONE: list[tuple[str, dict[str, Any]]] = [
    ("not none of them", {}),
    ("not none of them", {"facility": 1}),
    ("not doctor and patient", {"doctor": 1, "patient": 2}),
    ("give service and facility together", {"service": 1}),
    ("give service and facility together", {"doctor": 1, "facility": 2}),
]


@pytest.mark.parametrize(("target", "given"), ONE)
def test_q4_a_cap_is_of_one_thing(target: CapTarget, given: dict[str, Any]) -> None:
    assert target_of(**(NOTHING | given)) is target


@pytest.mark.parametrize(("message", "given"), NOT_ONE)
def test_q4_a_cap_of_none_or_two_things_is_refused(message: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match=message):
        target_of(**(NOTHING | given))


def test_q4_a_cap_that_is_reached_says_so() -> None:
    assert text_of(CapTarget.DOCTOR, Period.DAY, 12) == "the doctor's cap of 12 is reached"
    assert text_of(CapTarget.PATIENT, Period.WEEK, 2) == "the patient's weekly cap of 2 is reached"
    assert text_of(CapTarget.SERVICE, Period.DAY, 9) == "the service's cap of 9 at the facility is reached"


FULL: list[tuple[str, list[tuple[Period, date]], list[tuple[str, str]]]] = [
    ("UTC", [], []),
    ("UTC", [(Period.DAY, date(2027, 3, 1))], [("2027-03-01T00", "2027-03-02T00")]),
    ("UTC", [(Period.WEEK, date(2027, 3, 1))], [("2027-03-01T00", "2027-03-08T00")]),
    ("Europe/London", [(Period.DAY, date(2027, 3, 28))], [("2027-03-28T00", "2027-03-28T23")]),
    # Paris is an hour ahead, then two
    ("Europe/Paris", [(Period.WEEK, date(2027, 3, 22))], [("2027-03-21T23", "2027-03-28T22")]),
    (
        "Asia/Tokyo",
        [(Period.DAY, date(2027, 3, 3)), (Period.DAY, date(2027, 3, 1)), (Period.DAY, date(2027, 3, 2))],
        [("2027-02-28T15", "2027-03-03T15")],
    ),
    # midnight of 2027-11-07 came twice to Havana: the clock went from 01:00 back to 00:00
    ("America/Havana", [(Period.DAY, date(2027, 11, 7))], [("2027-11-07T04", "2027-11-08T05")]),
    ("Pacific/Apia", [(Period.DAY, date(2011, 12, 30))], []),  # which the zone skipped
    ("UTC", [(Period.WEEK, date(9999, 12, 27))], [("9999-12-27T00", "9999-12-29T00")]),  # the calendar's end
    ("UTC", [(Period.DAY, date(9999, 12, 31))], []),
]


@pytest.mark.parametrize(("zone", "periods", "spans"), FULL)
def test_q4_a_full_period_takes_its_local_days(
    zone: str, periods: list[tuple[Period, date]], spans: list[tuple[str, str]]
) -> None:
    found = [(span.start, span.end) for span in full_spans(zone_of(zone), periods)]
    assert found == [tuple(datetime.fromisoformat(f"{end}:00").replace(tzinfo=UTC) for end in pair) for pair in spans]
