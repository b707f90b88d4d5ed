"""The pure core: standard library only; no I/O, no clock, no database. `__all__` groups its names."""

from scheduler.core.bookings import BookingContext
from scheduler.core.calendars import DoctorCalendar, Resource
from scheduler.core.candidates import Candidate
from scheduler.core.errors import (
    InvalidInputError,
    InvalidOverrideError,
    InvalidRecurrenceError,
    InvalidScheduleError,
    InvalidSpanError,
    InvalidWorkflowError,
    MissingExtraError,
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
from scheduler.core.offers import OfferedStep, VisitOffer
from scheduler.core.overrides import BookingRule, Override
from scheduler.core.policies import DaysBefore, Policy
from scheduler.core.policy_rows import Place, PolicyRow
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.reconciliation import Plan, SlotUpdate, StoredSlot, reconcile
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.search import find_visits
from scheduler.core.slots import Slot, SlotColumns, SlotIdentity, SlotKind, Slots
from scheduler.core.spans import Span, difference, intersection, union
from scheduler.core.uses import Use
from scheduler.core.visits import retime, walk, walk_back
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import Need, StepTemplate, TimedStep, Workflow, WorkflowStep

__all__ = [  # noqa: RUF022  # in groups
    # Opening times of a doctor at a facility
    "AvailabilityException", "AvailabilityRule", "Closure", "ExceptionType", "Release", "Schedule", "Span",
    "Weekday", "difference", "intersection", "union",
    # Slots, and the reasons for times without one
    "BookingContext", "Explanation", "Reason", "ReasonCode", "Slot", "SlotColumns", "SlotIdentity", "SlotKind",
    "Slots", "expand", "explain",
    # Stored slots
    "ENGINE_VERSION", "Plan", "SlotUpdate", "StoredSlot", "fingerprint", "reconcile",
    # Visits in steps
    "InsurancePlan", "Need", "PlanAcceptance", "StepTemplate", "TimedStep", "Workflow", "WorkflowStep", "retime",
    "select_workflow", "walk", "walk_back",
    # Search for visits
    "BookingRule", "Candidate", "DoctorCalendar", "OfferedStep", "Override", "Resource", "Use", "VisitOffer",
    "find_visits",
    # Policies of booking
    "DaysBefore", "Place", "Policy", "PolicyRow",
    # Life cycles of slots, appointments and steps
    "AppointmentState", "AppointmentStatus", "SlotStatus", "StepState", "StepStatus", "Transition",
    "TransitionResult", "transition",
    # Errors
    "InvalidInputError", "InvalidOverrideError", "InvalidRecurrenceError", "InvalidScheduleError",
    "InvalidSpanError", "InvalidWorkflowError", "MissingExtraError", "NotFoundError", "SchedulerError",
    "TransitionRefusedError", "WallClockError", "WorkflowNotFoundError",
]  # fmt: skip
