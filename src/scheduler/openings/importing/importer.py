"""Importing: bring the tables to what an openings file says.

Owns: the order in which tables are synchronised, and the counts of each.
Holds: R4 (all in the caller's one transaction), A1.
Must not know: the file format, slots.

An import speaks for the places that it names and leaves all others alone. It changes and removes only what an import
wrote (`marks`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.openings.importing.doctors import refuse_renaming, sync_doctors, sync_posts
from scheduler.openings.importing.facilities import sync_facilities
from scheduler.openings.importing.rules import sync_exceptions, sync_rules
from scheduler.openings.importing.table_sync import RowCounts, TableSync
from scheduler.openings.places import Place
from scheduler.postgres.database import advisory_lock
from scheduler.postgres.schedules import ScheduleKey


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import did. A post is a doctor at a facility; a removed one is switched off and keeps its row."""

    facilities: RowCounts
    doctors: RowCounts
    posts: RowCounts
    rules: RowCounts
    exceptions: RowCounts
    closures: RowCounts


def import_openings(session: Session, places: Iterable[Place], *, tenant_id: UUID) -> ImportCounts:
    """Bring the tables to what the places say, for this tenant and within the session's transaction.

    Importing the same places again changes nothing. A second import of the same tenant waits for the first.

    Raises:
        InvalidInputError: a place is given twice, its slug is that of a facility which no import made, or a doctor's
            code is that of somebody of another name who works at a place that is not given.
    """
    given = list(places)
    wanted = {place.slug: place for place in given}
    if len(wanted) < len(given):
        raise InvalidInputError("a place is given twice")
    advisory_lock(session, f"openings {tenant_id}")
    sync = TableSync(session, tenant_id)
    facilities, closures, facility_ids = sync_facilities(sync, wanted)
    refuse_renaming(session, given)
    doctors, doctor_ids = sync_doctors(sync, given)
    staff = {
        ScheduleKey(doctor_ids[doctor.code], facility_ids[place.slug]): doctor
        for place in given
        for doctor in place.doctors
    }
    here = frozenset(facility_ids.values())
    posts = sync_posts(sync, staff, here)
    rules, rule_ids = sync_rules(sync, staff, here)
    exceptions = sync_exceptions(sync, staff, here, rule_ids)
    return ImportCounts(facilities, doctors, posts, rules, exceptions, closures)
