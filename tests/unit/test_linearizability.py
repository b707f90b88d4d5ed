"""The checker of histories: histories written by hand, with an order of their operations and without one."""

from pathlib import Path

import pytest

from support.contention.components import components, verdicts, with_ends_of_holds
from support.contention.history import (
    Event,
    HistoryError,
    Operation,
    Recorder,
    RefusedError,
    Type,
    UnknownOutcomeError,
    Value,
    operations,
    read,
    write,
)
from support.contention.linearizability import UndecidedError, judge
from support.contention.resolving import resolved, with_ids

ALONE = ["doctor 1", 0, 30]


def history(*lines: str, **values: Value) -> list[Event]:
    """Return the events of lines, each a process, a type, an operation and the name of a value.

    The types are `>` for a request, `=` for success, `!` for a refusal and `?` for an unknown outcome.
    """
    types = {">": Type.INVOKE, "=": Type.OK, "!": Type.FAIL, "?": Type.INFO}
    events = []
    for time, line in enumerate(lines):
        process, kind, f, *name = line.split()
        value = values[name[0]] if name else {}
        events.append(Event(types[kind], f, value, int(process), time))
    return events


def place(
    start: int = 0, *, slot: str | None = None, room: str | None = None, doctor: int = 1, **more: object
) -> Value:
    uses = [[f"doctor {doctor}", start, start + 30], *([[room, start, start + 30]] if room else [])]
    return {"slot": slot, "start": start, "end": start + 30, "uses": uses, **more}


def is_linearizable(*lines: str, **values: Value) -> bool:
    standard: dict[str, Value] = {
        "a": place(patient="ann"),
        "b": place(patient="bob"),
        "h": place(),
        "held": {"hold": "1", "ends": 1000},
        "it": {"hold": "1"},
        "its": {"hold": "1", "patient": "ann"},
        "v1": {"visit": "1"},
        "v2": {"visit": "2"},
        "taken": {"error": "taken"},
        "ended": {"error": "ended"},
        "gone": {"error": "gone"},
        "reused": {"error": "key_reused"},
        "busy": {"error": "busy"},
        "off": {"who": "doctor 1", "start": 10, "end": 20},
        "none": {"visits": []},
        "ann": {"visits": [["1", "ann", None, 0, 30]]},
        "both": {"visits": [["1", "ann", None, 0, 30], ["2", "bob", None, 0, 30]]},
    }
    found = verdicts(history(*lines, **(standard | values)))
    return all(verdict.is_linearizable for verdict in found)


BOOKED = ["1 > book a", "1 = book v1"]
HELD = ["1 > hold h", "1 = hold held"]


@pytest.mark.parametrize(
    "lines",
    [
        BOOKED,
        [*BOOKED, "2 > book b", "2 ! book taken"],
        ["1 > book a", "2 > book b", "2 ! book taken", "1 = book v1"],
        ["1 > book a", "2 > book b", "1 = book v1", "2 ! book busy"],
        [*BOOKED, "2 > book b", "1 > cancel v1", "2 = book v2", "1 = cancel"],
        [*BOOKED, "1 > cancel v1", "1 = cancel", "2 > cancel v1", "2 ! cancel gone"],
        [*HELD, "2 > book b", "2 ! book taken", "1 > confirm its", "1 = confirm v1"],
        [*HELD, "1 > release it", "2 > book b", "2 = book v2", "1 = release", "1 > confirm its", "1 ! confirm ended"],
        [*HELD, *["1 > release it", "1 = release"] * 2, "1 > release it", "1 ! release ended"],
        [*HELD, "1 > confirm its", "2 > block off", "2 = block", "1 = confirm v1"],
        [*HELD, "1 > confirm its", "2 > block off", "2 = block", "1 ! confirm taken"],
        ["1 > book a", "1 ? book", "2 > book b", "2 = book v2"],
        ["1 > book a", "1 ? book", "2 > book b", "2 ! book taken"],
        ["1 > book a", "1 ? book", "2 > read", "2 = read none"],
        ["1 > book a", "1 ? book", "2 > read", "2 = read ann"],
        ["1 > book a", "2 > read", "2 = read ann"],
        [*BOOKED, "2 > read", "2 = read ann"],
        [*BOOKED, "3 > block off", "3 = block", "2 > read", "2 = read ann"],
        ["2 > read", "2 = read none"],
    ],
)
def test_b1_a_history_with_an_order_is_accepted(lines: list[str]) -> None:
    assert is_linearizable(*lines)


