"""Visit booking: booking and moving visits.

Owns: the reading of arguments.
Must not know: how a visit is decided on or written (`booking`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from scheduler import models
from scheduler.booking import bookings
from scheduler.booking.holds import Hold, held_visit
from scheduler.booking.overriding import refuse_override
from scheduler.booking.people import Person
from scheduler.booking.policies import check_known, refuse_late
from scheduler.booking.requests import Answer
from scheduler.booking.visits import Visit, visit_of
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import PatientId, VisitId
from scheduler.core.offers import VisitOffer, WantedVisit
from scheduler.core.overrides import Override
from scheduler.core.validation import Validator
from scheduler.front_door.visit_arguments import asked, optional_text, refuse_begun, token_of, wanted_visit
from scheduler.front_door.visit_holds import VisitHolds

_CHECK: Final = Validator(InvalidInputError)
_TARGETS: Final = "a VisitOffer, a Hold or a token"


@dataclass(frozen=True, slots=True)
class Booking:
    """A visit to be booked together with others: an offer, its patient, and notes."""

    offer: VisitOffer
    patient: PatientId | models.Patient
    notes: str | None = None


class VisitBooking(VisitHolds):
    """Visits of a tenant are held, booked and moved."""

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
            CapReachedError: a cap of the patient is reached, or one that was set or lowered since.
            PatientBusyError: the patient has another visit at this time; `visit_id` says which.
            NotFoundError: there is no such patient, or the patient is not the user's.
            KeyReusedError, BusyError: as in `hold`.
        """
        token, patient_id, noted = token_of(hold), self._patient(patient), _notes(notes)
        by = self._ask(patients=(patient_id,))
        now = self._context.clock()

        def first(*, careful: bool) -> tuple[Visit, Answer]:
            held = held_visit(self._session, token, by=by)
            visit = bookings.confirm(
                self._session, held, patient_id=patient_id, notes=noted, by=by, now=now, careful=careful
            )
            return visit, {"visit": visit.id}

        return self._once(key, ["confirm", token, patient_id, noted], first, self._visit_again, patients=(patient_id,))

    def book(
        self,
        offer: VisitOffer,
        *,
        patient: PatientId | models.Patient,
        notes: str | None = None,
        override: Override | None = None,
        channel: str | None = None,
        key: str | None = None,
    ) -> Visit:
        """Book the visit of an offer for a patient.

        Nothing of the offer is believed: the visit is decided on again, at its times. Resources that were taken
        meanwhile are replaced by free ones. Staff may break rules of booking with an `override`, which names each.
        `channel` is as in `hold`.

        Raises:
            OverrideNotNeededError: the visit breaks none of the rules that the override names.
            NotAllowedError: the user may not override, as a parent, or a doctor another doctor's rules.
            SlotTakenError, NotOfferedError, CapReachedError, KeyReusedError, BusyError, InvalidInputError: as in
            `hold`.
            PatientBusyError, NotFoundError: as in `confirm`.
        """
        wanted, patient_id, noted = wanted_visit("book: offer", offer), self._patient(patient), _notes(notes)
        by = self._ask(patients=(patient_id,))
        route, broken = self._channel_of(offer, channel, by), self._override(override, by, wanted)
        now = self._context.clock()

        def first(*, careful: bool) -> tuple[Visit, Answer]:
            check_known(self._session, "visits", route)
            visit = bookings.book(
                self._session,
                wanted,
                patient_id=patient_id,
                notes=noted,
                by=by,
                channel=route,
                now=now,
                careful=careful,
                override=override,
            )
            return visit, {"visit": visit.id}

        request = ["book", asked(wanted), route, patient_id, noted, *broken]
        return self._once(key, request, first, self._visit_again, patients=(patient_id,))

    def book_all(
        self, bookings_: Iterable[Booking], *, channel: str | None = None, key: str | None = None
    ) -> list[Visit]:
        """Book several visits, all or none, and return them in the order given. `channel` is as in `hold`.

        Raises:
            BookingError, NotFoundError, InvalidInputError: as in `book`; none is booked.
        """
        given = _CHECK.sequence("book_all: bookings", bookings_, Booking)
        all_wanted = [wanted_visit("book_all: offer", one.offer) for one in given]
        patients = [self._patient(one.patient) for one in given]
        noted = [_notes(one.notes) for one in given]
        by = self._ask(patients=tuple(patients))
        routes = [self._channel_of(one.offer, channel, by) for one in given]
        now = self._context.clock()

        def first(*, careful: bool) -> tuple[list[Visit], Answer]:
            for route in {*routes}:
                check_known(self._session, "visits", route)
            bookings.lock_together(self._session, all_wanted, patients, careful=careful)
            visits = [
                bookings.book(
                    self._session,
                    wanted,
                    patient_id=patient_id,
                    notes=notes,
                    by=by,
                    channel=route,
                    now=now,
                    careful=careful,
                )
                for wanted, patient_id, notes, route in zip(all_wanted, patients, noted, routes, strict=True)
            ]
            return visits, {"visits": [visit.id for visit in visits]}

        def again(answer: Answer) -> list[Visit]:
            return [self._visit_again({"visit": id_}) for id_ in answer["visits"]]

        request = list(zip(map(asked, all_wanted), routes, patients, noted, strict=True))
        return self._once(key, ["book_all", *request], first, again, patients=tuple(patients))

    def reschedule(
        self,
        visit: VisitId | Visit,
        *,
        to: VisitOffer | Hold | str,
        override: Override | None = None,
        channel: str | None = None,
        key: str | None = None,
    ) -> Visit:
        """Move a visit that has not begun to an offer or a hold: all of it or nothing.

        The visit keeps its id, patient and notes. Its former times are in the audit log. `override` is as in `book`,
        `channel` as in `hold`; a hold stays on its own.

        Raises:
            OverrideNotNeededError: as in `book`.
            TransitionRefusedError: the visit has begun, is over, or was cancelled.
            NotAllowedError: the user is not staff, and the visit has begun or should have.
            TooLateError: the user is not staff, and the policy lets patients cancel or move it until `until` only.
            SlotTakenError, NotOfferedError, CapReachedError, PatientBusyError, HoldEndedError, UnknownHoldError,
            NotFoundError, KeyReusedError, BusyError, InvalidInputError: as in `book` and `confirm`.
        """
        visit_id = self._visit(visit)
        wanted = wanted_visit("reschedule: to", to) if isinstance(to, VisitOffer) else None
        token = "" if wanted is not None else token_of(to, field="reschedule: to", wanted=_TARGETS)
        by = self._ask(visits=(visit_id,))
        now = self._context.clock()
        route = self._channel_of(to, channel, by) if isinstance(to, VisitOffer) else by.channel
        broken = self._override(override, by, wanted)

        def first(*, careful: bool) -> tuple[Visit, Answer]:
            check_known(self._session, "visits", route)
            if not by.is_staff:
                bookings.concerned_by(self._session, visit_id)  # locks it: its times stay as they are
                present = visit_of(self._session, visit_id)
                refuse_begun(present, now)
                refuse_late(self._session, present, channel=by.channel, now=now)
            target = held_visit(self._session, token, by=by) if wanted is None else wanted
            moved = bookings.reschedule(
                self._session, visit_id, target, by=by, channel=route, now=now, careful=careful, override=override
            )
            return moved, {"visit": moved.id}

        request = ["reschedule", visit_id, token if wanted is None else asked(wanted), route, *broken]
        return self._once(key, request, first, self._visit_again, visits=(visit_id,))

    def _override(self, override: Override | None, by: Person, wanted: WantedVisit | None) -> list[Any]:
        """Return an override as the request keeps it, having seen that the person may override."""
        if override is None:
            return []
        _CHECK.instance("override", override, Override)
        if wanted is None:
            raise InvalidInputError("override: to must be a VisitOffer, since a hold was decided on when it was made")
        refuse_override(self._session, by, int(wanted.slot.doctor_id))
        return [override.reason, sorted(override.rules)]

    def _patient(self, patient: object) -> int:
        return int(self._id_of("patient", patient, PatientId, models.Patient))

    def _visit(self, visit: object) -> int:
        return int(self._id_of("visit", visit, VisitId, Visit, models.Appointment))


def _notes(notes: object) -> str | None:
    return optional_text("visit: notes", notes, models.Appointment, "notes")
