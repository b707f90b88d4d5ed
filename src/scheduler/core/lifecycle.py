"""Life cycle: statuses and transitions of appointments and their steps.

Owns: the statuses of appointments, steps and slots, the two tables of transitions, and the state of an appointment.
Holds: L1 (a missing pair is refused), L2 (steps and appointment change each other), L3 (every transition is recorded).
Must not know: times of steps, workflows, where a record is written; the time and the person are arguments.

A skipped step has no status of its own: a step skipped at booking does not exist, a step that the clinic skips later is
cancelled, and a step that the patient skips is a no-show.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from scheduler.core.errors import InvalidWorkflowError, NotFoundError, TransitionRefusedError
from scheduler.core.slots import Id
from scheduler.core.spans import utc
from scheduler.core.validation import Validator


class AppointmentStatus(StrEnum):
    """The status of an appointment."""

    SCHEDULED = "scheduled"
    CHECKED_IN = "checked_in"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    NO_SHOW = "no_show"
    CANCELLED = "cancelled"


class StepStatus(StrEnum):
    """The status of a step of an appointment."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    NO_SHOW = "no_show"
    CANCELLED = "cancelled"


class SlotStatus(StrEnum):
    """The status of a slot. Booking and reconciliation change it, so that no table is needed here."""

    OPEN = "open"
    RESERVED = "reserved"
    BOOKED = "booked"
    CANCELLED = "cancelled"


Status: TypeAlias = AppointmentStatus | StepStatus
_Status = TypeVar("_Status", AppointmentStatus, StepStatus)
_CHECK: Final = Validator(InvalidWorkflowError)

APPOINTMENT_TRANSITIONS: Final[Mapping[AppointmentStatus, frozenset[AppointmentStatus]]] = {
    AppointmentStatus.SCHEDULED: frozenset(
        {AppointmentStatus.CHECKED_IN, AppointmentStatus.CANCELLED, AppointmentStatus.NO_SHOW}
    ),
    AppointmentStatus.CHECKED_IN: frozenset(
        {
            AppointmentStatus.IN_PROGRESS,
            AppointmentStatus.CANCELLED,
            AppointmentStatus.NO_SHOW,
            AppointmentStatus.SCHEDULED,  # a correction: the wrong patient was checked in
        }
    ),
    AppointmentStatus.IN_PROGRESS: frozenset({AppointmentStatus.COMPLETED, AppointmentStatus.CANCELLED}),
    AppointmentStatus.NO_SHOW: frozenset({AppointmentStatus.SCHEDULED}),  # a correction: the patient was there
    AppointmentStatus.COMPLETED: frozenset(),
    AppointmentStatus.CANCELLED: frozenset(),
}

STEP_TRANSITIONS: Final[Mapping[StepStatus, frozenset[StepStatus]]] = {
    StepStatus.SCHEDULED: frozenset(
        {StepStatus.IN_PROGRESS, StepStatus.COMPLETED, StepStatus.NO_SHOW, StepStatus.CANCELLED}
    ),
    StepStatus.IN_PROGRESS: frozenset({StepStatus.COMPLETED, StepStatus.CANCELLED}),
    StepStatus.COMPLETED: frozenset(),
    StepStatus.NO_SHOW: frozenset(),
    StepStatus.CANCELLED: frozenset(),
}

_FINISHED: Final = frozenset(status for status, following in STEP_TRANSITIONS.items() if not following)
_BEGUN: Final = frozenset({StepStatus.IN_PROGRESS, StepStatus.COMPLETED})


def transition(current: _Status, to: _Status) -> _Status:
    """Return the new status if its table has the transition from the current one (L1).

    The new status may be given as its text.

    Raises:
        TransitionRefusedError: the table lacks the pair, as for two equal statuses, or the two are of different kinds.
        InvalidWorkflowError: an argument is not a status.

    >>> transition(StepStatus.SCHEDULED, StepStatus.IN_PROGRESS).value
    'in_progress'
    """
    # Members of the two enums are equal if their texts are: the types decide which table applies.
    if not isinstance(current, AppointmentStatus | StepStatus):
        raise InvalidWorkflowError(f"current must be an AppointmentStatus or a StepStatus, not {current!r}")
    if isinstance(to, AppointmentStatus | StepStatus) and type(to) is not type(current):
        reason = f"no transition from {_shown(current)} to {_shown(to)}: they are statuses of different things"
        raise TransitionRefusedError(reason, current, to)
    to = _CHECK.member("to", to, type(current))
    following: frozenset[Status] = (
        APPOINTMENT_TRANSITIONS[current] if isinstance(current, AppointmentStatus) else STEP_TRANSITIONS[current]
    )
    if to not in following:
        choice = ", ".join(sorted(following)) or "nothing"
        thing = "appointment" if isinstance(current, AppointmentStatus) else "step"
        reason = f"{thing}: no transition from {current} to {to}; allowed: {choice}"
        raise TransitionRefusedError(reason, current, to)
    return to


def _shown(status: Status) -> str:
    return f"{type(status).__name__} {status}"


class SubjectKind(StrEnum):
    """The kind of a transition's subject."""

    APPOINTMENT = "appointment"
    APPOINTMENT_STEP = "appointment_step"


class Subject(NamedTuple):
    """The appointment or step whose status changed."""

    kind: SubjectKind
    id: Id


