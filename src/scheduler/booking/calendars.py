"""Kept calendars: the calendars of doctors, loaded once while their schedules stay as they are.

Owns: the calendars that a process keeps between calls, and whether one still holds.
Holds: R3 (equal fingerprints mean equal slots).
Must not know: what is taken, which visit is sought.

Without them, each call would read and expand rules, exceptions and closures anew. A calendar holds while the state of
its schedule has the same fingerprint, which any statement that changes the schedule takes away. A schedule without a
fingerprint is read each time.
"""

from collections import OrderedDict
from collections.abc import Sequence
from datetime import date, timedelta
from threading import Lock
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlmodel import Session

from scheduler.core.calendars import DoctorCalendar
from scheduler.core.errors import InvalidInputError
from scheduler.postgres.schedule_parts import NeededDays
from scheduler.postgres.schedules import Checkpoint, ScheduleKey, checkpoints_of, load_schedules

_MOST: Final = 2000
_SLACK: Final = timedelta(days=2)
"""So much before the first day of a fingerprint nothing decides a visit: the date in UTC may be that of yesterday."""
_KEPT_IN: Final = "scheduler.kept_calendars"


class ReadCalendar(NamedTuple):
    """The checkpoint of a schedule, and the calendar of its doctor without uses, or the error that its rows raised."""

    checkpoint: Checkpoint
    calendar: DoctorCalendar | InvalidInputError


class _Kept(NamedTuple):
    fingerprint: str
    begin: date
    calendar: DoctorCalendar


class KeptCalendars:
    """The calendars that a process keeps, those used last. It serves several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[UUID, ScheduleKey], _Kept] = OrderedDict()
        self._lock = Lock()

    def read(self, session: Session, tenant_id: UUID, keys: Sequence[ScheduleKey], since: date) -> list[ReadCalendar]:
        """Return the calendars of schedules from a local day on."""
        checkpoints = checkpoints_of(session, keys)
        found = {key: self._still(tenant_id, key, checkpoints.get(key), since) for key in keys}
        missing = [key for key, calendar in found.items() if calendar is None]
        begin = since - min(_SLACK, since - date.min)
        loaded = (
            {one.key: one for one in load_schedules(session, missing, lock=False, needed=lambda *_: NeededDays(begin))}
            if missing
            else {}
        )
        # A schedule that changes between the statements would be kept under the fingerprint of its former state.
        after = checkpoints_of(session, missing) if missing else {}
        read = []
        for key in keys:
            calendar = found[key]
            if calendar is not None:
                read.append(ReadCalendar(checkpoints[key], calendar))
                continue
            checkpoint, schedule = loaded[key].checkpoint, loaded[key].schedule
            if isinstance(schedule, InvalidInputError):
                read.append(ReadCalendar(checkpoint, schedule))
                continue
            calendar = DoctorCalendar(schedule)
            is_same = key in after and after[key].fingerprint == checkpoint.fingerprint
            if checkpoint.fingerprint is not None and is_same:
                self._keep((tenant_id, key), _Kept(checkpoint.fingerprint, begin, calendar))
            read.append(ReadCalendar(checkpoint, calendar))
        return read

    def _still(
        self, tenant_id: UUID, key: ScheduleKey, checkpoint: Checkpoint | None, since: date
    ) -> DoctorCalendar | None:
        """Return the calendar that is kept, if it holds from a day on."""
        with self._lock:
            kept = self._kept.get((tenant_id, key))
            if kept is None or checkpoint is None or checkpoint.since is None:
                return None
            if kept.fingerprint != checkpoint.fingerprint or since < max(kept.begin, checkpoint.since - _SLACK):
                return None
            self._kept.move_to_end((tenant_id, key))
            return kept.calendar

    def _keep(self, key: tuple[UUID, ScheduleKey], kept: _Kept) -> None:
        with self._lock:
            self._kept[key] = kept
            self._kept.move_to_end(key)
            if len(self._kept) > _MOST:
                self._kept.popitem(last=False)


def keep_in(session: Session, calendars: KeptCalendars, tenant_id: UUID) -> None:
    """Let the calls of a session use the calendars that the process keeps."""
    session.info[_KEPT_IN] = calendars, tenant_id


def read_calendars(session: Session, keys: Sequence[ScheduleKey], since: date) -> list[ReadCalendar]:
    """Return the calendars of schedules from a local day on; those that the process keeps, if the session has them."""
    kept: Any = session.info.get(_KEPT_IN)
    calendars, tenant_id = kept or (KeptCalendars(), UUID(int=0))
    return calendars.read(session, tenant_id, keys, since) if keys else []
