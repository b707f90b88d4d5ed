"""Openings import: make the tables of a tenant match the places of an openings file.

Owns: the order in which tables are synchronised, and the counts of each.
Holds: R4 (all within the caller's transaction), A1.
Must not know: the file format, slots.

An import changes only the places that it names, and of these only rows that an import wrote (`provenance`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final
from uuid import UUID

from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.openings.importing.doctors import refuse_renaming, sync_doctors, sync_posts
from scheduler.openings.importing.facilities import sync_facilities
from scheduler.openings.importing.rules import count_rules, sync_exceptions, sync_rules
from scheduler.openings.importing.table_sync import RowCounts, TableSync
from scheduler.openings.places import Place
from scheduler.postgres.database import advisory_lock
from scheduler.postgres.schedules import ScheduleKey

LARGE_SHARE: Final = Fraction(1, 10)
"""The largest share of a tenant's rules that an import removes without a question."""


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """Counts of an import. A post is a doctor at a facility; a removed post is switched off and keeps its row."""

    facilities: RowCounts
    doctors: RowCounts
    posts: RowCounts
    rules: RowCounts
    exceptions: RowCounts
    closures: RowCounts


class LargeRemovalError(InvalidInputError):
    """An import that removes more than `LARGE_SHARE` of the rules that the tenant had."""

    def __init__(self, removed: int, rules: int) -> None:
        self.removed, self.rules = removed, rules
        super().__init__(f"the import removes {removed:,} of {rules:,} rules")


def refuse_large_removal(session: Session, counts: ImportCounts) -> None:
    """Refuse the import that the session has just done if it removed many rules.

    A file with a part missing would otherwise close whole facilities. Roll the session back, or ask a person.

    Raises:
        LargeRemovalError: it removed more than `LARGE_SHARE` of all rules of the tenant.
    """
    rules = count_rules(session) - counts.rules.created + counts.rules.removed
    if counts.rules.removed > rules * LARGE_SHARE:
        raise LargeRemovalError(counts.rules.removed, rules)


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
    advisory_lock(session, f"openings {tenant_id}")
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
