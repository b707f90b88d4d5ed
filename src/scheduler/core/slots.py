"""Slots: the values and columns that expansion yields.

Owns: the slot value, and the sequence of slots of one expansion, readable as values or as columns.
Holds: S2 (a slot's identity), S4 (their order), T4 (a slot is a length of real time).
Must not know: rules, exceptions, wall clocks, how slots are computed.
"""

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate, chain, repeat
from typing import Any, ClassVar, Final, NamedTuple, Self, TypeAlias, overload
from uuid import UUID

from scheduler.core.errors import InvalidInputError
from scheduler.core.progressions import WIDTH, instants, progression
from scheduler.core.spans import Span, utc
from scheduler.core.validation import Validator
from scheduler.core.zones import instant

Id: TypeAlias = int | str | UUID
"""An id of a doctor, a facility, a rule …: a bigint in PostgreSQL, any of these in the core."""

_CHECK: Final = Validator(InvalidInputError)
_new_tuple: Final[Callable[..., Any]] = tuple.__new__


class SlotIdentity(NamedTuple):
    """The fields that two slots with the same identity share (S2)."""

    start_at: datetime
    end_at: datetime
    doctor_id: Id
    facility_id: Id
    service_offering_id: Id | None


class _SlotFields(NamedTuple):
    start_at: datetime
    end_at: datetime
    doctor_id: Id
    facility_id: Id
    service_offering_id: Id | None
    capacity: int
    rule_id: Id | None
    released_at: datetime | None


class Slot(_SlotFields):
    """A span of one doctor's time at one facility that can be booked (FHIR R4 Slot).

    Aware instants of any zone are accepted and converted to UTC. With `released_at`, the channel `desk` alone may book
    it before (Q5).

    Raises:
        InvalidSpanError: an instant is naive, or the span is empty or reversed.
        InvalidInputError: an id or the capacity is invalid.
    """

    __slots__ = ()

    def __new__(  # noqa: PLR0913, PLR0917  # the fields of the value
        cls,
        start_at: datetime,
        end_at: datetime,
        doctor_id: Id,
        facility_id: Id,
        service_offering_id: Id | None = None,
        capacity: int = 1,
        rule_id: Id | None = None,
        released_at: datetime | None = None,
    ) -> Self:
        """Validate the fields; those of a stored row need one expression only, since rows come by the million."""
        if not (
            type(start_at) is type(end_at) is datetime
            and start_at.tzinfo is end_at.tzinfo is UTC
            and start_at < end_at
            and type(doctor_id) is type(facility_id) is type(capacity) is int
            and capacity > 0
            and (service_offering_id is None or type(service_offering_id) is int)
            and (rule_id is None or type(rule_id) is int)
            and (released_at is None or (type(released_at) is datetime and released_at.tzinfo is UTC))
        ):
            start_at, end_at = utc(start_at, name="start_at"), utc(end_at, name="end_at")
            Span(start_at, end_at)
            _CHECK.id("doctor_id", doctor_id)
            _CHECK.id("facility_id", facility_id)
            _CHECK.optional_id("service_offering_id", service_offering_id)
            _CHECK.whole("capacity", capacity)
            _CHECK.optional_id("rule_id", rule_id)
            released_at = None if released_at is None else utc(released_at, name="released_at")
        fields = (start_at, end_at, doctor_id, facility_id, service_offering_id, capacity, rule_id, released_at)
        slot: Self = _new_tuple(cls, fields)
        return slot

    @classmethod
    def _make(cls, iterable: Iterable[Any]) -> Self:  # type: ignore[override]  # typeshed's is the same, in other words
        """Construct a slot from its fields and validate them, as `_replace` then does, too."""
        return cls(*iterable)

    @property
    def identity(self) -> SlotIdentity:
        """The fields that distinguish this slot from all others (S2)."""
        return SlotIdentity(*self[:5])

    @property
    def duration(self) -> timedelta:
        """The real time between start and end."""
        return self.end_at - self.start_at


class SlotKind(NamedTuple):
    """The fields that the slots of one window share."""

    service_offering_id: Id | None
    capacity: int
    rule_id: Id | None
    released_at: datetime | None = None


class SlotRun(NamedTuple):
    """`size` slots at equal intervals from `first`; times are microseconds since 2000-01-01Z."""

    first: int
    size: int
    interval: int
    duration: int
    kind: SlotKind


class InterleavedSlots(NamedTuple):
    """Slots of interleaving runs, sorted, as columns in the same unit of time."""

    starts: "array[int]"
    ends: "array[int]"
    kinds: tuple[SlotKind, ...]

    @property
    def size(self) -> int:
        """The number of slots."""
        return len(self.kinds)


class SlotColumns(NamedTuple):
    """Sorted slots as columns, with no object per slot.

    `start_at` and `end_at` are microseconds since 2000-01-01T00:00Z: PostgreSQL's binary timestamptz, but for the
    byte order. `kind` indexes `kinds`, which have the other fields.
    """

    start_at: "array[int]"
    end_at: "array[int]"
    kind: "array[int]"
    kinds: tuple[SlotKind, ...]


