"""Port of the front door: `work.visits`, asked by the operations of the sequential model (B1-B4).

Owns: the calls, and the errors of the library in the words of the model.
Must not know: workers, histories.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg

from scheduler.booking.errors import (
    CapReachedError,
    HoldEndedError,
    KeyReusedError,
    NotOfferedError,
    OutcomeUnknownError,
    PatientBusyError,
    SlotTakenError,
    UnknownHoldError,
)
from scheduler.core.errors import TransitionRefusedError
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, PatientId, VisitId
from scheduler.core.offers import VisitOffer
from scheduler.core.spans import Span
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.postgres.errors import BusyError, DatabaseUnreachableError
from support.contention.clocks import FastClock
from support.contention.history import RefusedError, UnknownOutcomeError, Value
from support.contention.hot_clinic import NINE, NOW, HotClinic, minutes

LASTS: Final = 1
"""How many minutes a hold lasts that does not say so."""


class FrontDoorPort:
    """A unit of work for each operation."""

    def __init__(self, url: str, clinic: HotClinic, offers: dict[str, VisitOffer], clock: FastClock) -> None:
        self._url, self._clinic, self._offers, self._clock = url, clinic, offers, clock
        self._scheduler = Scheduler(url, clock=lambda: NOW)

    def close(self) -> None:
        """Close the connections."""
        self._scheduler.close()

    def perform(self, f: str, value: Value) -> Value:
        """Perform an operation as a unit of work."""
        if f == "read":
            with psycopg.connect(self._url) as connection:
                return {"visits": self._clinic.visits(connection)}
        with _refusals(), self._scheduler.tenant(self._clinic.slug) as work:
            return self._call(work, f, value)

    def _call(self, work: Work, f: str, value: Value) -> Value:
        visits, key = work.visits, value.get("key")
        if f == "hold":
            hold = visits.hold(self._offers[value["slot"]], lasts=minutes(value.get("lasts", LASTS)), key=key)
            return {"hold": hold.token, "ends": self._clock.real(hold.ends_at)}
        if f == "extend":
            return {"ends": self._clock.real(visits.extend(value["hold"], lasts=minutes(LASTS)).ends_at)}
        if f == "release":
            visits.release(value["hold"])
            return {}
        if f == "confirm":
            return _answer(visits.confirm(value["hold"], patient=self._patient(value), key=key).id)
        if f == "book":
            return _answer(visits.book(self._offers[value["slot"]], patient=self._patient(value), key=key).id)
        if f == "reschedule":
            visit = VisitId(int(value["visit"]))
            return _answer(visits.reschedule(visit, to=self._offers[value["slot"]], key=key).id)
        if f == "cancel":
            visits.cancel(VisitId(int(value["visit"])), reason="a test", key=key)
            return {}
        assert f == "block", f
        doctor = DoctorId(int(value["who"].removeprefix("doctor ")))
        between = Span(NINE + minutes(value["start"]), NINE + minutes(value["end"]))
        work.exceptions.emergency(doctor, at=FacilityId(self._clinic.facility), between=between)
        return {}

    def _patient(self, value: Value) -> PatientId:
        return PatientId(self._clinic.patients[value["patient"]])


def offers_of(scheduler: Scheduler, clinic: HotClinic) -> dict[str, VisitOffer]:
    """Return the offer of each slot, while all are free."""
    starts = [slot.start_at for slot in clinic.slots.values()]
    between = Span(min(starts), max(starts) + minutes(1))
    offers = {}
    with scheduler.tenant(clinic.slug) as work:
        for offering in {slot.offering for slot in clinic.slots.values()}:
            for offer in work.visits.find(OfferingId(offering), between=between, limit=10_000):
                offers[offering, offer.start_at] = offer
    return {name: offers[slot.offering, slot.start_at] for name, slot in clinic.slots.items()}


def _answer(visit: int) -> Value:
    return {"visit": str(visit)}


@contextmanager
def _refusals() -> Iterator[None]:
    """Say in the words of the model how the library refused, and raise all else, such as a deadlock."""
    try:
        yield
    except (SlotTakenError, NotOfferedError, PatientBusyError) as refused:
        raise RefusedError("taken", repr(refused)) from refused
    except CapReachedError as refused:
        raise RefusedError("capped", f"cap {refused.cap}") from refused
    except (HoldEndedError, UnknownHoldError) as refused:
        raise RefusedError("ended", repr(refused)) from refused
    except TransitionRefusedError as refused:
        raise RefusedError("gone", repr(refused)) from refused
    except KeyReusedError as refused:
        raise RefusedError("key_reused") from refused
    except BusyError as refused:
        raise RefusedError("busy") from refused
    except OutcomeUnknownError as lost:
        raise UnknownOutcomeError from lost
    except DatabaseUnreachableError as lost:  # before the commit, so nothing was written
        raise RefusedError("busy", repr(lost)) from lost