@dataclass(frozen=True, slots=True)
class Transition:
    """The record of a transition for the audit log, with instant (kept in UTC) and user (L3).

    Raises:
        InvalidSpanError: `at` is naive.
        InvalidWorkflowError: another field is invalid; the message names it.
    """

    subject: Subject
    before: Status
    after: Status
    at: datetime
    by: Id

    def __post_init__(self) -> None:
        _CHECK.instance("subject", self.subject, Subject)
        for name, status in (("before", self.before), ("after", self.after)):
            if not isinstance(status, AppointmentStatus | StepStatus):
                raise InvalidWorkflowError(f"{name} must be an AppointmentStatus or a StepStatus, not {status!r}")
        object.__setattr__(self, "at", utc(self.at, name="at"))
        if isinstance(self.by, bool) or not isinstance(self.by, int | str | UUID) or self.by == "":
            raise InvalidWorkflowError(f"by: a transition needs the id of the user who made it, not {self.by!r}")


class StepState(NamedTuple):
    """The status of one step of an appointment."""

    id: Id
    status: StepStatus = StepStatus.SCHEDULED


class TransitionResult(NamedTuple):
    """The new state, and the records of all changes, the requested one first."""

    state: "AppointmentState"
    transitions: tuple[Transition, ...]


@dataclass(frozen=True, slots=True)
class AppointmentState:
    """The statuses of an appointment and its steps (L2). A status may be given as its text, a step as a pair.

    Raises:
        InvalidWorkflowError: two steps have the same id, or an id or a status is invalid.
    """

    id: Id
    status: AppointmentStatus = AppointmentStatus.SCHEDULED
    steps: tuple[StepState, ...] = ()

    def __post_init__(self) -> None:
        _CHECK.id("appointment id", self.id)
        name = f"appointment {self.id}"
        object.__setattr__(self, "status", _CHECK.member(f"{name}: status", self.status, AppointmentStatus))
        steps = []
        for pair in _CHECK.sequence(f"{name}: steps", self.steps, tuple):
            if len(pair) != len(StepState._fields):
                raise InvalidWorkflowError(f"{name}: steps must be pairs of id and status, not {pair!r}")
            _CHECK.id(f"{name}: step id", pair[0])
            steps.append(StepState(pair[0], _CHECK.member(f"{name}: step {pair[0]}: status", pair[1], StepStatus)))
        object.__setattr__(self, "steps", tuple(steps))
        if len({step.id for step in self.steps}) < len(self.steps):
            raise InvalidWorkflowError(f"{name} has two steps with the same id")

    def transition(self, to: AppointmentStatus, *, at: datetime, by: Id) -> TransitionResult:
        """Change the status of the appointment; cancelling it cancels its steps that have not begun (L2).

        A no-show leaves the steps unchanged, since an appointment's no-show can be corrected and a step's cannot.

        Raises:
            TransitionRefusedError: the life cycle lacks this transition, or a step of a completed visit is unfinished.
            InvalidWorkflowError: `to` is not the status of an appointment.
        """
        result = _transition_appointment(TransitionResult(self, ()), to, at=at, by=by)
        to = result.state.status
        unfinished = [step for step in self.steps if step.status not in _FINISHED]
        if to is AppointmentStatus.COMPLETED and unfinished:
            reason = f"appointment {self.id} is not complete: step {unfinished[0].id} is {unfinished[0].status}"
            raise TransitionRefusedError(reason, self.status, to)
        if to is AppointmentStatus.CANCELLED:
            for step in self.steps:
                if step.status is StepStatus.SCHEDULED:
                    result = _transition_step(result, step, StepStatus.CANCELLED, at=at, by=by)
        return _complete_if_done(result, at=at, by=by)

    def transition_step(self, step_id: Id, to: StepStatus, *, at: datetime, by: Id) -> TransitionResult:
        """Change the status of one step, and that of the appointment with it (L2).

        A step that begins (or is completed at once) puts a checked-in appointment in progress. The last step that is
        finished completes an appointment in progress.

        Raises:
            NotFoundError: the appointment has no such step.
            TransitionRefusedError: the life cycle lacks this transition of the step or the appointment.
            InvalidWorkflowError: `step_id` is not an id, or `to` is not the status of a step.
        """
        _CHECK.id("step_id", step_id)
        step = next((step for step in self.steps if step.id == step_id), None)
        if step is None:
            raise NotFoundError(f"appointment {self.id} has no step {step_id!r}")
        result = _transition_step(TransitionResult(self, ()), step, to, at=at, by=by)
        begins = step.status is StepStatus.SCHEDULED and result.transitions[0].after in _BEGUN
        if begins and self.status is not AppointmentStatus.IN_PROGRESS:
            result = _transition_appointment(result, AppointmentStatus.IN_PROGRESS, at=at, by=by)
        return _complete_if_done(result, at=at, by=by)


def _transition_appointment(
    result: TransitionResult, to: AppointmentStatus, *, at: datetime, by: Id
) -> TransitionResult:
    state, transitions = result
    subject = Subject(SubjectKind.APPOINTMENT, state.id)
    to = transition(state.status, to)
    record = Transition(subject, state.status, to, at, by)
    return TransitionResult(replace(state, status=to), (*transitions, record))


def _transition_step(
    result: TransitionResult, step: StepState, to: StepStatus, *, at: datetime, by: Id
) -> TransitionResult:
    state, transitions = result
    subject = Subject(SubjectKind.APPOINTMENT_STEP, step.id)
    to = transition(step.status, to)
    record = Transition(subject, step.status, to, at, by)
    steps = tuple(StepState(step.id, to) if other.id == step.id else other for other in state.steps)
    return TransitionResult(replace(state, steps=steps), (*transitions, record))


def _complete_if_done(result: TransitionResult, *, at: datetime, by: Id) -> TransitionResult:
    """Complete an appointment in progress whose steps are all finished; without steps, leave it in progress."""
    state = result.state
    if (
        state.status is AppointmentStatus.IN_PROGRESS
        and state.steps
        and all(step.status in _FINISHED for step in state.steps)
    ):
        return _transition_appointment(result, AppointmentStatus.COMPLETED, at=at, by=by)
    return result
