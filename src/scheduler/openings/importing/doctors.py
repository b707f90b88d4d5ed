"""Imported doctors, and their posts at facilities.

Owns: how doctors and their places of work are written as rows.
Holds: a code means one person; a post is switched off and never removed, since other rows may refer to it.
Must not know: the file format, when a doctor works.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
    select doctor.contact ->> 'code'
    from scheduling.doctors doctor
    join scheduling.facility_doctors post on post.tenant_id = doctor.tenant_id and post.doctor_id = doctor.id
    join scheduling.facilities facility on facility.tenant_id = post.tenant_id and facility.id = post.facility_id
    where doctor.contact ->> 'source' = :source and doctor.contact ->> 'code' = any(:codes)
      and doctor.deleted_at is null and post.active and facility.slug <> all(:slugs)
""")


@dataclass(frozen=True, slots=True)
class WrittenDoctors:
    """The doctors that an import has written: their ids, and the names before and after, by code, of renamed ones."""

    ids: set[int] = field(default_factory=set)
    renamed: dict[str, tuple[str, str]] = field(default_factory=dict)


def refuse_renaming(session: Session, renamed: Mapping[str, tuple[str, str]], slugs: Iterable[str]) -> None:
    """Refuse a code that names another person at a place outside the file: two people would become one.

    Raises:
        InvalidInputError: there is such a code.
    """
    if not renamed:
        return
    wanted = {"codes": list(renamed), "slugs": list(slugs), "source": SOURCE}
    for code in session.execute(_DOCTORS_ELSEWHERE, wanted).scalars():
        before, after = renamed[code]
        raise InvalidInputError(
            f"doctor {code!r} is {after!r} in this file, but {before!r} at a place outside the file"
        )


def sync_doctors(sync: TableSync, places: Iterable[Place], written: WrittenDoctors) -> tuple[RowCounts, dict[str, int]]:
    """Synchronise the doctors of some places; return also their ids, by code.

    A doctor whom the import has `written` already stays as at the first place; the others are added there.
    """
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
    known = {code: row["id"] for code, row in stored.items() if row["id"] in written.ids}
    wanted = {
        code: {
            "first_name": doctor.first_name,
            "last_name": doctor.last_name,
            "display_name": doctor.display_name,
            "specialty": doctor.specialty,
            "contact": stored.get(code, {"contact": {}})["contact"] | {"source": SOURCE, "code": code},
        }
        for code, doctor in doctors.items()
        if code not in known
    }
    for code in wanted.keys() & stored.keys():
        before, after = (row[code]["display_name"] for row in (stored, wanted))
        if before != after:
            written.renamed[code] = before, after
    counts, ids = sync.sync(table, wanted, lambda: {code: row for code, row in read().items() if code not in known})
    written.ids.update(ids.values())
    return counts, ids | known


def sync_posts(sync: TableSync, doctors: Mapping[ScheduleKey, Doctor], facility_ids: frozenset[int]) -> RowCounts:
    """Synchronise the posts at these facilities. A post that is no longer in the file is switched off."""
    table = tables.FacilityDoctor
    rows = sync.stored(table, ("facility_id", "doctor_id", "role", "active"), any_of(table.facility_id, facility_ids))
    posted = {row["doctor_id"] for row in rows}
    imported = imported_by_openings(tables.Doctor.contact), any_of(tables.Doctor.id, posted)
    imported_ids = {row["id"] for row in sync.stored(tables.Doctor, (), *imported)}
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
