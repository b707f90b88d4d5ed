"""The sequence of slots: the same as values, by index and as columns (S2, S4)."""

from array import array
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.core.slots import InterleavedSlots, Slot, SlotIdentity, SlotKind, SlotRun, Slots
from support.strategies import ids

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOUR = 3_600_000_000
CENTURY = 36_525 * 24 * HOUR
lengths = st.one_of(st.sampled_from((HOUR, HOUR // 2, HOUR // 3)), st.integers(1, 24 * HOUR))
releases = st.one_of(st.none(), st.datetimes(timezones=st.just(UTC)))
kinds = st.builds(SlotKind, st.one_of(st.none(), st.integers(1, 3)), st.integers(1, 3), st.integers(1, 3), releases)
# Also before 2000, where the numbers of a column are negative.
slot_runs = st.builds(SlotRun, st.integers(-CENTURY, CENTURY), st.integers(1, 30), lengths, lengths, kinds)
even = st.builds(lambda run: run._replace(duration=run.interval), slot_runs)
# Single slots of any lengths and kinds, as interleaving rules yield them.
rows = st.tuples(st.integers(-CENTURY, CENTURY), lengths, kinds)
interleaved = st.lists(rows, min_size=1, max_size=9).map(
    lambda rows: InterleavedSlots(
        array("q", [start for start, _, _ in rows]),
        array("q", [start + length for start, length, _ in rows]),
        tuple(kind for _, _, kind in rows),
    )
)
several = st.lists(st.one_of(slot_runs, even, interleaved), max_size=6)
BOTH_KINDS_OF_PIECES = [
    SlotRun(0, 3, HOUR, HOUR // 2, SlotKind(None, 1, 1)),
    InterleavedSlots(array("q", [0, HOUR]), array("q", [HOUR, 2 * HOUR]), (SlotKind(None, 1, 2), SlotKind(1, 1, 3))),
]


def rows_of(piece: SlotRun | InterleavedSlots) -> list[tuple[int, int, SlotKind]]:
    """Return start, end and kind of each slot of a piece."""
    if isinstance(piece, InterleavedSlots):
        return list(zip(piece.starts, piece.ends, piece.kinds, strict=True))
    starts = [piece.first + number * piece.interval for number in range(piece.size)]
    return [(start, start + piece.duration, piece.kind) for start in starts]


def plain_slots(pieces: list[SlotRun | InterleavedSlots]) -> list[Slot]:
    """Construct the slots of some pieces one by one."""
    return [
        Slot(EPOCH + start * MICROSECOND, EPOCH + end * MICROSECOND, 7, 5, *kind)
        for piece in pieces
        for start, end, kind in rows_of(piece)
    ]


@given(several)
def test_slots_are_those_of_their_pieces_in_order(pieces: list[SlotRun | InterleavedSlots]) -> None:
    slots = Slots(7, 5, pieces)
    assert list(slots) == plain_slots(pieces)
    assert len(slots) == len(plain_slots(pieces))


@given(several)
def test_slots_are_slot_values_in_utc(pieces: list[SlotRun | InterleavedSlots]) -> None:
    for slot in Slots(7, 5, pieces):
        assert type(slot) is Slot
        assert slot.start_at.tzinfo is slot.end_at.tzinfo is UTC


@given(several, st.integers(-200, 200))
def test_slots_are_indexed_like_a_list(pieces: list[SlotRun | InterleavedSlots], index: int) -> None:
    slots, plain = Slots(7, 5, pieces), plain_slots(pieces)
    if -len(plain) <= index < len(plain):
        assert slots[index] == plain[index]
    else:
        with pytest.raises(IndexError):
            slots[index]


@given(several, st.slices(60))
@example(BOTH_KINDS_OF_PIECES, slice(1, 4))
def test_slots_are_sliced_like_a_list(pieces: list[SlotRun | InterleavedSlots], part: slice) -> None:
    assert Slots(7, 5, pieces)[part] == tuple(plain_slots(pieces)[part])


@given(several)
@example(BOTH_KINDS_OF_PIECES)
def test_slots_can_be_reversed(pieces: list[SlotRun | InterleavedSlots]) -> None:
    assert list(reversed(Slots(7, 5, pieces))) == plain_slots(pieces)[::-1]


@given(several)
def test_slots_contain_their_slots(pieces: list[SlotRun | InterleavedSlots]) -> None:
    slots = Slots(7, 5, pieces)
    assert all(slot in slots for slot in plain_slots(pieces))
    assert Slot(EPOCH, EPOCH + MICROSECOND, 8, 5) not in slots


@given(several)
@example(BOTH_KINDS_OF_PIECES)
def test_columns_are_the_same_slots(pieces: list[SlotRun | InterleavedSlots]) -> None:
    slots = Slots(7, 5, pieces)
    columns = slots.columns()
    rows = zip(columns.start_at, columns.end_at, columns.kind, strict=True)
    values = [
        Slot(EPOCH + start * MICROSECOND, EPOCH + end * MICROSECOND, 7, 5, *columns.kinds[kind])
        for start, end, kind in rows
    ]
    assert values == list(slots)
    assert len(set(columns.kinds)) == len(columns.kinds)


@given(several)
def test_columns_have_their_declared_types_and_kinds(pieces: list[SlotRun | InterleavedSlots]) -> None:
    columns = Slots(7, 5, pieces).columns()
    assert [column.typecode for column in columns[:3]] == ["q", "q", "i"]
    assert set(columns.kinds) == {kind for piece in pieces for _, _, kind in rows_of(piece)}


@given(several, several)
def test_slots_equal_any_sequence_of_the_same_slots(
    pieces: list[SlotRun | InterleavedSlots], others: list[SlotRun | InterleavedSlots]
) -> None:
    slots = Slots(7, 5, pieces)
    assert slots == plain_slots(pieces)
    assert slots == tuple(plain_slots(pieces))
    assert (slots == Slots(7, 5, others)) is (plain_slots(pieces) == plain_slots(others))


@given(slot_runs)
def test_slots_are_equal_if_their_run_is_split(run: SlotRun) -> None:
    cut = [run._replace(first=run.first + number * run.interval, size=1) for number in range(run.size)]
    assert Slots(7, 5, [run]) == Slots(7, 5, cut)


@given(slot_runs)
def test_slots_of_another_doctor_are_others(run: SlotRun) -> None:
    assert Slots(7, 5, [run]) != Slots(8, 5, [run])


@given(ids, ids, st.one_of(st.none(), ids), st.integers(1, 9))
def test_s2_identity_is_doctor_facility_offering_start_and_end(
    doctor: int, facility: int, offering: int | None, capacity: int
) -> None:
    end = EPOCH + HOUR * MICROSECOND
    slot = Slot(EPOCH, end, doctor, facility, offering, capacity, rule_id=4)
    assert slot.identity == SlotIdentity(EPOCH, end, doctor, facility, offering)
    assert slot.duration == timedelta(hours=1)
