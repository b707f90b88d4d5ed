"""Openings import: make the tables of a tenant match the places of an openings file.

Owns: the order in which tables are synchronised, the batches of places, and the counts of each table.
Holds: R4 (all within the caller's transaction), A1.
Must not know: the file format, slots.

An import changes only the places that it names, and of these only rows that an import wrote (`provenance`). It reads
places and stored rows batch by batch, so that its memory does not grow with them.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Final, Self
from uuid import UUID

from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.openings.importing.doctors import WrittenDoctors, refuse_renaming, sync_doctors, sync_posts
from scheduler.openings.importing.facilities import sync_facilities
from scheduler.openings.importing.rules import sync_exceptions, sync_rules
from scheduler.openings.importing.table_sync import RowCounts, TableSync
from scheduler.openings.places import Place
from scheduler.postgres.database import advisory_lock
from scheduler.postgres.schedules import ScheduleKey

PARTS_PER_BATCH: Final = 5_000
"""Rules, exceptions and closures of one batch of places: some tens of megabytes, however long the file is."""

_NO_ROWS: Final = RowCounts()

Progress = Callable[[int, int], None]
"""Called after each batch with the places done, and the rows created, updated and removed so far."""


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """Counts of an import. A post is a doctor at a facility; a removed post is switched off and keeps its row."""

    facilities: RowCounts = _NO_ROWS
    doctors: RowCounts = _NO_ROWS
    posts: RowCounts = _NO_ROWS
    rules: RowCounts = _NO_ROWS
    exceptions: RowCounts = _NO_ROWS
    closures: RowCounts = _NO_ROWS

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field.name).plus(getattr(other, field.name)) for field in fields(self)))

    def changes(self) -> int:
        """Return how many rows were created, updated or removed."""
        return sum(sum(getattr(self, field.name)[:-1]) for field in fields(self))


def lock_openings(session: Session, tenant_id: UUID) -> None:
    """Let other imports of the tenant wait until this transaction ends."""
    advisory_lock(session, f"openings {tenant_id}")


def import_openings(
    session: Session, places: Iterable[Place], *, tenant_id: UUID, progress: Progress = lambda *_: None
) -> ImportCounts:
    """Synchronise a tenant's tables with the places, within the session's transaction.

    Importing the same places again changes nothing. A second import of the same tenant waits for the first. The places
    are taken one after another, and not kept.

    Raises:
        InvalidInputError: a place is given twice, its slug is that of a facility that no import created, or a doctor's
            code is that of a doctor of another name at a place that is not given.
    """
    lock_openings(session, tenant_id)
    sync = TableSync(session, tenant_id)
    slugs: set[str] = set()
    doctors = WrittenDoctors()
    counts = ImportCounts()
    for batch in _batches(places):
        given = {place.slug for place in batch}
        if len(given) < len(batch) or not given.isdisjoint(slugs):
            raise InvalidInputError("a place is given twice: each code may appear once")
        slugs |= given
        counts += _import_batch(sync, batch, doctors)
        progress(len(slugs), counts.changes())
    refuse_renaming(session, doctors.renamed, slugs)
    return counts


def _batches(places: Iterable[Place]) -> Iterator[list[Place]]:
    """Yield the places in batches of about `PARTS_PER_BATCH` parts."""
    batch: list[Place] = []
    parts = 0
    for place in places:
        batch.append(place)
        schedules = [doctor.schedule for doctor in place.doctors]
        parts += 1 + len(place.closures) + sum(len(each.rules) + len(each.exceptions) for each in schedules)
        if parts >= PARTS_PER_BATCH:
            yield batch
            batch, parts = [], 0
    if batch:
        yield batch


def _import_batch(sync: TableSync, places: list[Place], written: WrittenDoctors) -> ImportCounts:
    facilities, closures, facility_ids = sync_facilities(sync, {place.slug: place for place in places})
    doctors, doctor_ids = sync_doctors(sync, places, written)
    doctors_by_key = {
        ScheduleKey(doctor_ids[doctor.code], facility_ids[place.slug]): doctor
        for place in places
        for doctor in place.doctors
    }
    imported_ids = frozenset(facility_ids.values())
    posts = sync_posts(sync, doctors_by_key, imported_ids)
    rules, rule_ids = sync_rules(sync, doctors_by_key, imported_ids)
    exceptions = sync_exceptions(sync, doctors_by_key, imported_ids, rule_ids)
    return ImportCounts(facilities, doctors, posts, rules, exceptions, closures)
