"""Wrong kinds of value for every argument of the core's public names: each is refused, and the message names it.

The tables below list the names and parameters by kind. A new name or parameter without an entry fails a test.
"""

import enum
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from inspect import isclass, signature
from typing import Any

import pytest

from scheduler import core
from scheduler.core import (
    AppointmentState,
    AppointmentStatus,
    AvailabilityException,
    AvailabilityRule,
    BookingContext,
    BookingRule,
    Candidate,
    Closure,
    DaysBefore,
    DoctorCalendar,
    InsurancePlan,
    Need,
    Override,
    PlanAcceptance,
    PolicyRow,
    Release,
    Resource,
    Schedule,
    SchedulerError,
    Slot,
    Span,
    StepState,
    StepStatus,
    StepTemplate,
    StoredSlot,
    TimedStep,
    Transition,
    Use,
    Workflow,
    WorkflowStep,
    difference,
    expand,
    explain,
    find_visits,
    fingerprint,
    intersection,
    reconcile,
    retime,
    select_workflow,
    transition,
    union,
    walk,
    walk_back,
)
from scheduler.core.lifecycle import Subject, SubjectKind

NAIVE = datetime(2027, 3, 1, 9)
NINE, TEN = NAIVE.replace(tzinfo=UTC), NAIVE.replace(hour=10, tzinfo=UTC)
DAY, HALF = date(2027, 3, 1), timedelta(minutes=30)

# Values that no argument of the kind accepts.
NOT_IDS = (None, True, 1.5, [1])
NOT_TEXTS = (None, 1, " ", ["text"])
NOT_FLAGS = (None, 0, 1, "false", "no")
NOT_COUNTS = (None, 0, True, 1.5, "1")
NOT_INSTANTS = (None, 5, "2027-03-01", DAY, NAIVE)
NOT_DAYS = (5, "2027-03-01", NINE)
NOT_CLOCKS = (5, "09:00", time(9, tzinfo=UTC))
NOT_LENGTHS = (30, "30", -HALF)
NOT_SLOT_LENGTHS = (*NOT_LENGTHS, timedelta(0), timedelta(microseconds=1), timedelta(days=20))
NOT_SEQUENCES = (None, 1, "text", [1], [None], {"a": 1})
NOT_OBJECTS: tuple[object, ...] = (1, "text", [], object)
NOT_STATUSES = (None, 1, "foo", ["scheduled"])

TEMPLATE = StepTemplate(1, "check-up", HALF)
STEP = WorkflowStep(1, TEMPLATE, can_be_skipped=True)
TIMED = TimedStep(STEP, NINE, TEN)
WORKFLOW = Workflow(1, "visit", 1, (STEP, WorkflowStep(2, TEMPLATE)))
RULE = AvailabilityRule(1, 1, time(9), time(12), HALF)
SCHEDULE = Schedule(7, 5, "Europe/London", [RULE])
SLOT = Slot(NINE, TEN, 7, 5)
STORED = StoredSlot(1, SLOT)
STATE = AppointmentState(1, AppointmentStatus.SCHEDULED, (StepState(1),))
SPAN = Span(NINE, TEN)
CALENDAR = DoctorCalendar(SCHEDULE)
BLOCK = AvailabilityException(1, "blocked", NINE, TEN)  # type: ignore[arg-type]

