"""Random transitions of an appointment and its steps, against a model of plain words (L1-L3)."""

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from scheduler.core.errors import TransitionRefusedError
from scheduler.core.lifecycle import (
    AppointmentState,
    AppointmentStatus,
    StepState,
    StepStatus,
    SubjectKind,
    Transition,
    TransitionResult,
)

APPOINTMENT_PAIRS = """
scheduled checked_in
scheduled cancelled
scheduled no_show
checked_in in_progress
checked_in cancelled
checked_in no_show
checked_in scheduled
in_progress completed
in_progress cancelled
no_show scheduled
""".splitlines()
STEP_PAIRS = """
scheduled in_progress
scheduled completed
scheduled no_show
scheduled cancelled
in_progress completed
in_progress cancelled
""".splitlines()
OPEN = ("scheduled", "in_progress")


class Model:
    """The statuses of an appointment and its steps as words; a refused request changes none."""

    def __init__(self, appointment: str, *, steps: int) -> None:
        self.appointment = appointment
        self.steps = ["scheduled"] * steps

    def has_open_step(self) -> bool:
        return any(word in OPEN for word in self.steps)

    def request_appointment(self, to: str) -> bool:
        if f"{self.appointment} {to}" not in APPOINTMENT_PAIRS or (to == "completed" and self.has_open_step()):
            return False
        self.appointment = to
        if to == "cancelled":
            self.steps = ["cancelled" if word == "scheduled" else word for word in self.steps]
        self.finish()
        return True

    def request_step(self, index: int, to: str) -> bool:
        if f"{self.steps[index]} {to}" not in STEP_PAIRS:
            return False
        if self.steps[index] == "scheduled" and to in ("in_progress", "completed"):
            if self.appointment not in ("checked_in", "in_progress"):
                return False
            self.appointment = "in_progress"
        self.steps[index] = to
        self.finish()
        return True

    def finish(self) -> None:
        if self.appointment == "in_progress" and self.steps and not self.has_open_step():
            self.appointment = "completed"


class LifeCycleMachine(RuleBasedStateMachine):
    """A machine that requests any transition at any time."""

    state: AppointmentState
    model: Model
    first_status: str

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Transition] = []
        self.now = datetime(2027, 3, 1, 9, tzinfo=UTC)

    # Most runs from the start end in a cancellation before a step begins, so that some runs begin later.
    @initialize(
        status=st.sampled_from([AppointmentStatus.CHECKED_IN, AppointmentStatus.IN_PROGRESS, *AppointmentStatus]),
        steps=st.integers(0, 4),
    )
    def book(self, status: AppointmentStatus, steps: int) -> None:
        self.state = AppointmentState(40, status, tuple(StepState(number) for number in range(steps)))
        self.model = Model(status.value, steps=steps)
        self.first_status = status.value

    def keep(self, result: TransitionResult) -> None:
        assert {(record.at, record.by) for record in result.transitions} == {(self.now, 9)}
        self.state = result.state
        self.records += result.transitions
        self.now += timedelta(minutes=1)

    @rule(to=st.sampled_from(AppointmentStatus))
    def transition_appointment(self, to: AppointmentStatus) -> None:
        """Check that the transition is refused exactly where the model refuses it (L1, L2)."""
        allowed = self.model.request_appointment(to.value)
        try:
            self.keep(self.state.transition(to, at=self.now, by=9))
        except TransitionRefusedError:
            assert not allowed
        else:
            assert allowed

    @precondition(lambda machine: machine.model.steps)
    @rule(number=st.integers(0, 11), to=st.sampled_from(StepStatus))
    def transition_step(self, number: int, to: StepStatus) -> None:
        """Check that the transition is refused exactly where the model refuses it (L1, L2)."""
        index = number % len(self.model.steps)
        allowed = self.model.request_step(index, to.value)
        try:
            self.keep(self.state.transition_step(index, to, at=self.now, by=9))
        except TransitionRefusedError:
            assert not allowed
        else:
            assert allowed

    @invariant()
    def l2_appointment_and_steps_equal_the_model(self) -> None:
        assert self.state.status.value == self.model.appointment
        assert [step.status.value for step in self.state.steps] == self.model.steps

    @invariant()
    def l3_replaying_the_records_gives_the_current_state(self) -> None:
        words = {"appointment": self.first_status} | {str(index): "scheduled" for index in range(len(self.model.steps))}
        for record in self.records:
            is_step = record.subject.kind is SubjectKind.APPOINTMENT_STEP
            name = str(record.subject.id) if is_step else "appointment"
            assert words[name] == record.before.value
            assert f"{record.before.value} {record.after.value}" in (STEP_PAIRS if is_step else APPOINTMENT_PAIRS)
            words[name] = record.after.value
        assert list(words.values()) == [self.model.appointment, *self.model.steps]


TestLifeCycle = LifeCycleMachine.TestCase
