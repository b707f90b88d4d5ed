"""Sequential model of the desk: what each request does if it is alone, and when it is refused (B1-B4, Q4).

Owns: the effect and the refusals of operations.
Must not know: threads, histories, the database.

| operation | value | answer | refused as |
|---|---|---|---|
| `open` | `slot`, `capacity` | | |
| `cap` | `cap`, `most` | | |
| `hold` | a place, `key`? | `hold`, `ends` | `taken`, `capped`, `ended`, `key_reused` |
| `extend` | `hold` | `ends` | `ended` |
| `release` | `hold`; nothing happens if it has ended | | `ended` |
| `confirm` | `hold`, `patient`, `key`? | `visit` | `ended`, `taken`, `capped`, `key_reused` |
| `book` | a place, `patient`, `key`? | `visit` | `taken`, `capped`, `key_reused` |
| `reschedule` | a place, `visit`, `key`? | `visit` | `taken`, `capped`, `gone`, `key_reused` |
| `cancel` | `visit` | | `gone` |
| `block` | `who`, `start`, `end` | | |
| `read` | | `visits` | |
| `expire` | `hold`, `ends` | | |

A place is `slot` (or null), `start` and `end` of the visit, `uses`: each doctor or room, from when and until when, and
`counts`?: the caps that count it. The cap of a patient has the patient's name, and counts all visits of the patient.
No history has `expire`: it follows from each answer that says when a hold ends (`components.with_ends_of_holds`). Any
operation may be refused as `busy`, which claims nothing.
"""

import json
from collections import Counter
from typing import Any, Final

from support.contention.desk_state import Answered, Hold, Place, State, Visit, capped, place_of, taken
from support.contention.history import Operation, Type, Value

CLAIMS_NOTHING: Final = "busy"
_UNKNOWN: Final = "?"


def request_of(operation: Operation) -> str:
    """Return what a key stands for: the operation with its arguments."""
    arguments = {name: given for name, given in operation.value.items() if name != "key"}
    return json.dumps([operation.f, arguments], sort_keys=True)


def visit_row(visit: Visit) -> tuple[Any, ...]:
    """Return a visit as `read` answers it."""
    return (visit.id, visit.patient, visit.place.slot, visit.place.start, visit.place.end)


def step(state: State, operation: Operation) -> State | None:
    """Return the state after an operation with its outcome, or None if the state does not allow that outcome."""
    if operation.type is Type.FAIL and operation.answer["error"] == CLAIMS_NOTHING:
        return state
    outcome = _OUTCOMES[operation.f](state, operation)
    if operation.type is Type.FAIL:
        return state if isinstance(outcome, set) and operation.answer["error"] in outcome else None
    return outcome if isinstance(outcome, State) else None


def unknown(operation: Operation) -> Value:
    """Return an answer to a request that got none: an id that stands for the one that nobody knows."""
    return {name: f"{_UNKNOWN}{operation.process}" for name in ("visit", "hold") if name not in operation.value}


Outcome = State | set[str] | None
"""The state afterwards, the right reasons of a refusal, or None where the answer is wrong."""


def _open(state: State, operation: Operation) -> Outcome:
    return state._replace(capacities=state.capacities | {(operation.value["slot"], operation.value["capacity"])})


def _cap(state: State, operation: Operation) -> Outcome:
    return state._replace(caps=(*state.caps, (operation.value["cap"], operation.value["most"])))


def _hold(state: State, operation: Operation) -> Outcome:
    known = _known(state, operation)
    answer, new_id = operation.answer, str(operation.answer.get("hold"))
    if isinstance(known, Answered):
        # The repeated request gets a new token, and the earlier one opens nothing.
        earlier = {hold for hold in state.holds if hold.id == known.id}
        if not earlier:
            return {"ended"}
        renamed = {hold._replace(id=new_id, ends=answer.get("ends")) for hold in earlier}
        answered = state.answered - {known} | {known._replace(id=new_id)}
        return state._replace(holds=state.holds - earlier | renamed, answered=answered)
    place = place_of(operation.value)
    reasons = known | taken(state, place, None) | capped(state, place, None)
    if reasons:
        return reasons
    held = state._replace(holds=state.holds | {Hold(new_id, answer.get("ends"), place)})
    return _remember(held, operation, new_id)


