"""Workflows: the steps of a visit, as templates, workflow steps and timed steps.

Owns: need, step template, workflow step, workflow and timed step as validated values.
Holds: W6 (an estimate that disagrees is reported), W7 (the needs and the place of each step).
Must not know: how steps get their times (`visits`), how a workflow is chosen (`insurance`), whose calendar is free.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from scheduler.core.errors import InvalidSpanError, InvalidWorkflowError
from scheduler.core.lifecycle import StepStatus
from scheduler.core.slots import Id
from scheduler.core.spans import Span
from scheduler.core.validation import Validator

_NO_TIME: Final = timedelta(0)
_CHECK: Final = Validator(InvalidWorkflowError)

DOCTOR: Final = "doctor"
"""The kind of the visit's doctor."""

LONGEST_VISIT: Final = timedelta(days=366)
"""The longest that the steps of a workflow may last together, since a search reads the whole time around a slot."""

PATIENT: Final = "patient"
"""The kind of the patient, whom no step needs to name: every step has the patient."""


@dataclass(frozen=True, slots=True)
class Need:
    """So many resources of a kind that a step needs at once (W7), such as one nurse.

    Any word is a kind, as of `work.resources.add`; a search refuses one of which the facility has no resource.

    `same_as` is an earlier position of the workflow: exactly the resources that its step has of this kind.

    Raises:
        InvalidWorkflowError: a field is invalid, or the step would need two doctors or the patient.
    """

    kind: str
    quantity: int = 1
    same_as: int | None = None

    def __post_init__(self) -> None:
        _CHECK.text("need: kind", self.kind)
        _CHECK.whole(f"need of {self.kind}: quantity", self.quantity)
        if self.same_as is not None:
            _CHECK.whole(f"need of {self.kind}: same_as", self.same_as)
        if self.kind == PATIENT:
            raise InvalidWorkflowError(
                "need: kind must not be patient: a step that only the patient needs has needs=()"
            )
        if self.kind == DOCTOR and (self.quantity != 1 or self.same_as is not None):
            raise InvalidWorkflowError("need of doctor: a visit has one doctor, who is the same in each step")


_THE_DOCTOR: Final = (Need(DOCTOR),)


@dataclass(frozen=True, slots=True)
class StepTemplate:
    """A kind of step that workflows share, such as "blood sample".

    Raises:
        InvalidWorkflowError: a field is invalid; the message names it.
    """

    id: Id
    name: str
    default_duration: timedelta
    requires_location: bool = True

    def __post_init__(self) -> None:
        _CHECK.id("step template id", self.id)
        _CHECK.text(f"step template {self.id}: name", self.name)
        _CHECK.length(f"step template {self.id}: default_duration", self.default_duration)
        _CHECK.flag(f"step template {self.id}: requires_location", self.requires_location)


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """A step of a workflow with its length, its needs and its kind of place (W7).

    `duration` None means the template's. `preparation` counts only if `requires_preparation`. `max_wait` is the
    longest wait before the step. `needs` None means the visit's doctor; without any need the patient is alone. Needs
    count at once, so their order means nothing: they are kept in the order of their kinds.

    Raises:
        InvalidWorkflowError: a field is invalid; the message names the step and the field.
    """

    position: int
    template: StepTemplate
    duration: timedelta | None = None
    location_type: str | None = None
    requires_preparation: bool = False
    can_be_skipped: bool = False
    preparation: timedelta = _NO_TIME
    max_wait: timedelta = _NO_TIME
    needs: Sequence[Need] | None = None

    def __post_init__(self) -> None:
        _CHECK.whole("step position", self.position)
        name = f"step {self.position}"
        _CHECK.instance(f"{name}: template", self.template, StepTemplate)
        if self.duration is not None:
            _CHECK.length(f"{name}: duration", self.duration)
        if self.location_type is not None:
            _CHECK.text(f"{name}: location_type", self.location_type)
        _CHECK.flag(f"{name}: requires_preparation", self.requires_preparation)
        _CHECK.flag(f"{name}: can_be_skipped", self.can_be_skipped)
        _CHECK.non_negative(f"{name}: preparation", self.preparation)
        _CHECK.non_negative(f"{name}: max_wait", self.max_wait)
        if self.needs is not None:
            needs = _CHECK.sequence(f"{name}: needs", self.needs, Need)
            object.__setattr__(self, "needs", tuple(sorted(needs, key=lambda need: need.kind)))
        kinds = [need.kind for need in self.all_needs]
        if len(set(kinds)) < len(kinds):
            raise InvalidWorkflowError(f"{name}: needs must name each kind once, not {', '.join(kinds)}")

    @property
    def all_needs(self) -> Sequence[Need]:
        """The needs, also the one that the step has by default."""
        return _THE_DOCTOR if self.needs is None else self.needs

    @property
    def has_doctor(self) -> bool:
        """Whether the step needs the visit's doctor."""
        return any(need.kind == DOCTOR for need in self.all_needs)

    @property
    def length(self) -> timedelta:
        """The step's own duration, else its template's."""
        return self.template.default_duration if self.duration is None else self.duration

    @property
    def lead(self) -> timedelta:
        """The preparation required before the step's start."""
        return self.preparation if self.requires_preparation else _NO_TIME