# For each callable: valid arguments, and for each parameter the values that it refuses.
Wrong = tuple[Any, ...]
CASES: dict[Callable[..., object], tuple[dict[str, Any], dict[str, Wrong]]] = {
    AvailabilityRule: (
        {"id": 1, "day_of_week": 1, "start_time": time(9), "end_time": time(12), "slot_duration": HALF},
        {
            "id": NOT_IDS,
            "day_of_week": (7, -1, True, 1.0, "MO"),
            "start_time": (None, *NOT_CLOCKS),
            "end_time": (None, *NOT_CLOCKS),
            "slot_duration": (None, *NOT_SLOT_LENGTHS),
            "slot_interval": NOT_SLOT_LENGTHS,
            "slot_alignment": NOT_SLOT_LENGTHS,
            "capacity": NOT_COUNTS,
            "service_offering_id": NOT_IDS[1:],
            "effective_from": NOT_DAYS,
            "effective_until": NOT_DAYS,
            "recurrence": NOT_TEXTS[1:],
            "active": NOT_FLAGS,
            "release": (*NOT_OBJECTS, Release(0, time(9, 1))),
        },
    ),
    Release: (
        {"days_before": 7, "at": time(8)},
        {"days_before": (None, -1, True, 1.5, "1", 367), "at": (None, *NOT_CLOCKS)},
    ),
    AvailabilityException: (
        {"id": 1, "type": "override", "start_at": NINE, "end_at": TEN},
        {
            "id": NOT_IDS,
            "type": NOT_STATUSES,
            "start_at": NOT_INSTANTS,
            "end_at": NOT_INSTANTS,
            "rule_id": NOT_IDS[1:],
            "slot_duration": NOT_SLOT_LENGTHS,
            "slot_interval": NOT_SLOT_LENGTHS,
            "capacity": NOT_COUNTS[1:],
        },
    ),
    AvailabilityException.concerns: ({"self": BLOCK, "rule_id": 1}, {"rule_id": NOT_IDS[1:]}),
    AvailabilityException.overlaps: (
        {"self": BLOCK, "start_at": NINE, "end_at": TEN},
        {"start_at": NOT_INSTANTS, "end_at": NOT_INSTANTS},
    ),
    Closure: (
        {"id": 1, "day": DAY, "start_time": time(13), "end_time": time(0)},
        {
            "id": NOT_IDS,
            "day": (None, *NOT_DAYS),
            "start_time": (None, *NOT_CLOCKS),
            "end_time": (None, *NOT_CLOCKS),
        },
    ),
    Schedule: (
        {"doctor_id": 7, "facility_id": 5, "zone": "UTC"},
        {
            "doctor_id": NOT_IDS,
            "facility_id": NOT_IDS,
            "zone": (None, 1, "Europe/Londn", UTC),
            "rules": (RULE, [[RULE]], *NOT_SEQUENCES),
            "exceptions": (BLOCK, *NOT_SEQUENCES),
            "closures": (Closure(1, DAY), [DAY], *NOT_SEQUENCES),
        },
    ),
    Span: ({"start": NINE, "end": TEN}, {"start": NOT_INSTANTS, "end": NOT_INSTANTS}),
    Span.overlaps: ({"self": SPAN, "other": SPAN}, {"other": (None, NINE, (NINE, TEN))}),
    union: ({"spans": [SPAN]}, {"spans": (SPAN, [(NINE, TEN)], *NOT_SEQUENCES)}),
    intersection: (
        {"first": [SPAN], "second": [SPAN]},
        {"first": (SPAN, *NOT_SEQUENCES), "second": (SPAN, *NOT_SEQUENCES)},
    ),
    difference: (
        {"first": [SPAN], "second": [SPAN]},
        {"first": (SPAN, *NOT_SEQUENCES), "second": (SPAN, *NOT_SEQUENCES)},
    ),
    Slot: (
        {"start_at": NINE, "end_at": TEN, "doctor_id": 7, "facility_id": 5},
        {
            "start_at": NOT_INSTANTS,
            "end_at": NOT_INSTANTS,
            "doctor_id": NOT_IDS,
            "facility_id": NOT_IDS,
            "service_offering_id": NOT_IDS[1:],
            "capacity": NOT_COUNTS,
            "rule_id": NOT_IDS[1:],
            "released_at": NOT_INSTANTS[1:],
        },
    ),
    StoredSlot: (
        {"id": 1, "slot": SLOT},
        {
            "id": NOT_IDS,
            "slot": (None, tuple(SLOT), *NOT_OBJECTS),
            "status": (StepStatus.CANCELLED, *NOT_STATUSES),
            "booked_count": (None, True, 0.5, "0"),
            "reserved_until": NOT_INSTANTS[1:],
            "held_count": (None, True, -1, 0.5, "0"),
            "is_dropped": (None, 0, "f"),
        },
    ),
    StoredSlot.is_held: ({"self": STORED, "now": NINE}, {"now": NOT_INSTANTS[1:]}),
    StoredSlot.is_reserved: ({"self": STORED, "now": NINE}, {"now": NOT_INSTANTS[1:]}),
    BookingContext: (
        {},
        {
            "stored": (STORED, [SLOT], *NOT_SEQUENCES),
            "uses": (SPAN, [SPAN], *NOT_SEQUENCES),
            "now": NOT_INSTANTS[1:],
            "notice": (None, *NOT_LENGTHS),
            "horizon": NOT_LENGTHS,
        },
    ),
    BookingContext.reasons_against: (
        {"self": BookingContext(), "slot": SLOT},
        {"slot": (None, STORED, tuple(SLOT), *NOT_OBJECTS)},
    ),
    BookingContext.takers: (
        {"self": BookingContext(), "slot": SLOT},
        {"slot": (None, STORED, tuple(SLOT), *NOT_OBJECTS)},
    ),
    BookingContext.check_doctor: (
        {"self": BookingContext([STORED]), "doctor_id": 7},
        {"doctor_id": (*NOT_IDS, 8)},
    ),
    BookingContext.taken_in: (
        {"self": BookingContext([STORED]), "span": SPAN, "facility_id": 5},
        {"span": (None, (NINE, TEN), *NOT_OBJECTS), "facility_id": NOT_IDS},
    ),
    expand: (
        {"schedule": SCHEDULE, "span": SPAN},
        {"schedule": (None, RULE, *NOT_OBJECTS), "span": (None, (NINE, TEN), *NOT_OBJECTS)},
    ),
    explain: (
        {"schedule": SCHEDULE, "at": NINE},
        {
            "schedule": (None, RULE, *NOT_OBJECTS),
            "at": (None, 5, "2027-03-01", NAIVE),
            "bookings": ([STORED], *NOT_OBJECTS),
            "search": (None, *NOT_LENGTHS),
        },
    ),
    fingerprint: (
        {"schedule": SCHEDULE, "tzdata_version": "2026f"},
        {"schedule": (None, RULE, *NOT_OBJECTS), "tzdata_version": NOT_TEXTS, "since": NOT_DAYS},
    ),
    reconcile: (
        {"desired": [SLOT], "stored": [STORED]},
        {
            "desired": (SLOT, [STORED], *NOT_SEQUENCES),
            "stored": (STORED, [SLOT], *NOT_SEQUENCES),
            "exceptions": (BLOCK, [SLOT], *NOT_SEQUENCES),
            "now": ("x", *NOT_INSTANTS[1:]),
        },
    ),
    StepTemplate: (
        {"id": 1, "name": "check-up", "default_duration": HALF},
        {
            "id": NOT_IDS,
            "name": NOT_TEXTS,
            "default_duration": (None, timedelta(0), *NOT_LENGTHS),
            "requires_location": NOT_FLAGS,
        },
    ),
    DaysBefore: ({"days": 1, "until": time(16)}, {"days": (None, True, -1, 1.5, "1"), "until": (None, *NOT_CLOCKS)}),
    PolicyRow: (
        {},
        {
            "place": (None, ("web",), *NOT_OBJECTS),
            "notice": NOT_LENGTHS,
            "horizon": (True, -1, 1.5, "1", HALF),
            "hold_lasts": (timedelta(0), *NOT_LENGTHS),
            "offer_lasts": (timedelta(0), *NOT_LENGTHS),
            "cancel_until": NOT_LENGTHS,
        },
    ),
    Override: (
        {"reason": "urgent", "rules": [BookingRule.CAP]},
        {"reason": NOT_TEXTS, "rules": ([], ["cap"], BookingRule.CAP, *NOT_SEQUENCES)},
    ),
    Need: (
        {"kind": "room"},
        {"kind": (*NOT_TEXTS, "patient"), "quantity": NOT_COUNTS, "same_as": NOT_COUNTS[1:]},
    ),
    WorkflowStep: (
        {"position": 1, "template": TEMPLATE},
        {
            "position": NOT_COUNTS,
            "template": (None, *NOT_OBJECTS),
            "duration": (timedelta(0), *NOT_LENGTHS),
            "location_type": NOT_TEXTS[1:],
            "requires_preparation": NOT_FLAGS,
            "can_be_skipped": NOT_FLAGS,
            "preparation": (None, *NOT_LENGTHS),
            "max_wait": (None, *NOT_LENGTHS),
            "needs": (1, "doctor", ["doctor"], [None]),
        },
    ),
    Use: (
        {"span": SPAN},
        {
            "span": (None, *NOT_OBJECTS),
            "slot": NOT_OBJECTS,
            "id": NOT_IDS[1:],
            "ends_at": NOT_INSTANTS[1:],
            "facility_id": NOT_IDS[1:],
        },
    ),
    Use.is_in_force: ({"self": Use(SPAN), "now": NINE}, {"now": NOT_INSTANTS[1:]}),
    DoctorCalendar: (
        {"schedule": SCHEDULE},
        {"schedule": (None, *NOT_OBJECTS), "uses": NOT_SEQUENCES, "full": NOT_SEQUENCES},
    ),
    Resource: (
        {"id": 1, "kind": "room", "facility_id": 5},
        {
            "id": NOT_IDS,
            "kind": NOT_TEXTS,
            "facility_id": NOT_IDS,
            "opening": NOT_OBJECTS,
            "uses": NOT_SEQUENCES,
            "doctor_id": NOT_IDS[1:],
        },
    ),
    Candidate: (
        {"offering_id": 1, "workflow": WORKFLOW, "calendar": CALENDAR},
        {
            "offering_id": NOT_IDS,
            "workflow": (None, *NOT_OBJECTS),
            "calendar": (None, *NOT_OBJECTS),
            "buffer_before": (None, *NOT_LENGTHS),
            "buffer_after": (None, *NOT_LENGTHS),
            "bookable": NOT_OBJECTS,
            "capped": (SPAN, *NOT_SEQUENCES),
            "released_by": NOT_INSTANTS[1:],
            "needs_slot": NOT_FLAGS,
        },
    ),
    find_visits: (
        {"candidates": [], "resources": [], "span": SPAN},
        {
            "candidates": NOT_SEQUENCES,
            "resources": NOT_SEQUENCES,
            "span": (None, *NOT_OBJECTS),
            "patient": NOT_SEQUENCES,
            "skip": (None, 1, "text", ["a"], [None]),
            "weekdays": NOT_SEQUENCES,
            "part_of_day": (1, "text", [time(9)], (time(9), 5), (time(9, tzinfo=UTC), time(10))),
        },
    ),
    TimedStep: (
        {"step": STEP, "start_at": NINE, "end_at": TEN},
        {
            "step": (None, *NOT_OBJECTS),
            "start_at": NOT_INSTANTS,
            "end_at": NOT_INSTANTS,
            "status": (AppointmentStatus.CANCELLED, *NOT_STATUSES),
        },
    ),
    Workflow: (
        {"id": 1, "name": "visit", "service_offering_id": 1, "steps": (STEP,)},
        {
            "id": NOT_IDS,
            "name": NOT_TEXTS,
            "service_offering_id": NOT_IDS,
            "steps": (
                STEP,
                [TEMPLATE],
                [WorkflowStep(number, TEMPLATE, timedelta.max) for number in (1, 2)],
                [WorkflowStep(1, TEMPLATE, timedelta(days=4_000_000))],
                *NOT_SEQUENCES,
            ),
            "insurance_plan_id": NOT_IDS[1:],
            "total_estimated": NOT_LENGTHS,
            "active": NOT_FLAGS,
        },
    ),
    InsurancePlan: (
        {"id": 1, "name": "gold"},
        {"id": NOT_IDS, "name": NOT_TEXTS, "effective_from": NOT_DAYS, "effective_to": NOT_DAYS},
    ),
    PlanAcceptance: (
        {"facility_id": 5, "insurance_plan_id": 1},
        {
            "facility_id": NOT_IDS,
            "insurance_plan_id": NOT_IDS,
            "enabled": NOT_FLAGS,
            "accepted_since": NOT_DAYS,
        },
    ),
    select_workflow: (
        {"workflows": [WORKFLOW], "service_offering_id": 1, "day": DAY},
        {
            "workflows": (WORKFLOW, [STEP], *NOT_SEQUENCES),
            "service_offering_id": NOT_IDS,
            "day": (None, *NOT_DAYS),
            "insurance_plan": NOT_OBJECTS,
            "acceptance": NOT_OBJECTS,
        },
    ),
    walk: (
        {"workflow": WORKFLOW, "start_at": NINE},
        {
            "workflow": (None, [STEP], *NOT_OBJECTS),
            "start_at": NOT_INSTANTS,
            "skip": (None, 1, "1", [True], ["1"], [1.0], [[]]),
            "waits": (1, [1], {True: HALF}, {"1": HALF}, {1: 30}),
        },
    ),
    walk_back: (
        {"workflow": WORKFLOW, "at": NINE},
        {
            "workflow": (None, [STEP], *NOT_OBJECTS),
            "at": NOT_INSTANTS,
            "anchor": (True, "1", 1.0, [], 99),
            "skip": (None, 1, "1", [True], ["1"], [1.0], [[]]),
            "waits": (1, [1], {True: HALF}, {"1": HALF}, {1: 30}),
        },
    ),
    retime: (
        {"steps": [TIMED], "now": NINE},
        {"steps": (TIMED, [STEP], *NOT_SEQUENCES), "now": NOT_INSTANTS},
    ),
    transition: (
        {"current": AppointmentStatus.SCHEDULED, "to": "checked_in"},
        {"current": ("scheduled", *NOT_STATUSES), "to": NOT_STATUSES},
    ),
    AppointmentState: (
        {"id": 1},
        {
            "id": NOT_IDS,
            "status": (StepStatus.SCHEDULED, *NOT_STATUSES),
            "steps": (None, 1, "text", [1], [(1,)], [(1, 2, 3)], [(None, "scheduled")], [(1, "foo")]),
        },
    ),
    AppointmentState.transition: (
        {"self": STATE, "to": "checked_in", "at": NINE, "by": 9},
        {"to": NOT_STATUSES, "at": NOT_INSTANTS, "by": NOT_IDS},
    ),
    AppointmentState.transition_step: (
        {"self": STATE, "step_id": 1, "to": "cancelled", "at": NINE, "by": 9},
        {"step_id": (*NOT_IDS, 99), "to": NOT_STATUSES, "at": NOT_INSTANTS, "by": NOT_IDS},
    ),
    Transition: (
        {
            "subject": Subject(SubjectKind.APPOINTMENT, 1),
            "before": AppointmentStatus.SCHEDULED,
            "after": AppointmentStatus.CHECKED_IN,
            "at": NINE,
            "by": 9,
        },
        {
            "subject": (None, (SubjectKind.APPOINTMENT, 1), *NOT_OBJECTS),
            "before": NOT_STATUSES,
            "after": NOT_STATUSES,
            "at": NOT_INSTANTS,
            "by": NOT_IDS,
        },
    ),
}
# Values that the library returns, and a step's state, which `AppointmentState` checks.
NOT_CHECKED = {"Explanation", "Plan", "Reason", "SlotColumns", "SlotIdentity", "SlotKind", "SlotUpdate", "Slots"} | {
    "OfferedStep",
    "Place",
    "Policy",
    "StepState",
    "TransitionResult",
    "VisitOffer",
}
# Words by which a message may name a parameter instead.
OTHER_NAMES = {
    (AvailabilityException, "start_at"): "start",
    (AvailabilityException, "end_at"): "end",
    (TimedStep, "start_at"): "start",
    (TimedStep, "end_at"): "end",
    (Schedule, "zone"): "time zone",
    (walk, "waits"): "wait",
    (walk_back, "waits"): "wait",
    (AppointmentState, "steps"): "step",
    (AppointmentState.transition_step, "step_id"): "step",
    (BookingContext.check_doctor, "doctor_id"): "doctor",
}


