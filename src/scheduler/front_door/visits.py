"""Visits: booked ones are seen through, cancelled, and read.

Owns: the reading of arguments, and who may do what.
Must not know: which transitions there are (`core.lifecycle`), how they are written (`booking.progress`).
"""

from datetime import date
from typing import Final

from scheduler import models
from scheduler.booking import progress
from scheduler.booking.bookings import concerned_by
from scheduler.booking.calls import at_the_desk
from scheduler.booking.delays import Delay, delays_of
from scheduler.booking.policies import refuse_late
from scheduler.booking.requests import Answer
from scheduler.booking.visits import DayPlan, Visit, day_of, visit_of, visits_of_patient
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, PatientId, VisitId
from scheduler.core.lifecycle import AppointmentStatus, StepStatus
from scheduler.core.readers import text
from scheduler.core.spans import Span
from scheduler.core.validation import Validator
from scheduler.front_door.doctors import Doctors
from scheduler.front_door.patients import Patients
from scheduler.front_door.visit_arguments import refuse_begun
from scheduler.front_door.visit_booking import VisitBooking
from scheduler.postgres.errors import NotAllowedError

_CHECK: Final = Validator(InvalidInputError)


class Visits(VisitBooking):
    """The visits of a tenant."""

    def cancel(self, visit: VisitId | Visit, *, reason: str, key: str | None = None) -> Visit:
        """Cancel a visit: its time and place are free at once, and its steps that have not begun are cancelled.

        Raises:
            TransitionRefusedError: the visit is over, or cancelled already.
            NotFoundError: there is no such visit, or the user does not see it.
            NotAllowedError: the user is not staff, and the visit has begun or should have.
            TooLateError: the user is not staff, and the policy lets patients cancel it until `until` only.
            KeyReusedError, BusyError, InvalidInputError: as in `hold`.
        """
        visit_id, why = self._visit(visit), text("cancel: reason", reason)
        by = self._ask(visits=(visit_id,))
        now = self._context.clock()

        def first(*, careful: bool) -> tuple[Visit, Answer]:  # noqa: ARG001  # a cancellation takes nothing
            if not by.is_staff:
                concerned_by(self._session, visit_id)  # locks it: nobody checks it in meanwhile
                refuse_begun(visit_of(self._session, visit_id), now)
            cancelled = progress.cancel(self._session, visit_id, reason=why, user_id=by.user_id, now=now)
            if not by.is_staff:
                refuse_late(self._session, cancelled, channel=by.channel, now=now)
            return cancelled, {"visit": visit_id}

        return self._once(key, ["cancel", visit_id, why], first, self._visit_again, visits=(visit_id,))

    def check_in(self, visit: VisitId | Visit) -> Visit:
        """Note that the patient is there.

        Raises:
            TransitionRefusedError: the visit is not scheduled.
            NotAllowedError: the user is not staff.
            NotFoundError: there is no such visit.
        """
        return self._advance(visit, AppointmentStatus.CHECKED_IN)

    def begin_step(self, visit: VisitId | Visit, position: int) -> Visit:
        """Begin the step at a position; the first puts a checked-in visit in progress.

        Raises:
            TransitionRefusedError: the step has begun or is over, or the patient is not checked in.
            NotFoundError: there is no such visit, or it has no step at the position.
            NotAllowedError: the user is not staff.
        """
        return self._advance_step(visit, position, StepStatus.IN_PROGRESS)

    def complete_step(self, visit: VisitId | Visit, position: int) -> Visit:
        """Complete the step at a position, whose resources are free at once; the last completes the visit.

        Raises:
            TransitionRefusedError: the step is over, or the patient is not checked in.
            NotFoundError, NotAllowedError: as in `begin_step`.
        """
        return self._advance_step(visit, position, StepStatus.COMPLETED)

    def skip_step(self, visit: VisitId | Visit, position: int) -> Visit:
        """Cancel the step at a position; the others keep their times.

        Raises:
            TransitionRefusedError: the step is over.
            NotFoundError, NotAllowedError: as in `begin_step`.
        """
        return self._advance_step(visit, position, StepStatus.CANCELLED)

    def complete(self, visit: VisitId | Visit) -> Visit:
        """Complete a visit in progress whose steps are all finished.

        Raises:
            TransitionRefusedError: the visit is not in progress, or a step is not finished.
            NotFoundError, NotAllowedError: as in `check_in`.
        """
        return self._advance(visit, AppointmentStatus.COMPLETED)

    def no_show(self, visit: VisitId | Visit) -> Visit:
        """Note that the patient did not come: the time and place are free at once.

        Raises:
            TransitionRefusedError: the visit has begun or is over.
            NotFoundError, NotAllowedError: as in `check_in`.
        """
        return self._advance(visit, AppointmentStatus.NO_SHOW)

    def undo(self, visit: VisitId | Visit) -> Visit:
        """Take a check-in or a no-show back: the visit is scheduled again, and takes its time again.

        Raises:
            SlotTakenError, PatientBusyError, CapReachedError: the time of a no-show was given away, or its place in a
                cap.
            NotOfferedError: the time of a no-show to come was closed or blocked, which took its slot away.
            TransitionRefusedError: the visit is neither checked in nor a no-show.
            NotFoundError, NotAllowedError: as in `check_in`.
        """
        return self._advance(visit, AppointmentStatus.SCHEDULED)

    def get(self, visit: VisitId | Visit) -> Visit:
        """Return a visit with its steps, as it is now.

        Raises:
            NotFoundError: there is no such visit, or the user does not see it.
        """
        visit_id = self._visit(visit)
        self._session.flush()
        return visit_of(self._session, visit_id)

    def of_day(self, doctor: DoctorId | models.Doctor, day: date) -> DayPlan:
        """Return a local day of a doctor: all visits in order, and the slots that are still open.

        A visit is of the day that its patient was told.

        Raises:
            NotFoundError: there is no such doctor.
        """
        _CHECK.day("of_day: day", day)
        doctor_id = int(Doctors(self._context).get(doctor).id or 0)
        self._session.flush()
        return day_of(self._session, doctor_id, day, now=self._context.clock())

    def of_patient(self, patient: PatientId | models.Patient, *, between: Span | None = None) -> list[Visit]:
        """Return the visits of a patient in order, also cancelled ones; with `between`, those that overlap the span.

        Raises:
            NotFoundError: there is no such patient, or the user does not see the patient.
        """
        if between is not None:
            _CHECK.instance("of_patient: between", between, Span)
        patient_id = int(Patients(self._context).get(patient).id or 0)
        self._session.flush()
        begin, end = (None, None) if between is None else (between.start, between.end)
        return visits_of_patient(self._session, patient_id, begin, end)

    def delays(self, doctor: DoctorId | models.Doctor) -> list[Delay]:
        """Return the visits of the doctor's present day that begin or end later than planned, as it looks now.

        A delay names the closing time that the visit passes. Nothing is changed.

        Raises:
            NotFoundError: there is no such doctor.
            NotAllowedError: the user is not staff, and so does not see by whom the doctor is late.
        """
        doctor_id = int(Doctors(self._context).get(doctor).id or 0)
        if not self._ask().is_staff:
            raise NotAllowedError("only staff see the delays of a doctor: others see their own visits alone")
        return delays_of(self._session, doctor_id, now=self._context.clock())

    def _advance(self, visit: VisitId | Visit, to: AppointmentStatus) -> Visit:
        visit_id = self._visit_of_staff(visit)
        now = self._context.clock()
        with at_the_desk(self._session):
            advanced = progress.advance(self._session, visit_id, to, user_id=self._context.user_id, now=now)
        self._context.booked(None)
        return advanced

    def _advance_step(self, visit: VisitId | Visit, position: int, to: StepStatus) -> Visit:
        _CHECK.whole("visit: position", position)
        visit_id = self._visit_of_staff(visit)
        now, user_id = self._context.clock(), self._context.user_id
        with at_the_desk(self._session):
            advanced = progress.advance_step(self._session, visit_id, position, to, user_id=user_id, now=now)
        self._context.booked(None)
        return advanced

    def _visit_of_staff(self, visit: object) -> int:
        visit_id = self._visit(visit)
        if not self._ask(visits=(visit_id,)).is_staff:
            raise NotAllowedError("only staff see a visit through: others cancel or move it")
        return visit_id
