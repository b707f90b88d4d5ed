"""Reading of a doctor's day: what the tables say about it becomes the entries of a timeline.

Owns: which rows make which entries, and which words about people an entry has.
Must not know: how a timeline is drawn.

Without `names`, no entry has the name of a patient, the label of a hold, the reason of a cancellation, which often
tells about the patient, or that of an exception, which often tells about the doctor. Closed days have their reason.
"""

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func
from sqlmodel import col, or_, select

from scheduler import models
from scheduler.booking.visits import DayPlan, Visit
from scheduler.cli.day_timeline import Entry, Kind, Part, Timeline
from scheduler.cli.desk import Names
from scheduler.cli.rendering import between
from scheduler.cli.show import closed_time
from scheduler.core.ids import DoctorId
from scheduler.core.lifecycle import AppointmentStatus, SlotStatus
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from scheduler.core.zones import local_days, zone_of
from scheduler.front_door.work import Work
from scheduler.postgres.facilities import FacilityView, closures_between, exceptions_between
from scheduler.postgres.uses import uses_of

_MINUTE = timedelta(minutes=1)
_OVER = (AppointmentStatus.CANCELLED, AppointmentStatus.NO_SHOW)


def read_timeline(work: Work, doctor_id: int, day: date, *, names: bool) -> Timeline:
    """Return the timeline of a local day of a doctor at all facilities.

    Raises:
        NotFoundError: there is no such doctor.
        WallClockError: the day lies in the first or last days of the calendar.
    """
    doctor = work.doctors.get(DoctorId(doctor_id))
    reading = _Reading(work, doctor_id, day, names=names)
    return Timeline(doctor=doctor.display_name, day=day, entries=tuple(reading.entries()))


