"""Components of a history of the desk: operations that can concern each other, each part judged on its own.

Owns: what an operation concerns, and the partition by it.
Must not know: what an operation means for the state of a desk.

Two operations concern each other if they use a doctor, a room or a patient at overlapping times, or name the same slot,
hold, visit, key or cap, directly or through others. Linearizability is local (Herlihy and Wing): a history has an order
if each of its components has.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.contention.desk_model import step
from support.contention.desk_state import State
from support.contention.history import NEVER, Event, Operation, Type, Value, operations, write
from support.contention.linearizability import MAX_CONFIGURATIONS, Verdict, judge
from support.contention.resolving import resolved, with_ids

Use = tuple[str, float, float]


def verdicts(
    events: Iterable[Event], *, clocks_differ_by: float = 0, most: int = MAX_CONFIGURATIONS
) -> list[Verdict[State]]:
    """Judge each component of a history of the desk; `clocks_differ_by` bounds the clocks of history and desk.

    Raises:
        HistoryError: the events are no history.
        UndecidedError: a component has too many overlapping operations.
    """
    complete = with_ends_of_holds(resolved(with_ids(operations(events))), clocks_differ_by)
    return [judge(part, State(), step, most=most) for part in components(complete)]


def assert_linearizable(events: Sequence[Event], folder: Path, *, clocks_differ_by: float = 0) -> None:
    """Raise AssertionError with the first component that has no order; the history is kept in the folder."""
    write(folder / "history.jsonl", events)
    wrong = [verdict for verdict in verdicts(events, clocks_differ_by=clocks_differ_by) if not verdict.is_linearizable]
    assert not wrong, f"{len(wrong)} components of {folder / 'history.jsonl'} have no order; the first: {wrong[0]}"


def with_ends_of_holds(history: Sequence[Operation], clocks_differ_by: float = 0) -> list[Operation]:
    """Add the end of each hold as an operation that takes place when the desk's clock shows it.

    It may come at any time where nobody was told the end.
    """
    ends = []
    for operation in history:
        if operation.f not in {"hold", "extend"} or operation.type is Type.FAIL:
            continue
        until = operation.answer.get("ends")
        value = {"hold": (operation.value | operation.answer)["hold"], "ends": until}
        if until is None:
            ends.append(Operation("expire", value, Type.INFO, {}, -1, operation.begin, NEVER))
        else:
            times = until - clocks_differ_by, until + clocks_differ_by
            ends.append(Operation("expire", value, Type.OK, {}, -1, *times))
    return [*history, *ends]


def components(history: Sequence[Operation]) -> list[list[Operation]]:
    """Return the operations of each component; one that reads everything is in all of them, with its part."""
    concerns = _Concerns(history)
    groups = _Groups()
    readers: list[Operation] = []
    members: list[tuple[Operation, Hashable]] = []
    for operation in history:
        if operation.f == "read":
            readers.append(operation)
            continue
        nodes = list(concerns.of(operation)) or [("operation", id(operation))]
        for node in nodes:
            groups.join(nodes[0], node)
        members.append((operation, nodes[0]))
    parts: dict[Hashable, list[Operation]] = defaultdict(list)
    for operation, node in members:
        parts[groups.of(node)].append(operation)
    for reader in readers if not concerns.is_empty else ():
        rows: dict[Hashable, list[Any]] = defaultdict(list)
        for row in reader.answer.get("visits", ()):
            rows[groups.of(concerns.of_row(row))].append(row)
        for group in {*parts, *rows}:
            parts[group].append(replace(reader, answer=reader.answer | {"visits": rows[group]}))
    return list(parts.values())


class _Concerns:
    """What operations use at which times, with the places of holds and the patients of visits."""

    def __init__(self, history: Sequence[Operation]) -> None:
        self._places = {
            operation.answer["hold"]: operation.value
            for operation in history
            if operation.f == "hold" and "hold" in operation.answer
        }
        self._patients = {
            str(operation.answer["visit"]): operation.value["patient"]
            for operation in history
            if operation.f in {"book", "confirm"} and "visit" in operation.answer
        }
        self._caps = {str(operation.value["cap"]) for operation in history if operation.f == "cap"}
        spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for operation in history:
            for who, start, end in self._uses(operation):
                spans[who].append((start, end))
            for row in operation.answer.get("visits", ()):
                spans[str(row[1])].append((row[3], row[4]))
        self._begins: dict[str, list[float]] = {}
        for who, unsorted in spans.items():
            begins, last = [], float("-inf")
            for start, end in sorted(unsorted):
                if start >= last:
                    begins.append(start)
                last = max(last, end)
            self._begins[who] = begins
        self.is_empty = not history

    def _place(self, operation: Operation) -> Value:
        value = operation.value
        return self._places.get(value["hold"], {}) if operation.f == "confirm" else value

    def _uses(self, operation: Operation) -> Iterator[Use]:
        value, place = operation.value, self._place(operation)
        yield from ((str(who), start, end) for who, start, end in place.get("uses", ()))
        patient = self._patients.get(str(value.get("visit")), value.get("patient"))
        if patient is not None and "start" in place:
            yield str(patient), place["start"], place["end"]
        if operation.f == "block":
            yield str(value["who"]), value["start"], value["end"]

    def of(self, operation: Operation) -> Iterator[Hashable]:
        """Yield what an operation concerns."""
        for use in self._uses(operation):
            yield self._node(use)
        patient = self._patients.get(str(operation.value.get("visit")), operation.value.get("patient"))
        for cap in {str(patient), str(operation.value.get("cap")), *self._place(operation).get("counts", ())}:
            if cap in self._caps:
                yield "cap", cap
        for name in ("slot", "hold", "visit", "key"):
            for named in (operation.value.get(name), operation.answer.get(name)):
                if named is not None:
                    yield name, str(named)

    def of_row(self, row: Sequence[Any]) -> Hashable:
        """Return what a visit that was read concerns: its patient at its time."""
        return self._node((str(row[1]), row[3], row[4]))

    def _node(self, use: Use) -> Hashable:
        who, start, _ = use
        begins = self._begins[who]
        return who, begins[bisect_right(begins, start) - 1]


class _Groups:
    """Groups of nodes that were joined, directly or through others."""

    def __init__(self) -> None:
        self._above: dict[Hashable, Hashable] = {}

    def of(self, node: Hashable) -> Hashable:
        """Return the node that stands for the group of a node."""
        while (above := self._above.get(node, node)) != node:
            self._above[node] = self._above.get(above, above)
            node = above
        return node

    def join(self, node: Hashable, other: Hashable) -> None:
        """Make one group of those of two nodes."""
        self._above[self.of(other)] = self.of(node)
