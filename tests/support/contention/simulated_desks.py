"""Simulated desks: a right one, and others with one planted fault each, which a checker of histories must find.

Owns: the desks.
Must not know: how their histories are judged.

The right desk holds a lock from its first look to its last write, as the database's desk holds its row locks; each
fault is one difference from it.
"""

from typing import Final

from support.contention.desk_state import Place, place_of
from support.contention.history import RefusedError, Value
from support.contention.interleaving import Clock, Steps

HOLD_LASTS: Final = 1000


class RightDesk:
    """A desk that does one request after another. Reading and writing are steps of their own."""

    locks = True

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.capacities: dict[str, int] = {}
        self.visits: dict[str, tuple[str, Place]] = {}
        self.holds: dict[str, tuple[float, Place]] = {}
        self.caps: dict[str, int] = {}
        self.blocks: list[tuple[str, float, float]] = []
        self.answers: dict[str, tuple[str, Value, Value]] = {}
        self.ids = 0
        self.locked: set[str] = set()

    def perform(self, process: int, f: str, value: Value) -> Steps:
        """Perform a request under the lock, or find the first answer to its key."""
        if f == "read":
            return {"visits": [[id_, who, at.slot, at.start, at.end] for id_, (who, at) in self.visits.items()]}
        lock = self.lock_of(value)
        if self.locks:
            while lock in self.locked:
                yield lambda: lock not in self.locked
            self.locked.add(lock)
        try:
            yield None
            key = self.key(process, value)
            if key in self.answers:
                earlier_f, earlier, first = self.answers[key]
                if (f, value) != (earlier_f, earlier):
                    raise RefusedError("key_reused")
                return first
            answer: Value = yield from getattr(self, f)(value)
            if key is not None:
                self.answers[key] = (f, value, answer)
            return answer
        finally:
            if self.locks:
                self.locked.discard(lock)

    def lock_of(self, value: Value) -> str:  # noqa: ARG002  # a fault needs the value
        """Return the lock of a request: all have one."""
        return ""

    def key(self, process: int, value: Value) -> str | None:  # noqa: ARG002  # a fault needs the process
        """Return the key under which an answer is remembered."""
        return value.get("key")

    def open(self, value: Value) -> Steps:
        """Offer a slot."""
        yield None
        self.capacities[value["slot"]] = value["capacity"]
        return {}

    def cap(self, value: Value) -> Steps:
        """Let at most so many visits be there that a cap counts."""
        yield None
        self.caps[value["cap"]] = value["most"]
        return {}

    def hold(self, value: Value) -> Steps:
        """Hold a place."""
        place = place_of(value)
        self.refuse_beyond_caps(place, None)
        self.refuse_if(self.is_taken(place, None))
        yield None
        id_, ends = self.new_id("hold"), self.clock.now + HOLD_LASTS
        self.holds[id_] = (ends, place)
        return {"hold": id_, "ends": ends}

    def confirm(self, value: Value) -> Steps:
        """Turn a hold into a visit."""
        if not self.is_live(value["hold"]):
            raise RefusedError("ended")
        place = self.holds[value["hold"]][1]
        self.refuse_beyond_caps(place, value["patient"], hold=value["hold"])
        self.refuse_if(self.is_closed_by_now(place) or self.is_busy(value["patient"], place, None))
        yield None
        del self.holds[value["hold"]]
        return self.write(value["patient"], place)

    def extend(self, value: Value) -> Steps:
        """Let a hold last longer."""
        if not self.is_live(value["hold"]):
            raise RefusedError("ended")
        yield None
        self.holds[value["hold"]] = (self.clock.now + HOLD_LASTS, self.holds[value["hold"]][1])
        return {"ends": self.clock.now + HOLD_LASTS}

    def release(self, value: Value) -> Steps:
        """Give a hold back."""
        if not self.is_live(value["hold"]):
            raise RefusedError("ended")
        yield None
        del self.holds[value["hold"]]
        return {}

    def book(self, value: Value) -> Steps:
        """Book a place."""
        place = place_of(value)
        self.refuse_beyond_caps(place, value["patient"])
        self.refuse_if(self.is_taken(place, value["patient"]))
        yield None
        return self.write(value["patient"], place)

    def reschedule(self, value: Value) -> Steps:
        """Move a visit to another place, or leave it."""
        if value["visit"] not in self.visits:
            raise RefusedError("gone")
        place = place_of(value)
        self.refuse_beyond_caps(place, self.visits[value["visit"]][0], visit=value["visit"])
        self.refuse_if(self.is_taken(place, self.visits[value["visit"]][0], but=value["visit"]))
        yield None
        self.visits[value["visit"]] = (self.visits[value["visit"]][0], place)
        return {"visit": value["visit"]}

    def cancel(self, value: Value) -> Steps:
        """Free the place of a visit."""
        if value["visit"] not in self.visits:
            raise RefusedError("gone")
        yield None
        self.visits.pop(value["visit"], None)
        return {}

    def block(self, value: Value) -> Steps:
        """Block the time of a doctor; visits stay."""
        yield None
        self.blocks.append((value["who"], value["start"], value["end"]))
        return {}

    def refuse_beyond_caps(self, place: Place, patient: str | None, *, visit: str = "", hold: str = "") -> None:
        """Refuse one more visit beyond a cap; one that is moved or confirmed does not count."""
        if self.is_beyond(self.counted(visit, hold), place, patient):
            raise RefusedError("capped")

    def counted(self, visit: str, hold: str) -> list[str | None]:
        """Return the caps that count each visit and each live hold but these, as often as they do."""
        names = [name for id_, (who, at) in self.visits.items() if id_ != visit for name in (*at.counts, who)]
        return [
            *names,
            *(name for id_, (_, at) in self.holds.items() if id_ != hold and self.is_live(id_) for name in at.counts),
        ]

    def is_beyond(self, counted: list[str | None], place: Place, patient: str | None) -> bool:
        """Return whether a cap of a place or patient is reached."""
        return any(counted.count(name) >= self.caps[name] for name in (*place.counts, patient) if name in self.caps)

    def refuse_if(self, is_taken: bool) -> None:
        """Refuse a place that is taken."""
        if is_taken:
            raise RefusedError("taken")

    def is_live(self, hold: str) -> bool:
        """Return whether a hold has not ended."""
        return hold in self.holds and self.clock.now < self.holds[hold][0]

    def is_taken(self, place: Place, patient: str | None, *, but: str | None = None) -> bool:
        """Return whether a place is full, overlaps other uses, is blocked, or its patient is elsewhere."""
        capacity = self.capacities.get(place.slot or "", 1)
        others = [at for id_, (_, at) in self.visits.items() if id_ != but]
        others += [at for id_, (_, at) in self.holds.items() if self.is_live(id_)]
        together = [other for other in others if place.slot is not None and other.slot == place.slot]
        apart = [other for other in others if capacity == 1 or other not in together]
        return (
            self.is_full(len(together), capacity)
            or any(self.overlap(place, other) for other in apart)
            or self.is_blocked(place)
            or (patient is not None and self.is_busy(patient, place, but))
        )

    def is_full(self, places: int, capacity: int) -> bool:
        """Return whether a slot with so many visits and holds has no place left."""
        return places >= capacity

    def is_blocked(self, place: Place) -> bool:
        """Return whether a block overlaps a use of a place."""
        return any(
            self.overlap(place, Place(None, start, end, ((who, start, end),))) for who, start, end in self.blocks
        )

    def is_closed_by_now(self, place: Place) -> bool:
        """Return whether a place that is held was blocked since."""
        return self.is_blocked(place)

    def is_busy(self, patient: str, place: Place, but: str | None) -> bool:
        """Return whether a patient has another visit at the time of a place."""
        theirs = (at for id_, (who, at) in self.visits.items() if who == patient and id_ != but)
        return any(at.start < place.end and place.start < at.end for at in theirs)

    def overlap(self, place: Place, other: Place) -> bool:
        """Return whether two places take one doctor or room at one time."""
        return any(a == b and s < u and f < e for a, s, e in place.uses for b, f, u in other.uses)

    def write(self, patient: str, place: Place) -> Value:
        """Write a visit."""
        id_ = self.new_id("visit")
        self.visits[id_] = (patient, place)
        return {"visit": id_}

    def new_id(self, kind: str) -> str:
        """Return a new id."""
        self.ids += 1
        return f"{kind} {self.ids}"


