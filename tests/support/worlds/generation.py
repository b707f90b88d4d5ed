"""World for generation: a tenant whose schedules are known as rows and as core values.

Rows carry the ids of the values, so that stored slots can be compared with the core's slots. The product goes the
opposite way and reads rows into values.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from hashlib import md5
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlmodel import SQLModel

from scheduler import models as rows
from scheduler.core.expansion import expand
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span
from scheduler.core.zones import local_days, zone_of
from scheduler.generation.job import generate
from scheduler.generation.report import Report
from scheduler.generation.request import GenerationRequest
from scheduler.generation.retrying import Retry, once
from scheduler.postgres.database import Database, Role

NOW = datetime(2027, 1, 1, tzinfo=UTC)
MONDAY = date(2027, 3, 22)  # the clocks of Europe go forward on the Sunday after it
MINUTE = timedelta(minutes=1)

_SLOTS = """
select start_at, end_at, doctor_id, facility_id, service_offering_id, capacity, created_from_rule_id, released_at
from scheduling.availability_slots where tenant_id = :tenant_id
"""
_ROWS = """
select doctor_id, facility_id, start_at, end_at, service_offering_id, capacity, created_from_rule_id, released_at,
    status, is_dropped
from scheduling.availability_slots where tenant_id = :tenant_id order by 1, 2, 3, 4, 5
"""
_VERSIONS = (
    "select id, start_at, xmin::text, ctid::text from scheduling.availability_slots where tenant_id = :tenant_id"
)

_PARENTS_FIRST = (
    rows.Facility,
    rows.Doctor,
    rows.FacilityDoctor,
    rows.Service,
    rows.ServiceOffering,
    rows.AvailabilityRule,
    rows.AvailabilityException,
    rows.FacilityClosure,
)


def weekly(
    doctor_id: int,
    facility_id: int = 1,
    zone: str = "Europe/London",
    *,
    exceptions: Iterable[AvailabilityException] = (),
) -> Schedule:
    """Return a schedule of mornings, Monday to Friday, in slots of half an hour; its rules are numbered by doctor."""
    rules = [
        AvailabilityRule(doctor_id * 100 + day, day, time(9), time(12), timedelta(minutes=30)) for day in range(1, 6)
    ]
    return Schedule(doctor_id, facility_id, zone, rules, exceptions)


def days(zone: str, first: date, count: int) -> Span:
    """Return local days of a zone as a span."""
    return Span(*local_days(zone_of(zone), first, first + timedelta(days=count)))


def expected(schedules: Iterable[Schedule], first: date, count: int) -> set[Slot]:
    """Return the slots of these schedules on local days, computed by the core."""
    return {slot for schedule in schedules for slot in expand(schedule, days(schedule.zone.key, first, count))}


def _minutes(length: timedelta | None) -> int | None:
    return None if length is None else length // MINUTE


def _number(id_: Id | None) -> int | None:
    return None if id_ is None else int(id_)


class World:
    """One tenant, with methods to write, generate, change and read its rows."""

    def __init__(self, database: Database, tenant_id: UUID) -> None:
        self.database, self.tenant_id = database, tenant_id

    def write(self, *schedules: Schedule) -> None:
        """Write schedules as rows: facilities, doctors, pairs, offerings, rules, exceptions and closures."""
        parts: dict[type[SQLModel], dict[int, SQLModel]] = {kind: {} for kind in _PARENTS_FIRST}
        for schedule in schedules:
            for row in self._rows(schedule):
                parts[type(row)][getattr(row, "id", 0)] = row
        self.add(*(row for alike in parts.values() for row in alike.values()))

    def run(self, first: date = MONDAY, count: int = 14, *, retry: Retry = once, **request: Any) -> Report:
        """Generate slots of local days."""
        last = first + timedelta(days=count)
        given: dict[str, Any] = {"now": NOW, "tzdata_version": "2026a"} | request
        return generate(self.database, GenerationRequest(self.tenant_id, first, last, **given), retry=retry)

    def sql(self, statement: str, **values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as the role that signed in; `:tenant_id` is this tenant."""
        with self.database.unit_of_work(role=Role.OWNER, tenant_id=self.tenant_id) as session:
            result = session.connection().execute(text(statement), {"tenant_id": self.tenant_id} | values)
            return [tuple(row) for row in result] if result.returns_rows else []

    def waiting(self) -> int:
        """Return how many sessions wait for a lock in this database."""
        waiting = (
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        )
        ((count,),) = self.sql(waiting)
        return int(count)

    def slots(self) -> set[Slot]:
        """Return the stored slots."""
        slots = [Slot(*row) for row in self.sql(_SLOTS)]
        assert len(slots) == len({slot.identity for slot in slots})
        return set(slots)

    def versions(self) -> dict[tuple[Any, ...], str]:
        """Return a mark of each stored slot that changes when its row is written."""
        return {(id_, start_at): xmin + ctid for id_, start_at, xmin, ctid in self.sql(_VERSIONS)}

    def digest(self) -> str:
        """Return the md5 of all stored slots in order, without their ids."""
        return md5(repr(self.sql(_ROWS)).encode(), usedforsecurity=False).hexdigest()

    def touch(self, start_at: datetime, doctor_id: int = 1, **columns: Any) -> None:
        """Book, hold or cancel the slot of a doctor that starts then."""
        if {"capacity", "booked_count"} <= columns.keys():  # a raised capacity counts the visits anew
            self.touch(start_at, doctor_id, capacity=columns["capacity"])
        assignments = ", ".join(f"{name} = :{name}" for name in columns)
        rows = self.sql(
            f"update scheduling.availability_slots set {assignments}"
            " where tenant_id = :tenant_id and start_at = :start_at and doctor_id = :doctor_id returning 1",
            start_at=start_at,
            doctor_id=doctor_id,
            **columns,
        )
        assert len(rows) == 1

    def state(self, doctor_id: int = 1) -> dict[str, Any]:
        """Return the checkpoint of a doctor at facility 1."""
        columns = ("fingerprint", "fingerprint_since", "generated_days::text", "last_run_id", "last_error")
        (row,) = self.sql(
            f"select {', '.join(columns)} from scheduling.schedule_states"
            " where tenant_id = :tenant_id and doctor_id = :doctor_id and facility_id = 1",
            doctor_id=doctor_id,
        )
        return dict(zip(columns, row, strict=True))

    def _rows(self, schedule: Schedule) -> Iterable[SQLModel]:
        keys: dict[str, Any] = {
            "tenant_id": self.tenant_id,
            "doctor_id": schedule.doctor_id,
            "facility_id": schedule.facility_id,
        }
        doctor, facility = int(schedule.doctor_id), int(schedule.facility_id)
        yield rows.Facility(
            tenant_id=self.tenant_id, id=facility, slug=f"place-{facility}", name="A place", timezone=schedule.zone.key
        )
        yield rows.Doctor(
            tenant_id=self.tenant_id, id=doctor, first_name="A", last_name="B", display_name=f"Doctor {doctor}"
        )
        yield rows.FacilityDoctor(**keys, id=doctor * 1000 + facility)
        for rule in schedule.rules:
            offering = _number(rule.service_offering_id)
            if offering is not None:
                yield rows.Service(tenant_id=self.tenant_id, id=offering, name="A check-up")
                yield rows.ServiceOffering(**keys, id=offering, service_id=offering)
            weekday = rule.day_of_week
            if weekday is None:
                assert rule.effective_from is not None
                weekday = rule.effective_from.isoweekday() % 7
            yield rows.AvailabilityRule(
                **keys,
                id=_number(rule.id),
                service_offering_id=offering,
                day_of_week=weekday,
                any_weekday=rule.day_of_week is None,
                start_time=rule.start_time,
                end_time=rule.end_time,
                slot_duration_minutes=rule.slot_duration // MINUTE,
                slot_interval_minutes=_minutes(rule.slot_interval),
                slot_alignment_minutes=_minutes(rule.slot_alignment),
                capacity=rule.capacity,
                effective_from=rule.effective_from,
                effective_until=rule.effective_until,
                recurrence=rule.recurrence,
                release_days_before=None if rule.release is None else rule.release.days_before,
                release_time=None if rule.release is None else rule.release.at,
                active=rule.active,
            )
        for exception in schedule.exceptions:
            yield self.exception_row(schedule, exception)
        for closure in schedule.closures:
            yield self.closure(schedule, closure)

    def exception_row(self, schedule: Schedule, exception: AvailabilityException, **columns: Any) -> SQLModel:
        """Return an exception as a row, with further columns."""
        return rows.AvailabilityException(
            tenant_id=self.tenant_id,
            doctor_id=int(schedule.doctor_id),
            facility_id=int(schedule.facility_id),
            id=_number(exception.id),
            availability_rule_id=_number(exception.rule_id),
            type=ExceptionType(exception.type).value,
            start_at=exception.start_at,
            end_at=exception.end_at,
            slot_duration_minutes=_minutes(exception.slot_duration),
            slot_interval_minutes=_minutes(exception.slot_interval),
            capacity=exception.capacity,
            **columns,
        )

    def closure(self, schedule: Schedule, closure: Closure) -> SQLModel:
        """Return a closed day as a row."""
        return rows.FacilityClosure(
            tenant_id=self.tenant_id,
            facility_id=int(schedule.facility_id),
            id=_number(closure.id),
            day=closure.day,
            start_time=closure.start_time,
            end_time=closure.end_time,
        )

    def book(self, start_at: datetime, *, doctor_id: int = 1, facility_id: int = 1, **columns: Any) -> SQLModel:
        """Write a visit on the slot of a doctor that starts then."""
        ((slot_id,),) = self.sql(
            "select id from scheduling.availability_slots where tenant_id = :tenant_id"
            " and doctor_id = :doctor_id and facility_id = :facility_id and start_at = :start_at",
            start_at=start_at,
            doctor_id=doctor_id,
            facility_id=facility_id,
        )
        on = {"availability_slot_id": slot_id, "slot_start_at": start_at}
        return self.visit(start_at, doctor_id=doctor_id, facility_id=facility_id, **on, **columns)

    def visit(
        self, start_at: datetime, *, number: int = 1, doctor_id: int = 1, facility_id: int = 1, **columns: Any
    ) -> SQLModel:
        """Write a visit of 30 minutes without a slot, and the rows that it needs; `number` is its id."""
        key: dict[str, Any] = {"tenant_id": self.tenant_id, "id": number}
        pair: dict[str, Any] = {"doctor_id": doctor_id, "facility_id": facility_id}
        end_at = start_at + timedelta(minutes=30)
        visit = rows.Appointment(
            **key,
            **pair,
            patient_id=number,
            service_offering_id=number,
            service_workflow_id=number,
            start_at=start_at,
            end_at=end_at,
            **columns,
        )
        self.add(
            rows.Service(**key, name="A check-up"),
            rows.ServiceOffering(**key, **pair, service_id=number),
            rows.ServiceWorkflow(**key, service_offering_id=number, name="A visit", total_estimated_minutes=30),
            rows.Patient(**key, first_name="Bo", last_name="C", email="bo@example.org"),
            visit,
        )
        return visit

    def add(self, *added: SQLModel) -> None:
        """Write rows in their order, parents first; neighbours of one table go in one statement."""
        with self.database.unit_of_work(role=Role.OWNER, tenant_id=self.tenant_id) as session:
            for _, alike in groupby(added, key=type):
                session.add_all(alike)
                session.flush()