@pytest.mark.parametrize(
    "lines",
    [
        ["1 > book a", "2 > book b", "1 = book v1", "2 = book v2"],
        ["1 > book a", "2 > book b", "1 ! book taken", "2 ! book taken"],
        ["2 > book b", "2 ! book taken", *BOOKED],
        [*BOOKED, "1 > cancel v1", "1 = cancel", "2 > book b", "2 ! book taken"],
        [*BOOKED, "1 > cancel v1", "1 = cancel", "2 > cancel v1", "2 = cancel"],
        [*HELD, "2 > book b", "2 = book v2"],
        [*HELD, "1 > confirm its", "1 ! confirm ended"],
        [*HELD, "1 > release it", "1 = release", "1 > confirm its", "1 = confirm v1"],
        [*HELD, "2 > block off", "2 = block", "1 > confirm its", "1 = confirm v1"],
        ["2 > block off", "2 = block", *HELD],
        ["1 > book a", "1 ? book", "2 > book b", "2 = book v2", "3 > read", "3 = read both"],
        [*BOOKED, "2 > read", "2 = read none"],
        ["1 > book a", "1 ! book busy", "2 > read", "2 = read ann"],
        ["2 > read", "2 = read ann"],
    ],
)
def test_b1_a_history_without_an_order_is_refused(lines: list[str]) -> None:
    assert not is_linearizable(*lines)


def test_b2_a_hold_ends_at_its_time() -> None:
    until_6: Value = {"hold": "1", "ends": 5.5}
    held = ["1 > hold h", "1 = hold until"]
    assert is_linearizable(*held, "2 > book b", "2 ! book taken", until=until_6)
    assert not is_linearizable(*held, "2 > book b", "2 = book v2", until=until_6)
    idle = ["3 > cancel other", "3 ! cancel gone"] * 2
    other: Value = {"visit": "none"}
    assert is_linearizable(*held, *idle, "2 > book b", "2 = book v2", until=until_6, other=other)
    assert not is_linearizable(*held, *idle, "2 > book b", "2 ! book taken", until=until_6, other=other)
    assert not is_linearizable(*held, *idle, "1 > confirm its", "1 = confirm v1", until=until_6, other=other)
    extended = ["1 > extend it", "1 = extend later"]
    later: Value = {"ends": 100}
    assert is_linearizable(
        *held, *extended, *idle, "1 > confirm its", "1 = confirm v1", until=until_6, later=later, other=other
    )


def test_b2_a_hold_of_unknown_outcome_may_end_at_any_time() -> None:
    assert is_linearizable("1 > hold h", "1 ? hold", "2 > book b", "2 ! book taken", "3 > book a", "3 = book v1")


def test_b1_a_clock_that_differs_moves_the_end_of_a_hold() -> None:
    until: Value = {"hold": "1", "ends": 1.5}
    events = history("1 > hold h", "1 = hold until", "2 > book b", "2 ! book taken", h=place(), until=until,
                     b=place(patient="bob"), taken={"error": "taken"})  # fmt: skip
    assert [v.is_linearizable for v in verdicts(events)] == [False]
    assert [v.is_linearizable for v in verdicts(events, clocks_differ_by=2)] == [True]


SLOT: Value = {"slot": "s", "capacity": 2}
OPEN = ["1 > open s", "1 = open"]


def test_b1_a_group_takes_as_many_as_it_has_places() -> None:
    on: dict[str, Value] = {name: place(slot="s", patient=name) for name in ("a", "b", "c")} | {"s": SLOT}
    two = [*OPEN, "1 > book a", "2 > book b", "1 = book v1", "2 = book v2"]
    assert is_linearizable(*two, "3 > book c", "3 ! book taken", **on)
    assert not is_linearizable(*two, "3 > book c", "3 = book v3", v3={"visit": "3"}, **on)
    assert is_linearizable(*OPEN, "1 > hold a", "1 = hold held", "2 > book b", "2 = book v2", **on)
    assert not is_linearizable(*OPEN, "1 > book a", "1 = book v1", "2 > book b", "2 ! book taken", **on)
    same = on | {"b": place(slot="s", patient="a")}
    assert is_linearizable(*OPEN, "1 > book a", "1 = book v1", "2 > book b", "2 ! book taken", **same)


def test_b3_a_key_gives_the_first_answer() -> None:
    keyed: dict[str, Value] = {"a": place(slot="s", patient="ann", key="k"), "s": SLOT}
    first = [*OPEN, "1 > book a", "2 > book a", "1 = book v1"]
    assert is_linearizable(*first, "2 = book v1", **keyed)
    assert not is_linearizable(*first, "2 = book v2", **keyed)
    assert not is_linearizable(*first, "2 ! book taken", **keyed)
    keyed["b"] = place(slot="s", patient="bob", key="k")
    assert is_linearizable(*first, "2 = book v1", "2 > book b", "2 ! book reused", **keyed)
    assert not is_linearizable(*first, "2 = book v1", "2 > book b", "2 = book v2", **keyed)