class CheckThenInsert(RightDesk):
    """A desk that looks and writes without a lock."""

    locks = False


class HoldWithoutEnd(RightDesk):
    """A desk that confirms a hold after its end, when others may have taken its place."""

    def confirm(self, value: Value) -> Steps:
        """Turn a hold into a visit, whether or not it has ended."""
        if value["hold"] in self.holds:
            self.holds[value["hold"]] = (self.clock.now + HOLD_LASTS, self.holds[value["hold"]][1])
        return (yield from super().confirm(value))


class KeyOfAProcess(RightDesk):
    """A desk that remembers keys in each process of its own."""

    def key(self, process: int, value: Value) -> str | None:
        """Return the key with the process."""
        return f"{process}: {value['key']}" if "key" in value else None


class ConfirmAfterBlock(RightDesk):
    """A desk that asks when a hold is made, and not when it is confirmed, whether the doctor is there."""

    def is_closed_by_now(self, place: Place) -> bool:  # noqa: ARG002
        """Return that a place stays as it was held."""
        return False


class OnePlaceTooMany(RightDesk):
    """A desk that fills a group up to its capacity and then takes one more."""

    def is_full(self, places: int, capacity: int) -> bool:
        """Return whether a slot has more visits than places."""
        return places > capacity if capacity > 1 else super().is_full(places, capacity)


class PlaceNeverFreed(RightDesk):
    """A desk that loses the place of a visit that is cancelled."""

    def cancel(self, value: Value) -> Steps:
        """Cancel a visit, and keep its place."""
        if value["visit"] in self.visits:
            self.blocks.extend(self.visits[value["visit"]][1].uses)
        return (yield from super().cancel(value))


class OneBeyondTheCap(RightDesk):
    """A desk that books up to a cap and then one more visit."""

    def is_beyond(self, counted: list[str | None], place: Place, patient: str | None) -> bool:
        """Return whether a cap is exceeded already."""
        return any(counted.count(name) > self.caps[name] for name in (*place.counts, patient) if name in self.caps)


class LockOfADoctor(RightDesk):
    """A desk that locks the doctor of a visit and not its caps: it books with two doctors at once."""

    def lock_of(self, value: Value) -> str:
        """Return the doctor."""
        return str(value["uses"][0][0]) if "uses" in value else ""
