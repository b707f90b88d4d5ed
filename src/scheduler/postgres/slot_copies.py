"""Copies of slots: rows of COPY for the temporary table from which new slots are inserted.

Owns: the statements of COPY, and their rows in the binary and the text format.
Must not know: the temporary table's life, what happens to the rows.

Binary rows are built column by column: the bytes of one column go into all rows at once.
"""

from array import array
from collections.abc import Iterable, Iterator
from itertools import chain
from struct import pack
from sys import byteorder
from typing import Final, LiteralString

from scheduler.core.slots import Slot, SlotColumns, Slots
from scheduler.core.zones import micros

# PostgreSQL's binary COPY: signature, flags, no header extension; rows; end.
_COPY_BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + pack("!ii", 0, 0)
_COPY_END: Final = pack("!h", -1)
_BIGINT: Final = pack("!iq", 8, 0)
_ROW: Final = pack("!h", 7) + _BIGINT * 7
_ROW_WITH_RELEASE: Final = pack("!h", 8) + _BIGINT * 8
_FIELD_OFFSETS: Final = [2 + 12 * field + 4 for field in range(8)]
_NO_RELEASE: Final = -(2**63)
"""PostgreSQL's `-infinity`, for slots without a release beside those of the same schedule that have one."""

_COPY: Final = "copy staged_slots from stdin"
_BINARY_COPY_WITH_RELEASE: Final = f"{_COPY} (format binary)"
_BINARY_COPY: Final = (
    "copy staged_slots (doctor_id, facility_id, offering_id, start_at, end_at, capacity, rule_id)"
    " from stdin (format binary)"
)


def binary_copies(many: Iterable[Slots]) -> Iterator[tuple[LiteralString, Iterable[bytes]]]:
    """Yield one COPY for the schedules without a release, whose rows lack this field, and one for the others."""
    with_release: list[bytes] = []

    def rows_without() -> Iterator[bytes]:
        for slots in many:
            columns = slots.columns()
            rows = _binary_rows(slots, columns)
            if _has_release(columns):
                with_release.append(rows)
            else:
                yield rows

    yield _BINARY_COPY, chain((_COPY_BEGIN,), rows_without(), (_COPY_END,))
    if with_release:
        yield _BINARY_COPY_WITH_RELEASE, chain((_COPY_BEGIN,), with_release, (_COPY_END,))


def text_copy(slots: Iterable[Slot]) -> tuple[LiteralString, Iterable[bytes]]:
    """Return one COPY in the text format for single slots."""
    return _COPY, ["".join(map(_text_row, slots)).encode()]


def _text_row(slot: Slot) -> str:
    """Return a slot as a row of COPY's text format for the temporary table."""
    ids = slot.doctor_id, slot.facility_id, slot.service_offering_id or 0
    others = slot.capacity, slot.rule_id or 0, slot.released_at or "\\N"
    return "\t".join(map(str, (*ids, slot.start_at, slot.end_at, *others))) + "\n"


def binary_rows(slots: Slots) -> bytes:
    """Return slots as rows of PostgreSQL's binary COPY for the temporary table; ids must be whole numbers.

    The rows have the field of the release if one of the slots has a release.
    """
    return _binary_rows(slots, slots.columns())


def _has_release(columns: SlotColumns) -> bool:
    return any(kind.released_at is not None for kind in columns.kinds)


def _binary_rows(slots: Slots, columns: SlotColumns) -> bytes:
    size = len(columns.kind)
    offerings = [kind.service_offering_id or 0 for kind in columns.kinds]
    capacities = [kind.capacity for kind in columns.kinds]
    rules = [kind.rule_id or 0 for kind in columns.kinds]
    row = _ROW
    fields = [
        array("q", (int(slots.doctor_id),)) * size,
        array("q", (int(slots.facility_id),)) * size,
        array("q", [int(offerings[kind]) for kind in columns.kind]),
        columns.start_at,
        columns.end_at,
        array("q", [capacities[kind] for kind in columns.kind]),
        array("q", [int(rules[kind]) for kind in columns.kind]),
    ]
    if _has_release(columns):
        row = _ROW_WITH_RELEASE
        releases = [_NO_RELEASE if kind.released_at is None else micros(kind.released_at) for kind in columns.kinds]
        fields.append(array("q", [releases[kind] for kind in columns.kind]))
    out = bytearray(row * size)
    for offset, field in zip(_FIELD_OFFSETS, fields, strict=False):
        if byteorder == "little":
            field.byteswap()
        octets = field.tobytes()
        for octet in range(8):
            out[offset + octet :: len(row)] = octets[octet::8]
    return bytes(out)
