"""Interleavings of processes in one thread: every order of their steps, each from the beginning.

Owns: the schedules, and the history of each.
Must not know: what the processes do.

A process is a list of requests to a desk, which answers each by a generator. A `yield` ends a step: what lies between
two of them happens at once. `yield condition` waits until the condition is true. Time grows by one with each event, and
by `time` with the request `wait`, which no desk hears.
"""

import random
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from support.contention.history import Event, RefusedError, Type, Value

Condition = Callable[[], bool]
Steps = Generator[Condition | None, None, Value]
Request = tuple[str, Value]


class Clock:
    """The time of a schedule, which a desk may read and move."""

    def __init__(self) -> None:
        self.now = 0.0


class Simulated(Protocol):
    """A desk whose answer to a request is a generator."""

    def perform(self, process: int, f: str, value: Value) -> Steps:
        """Perform a request step by step, and return the answer."""


@dataclass(slots=True)
class _Process:
    """A process and its next request."""

    number: int
    requests: Sequence[Request]
    next: int = 0
    steps: Steps | None = None
    waits: Condition | None = None

    def can_go_on(self) -> bool:
        if self.steps is None:
            return self.next < len(self.requests)
        return self.waits is None or self.waits()


@dataclass(slots=True)
class _Schedule:
    """One run of the processes, and its history."""

    simulated: Simulated
    clock: Clock
    processes: list[_Process]
    events: list[Event] = field(default_factory=list)

    def run(self, choose: Callable[[int], int]) -> list[Event]:
        while able := [process for process in self.processes if process.can_go_on()]:
            self._go_on(able[choose(len(able))])
        assert all(process.steps is None for process in self.processes), "the processes wait for each other"
        return self.events

    def _note(self, kind: Type, process: _Process, value: Value) -> None:
        self.clock.now += 1
        f = process.requests[process.next][0]
        self.events.append(Event(kind, f, value, process.number, self.clock.now))

    def _go_on(self, process: _Process) -> None:
        f, value = process.requests[process.next]
        if f == "wait":
            self.clock.now += value["time"]
            process.next += 1
            return
        if process.steps is None:
            self._note(Type.INVOKE, process, value)
            process.steps = self.simulated.perform(process.number, f, value)
            process.waits = None
            return
        try:
            process.waits = next(process.steps)
        except StopIteration as done:
            self._note(Type.OK, process, done.value or {})
        except RefusedError as refused:
            self._note(Type.FAIL, process, {"error": refused.error})
        else:
            return
        process.steps = None
        process.next += 1


Make = Callable[[Clock], Simulated]


def every_history(make: Make, first: Sequence[Request], *processes: Sequence[Request]) -> Iterator[list[Event]]:
    """Yield the history of every interleaving; `first` is done before the processes begin."""
    path: list[list[int]] = []  # of each choice: the number chosen, and of how many
    while True:
        depth = 0

        def choose(among: int) -> int:
            nonlocal depth
            if depth == len(path):
                path.append([0, among])
            depth += 1
            return path[depth - 1][0]

        yield _history(make, choose, first, processes)
        while path and path[-1][0] + 1 == path[-1][1]:
            path.pop()
        if not path:
            return
        path[-1][0] += 1


def random_history(make: Make, seed: int, first: Sequence[Request], *processes: Sequence[Request]) -> list[Event]:
    """Return the history of a random interleaving."""
    return _history(make, random.Random(seed).randrange, first, processes)  # noqa: S311  # not for secrets


def _history(
    make: Make, choose: Callable[[int], int], first: Sequence[Request], processes: Sequence[Sequence[Request]]
) -> list[Event]:
    clock = Clock()
    simulated = make(clock)
    events: list[Event] = []
    _Schedule(simulated, clock, [_Process(0, first)], events).run(lambda _: 0)
    numbered = [_Process(number, requests) for number, requests in enumerate(processes, 1)]
    _Schedule(simulated, clock, numbered, events).run(choose)
    last: list[Request] = [("read", {})]
    return _Schedule(simulated, clock, [_Process(0, last)], events).run(lambda _: 0)
