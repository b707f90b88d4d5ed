"""Visit booking: holding, booking and moving visits.

Owns: the reading of arguments, and the keys of requests.
Holds: B2 (only the token opens a hold), B3 (a repeated call with a key gives the first answer), B9 in part (people who
are cared for act for their own patients, staff for all).
Must not know: how a visit is decided on or written (`booking`).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from scheduler import models
from scheduler.booking import bookings
from scheduler.booking.desk import at_the_desk
from scheduler.booking.holds import (
    Hold,
    extend_hold,
    held_visit,
    hold_visit,
    lasting,
    release_hold,
    renew_token,
)
from scheduler.booking.people import ask
from scheduler.booking.requests import Answer, begin_request, end_request
from scheduler.booking.stored_offers import held_offer
from scheduler.booking.visits import Visit, visit_of, visits_by_id
from scheduler.core.errors import InvalidInputError
from scheduler.core.offers import VisitOffer
from scheduler.core.readers import text
from scheduler.core.validation import Validator
from scheduler.front_door.ids import PatientId, VisitId
from scheduler.front_door.visit_search import VisitSearch

_CHECK: Final = Validator(InvalidInputError)
_LONGEST_KEY: Final = 255
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Booking:
    """A visit to be booked together with others: an offer, its patient, and notes."""

    offer: VisitOffer
    patient: PatientId | models.Patient
    notes: str | None = None


class VisitBooking(VisitSearch):
    """Visits of a tenant are held, booked and moved."""

    def hold(
        self, offer: VisitOffer, *, label: str | None = None, lasts: timedelta | None = None, key: str | None = None
    ) -> Hold:
        """Hold the visit of an offer for whoever has the token, for ten minutes unless `lasts` says how long.

        It ends by itself. Resources that were taken meanwhile are replaced by free ones; the times stay. `label` is for
        you, such as the name of a screen. A repeated call with the same key returns the same hold with a new token.

        Raises:
            SlotTakenError: somebody else has the place, the doctor or a resource; `next_start_at` is another start.
            NotOfferedError: there is no such visit; `reasons` has why.
            KeyReusedError, BusyError: the key belongs to another call, or to one that has not ended.
            InvalidInputError: an argument is invalid.
        """
        _CHECK.instance("hold: offer", offer, VisitOffer)
        length = lasting(lasts)
        if label is not None:
            text("hold: label", label)
        by = ask(self._session, self._context.user_id)
        now, random_bytes = self._context.clock(), self._context.random_bytes

        def first() -> tuple[Hold, Answer]:
            id_, held = hold_visit(
                self._session, offer.wanted, by=by, now=now, lasts=length, label=label, random_bytes=random_bytes
            )
            return held, {"hold": id_}

        def again(answer: Answer) -> Hold:
            return renew_token(self._session, answer["hold"], offer, random_bytes=random_bytes)

        return self._once(key, ["hold", _asked(offer), label, length.total_seconds()], first, again)

    def extend(self, hold: Hold | str, *, lasts: timedelta) -> Hold:
        """Let a hold, or that of a token, last so long from now on; at most 24 hours.

        Raises:
            HoldEndedError: it has ended.
            UnknownHoldError: no hold has this token, or it is another user's.
        """
        length = lasting(lasts)
        token = _token(hold)
        by = ask(self._session, self._context.user_id)
        with at_the_desk(self._session):
            held = held_visit(self._session, token, by=by)
            offer = hold.offer if isinstance(hold, Hold) else held_offer(self._session, held)
            return Hold(token, extend_hold(self._session, held, lasts=length), offer)

    def release(self, hold: Hold | str) -> None:
        """End a hold, or that of a token, so that others can have the visit. One that has ended stays as it is.

        Raises:
            UnknownHoldError: no hold has this token, or it is another user's.
        """
        by = ask(self._session, self._context.user_id)
        with at_the_desk(self._session):
            release_hold(self._session, held_visit(self._session, _token(hold), by=by, ended=True))

    def confirm(
        self,
        hold: Hold | str,
        *,
        patient: PatientId | models.Patient,
        notes: str | None = None,
        key: str | None = None,
    ) -> Visit:
        """Book the visit of a hold, or of a token, for a patient. The hold ends with it.

        Raises:
            HoldEndedError: the hold has ended.
            UnknownHoldError: no hold has this token, or it is another user's.
            NotOfferedError: the schedule has changed since, as by an emergency.
            PatientBusyError: the patient has another visit at this time; `visit_id` says which.
            NotFoundError: there is no such patient, or the patient is not the user's.
            KeyReusedError, BusyError: as in `hold`.
        """
        token, patient_id = _token(hold), self._patient(patient)
        _check_notes(notes)
        by = ask(self._session, self._context.user_id, patients=(patient_id,))
        now = self._context.clock()

        def first() -> tuple[Visit, Answer]:
            held = held_visit(self._session, token, by=by)
            visit = bookings.confirm(self._session, held, patient_id=patient_id, notes=notes, by=by, now=now)
            return visit, {"visit": visit.id}

        return self._once(key, ["confirm", token, patient_id, notes], first, self._visit_again)

    def book(
        self,
        offer: VisitOffer,
        *,
        patient: PatientId | models.Patient,
        notes: str | None = None,
        key: str | None = None,
    ) -> Visit:
        """Book the visit of an offer for a patient.

        Nothing of the offer is believed: the visit is decided on again, at its times. Resources that were taken
        meanwhile are replaced by free ones.

        Raises:
            SlotTakenError, NotOfferedError, KeyReusedError, BusyError, InvalidInputError: as in `hold`.
            PatientBusyError, NotFoundError: as in `confirm`.
        """
        _CHECK.instance("book: offer", offer, VisitOffer)
        patient_id = self._patient(patient)
        _check_notes(notes)
        by = ask(self._session, self._context.user_id, patients=(patient_id,))
        now = self._context.clock()

        def first() -> tuple[Visit, Answer]:
            visit = bookings.book(self._session, offer.wanted, patient_id=patient_id, notes=notes, by=by, now=now)
            return visit, {"visit": visit.id}

        return self._once(key, ["book", _asked(offer), patient_id, notes], first, self._visit_again)

    def book_all(self, bookings_: Iterable[Booking], *, key: str | None = None) -> list[Visit]:
        """Book several visits, all or none, and return them in the order given.

        Raises:
            BookingError, NotFoundError, InvalidInputError: as in `book`; none is booked.
        """
        wanted = _CHECK.sequence("book_all: bookings", bookings_, Booking)
        patients = [self._patient(one.patient) for one in wanted]
        for one in wanted:
            _CHECK.instance("book_all: offer", one.offer, VisitOffer)
            _check_notes(one.notes)
        by = ask(self._session, self._context.user_id, patients=tuple(patients))
        now = self._context.clock()

        def first() -> tuple[list[Visit], Answer]:
            bookings.lock_together(self._session, [one.offer.wanted for one in wanted], patients)
            visits = [
                bookings.book(self._session, one.offer.wanted, patient_id=patient_id, notes=one.notes, by=by, now=now)
                for one, patient_id in zip(wanted, patients, strict=True)
            ]
            return visits, {"visits": [visit.id for visit in visits]}

        def again(answer: Answer) -> list[Visit]:
            found = visits_by_id(self._session, answer["visits"])
            return [found[id_] for id_ in answer["visits"]]

        asked = [[_asked(one.offer), id_, one.notes] for one, id_ in zip(wanted, patients, strict=True)]
        return self._once(key, ["book_all", *asked], first, again)

    def reschedule(self, visit: VisitId | Visit, *, to: VisitOffer | Hold | str, key: str | None = None) -> Visit:
        """Move a visit that has not begun to an offer, a hold or the hold of a token: all of it or nothing.

        The visit keeps its id, patient and notes. What it was is in the audit log.

        Raises:
            TransitionRefusedError: the visit has begun, is over, or was cancelled.
            SlotTakenError, NotOfferedError, PatientBusyError, HoldEndedError, UnknownHoldError, NotFoundError,
            KeyReusedError, BusyError, InvalidInputError: as in `book` and `confirm`.
        """
        visit_id = self._visit(visit)
        asked = _asked(to) if isinstance(to, VisitOffer) else _token(to)
        by = ask(self._session, self._context.user_id, visits=(visit_id,))
        now = self._context.clock()

        def first() -> tuple[Visit, Answer]:
            target = to.wanted if isinstance(to, VisitOffer) else held_visit(self._session, _token(to), by=by)
            moved = bookings.reschedule(self._session, visit_id, target, by=by, now=now)
            return moved, {"visit": moved.id}

        return self._once(key, ["reschedule", visit_id, asked], first, self._visit_again)

    def _once(
        self,
        key: str | None,
        asked: list[Any],
        first: Callable[[], tuple[_Result, Answer]],
        again: Callable[[Answer], _Result],
    ) -> _Result:
        """Do a call at the desk, or give the answer of the first one with its key."""
        self._session.flush()  # what the host has changed counts
        actor = self._context.user_id
        if key is None:
            with at_the_desk(self._session):
                result, _ = first()
            self._context.booked(None)
            return result
        if len(text("key", key)) > _LONGEST_KEY:
            raise InvalidInputError(f"key must have at most {_LONGEST_KEY} characters, not {len(key)}")
        with at_the_desk(self._session):
            answer = begin_request(self._session, key, actor=actor, asked=asked)
            if answer is not None:
                return again(answer)
            result, answer = first()
            end_request(self._session, key, actor=actor, answer=answer)
        self._context.booked(key)
        return result

    def _visit_again(self, answer: Answer) -> Visit:
        return visit_of(self._session, answer["visit"])

    def _patient(self, patient: object) -> int:
        return int(self._id_of("patient", patient, PatientId, models.Patient))

    def _visit(self, visit: object) -> int:
        return int(self._id_of("visit", visit, VisitId, Visit, models.Appointment))


def _token(hold: object) -> str:
    """Return the token of a hold, given as such or as the hold."""
    return hold.token if isinstance(hold, Hold) else text("hold: token", hold)


def _check_notes(notes: object) -> None:
    if notes is not None:
        text("visit: notes", notes)


def _asked(offer: VisitOffer) -> list[Any]:
    """Return what a request asks for with an offer; which resources it named makes no difference."""
    starts = [[step.step.position, step.start_at.isoformat()] for step in offer.steps]
    return [offer.offering_id, offer.workflow_id, list(offer.slot.identity), starts]
