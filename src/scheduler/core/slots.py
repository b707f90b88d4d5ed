"""Slots: what expansion yields.

Owns: the slot value, and the sequence of slots that one expansion made, readable as values or as columns.
Holds: S2 (a slot's identity), S4 (their order), T4 (a slot is a length of real time).
Must not know: rules, exceptions, wall clocks; how slots come about.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import accumulate, chain, repeat
from sys import byteorder
from typing import Final, NamedTuple, TypeAlias, overload
from uuid import UUID

from scheduler.core.zones import MICROSECOND, instant

Id: TypeAlias = int | str | UUID
"""What names a doctor, a facility, a rule …: a bigint in PostgreSQL, any of these to the core."""


class SlotIdentity(NamedTuple):
    """What makes two slots the same slot (S2)."""

    start_at: datetime
    end_at: datetime
    doctor_id: Id
    facility_id: Id
    service_offering_id: Id | None


class Slot(NamedTuple):
    """A run of one doctor's time at one facility that can be booked (FHIR R4 Slot). Instants are in UTC."""

    start_at: datetime
    end_at: datetime
    doctor_id: Id
    facility_id: Id
    service_offering_id: Id | None = None
    capacity: int = 1
    rule_id: Id | None = None

    @property
    def identity(self) -> SlotIdentity:
        """What makes two slots the same slot (S2)."""
        return SlotIdentity(*self[:5])

    @property
    def duration(self) -> timedelta:
        """The real time between start and end."""
        return self.end_at - self.start_at


class SlotKind(NamedTuple):
    """What the slots of one window share."""

    service_offering_id: Id | None
    capacity: int
    rule_id: Id | None


class SlotRun(NamedTuple):
    """Slots at equal intervals: `size` of them, the first at `first`. Times are microseconds since 2000-01-01Z."""

    first: int
    size: int
    interval: int
    duration: int
    kind: SlotKind


class InterleavedSlots(NamedTuple):
    """Runs of slots that interleave, in order, as columns of the same times."""

    starts: "array[int]"
    ends: "array[int]"
    kinds: tuple[SlotKind, ...]

    @property
    def size(self) -> int:
        """How many slots they are."""
        return len(self.kinds)


class SlotColumns(NamedTuple):
    """Slots as columns, in order, with no object per slot.

    `start_at` and `end_at` are microseconds since 2000-01-01T00:00Z: PostgreSQL's binary timestamptz, but for the
    byte order. `kind` indexes `kinds`, which says the rest.
    """

    start_at: "array[int]"
    end_at: "array[int]"
    kind: "array[int]"
    kinds: tuple[SlotKind, ...]


_WIDTH: Final = 8
_SIGN: Final = 1 << 63


@lru_cache(maxsize=128)
def _lanes(interval: int, size: int) -> tuple[int, int, int]:
    """Return long integers of 64-bit lanes: ones, the steps of a progression with sign bits, sign bits."""
    ones = int.from_bytes(array("Q", (1,)).tobytes() * size, byteorder)
    steps = int.from_bytes(array("Q", range(0, size * interval, interval)).tobytes(), byteorder)
    return ones, steps + ones * _SIGN, ones * _SIGN


def _progression(first: int, size: int, interval: int) -> bytes:
    """Return `size` 64-bit numbers in steps of `interval`, in this machine's byte order.

    One addition of long integers whose 64-bit lanes are the numbers, three times as fast as a loop that C runs over a
    range. The sign bits keep every lane positive while they are added, lest a borrow run into the next one.
    """
    ones, steps, signs = _lanes(interval, size)
    return ((first * ones + steps) ^ signs).to_bytes(size * _WIDTH, byteorder)


@lru_cache(maxsize=128)
def _offsets(interval: int, size: int) -> tuple[timedelta, ...]:
    """Return how far each slot of a run is from its first."""
    return tuple(step * interval * MICROSECOND for step in range(size))


def _instants(first: int, size: int, interval: int) -> list[datetime]:
    """Return the instants of a progression."""
    begin = instant(first)
    return [begin + offset for offset in _offsets(interval, size)]


def _mark(marks: dict[SlotKind, bytes], kind: SlotKind) -> bytes:
    """Return the number of a kind as it stands in a column; a new kind gets the next one."""
    return marks.setdefault(kind, array("i", (len(marks),)).tobytes())