@dataclass(frozen=True, slots=True)
class TimedStep:
    """A step of one visit with its times `[start_at, end_at)`; instants are aware and kept in UTC.

    The preparation lies before `start_at`. The length may differ from the workflow's if the step took longer. The
    status may be given as its text.

    Raises:
        InvalidWorkflowError: the times are naive, empty or reversed, or another field is invalid.
    """

    step: WorkflowStep
    start_at: datetime
    end_at: datetime
    status: StepStatus = StepStatus.SCHEDULED

    def __post_init__(self) -> None:
        _CHECK.instance("step", self.step, WorkflowStep)
        name = f"step {self.position}"
        try:
            span = Span(self.start_at, self.end_at)
        except InvalidSpanError as error:
            raise InvalidWorkflowError(f"{name}: {error}") from None
        object.__setattr__(self, "status", _CHECK.member(f"{name}: status", self.status, StepStatus))
        object.__setattr__(self, "start_at", span.start)
        object.__setattr__(self, "end_at", span.end)

    @property
    def position(self) -> int:
        """The step's position in the workflow."""
        return self.step.position

    @property
    def location_type(self) -> str | None:
        """The kind of place where the step happens (W7); None if the workflow leaves it open."""
        return self.step.location_type


@dataclass(frozen=True, slots=True)
class Workflow:
    """The steps of a visit for one service offering, in position order, for one insurance plan or without any.

    Raises:
        InvalidWorkflowError: two steps have the same position, an active workflow has no step, the steps with their
            preparation and longest waits last more than 366 days, or a field is invalid.
    """

    id: Id
    name: str
    service_offering_id: Id
    steps: tuple[WorkflowStep, ...]
    insurance_plan_id: Id | None = None
    total_estimated: timedelta | None = None
    active: bool = True

    def __post_init__(self) -> None:
        _CHECK.id("workflow id", self.id)
        name = f"workflow {self.id}"
        _CHECK.text(f"{name}: name", self.name)
        _CHECK.id(f"{name}: service_offering_id", self.service_offering_id)
        _CHECK.flag(f"{name}: active", self.active)
        steps = _CHECK.sequence(f"{name}: steps", self.steps, WorkflowStep)
        object.__setattr__(self, "steps", tuple(sorted(steps, key=lambda step: step.position)))
        for step, following in pairwise(self.steps):
            if step.position == following.position:
                raise InvalidWorkflowError(f"{name}: two steps are at position {step.position}")
        self._check_same_resources(name)
        if self.active and not self.steps:
            raise InvalidWorkflowError(f"{name} is active and has no step")
        if not self._ends_in_time():
            raise InvalidWorkflowError(
                f"{name}: steps with their preparation and longest waits must together last at most"
                f" {LONGEST_VISIT.days} days"
            )
        _CHECK.optional_id(f"{name}: insurance_plan_id", self.insurance_plan_id)
        if self.total_estimated is not None:
            _CHECK.non_negative(f"{name}: total_estimated", self.total_estimated)

    @property
    def estimate_error(self) -> timedelta | None:
        """The declared estimate less all steps with their preparation, without waits (W6).

        None if no estimate is declared or the two agree. The estimate is never used.
        """
        if self.total_estimated is None:
            return None
        return self.total_estimated - self._total() or None

    def _check_same_resources(self, name: str) -> None:
        """Refuse a `same_as` that names no earlier need of as many resources, and such needs of two kinds."""
        named: dict[int, dict[str, Need]] = {}
        kinds = set()
        for step in self.steps:
            for need in step.all_needs:
                if need.same_as is None:
                    continue
                kinds.add(need.kind)
                first = named.get(need.same_as, {}).get(need.kind)
                if first is None or first.same_as is not None or first.quantity != need.quantity:
                    raise InvalidWorkflowError(
                        f"{name}: step {step.position}: same_as {need.same_as} must name an earlier step that needs"
                        f" {need.quantity} of {need.kind} itself"
                    )
            named[step.position] = {need.kind: need for need in step.all_needs}
        if len(kinds) > 1:
            shown = ", ".join(sorted(kinds))
            raise InvalidWorkflowError(f"{name}: same_as is for one kind of a workflow, not for {shown}")

    def _total(self) -> timedelta:
        return sum((step.lead + step.length for step in self.steps), _NO_TIME)

    def _ends_in_time(self) -> bool:
        try:
            return self._total() + sum((step.max_wait for step in self.steps), _NO_TIME) <= LONGEST_VISIT
        except OverflowError:
            return False
