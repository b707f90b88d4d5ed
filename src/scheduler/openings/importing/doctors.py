"""Doctors of an import, and their posts.

Owns: how a doctor, and where that doctor works, is written as rows.
Holds: a code means one person; a post is switched off and never removed, since other rows may point to it.
Must not know: the file format, when a doctor works.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session, col

from scheduler import models as tables
from scheduler.core.errors import InvalidInputError
from scheduler.openings.importing.provenance import SOURCE, imported_by_openings
from scheduler.openings.importing.table_sync import Row, RowCounts, TableSync, any_of
from scheduler.openings.places import Doctor, Place
from scheduler.postgres.schedules import ScheduleKey

_NAMED_ELSEWHERE: Final = text("""
    select distinct doctor.contact ->> 'code', doctor.display_name
    from scheduling.doctors doctor
    join scheduling.facility_doctors post on post.tenant_id = doctor.tenant_id and post.doctor_id = doctor.id
    join scheduling.facilities facility on facility.tenant_id = post.tenant_id and facility.id = post.facility_id
    where doctor.contact ->> 'source' = :source and doctor.contact ->> 'code' = any(:codes)
      and doctor.deleted_at is null and post.active and facility.slug <> all(:slugs)
""")


def refuse_renaming(session: Session, places: Iterable[Place]) -> None:
    """Refuse a code that means somebody else elsewhere: to take it over would make one person of two.

    Raises:
        InvalidInputError: there is such a code.
    """
    names = {doctor.code: doctor.display_name for place in places for doctor in place.doctors}
    slugs = [place.slug for place in places]
    for code, name in session.execute(_NAMED_ELSEWHERE, {"codes": list(names), "slugs": slugs, "source": SOURCE}):
        if names[code] != name:
            raise InvalidInputError(
                f"doctor {code!r} is {names[code]!r} in this file, and {name!r} at a place that is not in it"
            )


def sync_doctors(sync: TableSync, places: Iterable[Place]) -> tuple[RowCounts, dict[str, int]]:
    """Settle who the doctors are; return their ids too, by code."""
    table = tables.Doctor
    said: dict[str, Doctor] = {}
    for place in places:
        for doctor in place.doctors:
            said.setdefault(doctor.code, doctor)
    contact: Any = table.contact
    columns = ("first_name", "last_name", "display_name", "specialty", "contact")
    mine = imported_by_openings(contact), any_of(contact["code"].astext, said), col(table.deleted_at).is_(None)

    def read() -> dict[str, Row]:
        return {row["contact"]["code"]: row for row in sync.stored(table, columns, *mine)}

    stored = read()
    wanted = {
        code: {
            "first_name": doctor.first_name,
            "last_name": doctor.last_name,
            "display_name": doctor.display_name,
            "specialty": doctor.specialty,
            "contact": stored.get(code, {"contact": {}})["contact"] | {"source": SOURCE, "code": code},
        }
        for code, doctor in said.items()
    }
    return sync.sync(table, wanted, read)


def sync_posts(sync: TableSync, staff: Mapping[ScheduleKey, Doctor], here: frozenset[int]) -> RowCounts:
    """Settle who works where. A post that is no longer said is switched off: other rows may point to it."""
    table = tables.FacilityDoctor
    imported = {row["id"] for row in sync.stored(tables.Doctor, (), imported_by_openings(tables.Doctor.contact))}
    found = sync.stored(table, ("facility_id", "doctor_id", "role", "active"), any_of(table.facility_id, here))
    stored = {ScheduleKey(row["doctor_id"], row["facility_id"]): row for row in found if row["doctor_id"] in imported}
    left = {post: row | {"active": False} for post, row in stored.items() if post not in staff}
    wanted = {
        key: {
            **key._asdict(),
            "role": person.role or stored.get(key, {}).get("role"),
            "active": True,
        }
        for key, person in staff.items()
    }
    counts, _ = sync.sync(table, wanted | left, lambda: stored)
    removed = sum(stored[post]["active"] for post in left)
    updated = counts.updated - removed
    return RowCounts(counts.created, updated, removed, len(wanted) - counts.created - updated)
