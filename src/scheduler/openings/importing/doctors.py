"""Imported doctors, and their posts at facilities.

Owns: how doctors and their places of work are written as rows.
Holds: a code means one person; a post is switched off and never removed, since other rows may refer to it.
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

_DOCTORS_ELSEWHERE: Final = text("""
    select distinct doctor.contact ->> 'code', doctor.display_name
    from scheduling.doctors doctor
    join scheduling.facility_doctors post on post.tenant_id = doctor.tenant_id and post.doctor_id = doctor.id
    join scheduling.facilities facility on facility.tenant_id = post.tenant_id and facility.id = post.facility_id
    where doctor.contact ->> 'source' = :source and doctor.contact ->> 'code' = any(:codes)
      and doctor.deleted_at is null and post.active and facility.slug <> all(:slugs)
""")


def refuse_renaming(session: Session, places: Iterable[Place]) -> None:
    """Refuse a code that names another person at a place outside the file: two people would become one.

    Raises:
        InvalidInputError: there is such a code.
    """
    names = {doctor.code: doctor.display_name for place in places for doctor in place.doctors}
    slugs = [place.slug for place in places]
    for code, name in session.execute(_DOCTORS_ELSEWHERE, {"codes": list(names), "slugs": slugs, "source": SOURCE}):
        if names[code] != name:
            raise InvalidInputError(
                f"doctor {code!r} is {names[code]!r} in this file, but {name!r} at a place outside the file"
            )


def sync_doctors(sync: TableSync, places: Iterable[Place]) -> tuple[RowCounts, dict[str, int]]:
    """Synchronise the doctors; return also their ids, by code."""
    table = tables.Doctor
    doctors: dict[str, Doctor] = {}
    for place in places:
        for doctor in place.doctors:
            doctors.setdefault(doctor.code, doctor)
    contact: Any = table.contact
    columns = ("first_name", "last_name", "display_name", "specialty", "contact")
    conditions = imported_by_openings(contact), any_of(contact["code"].astext, doctors), col(table.deleted_at).is_(None)

    def read() -> dict[str, Row]:
        return {row["contact"]["code"]: row for row in sync.stored(table, columns, *conditions)}

    stored = read()
    wanted = {
        code: {
            "first_name": doctor.first_name,
            "last_name": doctor.last_name,
            "display_name": doctor.display_name,
            "specialty": doctor.specialty,
            "contact": stored.get(code, {"contact": {}})["contact"] | {"source": SOURCE, "code": code},
        }
        for code, doctor in doctors.items()
    }
    return sync.sync(table, wanted, read)


def sync_posts(sync: TableSync, doctors: Mapping[ScheduleKey, Doctor], facility_ids: frozenset[int]) -> RowCounts:
    """Synchronise the posts at these facilities. A post that is no longer in the file is switched off."""
    table = tables.FacilityDoctor
    imported_ids = {row["id"] for row in sync.stored(tables.Doctor, (), imported_by_openings(tables.Doctor.contact))}
    rows = sync.stored(table, ("facility_id", "doctor_id", "role", "active"), any_of(table.facility_id, facility_ids))
    stored = {
        ScheduleKey(row["doctor_id"], row["facility_id"]): row for row in rows if row["doctor_id"] in imported_ids
    }
    switched_off = {key: row | {"active": False} for key, row in stored.items() if key not in doctors}
    wanted = {
        key: key._asdict() | {"role": doctor.role or stored.get(key, {}).get("role"), "active": True}
        for key, doctor in doctors.items()
    }
    counts, _ = sync.sync(table, wanted | switched_off, lambda: stored)
    removed = sum(stored[key]["active"] for key in switched_off)
    updated = counts.updated - removed
    return RowCounts(counts.created, updated, removed, len(wanted) - counts.created - updated)
