"""A slow walker: visits as lists of minutes with a label for each, without arithmetic on spans (W1-W5).

The walker knows nothing of the engine's values. A step is a plain tuple; times are whole minutes from any origin.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple


class PlainStep(NamedTuple):
    position: int
    minutes: int
    preparation: int
    longest_wait: int
    skippable: bool


class Planned(NamedTuple):
    """A step of a visit in progress: its status as a word, and its planned minutes [start, end)."""

    position: int
    status: str
    start: int
    end: int
    preparation: int


class PlainWorkflow(NamedTuple):
    id: int
    offering: int
    plan: int | None
    active: bool


def choose(workflows: Sequence[PlainWorkflow], *, offering: int, plan: int | None) -> list[int]:
    """Return the ids of the workflows that fit best (W1): none, one, or several equal ones."""
    for wanted in [None] if plan is None else [plan, None]:
        ids = [
            workflow.id
            for workflow in workflows
            if (workflow.offering, workflow.plan, workflow.active) == (offering, wanted, True)
        ]
        if ids:
            return ids
    return []


def paint(steps: Sequence[PlainStep], *, skip: Collection[int], waits: Mapping[int, int]) -> list[str] | None:
    """Return a label for each minute of the visit, or None if the request is refused."""
    by_position = {step.position: step for step in steps}
    minutes: list[str] = []
    for position in set(skip) | set(waits):
        if position not in by_position or (position in skip and position in waits):
            return None
    for position in range(1, max(by_position) + 1):
        step = by_position.get(position)
        if step is None:
            continue
        if position in skip:
            if not step.skippable:
                return None
            continue
        wait = waits.get(position, 0)
        if not 0 <= wait <= step.longest_wait:
            return None
        minutes += ["wait" for _ in range(wait)]
        minutes += ["prepare" for _ in range(step.preparation)]
        minutes += [str(position) for _ in range(step.minutes)]
    return minutes or None


def read(minutes: Sequence[str], *, first: int) -> dict[int, tuple[int, int]]:
    """Return the first minute and the minute after the last of each step of a visit that begins at `first`."""
    times: dict[int, tuple[int, int]] = {}
    for minute, label in enumerate(minutes, start=first):
        if label.isdecimal():
            start, _ = times.get(int(label), (minute, minute))
            times[int(label)] = (start, minute + 1)
    return times


def read_back(minutes: Sequence[str], *, at: int, anchor: int | None) -> dict[int, tuple[int, int]] | None:
    """Try every first minute until the visit ends at `at`, or the anchored step starts there (W4)."""
    for first in range(at - len(minutes), at + 1):
        times = read(minutes, first=first)
        if anchor is None and max(end for _, end in times.values()) == at:
            return times
        if anchor is not None and anchor in times and times[anchor][0] == at:
            return times
    return None


def delay(steps: Sequence[Planned], *, now: int) -> dict[int, tuple[int, int]]:
    """Try later and later minutes for each step that has not begun until it fits (W5)."""
    taken: set[int] = set()
    times: dict[int, tuple[int, int]] = {}
    for step in steps:
        minutes = set(range(step.start, step.end))
        if step.status == "in_progress":
            taken |= minutes | set(range(step.start, now))
        if step.status == "completed":
            taken |= minutes if max(minutes) < now else set()
        times[step.position] = (step.start, step.end)
    for step in sorted(steps):
        if step.status == "scheduled":
            start = step.start
            while start < now or any(minute >= start - step.preparation for minute in taken):
                start += 1
            while_it_lasts = range(start, start + len(range(step.start, step.end)))
            taken |= set(while_it_lasts)
            times[step.position] = (start, while_it_lasts.stop)
    return times