class _Reading:
    """The rows of one day of a doctor, read as entries."""

    def __init__(self, work: Work, doctor_id: int, day: date, *, names: bool) -> None:
        self._work, self._session, self._names = work, work.session, Names(work)
        self._doctor_id, self._day, self._has_names = doctor_id, day, names
        self._plan: DayPlan = work.visits.of_day(DoctorId(doctor_id), day)
        self._facilities = self._read_facilities()

    def entries(self) -> Iterator[Entry]:
        """Yield the entries of the day, those of each facility after another."""
        for visit in self._plan.visits:
            yield self._visit(visit)
        yield from self._gaps()
        for facility in self._facilities:
            zone = zone_of(facility.zone)
            begin, end = local_days(zone, self._day)
            if begin < end:  # the zone has this day
                holds = list(self._holds(facility, begin, end))
                yield from (self._hold(hold, zone) for hold in holds)
                yield from self._reserved(facility, begin, end)
                yield from self._other_uses(facility, Span(begin, end), {hold.id for hold in holds})
                yield from self._exceptions(facility, begin, end)
                yield from self._closures(facility, begin, end)

    def _read_facilities(self) -> list[FacilityView]:
        """Return the facilities where the doctor works, or has something on this day."""
        post = models.FacilityDoctor
        ids: set[int] = {int(visit.facility_id) for visit in self._plan.visits}
        ids |= set(self._session.exec(select(post.facility_id).where(post.doctor_id == self._doctor_id)))
        found = (self._names.facility(id_) for id_ in sorted(ids))
        return [FacilityView(row.id or 0, row.slug, row.name, row.timezone, ()) for row in found]

    def _at(self, facility_id: int) -> str:
        """Return where it is, if the doctor works at several facilities."""
        return f" at {self._names.facility(facility_id).name}" if len(self._facilities) > 1 else ""

    def _visit(self, visit: Visit) -> Entry:
        patient = f"patient {visit.patient_id}"
        if self._has_names:
            patient += f" {self._names.patient(visit.patient_id)}"
        service = self._names.service(visit.offering_id)
        text = f"visit {visit.id}: {service}{self._at(visit.facility_id)}, {patient}, {_words(visit.status)}"
        if visit.cancellation_reason and self._has_names:
            text += f": {visit.cancellation_reason}"
        parts = []
        for step in visit.steps:
            where = [step.location] if step.location else []
            where += [self._names.resource(id_) for of_kind in step.resources.values() for id_ in of_kind]
            about = f" ({', '.join(where)})" if where else ""
            status = "" if step.status.value == visit.status.value else f", {_words(step.status)}"
            parts.append(Part(step.start_at, step.end_at, f"{step.name}{about}{status}"))
        kind = Kind.CANCELLED if visit.status in _OVER else Kind.VISIT
        return Entry(
            kind=kind,
            start_at=visit.start_at,
            end_at=visit.end_at,
            zone=zone_of(visit.zone),
            text=text,
            parts=tuple(parts),
        )

    def _gaps(self) -> Iterator[Entry]:
        """Yield the open time: slots of one length, one after another, are one gap."""
        for run in _runs(self._plan.open_slots):
            first, length = run[0], (run[0].end_at - run[0].start_at) // _MINUTE
            facility = self._names.facility(int(first.facility_id))
            slots = f"{len(run)} slots of {length} minutes" if len(run) > 1 else f"a slot of {length} minutes"
            offering = first.service_offering_id
            only = f", only for {self._names.service(int(offering))}" if offering is not None else ""
            yield Entry(
                kind=Kind.OPEN,
                start_at=first.start_at,
                end_at=run[-1].end_at,
                zone=zone_of(facility.timezone),
                text=f"open: {slots}{self._at(int(first.facility_id))}{only}",
            )

    def _holds(self, facility: FacilityView, begin: datetime, end: datetime) -> Iterable[models.Hold]:
        hold = models.Hold
        query = select(hold).where(
            hold.doctor_id == self._doctor_id,
            hold.facility_id == facility.id,
            col(hold.start_at) < end,
            col(hold.end_at) > begin,
            col(hold.ends_at) > func.scheduling.clock(),
        )
        return self._session.exec(query)

    def _hold(self, hold: models.Hold, zone: ZoneInfo) -> Entry:
        service = self._names.service(hold.service_offering_id)
        label = f", {hold.label}" if hold.label and self._has_names else ""
        ends_at = hold.ends_at.astimezone(zone)
        until = f"{ends_at:%H:%M}" if ends_at.date() == self._day else f"{ends_at:%a %d %b %H:%M}"
        text = f"held until {until}: {service}{self._at(hold.facility_id)}{label}"
        parts = tuple(self._hold_parts(hold))
        return Entry(kind=Kind.HELD, start_at=hold.start_at, end_at=hold.end_at, zone=zone, text=text, parts=parts)

    def _hold_parts(self, hold: models.Hold) -> Iterator[Part]:
        for step in hold.steps:
            assert isinstance(step, dict)  # noqa: S101  # as holds are written
            start_at, end_at = (datetime.fromisoformat(str(step[name])) for name in ("start_at", "end_at"))
            ids = step.get("resources")
            resources = [self._names.resource(int(str(id_))) for id_ in ids] if isinstance(ids, list) else []
            about = f" ({', '.join(resources)})" if resources else ""
            yield Part(start_at, end_at, f"{self._names.step(int(str(step['workflow_step_id'])))}{about}")

    def _reserved(self, facility: FacilityView, begin: datetime, end: datetime) -> Iterator[Entry]:
        """Yield the slots that the host has reserved by SQL of its own."""
        slot = models.AvailabilitySlot
        lasts = or_(col(slot.reserved_until).is_(None), col(slot.reserved_until) > func.scheduling.clock())
        query = select(slot.start_at, slot.end_at).where(
            slot.doctor_id == self._doctor_id,
            slot.facility_id == facility.id,
            slot.start_at >= begin,
            slot.start_at < end,
            slot.status == SlotStatus.RESERVED.value,
            lasts,
        )
        for start_at, end_at in self._session.exec(query):
            text = f"reserved{self._at(facility.id)}"
            yield Entry(kind=Kind.HELD, start_at=start_at, end_at=end_at, zone=zone_of(facility.zone), text=text)

    def _other_uses(self, facility: FacilityView, span: Span, holds: set[int | None]) -> Iterator[Entry]:
        """Yield the time that visits and holds of other doctors, or of the days around, take of the doctor."""
        visits = {visit.id for visit in self._plan.visits}
        zone = zone_of(facility.zone)
        for use in uses_of(self._session, [self._doctor_id], span).get(self._doctor_id, ()):
            is_shown = use.id in (visits if use.ends_at is None else holds)
            if use.facility_id == facility.id and not is_shown:
                text = f"taken by {'visit' if use.ends_at is None else 'hold'} {use.id}{self._at(facility.id)}"
                start_at, end_at = max(use.span.start, span.start), min(use.span.end, span.end)
                yield Entry(kind=Kind.TAKEN, start_at=start_at, end_at=end_at, zone=zone, text=text)

    def _exceptions(self, facility: FacilityView, begin: datetime, end: datetime) -> Iterator[Entry]:
        zone = zone_of(facility.zone)
        for start_at, end_at, row in exceptions_between(self._session, facility, begin, end):
            if row.doctor_id != self._doctor_id:
                continue
            kind = Kind(row.type)
            text = "hours of this day alone" if kind is Kind.OVERRIDE else kind.value
            text += self._at(facility.id)
            if row.availability_rule_id is not None:
                text += f", only rule {row.availability_rule_id}"
            if row.reason and self._has_names:
                text += f": {row.reason}"
            if start_at < begin or end_at > end:
                text += f" ({between(start_at, end_at, zone=zone)})"
            yield Entry(kind=kind, start_at=max(start_at, begin), end_at=min(end_at, end), zone=zone, text=text)

    def _closures(self, facility: FacilityView, begin: datetime, end: datetime) -> Iterator[Entry]:
        zone = zone_of(facility.zone)
        days = self._day - timedelta(days=1), self._day + timedelta(days=1)
        for row in closures_between(self._session, facility.id, *days):
            start_at, end_at = closed_time(row, zone)
            if start_at is None or end_at is None:
                start_at, end_at = local_days(zone, row.day)
            start_at, end_at = max(start_at, begin), min(end_at, end)
            if start_at < end_at:
                text = f"closed{self._at(facility.id)}" + (f": {row.reason}" if row.reason else "")
                yield Entry(kind=Kind.CLOSED, start_at=start_at, end_at=end_at, zone=zone, text=text)


def _runs(slots: Iterable[Slot]) -> list[list[Slot]]:
    """Return the slots in runs: of one facility, offering and length, each slot beginning where another ends."""
    runs: list[list[Slot]] = []
    for slot in slots:
        for run in runs:
            if run[-1].end_at == slot.start_at and _alike(run[-1]) == _alike(slot):
                run.append(slot)
                break
        else:
            runs.append([slot])
    return runs


def _alike(slot: Slot) -> tuple[object, ...]:
    return slot.facility_id, slot.service_offering_id, slot.end_at - slot.start_at


def _words(status: object) -> str:
    return str(status).replace("_", " ")