def public_callables() -> list[Callable[..., object]]:
    """Return the functions of `scheduler.core`, the classes and their public methods, without errors."""
    found: list[Callable[..., object]] = []
    for name in core.__all__:
        value = getattr(core, name)
        if name in NOT_CHECKED or not callable(value):
            continue
        if not isclass(value):
            found.append(value)
        elif not issubclass(value, enum.Enum | SchedulerError):
            methods = [method for attribute, method in vars(value).items() if not attribute.startswith("_")]
            found += [value, *(method for method in methods if callable(method))]
    return found


def with_arguments(function: Callable[..., object], arguments: dict[str, Any]) -> object:
    """Call a function with arguments by name, those of a method with its object."""
    arguments = dict(arguments)
    own = [arguments.pop("self")] if "self" in arguments else []
    return function(*own, **arguments)


def test_every_public_callable_and_its_parameters_have_wrong_values() -> None:
    """A new callable or parameter needs an entry above."""
    assert {function.__qualname__ for function in CASES} == {function.__qualname__ for function in public_callables()}
    for function, (_, wrong) in CASES.items():
        assert set(wrong) == set(signature(function).parameters) - {"self"}, function.__qualname__


@pytest.mark.parametrize("function", CASES, ids=lambda function: function.__qualname__)
def test_valid_arguments_are_accepted(function: Callable[..., object]) -> None:
    """Without this, the refusals below might concern another argument."""
    with_arguments(function, CASES[function][0])


@pytest.mark.parametrize(
    ("function", "parameter"),
    [(function, parameter) for function, (_, wrong) in CASES.items() for parameter in wrong],
    ids=lambda value: value if isinstance(value, str) else value.__qualname__,
)
def test_a_wrong_value_is_refused_and_its_argument_named(function: Callable[..., object], parameter: str) -> None:
    valid, wrong = CASES[function]
    for value in wrong[parameter]:
        with pytest.raises(SchedulerError) as refused:
            with_arguments(function, {**valid, parameter: value})
        name = OTHER_NAMES.get((function, parameter), parameter)
        assert re.search(rf"\b({parameter}|{name})\b", str(refused.value)), (value, str(refused.value))
