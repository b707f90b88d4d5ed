"""Appointment scheduling and slot generation: the public names of the pure core.

>>> from datetime import UTC, datetime, time, timedelta
>>> from scheduler import AvailabilityRule, Schedule, Span, expand
>>> mondays = AvailabilityRule(1, 1, time(9), time(12), slot_duration=timedelta(minutes=30))
>>> clinic = Schedule(doctor_id=1, facility_id=1, zone="Europe/London", rules=[mondays])
>>> march = Span(datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC))
>>> len(expand(clinic, march))
30
"""

from scheduler.core.bookings import BookingContext
from scheduler.core.errors import (
    InvalidInputError,
    InvalidRecurrenceError,
    InvalidScheduleError,
    InvalidSpanError,
    InvalidWorkflowError,
    NotFoundError,
    SchedulerError,
    TransitionRefusedError,
    WallClockError,
    WorkflowNotFoundError,
)
from scheduler.core.expansion import expand
from scheduler.core.explanation import Explanation, explain
from scheduler.core.fingerprints import ENGINE_VERSION, fingerprint
from scheduler.core.insurance import InsurancePlan, PlanAcceptance, select_workflow
from scheduler.core.lifecycle import (
    AppointmentState,
    AppointmentStatus,
    SlotStatus,
    StepState,
    StepStatus,
    Transition,
    TransitionResult,
    transition,
)
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.reconciliation import Plan, SlotUpdate, StoredSlot, reconcile
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.slots import Slot, SlotColumns, SlotIdentity, SlotKind, Slots
from scheduler.core.spans import Span, difference, intersection, union
from scheduler.core.visits import retime, walk, walk_back
from scheduler.core.workflows import StepTemplate, TimedStep, Workflow, WorkflowStep
from scheduler.postgres.errors import DatabaseUnreachableError, SchemaMismatchError, StoreError

__all__ = [
    "ENGINE_VERSION",
    "AppointmentState",
    "AppointmentStatus",
    "AvailabilityException",
    "AvailabilityRule",
    "BookingContext",
    "Closure",
    "DatabaseUnreachableError",
    "ExceptionType",
    "Explanation",
    "InsurancePlan",
    "InvalidInputError",
    "InvalidRecurrenceError",
    "InvalidScheduleError",
    "InvalidSpanError",
    "InvalidWorkflowError",
    "NotFoundError",
    "Plan",
    "PlanAcceptance",
    "Reason",
    "ReasonCode",
    "Schedule",
    "SchedulerError",
    "SchemaMismatchError",
    "Slot",
    "SlotColumns",
    "SlotIdentity",
    "SlotKind",
    "SlotStatus",
    "SlotUpdate",
    "Slots",
    "Span",
    "StepState",
    "StepStatus",
    "StepTemplate",
    "StoreError",
    "StoredSlot",
    "TimedStep",
    "Transition",
    "TransitionRefusedError",
    "TransitionResult",
    "WallClockError",
    "Workflow",
    "WorkflowNotFoundError",
    "WorkflowStep",
    "difference",
    "expand",
    "explain",
    "fingerprint",
    "intersection",
    "reconcile",
    "retime",
    "select_workflow",
    "transition",
    "union",
    "walk",
    "walk_back",
]