def test_b3_a_repeated_hold_opens_with_its_new_token() -> None:
    keyed: dict[str, Value] = {
        "h": place(key="k"),
        "again": {"hold": "2", "ends": 1000},
        "new": {"hold": "2", "patient": "p"},
    }
    twice = [*HELD, "2 > hold h", "2 = hold again"]
    assert is_linearizable(*twice, "1 > confirm its", "1 ! confirm ended", "2 > confirm new", "2 = confirm v1", **keyed)
    assert not is_linearizable(*twice, "1 > confirm its", "1 = confirm v1", **keyed)


def test_b3_a_lost_answer_is_given_to_the_repetition() -> None:
    keyed: dict[str, Value] = {"a": place(patient="ann", key="k")}
    lost = ["1 > book a", "1 ? book", "2 > book a", "2 = book v1", "3 > read"]
    assert is_linearizable(*lost, "3 = read ann", **keyed)
    twice: Value = {"visits": [["1", "ann", None, 0, 30], ["2", "ann", None, 0, 30]]}
    assert not is_linearizable(*lost, "3 = read twice", twice=twice, **keyed)


def test_b4_crossing_reschedules_are_both_refused() -> None:
    booked = [*BOOKED, "2 > book b", "2 = book v2"]
    values: dict[str, Value] = {
        "b": place(60, patient="bob"),
        "to_b": place(60, visit="1"),
        "to_a": place(0, visit="2"),
    }
    cross = [*booked, "1 > reschedule to_b", "2 > reschedule to_a"]
    assert is_linearizable(*cross, "1 ! reschedule taken", "2 ! reschedule taken", **values)
    assert not is_linearizable(*cross, "1 = reschedule v1", "2 = reschedule v2", **values)
    assert not is_linearizable(*cross, "1 = reschedule v1", "2 ! reschedule taken", **values)
    values["to_b"] = place(30, visit="1")
    assert is_linearizable(*cross, "2 = reschedule v2", "1 = reschedule v1", **values)
    values["to_b"] = place(10, visit="1")
    assert is_linearizable(*booked, "1 > reschedule to_b", "1 = reschedule v1", **values)


def test_b4_a_visit_moves_away_and_back_between_two_others() -> None:
    """A move that changes nothing where it first fits may still have to come later."""
    values: dict[str, Value] = {"there": place(60, visit="1"), "away": place(30, visit="1")}
    values["moved"] = {"visits": [["1", "ann", None, 60, 90]]}
    twice = [*BOOKED, "1 > reschedule there", "1 = reschedule v1", "2 > reschedule away", "3 > reschedule there"]
    assert is_linearizable(*twice, "2 = reschedule v1", "3 = reschedule v1", "1 > read", "1 = read moved", **values)


def test_components_join_doctors_who_share_a_room_or_a_patient() -> None:
    def parts(**values: Value) -> list[int]:
        lines = [line for n, name in enumerate(values) for line in (f"{n} > book {name}", f"{n} = book v{n}")]
        answers: dict[str, Value] = {f"v{n}": {"visit": str(n)} for n in range(len(values))}
        return sorted(len(part) for part in components(operations(history(*lines, **values, **answers))))

    assert parts(a=place(patient="a"), b=place(patient="b", doctor=2)) == [1, 1]
    assert parts(a=place(patient="a"), b=place(30, patient="b")) == [1, 1]
    assert parts(a=place(patient="a"), b=place(15, patient="b"), c=place(30, patient="c")) == [3]
    assert parts(a=place(patient="a", room="room"), b=place(patient="b", room="room", doctor=2)) == [2]
    assert parts(a=place(patient="a"), b=place(patient="a", doctor=2)) == [2]
    assert parts(a=place(patient="a", key="k"), b=place(patient="b", doctor=2, key="k")) == [2]


def test_a_history_is_written_and_read(tmp_path: Path) -> None:
    events = history(*HELD, "1 > book a", "1 ? book", h=place(), held={"hold": "1", "ends": 7.25}, a=place(patient="a"))
    write(tmp_path / "history", events)
    assert read(tmp_path / "history") == events
    assert len((tmp_path / "history").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "line",
    ["", "[]", "{}", '{"type": "maybe", "f": "a", "value": {}, "process": 1, "time": 1}',
     '{"type": "ok", "f": "a", "value": {}, "process": "1", "time": 1}',
     '{"type": "ok", "f": "a", "value": {}, "process": 1, "time": 1, "more": 1}'],
)  # fmt: skip
def test_a_malformed_line_is_named(tmp_path: Path, line: str) -> None:
    write(tmp_path / "history", history("1 > book a", a={}))
    with (tmp_path / "history").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(HistoryError, match="line 2 is no event"):
        read(tmp_path / "history")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1 > book", "1 > book"], "asks before"),
        (["1 > book", "1 ? book", "1 > book"], "asks before"),
        (["1 = book"], "did not make"),
        (["1 > book", "1 = hold"], "did not make"),
    ],
)
def test_a_process_out_of_turn_is_named(lines: list[str], message: str) -> None:
    with pytest.raises(HistoryError, match=message):
        operations(history(*lines))


