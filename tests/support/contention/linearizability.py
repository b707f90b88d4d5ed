"""Linearizability checker: whether concurrent operations can be put into one order that a sequential model explains.

Owns: the search for an order (Wing and Gong, with the memory of Lowe).
Must not know: what an operation means; the model does.

An order keeps real time: an operation that ended before another began comes first. The search puts one operation after
another into the order, and goes back where the model rejects all that could come next. Four things keep it short:

- a configuration, of the operations in the order and the model's state, is searched once;
- a refusal that fits comes at once: it changes nothing, wherever it is;
- operations that cannot overlap are never permuted, so that the memory is emptied by every quiescent moment;
- operations of unknown outcome are tried last, and need not come at all.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from support.contention.history import Operation, Type

S = TypeVar("S", bound=Hashable)
Step = Callable[[S, Operation], S | None]
"""Returns the state after an operation with its outcome, or None if a state does not allow that outcome.

A refused operation leaves the state as it was.
"""
MAX_CONFIGURATIONS: Final = 1_000_000


class UndecidedError(Exception):
    """The search gave up: too many operations overlap, or too many outcomes are unknown."""


@dataclass(frozen=True, slots=True)
class Verdict(Generic[S]):
    """An order of the operations, or the longest beginning of one and the operations of which none fits then."""

    is_linearizable: bool
    order: list[Operation]
    state: S
    stuck: list[Operation]
    configurations: int

    def __str__(self) -> str:
        if self.is_linearizable:
            return f"linearizable: {len(self.order)} operations"
        latest = [f"  {operation}" for operation in self.order[-8:]]
        stuck = [f"  {operation}" for operation in self.stuck]
        parts = [f"no order of operations explains their outcomes; after {len(self.order)}, the last of them"]
        return "\n".join([*parts, *latest, f"the state is\n  {self.state}", "and none of these fits:", *stuck])


@dataclass(slots=True)
class _Configuration(Generic[S]):
    """What is in the order: all required operations before `base`, and those of the mask from there on."""

    state: S
    base: int
    mask: int
    optional: int
    added: list[Operation] = field(default_factory=list)
    following: "Iterator[_Configuration[S]]" = field(default_factory=lambda: iter(()))

    def memory(self) -> Hashable:
        return self.base, self.mask, self.optional, self.state


def judge(operations: Sequence[Operation], initial: S, step: Step[S], *, most: int = MAX_CONFIGURATIONS) -> Verdict[S]:
    """Search for an order of the operations that the model explains, from its initial state.

    Raises:
        UndecidedError: the search met more configurations than `most`.
    """
    search = _Search(operations, step)
    first = _Configuration(initial, 0, 0, 0)
    search.enter(first)
    path, seen = [first], {first.memory()}
    longest, stuck_at = list(first.added), first
    while path:
        if path[-1].base == len(search.required):
            order = [operation for configuration in path for operation in configuration.added]
            return Verdict(True, order, path[-1].state, [], len(seen))
        following = next(path[-1].following, None)
        if following is None:
            path.pop()
            continue
        search.enter(following)
        if (memory := following.memory()) in seen:
            continue
        if len(seen) >= most:
            so_far = search.without_order(longest, stuck_at, len(seen))
            raise UndecidedError(f"gave up after {most:,} configurations of {len(operations)} operations: {so_far}")
        seen.add(memory)
        path.append(following)
        if (following.base, following.mask.bit_count()) > (stuck_at.base, stuck_at.mask.bit_count()):
            longest = [operation for configuration in path for operation in configuration.added]
            stuck_at = following
    return search.without_order(longest, stuck_at, len(seen))


class _Search(Generic[S]):
    """The operations of a search, in the order in which they began."""

    def __init__(self, operations: Sequence[Operation], step: Step[S]) -> None:
        by_begin = sorted(operations, key=lambda operation: operation.begin)
        self.required = [operation for operation in by_begin if operation.type is not Type.INFO]
        self.optional = [operation for operation in by_begin if operation.type is Type.INFO]
        self.step = step

    def without_order(self, order: list[Operation], at: _Configuration[S], configurations: int) -> Verdict[S]:
        """Return the verdict that no longer beginning of an order was found."""
        return Verdict(False, order, at.state, [self.required[index] for index in self.candidates(at)], configurations)

    def candidates(self, configuration: _Configuration[S]) -> list[int]:
        """Return the required operations that may come next: none outside the order ended before they began."""
        found: list[int] = []
        earliest_end = float("inf")
        for index in range(configuration.base, len(self.required)):
            if configuration.mask >> (index - configuration.base) & 1:
                continue
            if self.required[index].begin > earliest_end:
                break
            earliest_end = min(earliest_end, self.required[index].end)
            found.append(index)
        return found

    def enter(self, configuration: _Configuration[S]) -> None:
        """Put the refusals that fit into the order, and prepare what can follow."""
        following: dict[int, S] = {}
        while True:
            added = False
            following.clear()
            for index in self.candidates(configuration):
                state = self.step(configuration.state, self.required[index])
                if state is not None and self.required[index].type is Type.FAIL:
                    self._add(configuration, index)
                    added = True
                elif state is not None:
                    following[index] = state
            if not added:
                break
        configuration.following = self._following(configuration, following)

    def _add(self, configuration: _Configuration[S], index: int) -> None:
        configuration.added.append(self.required[index])
        configuration.mask |= 1 << (index - configuration.base)
        while configuration.mask & 1:
            configuration.mask >>= 1
            configuration.base += 1

    def _following(self, before: _Configuration[S], states: dict[int, S]) -> "Iterator[_Configuration[S]]":
        for index in sorted(states, key=lambda index: self.required[index].end):
            after = _Configuration(states[index], before.base, before.mask, before.optional)
            self._add(after, index)
            yield after
        ends = [self.required[index].end for index in self.candidates(before)]
        for index, operation in enumerate(self.optional):
            if before.optional >> index & 1 or operation.begin > min(ends, default=float("inf")):
                continue
            state = self.step(before.state, operation)
            if state is not None and state != before.state:
                optional = before.optional | 1 << index
                yield _Configuration(state, before.base, before.mask, optional, [operation])
