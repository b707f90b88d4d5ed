"""Slots and their sequence by example; `tests/property/test_slots.py` has the properties (S2, S4)."""

import pickle
from array import array
from datetime import UTC, datetime, timedelta, timezone

import pytest

from scheduler.core.errors import InvalidInputError, InvalidSpanError
from scheduler.core.slots import InterleavedSlots, Slot, SlotKind, SlotRun, Slots

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
HOUR = 3_600_000_000
RUN = SlotRun(0, 3, HOUR, HOUR // 2, SlotKind(None, 1, 1))
INTERLEAVED = InterleavedSlots(
    array("q", [3 * HOUR, 4 * HOUR]), array("q", [4 * HOUR, 6 * HOUR]), (SlotKind(None, 1, 2), SlotKind(1, 1, 3))
)


def slot(start: float, end: float, kind: SlotKind) -> Slot:
    """Return the slot between two hours after the epoch."""
    return Slot(EPOCH + timedelta(hours=start), EPOCH + timedelta(hours=end), 7, 5, *kind)


def test_slots_of_runs_and_interleaved_pieces_are_one_sequence() -> None:
    slots = Slots(7, 5, [RUN, INTERLEAVED])
    single = [slot(hour, hour + 0.5, RUN.kind) for hour in range(3)]
    single += [slot(3, 4, INTERLEAVED.kinds[0]), slot(4, 6, INTERLEAVED.kinds[1])]
    assert slots == single
    assert slots[2:5] == tuple(single[2:5])
    assert list(slots.columns().kind) == [0, 0, 0, 1, 2]


def test_slots_equal_no_text_and_no_number() -> None:
    slots = Slots(7, 5, [])
    assert slots == []
    assert slots != ""
    assert slots != 0


def test_slots_have_no_hash_like_a_list() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(Slots(7, 5, []))


def test_repr_shows_the_number_and_the_times_of_the_slots() -> None:
    slots = Slots(7, 5, [RUN])
    assert repr(slots) == "<Slots: 3 from 2000-01-01T00:00:00+00:00 to 2000-01-01T02:30:00+00:00>"
    assert repr(Slots(7, 5, [])) == "<Slots: none>"


@pytest.mark.parametrize("end", [EPOCH, EPOCH - MICROSECOND], ids=["empty", "reversed"])
def test_t1_an_empty_or_reversed_slot_is_refused(end: datetime) -> None:
    with pytest.raises(InvalidSpanError, match=r"is (empty|reversed)"):
        Slot(EPOCH, end, 7, 5)


def test_t1_a_slot_keeps_utc_whatever_zone_it_was_given() -> None:
    nepal = timezone(timedelta(hours=5, minutes=45))
    short = Slot(EPOCH.astimezone(nepal), (EPOCH + MICROSECOND).astimezone(nepal), 7, 5)
    assert short == Slot(EPOCH, EPOCH + MICROSECOND, 7, 5)
    assert short.start_at.tzinfo is short.end_at.tzinfo is UTC


def test_a_slot_that_is_replaced_is_validated_again() -> None:
    short = Slot(EPOCH, EPOCH + MICROSECOND, 7, 5)
    assert short._replace(capacity=3) == Slot(EPOCH, EPOCH + MICROSECOND, 7, 5, capacity=3)
    assert pickle.loads(pickle.dumps(short)) == short  # noqa: S301  # its own text
    with pytest.raises(InvalidInputError, match="capacity must be a whole number from 1, not 0"):
        short._replace(capacity=0)