def test_time_that_runs_backwards_is_named() -> None:
    with pytest.raises(HistoryError, match="earlier"):
        operations(history("1 > book", "2 > book")[::-1])


def test_a_recorder_notes_each_outcome() -> None:
    times = iter(range(10))
    recorder = Recorder(clock=lambda: next(times))
    process = recorder.process()

    def refuse() -> Value:
        raise RefusedError("taken")

    def lose() -> Value:
        raise UnknownOutcomeError

    assert recorder.call(process, "book", {"patient": "a"}, lambda: {"visit": "1"}) == {"visit": "1"}
    assert recorder.call(process, "book", {}, refuse) is None
    with pytest.raises(UnknownOutcomeError):
        recorder.call(process, "book", {}, lose)
    assert [event.type for event in recorder.events[1::2]] == ["ok", "fail", "info"]
    assert [event.time for event in recorder.events] == list(range(6))


def counter(state: int, operation: Operation) -> int | None:
    """Model a counter; `add` answers its new value, and `no` nothing."""
    return state + 1 if operation.answer.get("is", state + 1) == state + 1 else None


def adding(process: int, begin: float, end: float, **answer: int) -> Operation:
    return Operation("add", {}, Type.OK, answer, process, begin, end)


def test_an_order_keeps_real_time() -> None:
    together = [adding(1, 0, 9, **{"is": 2}), adding(2, 1, 8, **{"is": 1})]
    verdict = judge(together, 0, counter)
    assert (verdict.is_linearizable, verdict.order, verdict.state) == (True, together[::-1], 2)
    verdict = judge([adding(1, 0, 2, **{"is": 2}), adding(2, 3, 4, **{"is": 1})], 0, counter)
    assert not verdict.is_linearizable
    assert "the state is" in str(verdict)
    assert len(verdict.stuck) == 1


def test_a_search_that_grows_without_end_gives_up() -> None:
    wrong = [*(adding(number, 0, 100) for number in range(20)), adding(99, 0, 100, **{"is": 50})]
    with pytest.raises(UndecidedError, match="gave up after 1,000"):
        judge([*wrong, Operation("add", {}, Type.INFO, {}, 77, 0, float("inf"))], 0, counter, most=1000)


def test_each_end_of_a_hold_is_an_operation() -> None:
    values: dict[str, Value] = {"h": {}, "held": {"hold": "7", "ends": 9}, "it": {"hold": "7"}, "later": {"ends": 20}}
    events = history("1 > hold h", "1 = hold held", "1 > extend it", "1 = extend later", **values)
    ends = with_ends_of_holds(operations(events), 1)[2:]
    assert [(end.f, end.value, end.begin, end.end) for end in ends] == [
        ("expire", {"hold": "7", "ends": 9}, 8, 10),
        ("expire", {"hold": "7", "ends": 20}, 19, 21),
    ]


@pytest.mark.parametrize(
    ("lines", "types"),
    [
        (["1 > book a", "1 ? book", "2 > read", "2 = read none"], ["ok"]),
        (["1 > book a", "1 ? book", "2 > read", "2 = read ann"], ["ok", "ok"]),
        (["1 > book a", "1 ? book", "3 > book a", "3 ? book", "2 > read", "2 = read ann"], ["info", "info", "ok"]),
        ([*BOOKED, "1 > cancel v1", "1 ? cancel", "2 > read", "2 = read none"], ["ok", "ok", "ok"]),
        ([*BOOKED, "1 > cancel v1", "1 ? cancel", "2 > read", "2 = read ann"], ["ok", "ok"]),
        ([*BOOKED, "1 > cancel v1", "1 ? cancel", "2 > book b", "2 = book v2"], ["ok", "info", "ok"]),
    ],
)
def test_the_last_reading_decides_lost_answers(lines: list[str], types: list[str]) -> None:
    values: dict[str, Value] = {
        "a": place(patient="ann"),
        "b": place(patient="bob"),
        "v1": {"visit": "1"},
        "v2": {"visit": "2"},
        "none": {"visits": []},
        "ann": {"visits": [["1", "ann", None, 0, 30]]},
    }
    assert [operation.type for operation in resolved(with_ids(operations(history(*lines, **values))))] == types
