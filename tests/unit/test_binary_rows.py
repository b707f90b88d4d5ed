"""The rows of binary COPY, built from columns, against the same rows packed field by field."""

import struct
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.slots import SlotKind, SlotRun, Slots
from scheduler.postgres.slot_copies import binary_rows

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND = 1_000_000
BIGINTS = st.integers(1, 2**63 - 1)
RELEASES = st.none() | st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 28), timezones=st.just(UTC))
KINDS = st.builds(
    SlotKind, st.none() | BIGINTS, st.integers(1, 2**31 - 1), st.none() | BIGINTS, st.just(None) | RELEASES
)
LENGTHS = st.integers(1, 86_400).map(lambda seconds: seconds * SECOND)


def run(first: int, size: int, interval: int, duration: int | None, kind: SlotKind) -> SlotRun:
    return SlotRun(first, size, interval, interval if duration is None else duration, kind)


RUNS = st.builds(
    run,
    st.integers(-60_000_000_000, 250_000_000_000).map(lambda seconds: seconds * SECOND),
    st.integers(1, 40),
    LENGTHS,
    st.none() | LENGTHS,
    KINDS,
)


def packed(slots: Slots) -> bytes:
    """Pack each row: the number of fields, then for each field its length in bytes and its value.

    The field of the release is there if one of the slots has a release; the others have -infinity then.
    """
    rows, have_release = b"", any(slot.released_at for slot in slots)
    for slot in slots:
        fields: tuple[Any, ...] = (
            slot.doctor_id,
            slot.facility_id,
            slot.service_offering_id or 0,
            (slot.start_at - EPOCH) // MICROSECOND,
            (slot.end_at - EPOCH) // MICROSECOND,
            slot.capacity,
            slot.rule_id or 0,
        )
        if have_release:
            fields += (-(2**63) if slot.released_at is None else (slot.released_at - EPOCH) // MICROSECOND,)
        rows += struct.pack(">h", len(fields)) + b"".join(struct.pack(">iq", 8, field) for field in fields)
    return rows


@given(BIGINTS, BIGINTS, st.lists(RUNS, max_size=5))
def test_rows_are_those_packed_field_by_field(doctor_id: int, facility_id: int, slot_runs: list[SlotRun]) -> None:
    slots = Slots(doctor_id, facility_id, slot_runs)
    assert binary_rows(slots) == packed(slots)


def test_no_slots_give_no_bytes() -> None:
    assert binary_rows(Slots(1, 1, ())) == b""


def test_one_row_as_postgresql_documents_it() -> None:
    kind = SlotKind(None, 3, 9)
    slots = Slots(1, 2, [SlotRun(SECOND, 1, 60 * SECOND, 60 * SECOND, kind)])
    values = (1, 2, 0, SECOND, 61 * SECOND, 3, 9)
    assert binary_rows(slots) == bytes.fromhex("0007") + b"".join(
        bytes.fromhex("00000008") + value.to_bytes(8, "big") for value in values
    )
