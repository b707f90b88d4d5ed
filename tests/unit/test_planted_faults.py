"""Planted faults: the checker finds each in a simulated desk, and accepts the right desk in every order (B1-B4, Q4).

It reads histories only, so that it would find the same fault in a real desk.
"""

from collections.abc import Sequence

import pytest

from support.contention.components import verdicts
from support.contention.history import Value
from support.contention.interleaving import Make, Request, every_history, random_history
from support.contention.simulated_desks import (
    HOLD_LASTS,
    CheckThenInsert,
    ConfirmAfterBlock,
    HoldWithoutEnd,
    KeyOfAProcess,
    LockOfADoctor,
    OneBeyondTheCap,
    OnePlaceTooMany,
    PlaceNeverFreed,
    RightDesk,
)


def place(start: int, *, slot: str | None = None, room: str | None = None, doctor: int = 1, **more: object) -> Value:
    uses = [[f"doctor {doctor}", start, start + 30], *([[room, start, start + 30]] if room else [])]
    return {"slot": slot, "start": start, "end": start + 30, "uses": uses, **more}


def book(patient: str, start: int = 0, **more: object) -> Request:
    return "book", place(start, patient=patient, **more)  # type: ignore[arg-type]


HOLD: Request = ("hold", place(0))
CONFIRM: Request = ("confirm", {"hold": "hold 1", "patient": "ann"})
GROUP: Request = ("open", {"slot": "s", "capacity": 2})
ONE: Request = ("cap", {"cap": "c", "most": 1})
CAP_OF_ANN: Request = ("cap", {"cap": "ann", "most": 1})
HOLD_ENDS: Request = ("wait", {"time": 2 * HOLD_LASTS})
BLOCK: Request = ("block", {"who": "doctor 1", "start": 0, "end": 60})
Scenario = tuple[list[Request], *tuple[list[Request], ...]]
"""What is done first, and what each process then asks for."""

FAULTS: list[tuple[Make, Scenario]] = [
    (CheckThenInsert, ([], [book("ann")], [book("bob", 15)])),
    (CheckThenInsert, ([], [book("ann", room="room")], [book("bob", 15, room="room", doctor=2)])),
    (HoldWithoutEnd, ([HOLD], [HOLD_ENDS, CONFIRM], [book("bob")])),
    (KeyOfAProcess, ([GROUP], [book("ann", slot="s", key="k")], [book("ann", slot="s", key="k")])),
    (ConfirmAfterBlock, ([HOLD], [CONFIRM], [BLOCK])),
    (OnePlaceTooMany, ([GROUP, book("ann", slot="s")], [book("bob", slot="s")], [book("cleo", slot="s")])),
    (OneBeyondTheCap, ([ONE, book("ann", counts=["c"])], [book("bob", 30, counts=["c"])], [book("cleo", 60)])),
    (OneBeyondTheCap, ([CAP_OF_ANN, book("ann")], [book("ann", 30)], [book("bob", 60)])),
    (LockOfADoctor, ([ONE], [book("ann", counts=["c"])], [book("bob", doctor=2, counts=["c"])])),
    (PlaceNeverFreed, ([book("ann")], [("cancel", {"visit": "visit 1"})], [book("bob")])),
]
OTHERS: list[Scenario] = [
    (
        [book("ann"), book("bob", 30)],
        [("reschedule", place(30, visit="visit 1"))],
        [("reschedule", place(0, visit="visit 2"))],
    ),
    ([HOLD], [CONFIRM], [("release", {"hold": "hold 1"})]),
    (
        [ONE, ("hold", place(0, counts=["c"]))],
        [CONFIRM, ("cancel", {"visit": "visit 2"})],
        [book("bob", 60, counts=["c"]), ("hold", place(90, counts=["c"]))],
    ),
    (
        [ONE, book("ann", counts=["c"])],
        [("reschedule", place(60, visit="visit 1", counts=["c"]))],
        [("reschedule", place(90, visit="visit 1"))],
        [book("bob", 120, counts=["c"])],
    ),
    ([HOLD], [HOLD_ENDS, CONFIRM], [("extend", {"hold": "hold 1"})]),
]


def wrong(make: Make, scenario: Scenario) -> int:
    """Return how many histories of a desk have no order."""
    histories = every_history(make, *scenario)
    return sum(not all(verdict.is_linearizable for verdict in verdicts(events)) for events in histories)


def name_of(value: object) -> str | None:
    return value.__name__ if isinstance(value, type) else None


@pytest.mark.parametrize(("make", "scenario"), FAULTS, ids=name_of)
def test_b1_each_planted_fault_is_found(make: Make, scenario: Scenario) -> None:
    assert wrong(make, scenario) > 0


@pytest.mark.parametrize("scenario", [*(scenario for _, scenario in FAULTS), *OTHERS])
def test_b1_the_right_desk_is_accepted_in_every_order(scenario: Scenario) -> None:
    assert wrong(RightDesk, scenario) == 0


def requests(process: int, count: int) -> Sequence[Request]:
    """Return requests of a process for some hot slots, and a cancellation of each visit that another may have."""
    asked: list[Request] = []
    for number in range(count):
        hour = (process + number) % 4
        patient = f"patient {process}"
        asked += [
            book(patient, 60 * hour, slot=f"group {hour}" if hour % 2 else None, room="room", doctor=hour),
            ("cancel", {"visit": f"visit {process + 3 * number}"}),
        ]
    return asked


def test_b1_a_long_history_of_16_processes_is_judged_quickly() -> None:
    """The number of configurations stands for the time: it grows with the history, not with the orders."""
    first: list[Request] = [("open", {"slot": f"group {hour}", "capacity": 5}) for hour in (1, 3)]
    processes = [requests(process, 60) for process in range(16)]
    events = random_history(RightDesk, 12, first, *processes)
    found = verdicts(events)
    assert len(events) > 2 * 16 * 60 * 2
    assert all(verdict.is_linearizable for verdict in found)
    assert sum(verdict.configurations for verdict in found) < len(events)
    visits = {event.value.get("visit") for event in events if event.type == "ok"}
    assert len(visits) > 100
