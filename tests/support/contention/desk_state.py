"""State of a desk in the sequential model, and which places and caps it has left (B1, Q4).

Owns: the state, and whether a place is taken or a cap reached in it.
Must not know: operations.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Uses = tuple[tuple[str, float, float], ...]


class Place(NamedTuple):
    """Where and when a visit is, and what it takes."""

    slot: str | None
    start: float
    end: float
    uses: Uses
    counts: tuple[str, ...] = ()
    """The caps that count the visit; that of a patient has the patient's name, and is not among them."""


class Visit(NamedTuple):
    """A live visit."""

    id: str
    patient: str
    place: Place


class Hold(NamedTuple):
    """A live hold."""

    id: str
    ends: float | None
    place: Place


class Answered(NamedTuple):
    """A request whose key is known, and what it was answered."""

    key: str
    request: str
    id: str


class State(NamedTuple):
    """All that decides about a request."""

    capacities: frozenset[tuple[str, int]] = frozenset()
    visits: frozenset[Visit] = frozenset()
    holds: frozenset[Hold] = frozenset()
    blocks: Uses = ()
    answered: frozenset[Answered] = frozenset()
    caps: tuple[tuple[str, int], ...] = ()


def place_of(value: Mapping[str, Any]) -> Place:
    """Read the place of a request."""
    uses = tuple(sorted((str(who), start, end) for who, start, end in value["uses"]))
    return Place(value.get("slot"), value["start"], value["end"], uses, tuple(value.get("counts", ())))


def taken(state: State, place: Place, patient: str | None, *, but: Visit | Hold | None = None) -> set[str]:
    """Return the reason why a place is not to be had, if any."""
    capacity = dict(state.capacities).get(place.slot, 1) if place.slot is not None else 1
    visits = [visit for visit in state.visits if visit != but]
    on_slot = 0
    for other in (*(visit.place for visit in visits), *(hold.place for hold in state.holds if hold != but)):
        together = place.slot is not None and other.slot == place.slot
        on_slot += together
        if not (together and capacity > 1) and _overlap(place.uses, other.uses):
            return {"taken"}
    span: Uses = ((str(patient), place.start, place.end),)
    same_patient = (((visit.patient, visit.place.start, visit.place.end),) for visit in visits)
    if (
        (place.slot is not None and on_slot >= capacity)
        or _overlap(place.uses, state.blocks)
        or (patient is not None and any(_overlap(span, other) for other in same_patient))
    ):
        return {"taken"}
    return set()


def capped(state: State, place: Place, patient: str | None, *, but: Visit | Hold | None = None) -> set[str]:
    """Return the reason why a cap refuses one more visit, if any; a hold has no patient."""
    if not state.caps:
        return set()
    counted = [name for visit in state.visits if visit != but for name in (*visit.place.counts, visit.patient)]
    counted += [name for hold in state.holds if hold != but for name in hold.place.counts]
    concerned = {*place.counts, patient}
    is_reached = any(name in concerned and counted.count(name) >= most for name, most in state.caps)
    return {"capped"} if is_reached else set()


def _overlap(uses: Uses, others: Uses) -> bool:
    return any(a == b and start < until and begin < end for a, start, end in uses for b, begin, until in others)