def _kind_index(indexes: dict[SlotKind, bytes], kind: SlotKind) -> bytes:
    """Return the index of a kind as the bytes of a column; a new kind gets the next index."""
    return indexes.setdefault(kind, array("i", (len(indexes),)).tobytes())


class Slots(Sequence[Slot]):
    """The slots of one doctor at one facility, sorted by (start, end, offering).

    The slots are kept as runs: a `Slot` is constructed on access, and `columns` constructs none.
    """

    __slots__ = ("_ends", "_pieces", "doctor_id", "facility_id")

    def __init__(self, doctor_id: Id, facility_id: Id, pieces: Iterable[SlotRun | InterleavedSlots]) -> None:
        self.doctor_id: Id = doctor_id
        self.facility_id: Id = facility_id
        self._pieces = tuple(pieces)
        self._ends: tuple[int, ...] | None = None

    def _cumulative_sizes(self) -> tuple[int, ...]:
        """Return the number of slots up to the end of each piece, computed on first use (never for columns)."""
        if self._ends is None:
            self._ends = tuple(accumulate(piece.size for piece in self._pieces))
        return self._ends

    def __len__(self) -> int:
        return self._cumulative_sizes()[-1] if self._pieces else 0

    @overload
    def __getitem__(self, index: int) -> Slot: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Slot, ...]: ...
    def __getitem__(self, index: int | slice) -> Slot | tuple[Slot, ...]:
        if isinstance(index, slice):
            return tuple(self[position] for position in range(*index.indices(len(self))))
        position = range(len(self))[index]
        ends = self._cumulative_sizes()
        number = bisect_right(ends, position)
        piece = self._pieces[number]
        if isinstance(piece, InterleavedSlots):
            place = position - ends[number] + piece.size
            start, end, kind = piece.starts[place], piece.ends[place], piece.kinds[place]
        else:
            start = piece.first + (position - ends[number] + piece.size) * piece.interval
            end, kind = start + piece.duration, piece.kind
        fields = (instant(start), instant(end), self.doctor_id, self.facility_id, *kind)
        slot: Slot = _new_tuple(Slot, fields)  # valid by construction
        return slot

    def __iter__(self) -> Iterator[Slot]:
        return chain.from_iterable(map(self._slots_of, self._pieces))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Sequence) and not isinstance(other, str | bytes):
            return len(self) == len(other) and all(own == others for own, others in zip(self, other, strict=True))
        return NotImplemented

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # equal to lists, which have no hash either

    def __repr__(self) -> str:
        if not self:
            return "<Slots: none>"
        return f"<Slots: {len(self)} from {self[0].start_at.isoformat()} to {self[-1].end_at.isoformat()}>"

    def columns(self) -> SlotColumns:
        """Return the slots as columns."""
        starts: list[bytes] = []
        ends: list[bytes] = []
        kinds: list[bytes] = []
        indexes: dict[SlotKind, bytes] = {}
        for piece in self._pieces:
            if isinstance(piece, InterleavedSlots):
                starts.append(piece.starts.tobytes())
                ends.append(piece.ends.tobytes())
                kinds += [_kind_index(indexes, kind) for kind in piece.kinds]
                continue
            first, size, interval, duration, kind = piece
            if duration == interval:  # the end of a slot is the start of the next: compute both once
                edges = progression(first, size + 1, interval)
                starts.append(edges[:-WIDTH])
                ends.append(edges[WIDTH:])
            else:
                starts.append(progression(first, size, interval))
                ends.append(progression(first + duration, size, interval))
            kinds.append((indexes.get(kind) or _kind_index(indexes, kind)) * size)
        return SlotColumns(
            array("q", b"".join(starts)), array("q", b"".join(ends)), array("i", b"".join(kinds)), tuple(indexes)
        )

    def _slots_of(self, piece: SlotRun | InterleavedSlots) -> Iterator[Slot]:
        """Return the slots of one piece; the loop runs in C, since it dominates the cost of expansion to values."""
        starts: Iterable[datetime]
        ends: Iterable[datetime]
        kinds: Iterable[Iterable[object]]
        if isinstance(piece, InterleavedSlots):
            by_count = {at: instant(at) for at in {*piece.starts, *piece.ends}}
            starts, ends = map(by_count.__getitem__, piece.starts), map(by_count.__getitem__, piece.ends)
            kinds = zip(*piece.kinds, strict=True)
        else:
            first, size, interval, duration, kind = piece
            kinds = map(repeat, kind)
            if duration == interval:
                starts = instants(first, size + 1, interval)
                ends = starts[1:]
            else:
                starts, ends = instants(first, size, interval), instants(first + duration, size, interval)
        fields = zip(starts, ends, repeat(self.doctor_id), repeat(self.facility_id), *kinds, strict=False)
        return map(tuple.__new__, repeat(Slot), fields)
