"""Importing: bring the tables to what an openings file says.

Owns: the order in which tables are settled, and what was done to each.
Holds: R4 (all in the caller's one transaction), A1.
Must not know: the file format, slots.

An import speaks for the places that it names and leaves all others alone. It changes and removes only what an import
wrote (`marks`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.openings.importing.doctors import refuse_renaming, settle_doctors, settle_posts
from scheduler.openings.importing.facilities import settle_facilities
from scheduler.openings.importing.rules import settle_exceptions, settle_rules
from scheduler.openings.importing.table_sync import Settlement, Tally
from scheduler.openings.places import Place

_LOCK: Final = text("select pg_advisory_xact_lock(hashtextextended('openings ' || :tenant_id, 0))")


@dataclass(frozen=True, slots=True)
class ImportCounts:
    """What an import did. A post is a doctor at a facility; a removed one is switched off and keeps its row."""

    facilities: Tally
    doctors: Tally
    posts: Tally
    rules: Tally
    exceptions: Tally
    closures: Tally


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
    session.execute(_LOCK, {"tenant_id": str(tenant_id)})
    settlement = Settlement(session, tenant_id)
    facilities, closures, facility_ids = settle_facilities(settlement, wanted)
    refuse_renaming(session, given)
    doctors, doctor_ids = settle_doctors(settlement, given)
    staff = {(facility_ids[place.slug], doctor_ids[doctor.code]): doctor for place in given for doctor in place.doctors}
    here = frozenset(facility_ids.values())
    posts = settle_posts(settlement, staff, here)
    rules, rule_ids = settle_rules(settlement, staff, here)
    exceptions = settle_exceptions(settlement, staff, here, rule_ids)
    return ImportCounts(facilities, doctors, posts, rules, exceptions, closures)
