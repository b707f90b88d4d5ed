"""Any sequence of moves on an appointment and its steps, against a model written as plain words (L1-L3)."""

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
    """The appointment as a word and its steps as a list of words; a refused request leaves them as they are."""

    def __init__(self, appointment: str, *, steps: int) -> None:
        self.appointment = appointment
        self.steps = ["scheduled"] * steps

    def anything_left(self) -> bool:
        return any(word in OPEN for word in self.steps)

    def ask_appointment(self, to: str) -> bool:
        if f"{self.appointment} {to}" not in APPOINTMENT_PAIRS or (to == "completed" and self.anything_left()):
            return False
        self.appointment = to
        if to == "cancelled":
            self.steps = ["cancelled" if word == "scheduled" else word for word in self.steps]
        self.finish()
        return True

    def ask_step(self, index: int, to: str) -> bool:
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
        if self.appointment == "in_progress" and self.steps and not self.anything_left():
            self.appointment = "completed"


class LifeCycleMachine(RuleBasedStateMachine):
    """Asks for any move at any time; some of them are refused."""

    state: AppointmentState
    model: Model
    first: str

    def __init__(self) -> None:
        super().__init__()
        self.log: list[Transition] = []
        self.now = datetime(2027, 3, 1, 9, tzinfo=UTC)

    # Most walks from the very start end in a cancellation before a step begins, so that some start further on.
    @initialize(
        status=st.sampled_from([AppointmentStatus.CHECKED_IN, AppointmentStatus.IN_PROGRESS, *AppointmentStatus]),
        steps=st.integers(0, 4),
    )
    def book(self, status: AppointmentStatus, steps: int) -> None:
        self.state = AppointmentState(40, status, tuple(StepState(number) for number in range(steps)))
        self.model = Model(status.value, steps=steps)
        self.first = status.value

    def keep(self, moved: TransitionResult) -> None:
        assert {(move.at, move.by) for move in moved.transitions} == {(self.now, 9)}
        self.state = moved.state
        self.log += moved.transitions
        self.now += timedelta(minutes=1)

    @rule(to=st.sampled_from(AppointmentStatus))
    def move_appointment(self, to: AppointmentStatus) -> None:
        """L1, L2: refused exactly where the model refuses."""
        allowed = self.model.ask_appointment(to.value)
        try:
            self.keep(self.state.transition(to, at=self.now, by=9))
        except TransitionRefusedError:
            assert not allowed
        else:
            assert allowed

    @precondition(lambda machine: machine.model.steps)
    @rule(number=st.integers(0, 11), to=st.sampled_from(StepStatus))
    def move_step(self, number: int, to: StepStatus) -> None:
        """L1, L2: refused exactly where the model refuses."""
        index = number % len(self.model.steps)
        allowed = self.model.ask_step(index, to.value)
        try:
            self.keep(self.state.transition_step(index, to, at=self.now, by=9))
        except TransitionRefusedError:
            assert not allowed
        else:
            assert allowed

    @invariant()
    def l2_appointment_and_steps_stand_where_the_model_stands(self) -> None:
        assert self.state.status.value == self.model.appointment
        assert [step.status.value for step in self.state.steps] == self.model.steps

    @invariant()
    def l3_the_record_replayed_from_the_start_leads_here(self) -> None:
        words = {"appointment": self.first} | {str(index): "scheduled" for index in range(len(self.model.steps))}
        for move in self.log:
            is_step = move.subject.kind is SubjectKind.APPOINTMENT_STEP
            name = str(move.subject.id) if is_step else "appointment"
            assert words[name] == move.before.value
            assert f"{move.before.value} {move.after.value}" in (STEP_PAIRS if is_step else APPOINTMENT_PAIRS)
            words[name] = move.after.value
        assert list(words.values()) == [self.model.appointment, *self.model.steps]


TestLifeCycle = LifeCycleMachine.TestCase
