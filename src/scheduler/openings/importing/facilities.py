"""Imported facilities, with their closed days.

Owns: how a place is written as a facility, and the record of its imported closures.
Holds: other entries of a facility's `meta` stay, and so do the closures that people entered by hand.
Must not know: the file format, the doctors.
"""

import json
from collections.abc import Iterable, Mapping

from sqlmodel import col

from scheduler import models as tables
from scheduler.core.errors import InvalidInputError
from scheduler.openings.importing.provenance import SOURCE
from scheduler.openings.importing.table_sync import Row, RowCounts, TableSync, any_of
from scheduler.openings.places import ClosedDay, Place


def sync_facilities(sync: TableSync, wanted: Mapping[str, Place]) -> tuple[RowCounts, RowCounts, dict[str, int]]:
    """Synchronise facilities and their closures; return also the ids of the facilities, by slug.

    Both are synchronised together, since a facility lists its imported closures.

    Raises:
        InvalidInputError: a slug is that of a facility that no import created.
    """
    table, closure = tables.Facility, tables.FacilityClosure
    columns = ("slug", "name", "address", "phone", "locale", "timezone", "country", "meta")
    not_deleted = col(table.deleted_at).is_(None)

    def read() -> dict[str, Row]:
        return {row["slug"]: row for row in sync.stored(table, columns, not_deleted, any_of(table.slug, wanted))}

    stored = read()
    foreign = sorted(slug for slug, row in stored.items() if (row["meta"] or {}).get("source") != SOURCE)
    if foreign:
        raise InvalidInputError(f"facility {foreign[0]!r} was not created by an import: give the place another code")
    stored_ids = [row["id"] for row in stored.values()]
    imported_names = {(row["id"], name) for row in stored.values() for name in row["meta"].get("closed_days", ())}
    imported, by_hand = {}, set()
    columns_of_closure = ("facility_id", *ClosedDay._fields)
    for row in sync.stored(closure, columns_of_closure, any_of(closure.facility_id, stored_ids)):
        key = row["facility_id"], ClosedDay(*(row[field] for field in ClosedDay._fields)).name
        if key in imported_names:
            imported[key] = row
        else:
            by_hand.add(key)
    closed: dict[str, dict[str, ClosedDay]] = {}
    rows = {}
    for slug, place in wanted.items():
        facility = stored.get(slug, {"id": None, "meta": {}})
        named = {closed_day.name: closed_day for closed_day in place.closures}
        closed[slug] = {name: named[name] for name in named if (facility["id"], name) not in by_hand}
        rows[slug] = _facility_row(place, facility["meta"], closed[slug])
    facilities, ids = sync.sync(table, rows, read)
    wanted_closures = {
        (ids[slug], name): {"facility_id": ids[slug]} | closed_day._asdict()
        for slug, closed_days in closed.items()
        for name, closed_day in closed_days.items()
    }
    closures, _ = sync.sync(closure, wanted_closures, lambda: imported)
    return facilities, closures, ids


def _facility_row(place: Place, meta: Row, closed_days: Iterable[str]) -> Row:
    imported_meta = {
        "source": SOURCE,
        "closed_days": sorted(closed_days),
        "further": json.loads(place.further),
    }
    return {
        "slug": place.slug,
        "name": place.name,
        "address": place.address,
        "phone": place.phone,
        "locale": place.locale,
        "timezone": place.zone.key,
        "country": place.country,
        "meta": meta | imported_meta,  # other entries of `meta` stay
    }
