"""Openings import: make the tables of a tenant match the places of an openings file.

Owns: the order in which tables are synchronised, and the counts of each.
Holds: R4 (all within the caller's transaction), A1.
Must not know: the file format, slots.

An import changes only the places that it names, and of these only rows that an import wrote (`provenance`).
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
    """Counts of an import. A post is a doctor at a facility; a removed post is switched off and keeps its row."""

    facilities: RowCounts
    doctors: RowCounts
    posts: RowCounts
    rules: RowCounts
    exceptions: RowCounts
    closures: RowCounts


def lock_openings(session: Session, tenant_id: UUID) -> None:
    """Let other imports of the tenant wait until this transaction ends."""
    advisory_lock(session, f"openings {tenant_id}")


def import_openings(session: Session, places: Iterable[Place], *, tenant_id: UUID) -> ImportCounts:
    """Synchronise a tenant's tables with the places, within the session's transaction.

    Importing the same places again changes nothing. A second import of the same tenant waits for the first.

    Raises:
        InvalidInputError: a place is given twice, its slug is that of a facility that no import created, or a doctor's
            code is that of a doctor of another name at a place that is not given.
    """
    given = list(places)
    wanted = {place.slug: place for place in given}
    if len(wanted) < len(given):
        raise InvalidInputError("a place is given twice: each code may appear once")
    lock_openings(session, tenant_id)
    sync = TableSync(session, tenant_id)
    facilities, closures, facility_ids = sync_facilities(sync, wanted)
    refuse_renaming(session, given)
    doctors, doctor_ids = sync_doctors(sync, given)
    doctors_by_key = {
        ScheduleKey(doctor_ids[doctor.code], facility_ids[place.slug]): doctor
        for place in given
        for doctor in place.doctors
    }
    imported_ids = frozenset(facility_ids.values())
    posts = sync_posts(sync, doctors_by_key, imported_ids)
    rules, rule_ids = sync_rules(sync, doctors_by_key, imported_ids)
    exceptions = sync_exceptions(sync, doctors_by_key, imported_ids, rule_ids)
    return ImportCounts(facilities, doctors, posts, rules, exceptions, closures)
