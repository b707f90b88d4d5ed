"""Bounds of caps: how many visits and holds a cap counts at least and at most, at each instant (Q4).

Owns: the bounds, and the answers that they refute.
Must not know: the order of operations (`linearizability` searches for one), who asked.

An operation takes effect at some instant between its request and its answer. So a visit surely counts from the answer
that books it to the request that cancels it, and perhaps from the request to the answer. A history in which more than
the cap surely count is wrong, and so is a refusal if at no instant of it as many as the cap perhaps count. These bounds
take little time, also for long histories in which everything concerns everything.

Each visit and hold is changed by one process alone, so that its own order is known. A hold counts until its end; the
clocks of history and desk differ a little.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final, NamedTuple

from support.contention.history import NEVER, Operation, Type

CLOCKS_DIFFER_BY: Final = 0.01
Names = tuple[str, ...]


class _Counted(NamedTuple):
    """A time in which a visit or hold counts: perhaps, or surely."""

    begin: float
    end: float


@dataclass
class _Live:
    """A visit or hold that counts now: which caps, since which request and answer."""

    names: Names
    asked: float
    answered: float
    ends: float


@dataclass
class CapBounds:
    """The times in which visits and holds count, by cap, and the operations that caps refused."""

    surely: dict[str, list[_Counted]] = field(default_factory=lambda: defaultdict(list))
    perhaps: dict[str, list[_Counted]] = field(default_factory=lambda: defaultdict(list))
    refused: list[tuple[Operation, Names]] = field(default_factory=list)
    _live: dict[str, _Live] = field(default_factory=dict)

    def read(self, history: Iterable[Operation]) -> None:
        """Read a history, in the order of its requests."""
        for operation in history:
            self._read(operation)
        for id_ in [*self._live]:
            self._ends(id_, NEVER, NEVER)

    def _read(self, operation: Operation) -> None:
        f, value, answer = operation.f, operation.value, operation.answer
        names: Names = tuple(value.get("counts", ()))
        if operation.type is Type.FAIL:
            if answer["error"] == "capped":
                self.refused.append((operation, names))
            return
        if f in {"cancel", "reschedule"}:
            self._ends(value["visit"], operation.begin, operation.end)
        if f in {"release", "confirm"}:
            self._ends(value["hold"], operation.begin, operation.end)
        if f in {"book", "confirm", "reschedule", "hold"}:
            id_ = answer.get("visit") or answer.get("hold") or f"unknown {operation.process}"
            self._live[id_] = _Live(names, operation.begin, operation.end, answer.get("ends", NEVER))

    def _ends(self, id_: str, asked: float, answered: float) -> None:
        live = self._live.pop(id_, None)
        if live is None:
            return
        for name in live.names:
            self.perhaps[name].append(_Counted(live.asked, min(answered, live.ends + CLOCKS_DIFFER_BY)))
            surely = min(asked, live.ends - CLOCKS_DIFFER_BY)
            if live.answered < surely:
                self.surely[name].append(_Counted(live.answered, surely))


def faults(history: Iterable[Operation], caps: Mapping[str, int]) -> list[str]:
    """Return a line for each cap that is surely exceeded, and for each refusal without a reached cap.

    `caps` has the caps by name, each of one day or week.
    """
    bounds = CapBounds()
    bounds.read(history)
    found = []
    for name, most in caps.items():
        _, counts = _steps(bounds.surely[name])
        if max(counts, default=0) > most:
            found.append(f"{name}: {max(counts)} visits and holds, beyond the cap of {most}")
    steps = {name: _steps(bounds.perhaps[name]) for name in caps}
    for operation, names in bounds.refused:
        if all(_most_of(*steps[name], operation) < caps[name] for name in names if name in caps):
            found.append(f"refused by a cap that is never reached: {operation}")
    return found


def _steps(counted: Iterable[_Counted]) -> tuple[list[float], list[int]]:
    """Return the instants at which a count changes, and the count from each on; of equal instants, beginnings first."""
    changes = sorted((at, -change) for each in counted for at, change in ((each.begin, 1), (each.end, -1)))
    return [at for at, _ in changes], list(accumulate(-change for _, change in changes))


def _most_of(instants: list[float], counts: list[int], operation: Operation) -> int:
    """Return the highest count during an operation."""
    first = max(bisect_right(instants, operation.begin) - 1, 0)
    last = bisect_right(instants, operation.end)
    return max(counts[first:last], default=0)