def _extend(state: State, operation: Operation) -> Outcome:
    for hold in state.holds:
        if hold.id == operation.value["hold"]:
            return state._replace(holds=state.holds - {hold} | {hold._replace(ends=operation.answer.get("ends"))})
    return {"ended"}


def _release(state: State, operation: Operation) -> Outcome:
    for hold in state.holds:
        if hold.id == operation.value["hold"]:
            return state._replace(holds=state.holds - {hold})
    return {"ended"} if operation.type is Type.FAIL else state  # a desk may forget ended holds, or not


def _confirm(state: State, operation: Operation) -> Outcome:
    known = _known(state, operation)
    if isinstance(known, Answered):
        return _repeated(state, operation, known)
    hold = next((hold for hold in state.holds if hold.id == operation.value["hold"]), None)
    if hold is None:
        return known | {"ended"}
    patient = operation.value["patient"]
    reasons = known | taken(state, hold.place, patient, but=hold) | capped(state, hold.place, patient, but=hold)
    if reasons:
        return reasons
    return _booked(state._replace(holds=state.holds - {hold}), operation, hold.place)


def _book(state: State, operation: Operation) -> Outcome:
    known = _known(state, operation)
    if isinstance(known, Answered):
        return _repeated(state, operation, known)
    place, patient = place_of(operation.value), operation.value["patient"]
    return known | taken(state, place, patient) | capped(state, place, patient) or _booked(state, operation, place)


def _booked(state: State, operation: Operation, place: Place) -> State:
    visit = Visit(str(operation.answer.get("visit")), operation.value["patient"], place)
    return _remember(state._replace(visits=state.visits | {visit}), operation, visit.id)


def _reschedule(state: State, operation: Operation) -> Outcome:
    known = _known(state, operation)
    if isinstance(known, Answered):
        return _repeated(state, operation, known)
    visit = next((visit for visit in state.visits if visit.id == operation.value["visit"]), None)
    if visit is None:
        return known | {"gone"}
    place = place_of(operation.value)
    patient = visit.patient
    reasons = known | taken(state, place, patient, but=visit) | capped(state, place, patient, but=visit)
    if reasons:
        return reasons
    moved = state._replace(visits=state.visits - {visit} | {visit._replace(place=place)})
    return _remember(moved, operation, visit.id)


def _cancel(state: State, operation: Operation) -> Outcome:
    for visit in state.visits:
        if visit.id == operation.value["visit"]:
            return state._replace(visits=state.visits - {visit})
    return {"gone"}


def _block(state: State, operation: Operation) -> Outcome:
    value = operation.value
    return state._replace(blocks=tuple(sorted({*state.blocks, (value["who"], value["start"], value["end"])})))


def _read(state: State, operation: Operation) -> Outcome:
    expected = {visit_row(visit) for visit in state.visits}
    rows = {tuple(row) for row in operation.answer["visits"]}
    # The id of a visit whose request was never answered is not known.
    unnamed = {row for row in expected if row[0].startswith(_UNKNOWN)}
    others = rows - expected
    is_right = expected - unnamed <= rows and Counter(row[1:] for row in others) == Counter(row[1:] for row in unnamed)
    return state if is_right and len(rows) == len(operation.answer["visits"]) else None


def _expire(state: State, operation: Operation) -> Outcome:
    value = operation.value
    ended = {hold for hold in state.holds if (hold.id, hold.ends) == (value["hold"], value["ends"])}
    return state._replace(holds=state.holds - ended)


_OUTCOMES: Final = {
    "open": _open,
    "cap": _cap,
    "hold": _hold,
    "extend": _extend,
    "release": _release,
    "confirm": _confirm,
    "book": _book,
    "reschedule": _reschedule,
    "cancel": _cancel,
    "block": _block,
    "read": _read,
    "expire": _expire,
}


def _known(state: State, operation: Operation) -> Answered | set[str]:
    """Return the first answer to a key, or why the key is refused, if it is."""
    key = operation.value.get("key")
    for answered in state.answered if key is not None else ():
        if answered.key == key:
            return answered if answered.request == request_of(operation) else {"key_reused"}
    return set()


def _repeated(state: State, operation: Operation, known: Answered) -> Outcome:
    return state if operation.type is Type.INFO or operation.answer.get("visit") == known.id else None


def _remember(state: State, operation: Operation, answer: str) -> State:
    key = operation.value.get("key")
    if key is None:
        return state
    return state._replace(answered=state.answered | {Answered(key, request_of(operation), answer)})