class Slots(Sequence[Slot]):
    """The slots of one doctor at one facility, sorted by (start, end, offering).

    Kept as the runs that expansion found: a `Slot` is made when it is looked at, and `columns` never makes one.
    """

    __slots__ = ("_ends", "_pieces", "doctor_id", "facility_id")

    def __init__(self, doctor_id: Id, facility_id: Id, pieces: Iterable[SlotRun | InterleavedSlots]) -> None:
        self.doctor_id = doctor_id
        self.facility_id = facility_id
        self._pieces = tuple(pieces)
        self._ends: tuple[int, ...] | None = None

    def _counted(self) -> tuple[int, ...]:
        """Return after how many slots each piece ends; counted when first asked for, since columns never ask."""
        if self._ends is None:
            self._ends = tuple(accumulate(piece.size for piece in self._pieces))
        return self._ends

    def __len__(self) -> int:
        return self._counted()[-1] if self._pieces else 0

    @overload
    def __getitem__(self, index: int) -> Slot: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Slot, ...]: ...
    def __getitem__(self, index: int | slice) -> Slot | tuple[Slot, ...]:
        if isinstance(index, slice):
            return tuple(self[position] for position in range(*index.indices(len(self))))
        position = range(len(self))[index]
        ends = self._counted()
        number = bisect_right(ends, position)
        piece = self._pieces[number]
        if isinstance(piece, InterleavedSlots):
            place = position - ends[number] + piece.size
            start, end, kind = piece.starts[place], piece.ends[place], piece.kinds[place]
        else:
            start = piece.first + (position - ends[number] + piece.size) * piece.interval
            end, kind = start + piece.duration, piece.kind
        offering_id, capacity, rule_id = kind
        return Slot(instant(start), instant(end), self.doctor_id, self.facility_id, offering_id, capacity, rule_id)

    def __iter__(self) -> Iterator[Slot]:
        return chain.from_iterable(map(self._made, self._pieces))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence) and not isinstance(other, str | bytes):
            return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have no hash either

    def __repr__(self) -> str:
        if not self:
            return "<Slots: none>"
        return f"<Slots: {len(self)} from {self[0].start_at.isoformat()} to {self[-1].end_at.isoformat()}>"

    def columns(self) -> SlotColumns:
        """Return the same slots as columns (see `SlotColumns`)."""
        starts: list[bytes] = []
        ends: list[bytes] = []
        kinds: list[bytes] = []
        marks: dict[SlotKind, bytes] = {}
        for piece in self._pieces:
            if isinstance(piece, InterleavedSlots):
                starts.append(piece.starts.tobytes())
                ends.append(piece.ends.tobytes())
                kinds += [_mark(marks, kind) for kind in piece.kinds]
                continue
            first, size, interval, duration, kind = piece
            if duration == interval:  # the end of a slot is the start of the next: count once
                edges = _progression(first, size + 1, interval)
                starts.append(edges[:-_WIDTH])
                ends.append(edges[_WIDTH:])
            else:
                starts.append(_progression(first, size, interval))
                ends.append(_progression(first + duration, size, interval))
            kinds.append((marks.get(kind) or _mark(marks, kind)) * size)
        return SlotColumns(
            array("q", b"".join(starts)), array("q", b"".join(ends)), array("i", b"".join(kinds)), tuple(marks)
        )

    def _made(self, piece: SlotRun | InterleavedSlots) -> Iterator[Slot]:
        """Make the slots of one piece; the loop runs in C, since expansion to values stands or falls with it."""
        starts: Iterable[datetime]
        ends: Iterable[datetime]
        kinds: Iterable[Iterable[object]]
        if isinstance(piece, InterleavedSlots):
            known = {at: instant(at) for at in {*piece.starts, *piece.ends}}
            starts, ends = map(known.__getitem__, piece.starts), map(known.__getitem__, piece.ends)
            kinds = zip(*piece.kinds, strict=True)
        else:
            first, size, interval, duration, kind = piece
            kinds = map(repeat, kind)
            if duration == interval:
                starts = _instants(first, size + 1, interval)
                ends = starts[1:]
            else:
                starts, ends = _instants(first, size, interval), _instants(first + duration, size, interval)
        fields = zip(starts, ends, repeat(self.doctor_id), repeat(self.facility_id), *kinds, strict=False)
        return map(tuple.__new__, repeat(Slot), fields)
