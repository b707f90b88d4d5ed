"""Bounds of caps: the histories that they refute, and those that they do not (Q4)."""

import pytest

from support.contention.cap_bounds import faults
from support.contention.history import Event, Type, Value, operations

CAPS = {"day": 1}
PLACE: Value = {"slot": "s", "counts": ["day"]}
Line = tuple[Type, str, Value, int]


def book(visit: str, process: int) -> tuple[Line, Line]:
    return (Type.INVOKE, "book", PLACE, process), (Type.OK, "book", {"visit": visit}, process)


def cancel(visit: str, process: int) -> tuple[Line, Line]:
    return (Type.INVOKE, "cancel", {"visit": visit}, process), (Type.OK, "cancel", {}, process)


def refused(process: int) -> tuple[Line, Line]:
    return (Type.INVOKE, "book", PLACE, process), (Type.FAIL, "book", {"error": "capped"}, process)


def hold(ends: float) -> tuple[Line, Line]:
    return (Type.INVOKE, "hold", PLACE, 3), (Type.OK, "hold", {"hold": "h", "ends": ends}, 3)


def found(*lines: Line) -> list[str]:
    return faults(operations([Event(*line, time) for time, line in enumerate(lines)]), CAPS)


A, B, CANCEL, REFUSED = book("a", 0), book("b", 1), cancel("a", 0), refused(2)
NO_ANSWER: Line = (Type.INFO, "book", {}, 1)
RIGHT: dict[str, list[Line]] = {
    "one after another": [*A, *CANCEL, *B],
    "the second ends after the cancellation begins": [*A, B[0], CANCEL[0], B[1], CANCEL[1]],
    "refused while it is reached": [*A, *REFUSED],
    "refused while perhaps it is reached": [A[0], *REFUSED, A[1]],
    "refused while perhaps it is still reached": [*A, CANCEL[0], *REFUSED, CANCEL[1]],
    "refused since a request without answer perhaps took effect": [B[0], NO_ANSWER, *REFUSED],
    "after the end of a hold": [*hold(2.5), (Type.INVOKE, "wait", {}, 4), *A],
    "refused until the end of a hold": [*hold(2.5), *REFUSED],
    "a hold is confirmed": [
        *hold(99),
        (Type.INVOKE, "confirm", PLACE | {"hold": "h"}, 3),
        (Type.OK, "confirm", {"visit": "c"}, 3),
    ],
}
WRONG: dict[str, list[Line]] = {
    "both at once": [*A, *B],
    "the cancellation begins after the second was booked": [*A, *B, *CANCEL],
    "refused before it is reached": [*REFUSED, *A],
    "refused after the cancellation": [*A, *CANCEL, *REFUSED],
    "beside a hold": [*hold(99), *A],
    "refused after the end of a hold": [*hold(1.5), (Type.INVOKE, "wait", {}, 4), *REFUSED],
}


@pytest.mark.parametrize("name", RIGHT)
def test_q4_a_right_history_is_within_the_bounds(name: str) -> None:
    assert found(*RIGHT[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_q4_a_wrong_history_is_beyond_the_bounds(name: str) -> None:
    assert len(found(*WRONG[name])) == 1
