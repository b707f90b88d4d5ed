"""The checker of histories, against every permutation of few operations and against histories that are not divided."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.contention.components import components, with_ends_of_holds
from support.contention.desk_model import step, unknown
from support.contention.desk_state import State
from support.contention.history import NEVER, Operation, Type, operations
from support.contention.interleaving import Request, random_history
from support.contention.linearizability import judge
from support.contention.resolving import resolved, with_ids
from support.contention.simulated_desks import (
    CheckThenInsert,
    ConfirmAfterBlock,
    HoldWithoutEnd,
    OnePlaceTooMany,
    PlaceNeverFreed,
    RightDesk,
)


def register(state: int, operation: Operation) -> int | None:
    """Model a register: `swap` writes a value and may answer the one before, a refusal says that it is 0."""
    if operation.type is Type.FAIL:
        return state if state == 0 else None
    if operation.type is Type.OK and operation.answer["before"] not in {None, state}:
        return None
    return int(operation.value["to"])


@st.composite
def swaps(draw: st.DrawFn) -> list[Operation]:
    drawn = []
    for process in range(draw(st.integers(0, 5))):
        begin = draw(st.integers(0, 9))
        kind = draw(st.sampled_from([Type.OK, Type.OK, Type.FAIL, Type.INFO]))
        end = NEVER if kind is Type.INFO else begin + draw(st.integers(1, 9))
        to, before = draw(st.integers(0, 1)), draw(st.sampled_from([None, None, 0, 1]))
        drawn.append(Operation("swap", {"to": to}, kind, {"before": before}, process, begin, end))
    return drawn


def has_order(history: Sequence[Operation]) -> bool:
    """Try every order of the required operations with any of the others."""
    required = {operation for operation in history if operation.type is not Type.INFO}
    for count in range(len(required), len(history) + 1):
        for order in permutations(history, count):
            if not required <= set(order):
                continue
            if any(later.end < earlier.begin for n, earlier in enumerate(order) for later in order[n + 1 :]):
                continue
            state: int | None = 0
            for operation in order:
                state = None if state is None else register(state, operation)
            if state is not None:
                return True
    return False


@given(swaps())
def test_an_order_is_found_if_a_permutation_is_one(history: list[Operation]) -> None:
    verdict = judge(history, 0, register)
    assert verdict.is_linearizable == has_order(history)
    if verdict.is_linearizable:
        assert {operation for operation in history if operation.type is not Type.INFO} <= {*verdict.order}


PLACES = st.builds(
    lambda doctor, start, room, slot: {
        "slot": slot and f"{slot} {doctor}",
        "start": 0 if slot else start,
        "end": 30 if slot else start + 30,
        "uses": [[f"doctor {doctor}", 0 if slot else start, 30 if slot else start + 30]]
        + ([[room, start, start + 30]] if room and not slot else []),
    },
    st.integers(0, 2),
    st.sampled_from([0, 15, 30, 60]),
    st.sampled_from([None, None, "room"]),
    st.sampled_from([None, None, "group"]),
)
PATIENTS = st.sampled_from(["ann", "bob", "cleo", "dan"])
VISITS = st.integers(1, 9).map(lambda number: {"visit": f"visit {number}"})
HOLDS = st.integers(1, 9).map(lambda number: {"hold": f"hold {number}"})


def both(*parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.tuples(*parts).map(lambda drawn: {name: value for part in drawn for name, value in part.items()})


WITH_PATIENT = PATIENTS.map(lambda patient: {"patient": patient})
REQUESTS: st.SearchStrategy[Request] = st.one_of(
    st.tuples(st.just("book"), both(PLACES, WITH_PATIENT)),
    st.tuples(st.just("hold"), PLACES),
    st.tuples(st.just("confirm"), both(HOLDS, WITH_PATIENT)),
    st.tuples(st.just("cancel"), VISITS),
    st.tuples(st.just("reschedule"), both(PLACES, VISITS)),
    st.tuples(st.just("block"), st.just({"who": "doctor 0", "start": 0, "end": 20})),
    st.tuples(st.just("wait"), st.just({"time": 1500})),
)
DESKS = [RightDesk, CheckThenInsert, HoldWithoutEnd, ConfirmAfterBlock, OnePlaceTooMany, PlaceNeverFreed]


@given(st.sampled_from(DESKS), st.integers(0, 99), st.lists(st.lists(REQUESTS, max_size=5), max_size=4))
def test_components_have_an_order_if_the_history_has(
    make: type[RightDesk], seed: int, processes: list[list[Request]]
) -> None:
    groups: list[Request] = [("open", {"slot": f"group {doctor}", "capacity": 2}) for doctor in range(3)]
    events = random_history(make, seed, groups, *processes)
    history = with_ends_of_holds(with_ids(operations(events)))
    whole = judge(history, State(), step)
    assert all(judge(part, State(), step).is_linearizable for part in components(history)) == whole.is_linearizable
    assert whole.is_linearizable or make is not RightDesk


@given(st.sampled_from(DESKS), st.integers(0, 99), st.lists(st.lists(REQUESTS, max_size=4), max_size=4), st.data())
def test_lost_answers_are_resolved_as_the_search_would(
    make: type[RightDesk], seed: int, processes: list[list[Request]], data: st.DataObject
) -> None:
    """Only the last request of a process loses its answer, and nobody names the visit of a lost booking."""
    history = with_ids(operations(random_history(make, seed, [], *processes)))
    last = {operation.process: operation for operation in history[:-1]}
    named = {operation.value.get("visit") for operation in history}
    lost = {
        operation
        for operation in last.values()
        if operation.f in {"book", "cancel"} and operation.answer.get("visit") not in named and data.draw(st.booleans())
    }
    open_ = [
        replace(operation, type=Type.INFO, answer=unknown(operation), end=NEVER) if operation in lost else operation
        for operation in history
    ]
    decided = resolved(open_)
    assert len(decided) <= len(open_)
    expected = judge(with_ends_of_holds(open_), State(), step).is_linearizable
    assert judge(with_ends_of_holds(decided), State(), step).is_linearizable == expected
