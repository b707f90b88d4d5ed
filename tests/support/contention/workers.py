"""Workers: threads with connections of their own that begin together, and record what they ask and are answered.

Owns: threads, the barrier, and what the workers know of each other's visits and holds.
Must not know: which desk they ask.
"""

import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass, field
from threading import Barrier
from typing import Final

from support.contention.history import Recorder, UnknownOutcomeError, Value
from support.contention.ports import Port

WORKERS: Final = 16
_PATIENCE: Final = 60


@dataclass
class Shared:
    """What all workers know."""

    barrier: Barrier
    recorder: Recorder = field(default_factory=Recorder)
    visits: dict[str, str] = field(default_factory=dict)  # a visit, and the slot on which it was booked
    holds: dict[str, str] = field(default_factory=dict)


class Worker:
    """A worker, as its plan sees it."""

    def __init__(self, number: int, make: Callable[[], Port], shared: Shared, seed: float) -> None:
        self.number, self.shared = number, shared
        self.dice = random.Random(seed)  # noqa: S311  # not for secrets
        self._make, self._port, self._process = make, make(), shared.recorder.process()

    def ask(self, f: str, value: Value) -> Value | None:
        """Ask the desk, and return the answer; None if it was refused or never came."""
        port = self._port
        try:
            answer = self.shared.recorder.call(self._process, f, value, lambda: port.perform(f, value))
        except UnknownOutcomeError:
            port.close()
            self._port, self._process = self._make(), self.shared.recorder.process()
            return None
        if answer is not None:
            self._learn(f, value, answer)
        return answer

    def _learn(self, f: str, value: Value, answer: Value) -> None:
        visits, holds = self.shared.visits, self.shared.holds
        if f == "book":
            visits[answer["visit"]] = value["slot"]
        elif f == "hold":
            holds[answer["hold"]] = value["slot"]
        elif f == "confirm":
            visits[answer["visit"]] = holds.pop(value["hold"], "")
        elif f == "cancel":
            visits.pop(value["visit"], None)

    def wait(self) -> None:
        """Wait for the others, to begin together."""
        self.shared.barrier.wait(_PATIENCE)

    def close(self) -> None:
        """Close the connection."""
        self._port.close()


Plan = Callable[[Worker], None]


def contend(
    make: Callable[[], Port],
    plan: Plan,
    openings: Sequence[tuple[str, Value]],
    *,
    seed: int,
    meanwhile: AbstractContextManager[object] | None = None,
) -> Recorder:
    """Let 16 workers carry out a plan at once, then read what is booked; return the record.

    `meanwhile` disturbs them.

    Raises:
        Exception: whatever a worker meets that is no refusal, such as a deadlock.
    """
    shared = Shared(Barrier(WORKERS))
    dice = random.Random(seed)  # noqa: S311
    recorder, setup = shared.recorder, shared.recorder.process()
    for f, value in openings:
        recorder.call(setup, f, value, dict)
    seeds = [dice.random() for _ in range(WORKERS)]

    def work(number: int) -> None:
        try:
            with closing(Worker(number, make, shared, seeds[number])) as worker:
                worker.wait()
                plan(worker)
        except BaseException:
            shared.barrier.abort()  # nobody waits for this worker
            raise

    with meanwhile or nullcontext(), ThreadPoolExecutor(WORKERS) as threads:
        results = [threads.submit(work, number) for number in range(WORKERS)]
    failures = [failure for result in results if (failure := result.exception()) is not None]
    for failure in sorted(failures, key=lambda failure: "BrokenBarrier" in type(failure).__name__):
        raise failure
    with closing(make()) as port:
        recorder.call(setup, "read", {}, lambda: port.perform("read", {}))
    return recorder
