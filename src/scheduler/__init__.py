"""Appointment scheduling: opening times become slots, in memory or in PostgreSQL. These are the names most hosts need.

**In memory.** A schedule has the opening times of one doctor at one facility; `expand` returns its slots.

>>> from datetime import UTC, datetime, time, timedelta
>>> from scheduler import AvailabilityRule, Schedule, Span, StoredSlot, expand, explain, reconcile
>>> mondays = AvailabilityRule(1, 1, time(9), time(12), slot_duration=timedelta(minutes=30))
>>> clinic = Schedule(doctor_id=1, facility_id=1, zone="Europe/London", rules=[mondays])
>>> march = Span(datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC))
>>> slots = expand(clinic, march)
>>> len(slots)
30

`explain` names the reasons for a time without a slot; `reconcile` compares the slots with stored ones.

>>> explain(clinic, datetime(2027, 3, 1, 8, tzinfo=UTC)).codes
(<ReasonCode.OUTSIDE_RULES: 'outside_rules'>,)
>>> plan = reconcile(slots, [StoredSlot(id=1, slot=slots[0])])
>>> len(plan.keep), len(plan.create)
(1, 29)

**In PostgreSQL**, with the extra `postgres`: `upgrade` migrates a database, `Scheduler` opens it for tenants, `phi`
encrypts and decrypts health information. `AsyncScheduler` is the same with `await`; it needs the extra `async`.
`references` and `alembic_include_name` join the tables of a host to ours.

    clinic = Scheduler("postgresql://web@localhost/clinic")
    with clinic.tenant("riverside") as work:  # one transaction
        anna = work.doctors.add("Anna", "Ray", at=[work.facilities.by_slug("main")])

These names load their modules when first used: until then the library imports the standard library only.

`scheduler.core` has all names of the core, `scheduler.models` the tables, and the package of each subject the rest.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from scheduler.core import (
    AppointmentStatus,
    AvailabilityException,
    AvailabilityRule,
    BookingContext,
    BookingRule,
    Candidate,
    Closure,
    DaysBefore,
    DoctorCalendar,
    ExceptionType,
    InvalidInputError,
    MissingExtraError,
    Need,
    NotFoundError,
    OfferedStep,
    Override,
    Policy,
    PolicyRow,
    Reason,
    ReasonCode,
    Release,
    Resource,
    Schedule,
    SchedulerError,
    Slot,
    Slots,
    SlotStatus,
    Span,
    StepStatus,
    StepTemplate,
    StoredSlot,
    TransitionRefusedError,
    Use,
    VisitOffer,
    Weekday,
    Workflow,
    WorkflowStep,
    expand,
    explain,
    find_visits,
    reconcile,
    walk,
    walk_back,
)
from scheduler.core.extras import extra_needed

__all__ = [  # noqa: RUF022  # in groups
    # Opening times, slots, and the reasons for times without one
    "AvailabilityException", "AvailabilityRule", "BookingContext", "Closure", "ExceptionType", "Reason", "ReasonCode",
    "Release", "Schedule", "Slot", "Slots", "Span", "Weekday", "expand", "explain",
    # Stored slots
    "SlotStatus", "StoredSlot", "reconcile",
    # Visits in steps
    "Need", "StepTemplate", "Workflow", "WorkflowStep", "walk", "walk_back",
    # Search for visits
    "BookingRule", "Candidate", "DoctorCalendar", "OfferedStep", "Override", "Resource", "Use", "VisitOffer",
    "find_visits",
    # Errors
    "BusyError", "CheckFailedError", "DatabaseUnreachableError", "DeadlockError", "DuplicateError", "InvalidInputError",
    "MissingExtraError", "MissingReferenceError", "NotAllowedError", "NotFoundError", "SchedulerError", "StoreError",
    "TenantSuspendedError",
    # PostgreSQL: why a visit cannot be offered, held, booked or changed
    "BookingError", "CapReachedError", "HoldEndedError", "KeyReusedError", "NoSuchNeedError", "NotOfferedError",
    "OutcomeUnknownError", "OverrideNotNeededError", "PatientBusyError", "SlotTakenError", "TooLateError",
    "TooManyHoldsError", "UnknownHoldError",
    # PostgreSQL: the policies of booking
    "DaysBefore", "Policy", "PolicyRow",
    # PostgreSQL: visits that are held or booked
    "AppointmentStatus", "Booking", "DayPlan", "Delay", "Hold", "StepStatus", "TransitionRefusedError", "Visit",
    "VisitId", "VisitStep",
    # PostgreSQL: a day of an offering explained
    "DayExplanation", "ExplainedStart",
    # PostgreSQL: the front door
    "AsyncScheduler", "AsyncWork", "CodeSystem", "Period", "PoolSettings", "ScheduleChange", "Scheduler", "Visibility",
    "Work",
    # PostgreSQL: the events of visits
    "Event", "EventKind", "EventsGoneError",
    # PostgreSQL: families, their documents and errors
    "DuplicateMemberError", "FamilyDetails", "FamilyError", "FamilyStatus", "FamilySummary", "LastParentError",
    "MemberRole", "MissingParentError", "Person", "PostalAddress", "Stamp", "UserDetails", "UserSummary",
    # PostgreSQL: the ids of rows
    "CapId", "ClosureId", "DoctorId", "ExceptionId", "FacilityId", "FamilyId", "OfferingId", "PatientId", "PlanId",
    "ProviderId", "ResourceExceptionId", "ResourceId", "ResourceRuleId", "RuleId", "ServiceId", "StepTemplateId",
    "TenantId", "UserId", "WorkflowId",
    # PostgreSQL: migrations, units of work, the slot-generation job
    "Database", "GenerationRequest", "Mode", "Request", "Role", "Scope", "WorkersLostError", "act_for", "generate",
    "tenant_id_of", "upgrade",
    # PostgreSQL: a host's foreign keys to the library's tables, and its Alembic beside them
    "alembic_include_name", "references",
    # PostgreSQL: health information and the audit log
    "TenantKeys", "phi", "read_master_keys", "record_event",
]  # fmt: skip

if TYPE_CHECKING:
    from scheduler.booking.day_explanations import DayExplanation, ExplainedStart
    from scheduler.booking.delays import Delay
    from scheduler.booking.errors import (
        BookingError,
        CapReachedError,
        HoldEndedError,
        KeyReusedError,
        NoSuchNeedError,
        NotOfferedError,
        OutcomeUnknownError,
        OverrideNotNeededError,
        PatientBusyError,
        SlotTakenError,
        TooLateError,
        TooManyHoldsError,
        UnknownHoldError,
    )
    from scheduler.booking.events import Event, EventKind, EventsGoneError
    from scheduler.booking.holds import Hold
    from scheduler.booking.visits import DayPlan, Visit, VisitStep
    from scheduler.core.caps import Period
    from scheduler.core.ids import (
        CapId,
        ClosureId,
        DoctorId,
        ExceptionId,
        FacilityId,
        FamilyId,
        OfferingId,
        PatientId,
        PlanId,
        ProviderId,
        ResourceExceptionId,
        ResourceId,
        ResourceRuleId,
        RuleId,
        ServiceId,
        StepTemplateId,
        TenantId,
        UserId,
        VisitId,
        WorkflowId,
    )
    from scheduler.families.errors import DuplicateMemberError, FamilyError, LastParentError, MissingParentError
    from scheduler.families.shapes import FamilyDetails, FamilySummary, Stamp, UserDetails, UserSummary
    from scheduler.families.values import FamilyStatus, MemberRole, Person, PostalAddress
    from scheduler.front_door.async_scheduler import AsyncScheduler
    from scheduler.front_door.async_work import AsyncWork
    from scheduler.front_door.offerings import Visibility
    from scheduler.front_door.schedule_changes import ScheduleChange
    from scheduler.front_door.scheduler import Scheduler
    from scheduler.front_door.services import CodeSystem
    from scheduler.front_door.visit_booking import Booking
    from scheduler.front_door.work import Work
    from scheduler.generation.errors import WorkersLostError
    from scheduler.generation.job import generate
    from scheduler.generation.request import GenerationRequest, Mode, Scope
    from scheduler.postgres.acting import act_for
    from scheduler.postgres.audit.log import record_event
    from scheduler.postgres.database import Database, Request, Role
    from scheduler.postgres.encryption import phi
    from scheduler.postgres.encryption.master_keys import read_master_keys
    from scheduler.postgres.encryption.tenant_keys import TenantKeys
    from scheduler.postgres.errors import (
        BusyError,
        CheckFailedError,
        DatabaseUnreachableError,
        DeadlockError,
        DuplicateError,
        MissingReferenceError,
        NotAllowedError,
        StoreError,
        TenantSuspendedError,
    )
    from scheduler.postgres.pools import PoolSettings
    from scheduler.postgres.schema.host import alembic_include_name, references
    from scheduler.postgres.schema.migrations import upgrade
    from scheduler.postgres.tenants import tenant_id_of

    __version__: str
else:
    _MODULES = {
        "AsyncScheduler": "scheduler.front_door.async_scheduler",
        "AsyncWork": "scheduler.front_door.async_work",
        "Booking": "scheduler.front_door.visit_booking",
        "BookingError": "scheduler.booking.errors",
        "BusyError": "scheduler.postgres.errors",
        "CapId": "scheduler.core.ids",
        "CapReachedError": "scheduler.booking.errors",
        "CheckFailedError": "scheduler.postgres.errors",
        "ClosureId": "scheduler.core.ids",
        "CodeSystem": "scheduler.front_door.services",
        "Database": "scheduler.postgres.database",
        "DatabaseUnreachableError": "scheduler.postgres.errors",
        "DayExplanation": "scheduler.booking.day_explanations",
        "DayPlan": "scheduler.booking.visits",
        "DeadlockError": "scheduler.postgres.errors",
        "Delay": "scheduler.booking.delays",
        "DoctorId": "scheduler.core.ids",
        "DuplicateError": "scheduler.postgres.errors",
        "DuplicateMemberError": "scheduler.families.errors",
        "Event": "scheduler.booking.events",
        "EventKind": "scheduler.booking.events",
        "EventsGoneError": "scheduler.booking.events",
        "ExceptionId": "scheduler.core.ids",
        "ExplainedStart": "scheduler.booking.day_explanations",
        "FacilityId": "scheduler.core.ids",
        "FamilyDetails": "scheduler.families.shapes",
        "FamilyError": "scheduler.families.errors",
        "FamilyId": "scheduler.core.ids",
        "FamilyStatus": "scheduler.families.values",
        "FamilySummary": "scheduler.families.shapes",
        "GenerationRequest": "scheduler.generation.request",
        "Hold": "scheduler.booking.holds",
        "HoldEndedError": "scheduler.booking.errors",
        "KeyReusedError": "scheduler.booking.errors",
        "LastParentError": "scheduler.families.errors",
        "MemberRole": "scheduler.families.values",
        "MissingParentError": "scheduler.families.errors",
        "MissingReferenceError": "scheduler.postgres.errors",
        "Mode": "scheduler.generation.request",
        "NoSuchNeedError": "scheduler.booking.errors",
        "NotAllowedError": "scheduler.postgres.errors",
        "NotOfferedError": "scheduler.booking.errors",
        "OfferingId": "scheduler.core.ids",
        "OutcomeUnknownError": "scheduler.booking.errors",
        "OverrideNotNeededError": "scheduler.booking.errors",
        "PatientBusyError": "scheduler.booking.errors",
        "PatientId": "scheduler.core.ids",
        "Person": "scheduler.families.values",
        "Period": "scheduler.core.caps",
        "PlanId": "scheduler.core.ids",
        "PoolSettings": "scheduler.postgres.pools",
        "PostalAddress": "scheduler.families.values",
        "ProviderId": "scheduler.core.ids",
        "Request": "scheduler.postgres.database",
        "ResourceExceptionId": "scheduler.core.ids",
        "ResourceId": "scheduler.core.ids",
        "ResourceRuleId": "scheduler.core.ids",
        "Role": "scheduler.postgres.database",
        "RuleId": "scheduler.core.ids",
        "ScheduleChange": "scheduler.front_door.schedule_changes",
        "Scheduler": "scheduler.front_door.scheduler",
        "Scope": "scheduler.generation.request",
        "ServiceId": "scheduler.core.ids",
        "SlotTakenError": "scheduler.booking.errors",
        "Stamp": "scheduler.families.shapes",
        "StepTemplateId": "scheduler.core.ids",
        "StoreError": "scheduler.postgres.errors",
        "TenantId": "scheduler.core.ids",
        "TenantKeys": "scheduler.postgres.encryption.tenant_keys",
        "TenantSuspendedError": "scheduler.postgres.errors",
        "TooLateError": "scheduler.booking.errors",
        "TooManyHoldsError": "scheduler.booking.errors",
        "UnknownHoldError": "scheduler.booking.errors",
        "UserDetails": "scheduler.families.shapes",
        "UserId": "scheduler.core.ids",
        "UserSummary": "scheduler.families.shapes",
        "Visibility": "scheduler.front_door.offerings",
        "Visit": "scheduler.booking.visits",
        "VisitId": "scheduler.core.ids",
        "VisitStep": "scheduler.booking.visits",
        "Work": "scheduler.front_door.work",
        "WorkersLostError": "scheduler.generation.errors",
        "WorkflowId": "scheduler.core.ids",
        "act_for": "scheduler.postgres.acting",
        "alembic_include_name": "scheduler.postgres.schema.host",
        "generate": "scheduler.generation.job",
        "phi": "scheduler.postgres.encryption.phi",
        "read_master_keys": "scheduler.postgres.encryption.master_keys",
        "record_event": "scheduler.postgres.audit.log",
        "references": "scheduler.postgres.schema.host",
        "tenant_id_of": "scheduler.postgres.tenants",
        "upgrade": "scheduler.postgres.schema.migrations",
    }

    def __getattr__(name: str) -> object:
        """Load a name of the PostgreSQL half, or the version, when it is first used."""
        if name == "__version__":
            value = import_module("importlib.metadata").version("slotsmith")
        elif name in _MODULES:
            if name.startswith("Async"):
                with extra_needed(f"scheduler.{name}", "async"):
                    import_module("greenlet")  # SQLAlchemy would not name the extra
            with extra_needed(f"scheduler.{name}", "postgres"):
                module = import_module(_MODULES[name])
            value = module if _MODULES[name].endswith(f".{name}") else getattr(module, name)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*__all__, "__version__", *(name for name in globals() if name.startswith("__"))})

    # `help(scheduler)` and a star import ask for every name of the list: without the extra they have the pure half.
    if find_spec("sqlmodel") is None:
        __all__ = [name for name in __all__ if name not in _MODULES]
    if find_spec("greenlet") is None:
        __all__ = [name for name in __all__ if not name.startswith("Async")]
