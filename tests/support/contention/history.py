"""Histories: what concurrent processes asked of a desk and what it answered, as JSON lines.

Owns: events, their JSON lines, the recorder, and the pairing of events to operations.
Must not know: what an operation means.

One line is one event with the keys `type`, `f`, `value`, `process` and `time`:

- `invoke`: a process asks for operation `f` with the arguments `value`;
- `ok`: the operation took effect; `value` is its answer;
- `fail`: the operation took no effect; `value` has the `error`;
- `info`: the outcome is unknown, since the connection broke: it took effect at some later time, or never does.

A process asks for one operation at a time, and for none after an `info`: a worker goes on as a new process.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from pathlib import Path
from threading import Lock
from time import monotonic_ns, time_ns
from typing import Any, Final, NamedTuple

NEVER: Final = float("inf")
Value = dict[str, Any]


class Type(StrEnum):
    """The types of events."""

    INVOKE = "invoke"
    OK = "ok"
    FAIL = "fail"
    INFO = "info"


class Event(NamedTuple):
    """A line of a history. Times are seconds, or any numbers that grow."""

    type: Type
    f: str
    value: Value
    process: int
    time: float


@dataclass(frozen=True, slots=True, eq=False)
class Operation:
    """An operation from its request to its answer; one of unknown outcome never ends."""

    f: str
    value: Value
    type: Type
    answer: Value
    process: int
    begin: float
    end: float

    def __str__(self) -> str:
        end = "" if self.end == NEVER else f"{self.end:.6f}"
        answer = json.dumps(self.answer) if self.answer else ""
        return f"{self.process}: {self.f} {json.dumps(self.value)} -> {self.type} {answer} [{self.begin:.6f}, {end}]"


class HistoryError(Exception):
    """A history that cannot be read: a line is malformed, or a process asks and answers out of turn."""


def write(path: Path, events: Iterable[Event]) -> None:
    """Write a history, one JSON line for each event."""
    path.write_text("".join(json.dumps(event._asdict()) + "\n" for event in events), encoding="utf-8")


def read(path: Path) -> list[Event]:
    """Read a history that `write` has written.

    Raises:
        HistoryError: a line is no event.
    """
    return list(_events(path.read_text(encoding="utf-8").splitlines()))


def _events(lines: Iterable[str]) -> Iterator[Event]:
    for number, line in enumerate(lines, 1):
        try:
            fields = json.loads(line)
            event = Event(**fields)._replace(type=Type(fields["type"]))
            shapes = (event.f, str), (event.value, dict), (event.process, int), (event.time, int | float)
            if not all(isinstance(given, shape) for given, shape in shapes):
                raise TypeError("a value has the wrong type")  # noqa: TRY301  # the handler adds the line's number
        except (ValueError, TypeError, KeyError) as error:
            raise HistoryError(f"line {number} is no event: {error}") from None
        yield event


def operations(events: Iterable[Event]) -> list[Operation]:
    """Pair each request with its answer, in the order of the requests; a request without answer is of unknown outcome.

    Raises:
        HistoryError: time runs backwards, or a process asks before it is answered, answers unasked, or asks after an
            unknown outcome.
    """
    asked: dict[int, Event] = {}
    crashed: set[int] = set()
    paired: dict[int, Operation] = {}
    order: dict[int, int] = {}  # process -> number of its open request
    last = -NEVER
    for number, event in enumerate(events):
        if event.time < last:
            raise HistoryError(f"event {number} is earlier than the one before")
        last = event.time
        if event.type is Type.INVOKE:
            if event.process in asked or event.process in crashed:
                raise HistoryError(f"event {number}: process {event.process} asks before its last request is answered")
            asked[event.process], order[event.process] = event, number
            continue
        request = asked.pop(event.process, None)
        if request is None or request.f != event.f:
            raise HistoryError(f"event {number}: process {event.process} answers a request that it did not make")
        paired[order[event.process]] = _pair(request, event)
        if event.type is Type.INFO:
            crashed.add(event.process)
    for process, request in asked.items():
        paired[order[process]] = _pair(request, request._replace(type=Type.INFO, value={}))
    return [paired[number] for number in sorted(paired)]


def _pair(request: Event, answer: Event) -> Operation:
    end = NEVER if answer.type is Type.INFO else answer.time
    return Operation(request.f, request.value, answer.type, answer.value, request.process, request.time, end)


class RefusedError(Exception):
    """A refusal by a desk: `error` is the reason in a word of the model, `detail` in its own."""

    def __init__(self, error: str, detail: str = "") -> None:
        super().__init__(error, detail)
        self.error = error
        self.detail = detail


class UnknownOutcomeError(Exception):
    """A request may have taken effect: the connection broke before the answer."""


def wall_clock() -> Callable[[], float]:
    """Return a clock that shows the time of day in seconds and never runs backwards."""
    offset = time_ns() - monotonic_ns()
    return lambda: (offset + monotonic_ns()) / 1e9


@dataclass
class Recorder:
    """Record of what threads do; the order of events is that of their times."""

    clock: Callable[[], float] = field(default_factory=wall_clock)
    events: list[Event] = field(default_factory=list)
    _lock: Lock = field(default_factory=Lock)
    _processes: Iterator[int] = field(default_factory=count)

    def process(self) -> int:
        """Return the number of a new process."""
        with self._lock:
            return next(self._processes)

    def note(self, kind: Type, f: str, value: Value, process: int) -> None:
        """Record an event now."""
        with self._lock:
            self.events.append(Event(kind, f, value, process, self.clock()))

    def call(self, process: int, f: str, value: Value, perform: Callable[[], Value]) -> Value | None:
        """Perform a request, record it with its answer, and return the answer unless it was refused.

        Raises:
            UnknownOutcomeError: the outcome is unknown; it is recorded, and the process may ask nothing more.
        """
        self.note(Type.INVOKE, f, value, process)
        try:
            answer = perform()
        except RefusedError as refused:
            why = {"error": refused.error} | ({"detail": refused.detail} if refused.detail else {})
            self.note(Type.FAIL, f, why, process)
            return None
        except UnknownOutcomeError:
            self.note(Type.INFO, f, {}, process)
            raise
        self.note(Type.OK, f, answer, process)
        return answer
