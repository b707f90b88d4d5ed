"""Facilities of an import, with their closed days.

Owns: how a place is written as a facility, and which closures of it are an import's.
Holds: what others wrote into a facility's `meta` stays, and so do the closures that were entered by hand.
Must not know: the file format, who works there.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import date

from sqlmodel import col

from scheduler import models as tables
from scheduler.core.errors import InvalidInputError
from scheduler.openings.importing.provenance import SOURCE
from scheduler.openings.importing.table_sync import Row, RowCounts, TableSync, any_of
from scheduler.openings.places import Place


def sync_facilities(sync: TableSync, wanted: Mapping[str, Place]) -> tuple[RowCounts, RowCounts, dict[str, int]]:
    """Settle facilities and their closures together, since a facility says which closures are an import's.

    Returns also the ids of the facilities, by slug.

    Raises:
        InvalidInputError: a slug is that of a facility which no import made.
    """
    table, closure = tables.Facility, tables.FacilityClosure
    columns = ("slug", "name", "address", "phone", "locale", "timezone", "country", "meta")
    live = col(table.deleted_at).is_(None)

    def read() -> dict[str, Row]:
        return {row["slug"]: row for row in sync.stored(table, columns, live, any_of(table.slug, wanted))}

    stored = read()
    foreign = sorted(slug for slug, row in stored.items() if (row["meta"] or {}).get("source") != SOURCE)
    if foreign:
        raise InvalidInputError(f"facility {foreign[0]!r} was not made by an import: give the place another code")
    known = [row["id"] for row in stored.values()]
    closed = sync.stored(closure, ("facility_id", "day", "reason"), any_of(closure.facility_id, known))
    imported = {(row["id"], day) for row in stored.values() for day in row["meta"].get("closed_days", ())}
    ours = {(row["facility_id"], row["day"]): row for row in closed if _is_in(imported, row)}
    by_hand = {(row["facility_id"], row["day"]) for row in closed if not _is_in(imported, row)}
    days: dict[str, dict[date, str | None]] = {}
    rows = {}
    for slug, place in wanted.items():
        there = stored.get(slug, {"id": None, "meta": {}})
        days[slug] = {day: reason for day, reason in place.closures if (there["id"], day) not in by_hand}
        rows[slug] = _facility_row(place, there["meta"], days[slug])
    facilities, ids = sync.sync(table, rows, read)
    wanted_closures = {
        (ids[slug], day): {"facility_id": ids[slug], "day": day, "reason": reason}
        for slug, said in days.items()
        for day, reason in said.items()
    }
    closures, _ = sync.sync(closure, wanted_closures, lambda: ours)
    return facilities, closures, ids


def _is_in(imported: set[tuple[int, str]], closure: Row) -> bool:
    return (closure["facility_id"], closure["day"].isoformat()) in imported


def _facility_row(place: Place, meta: Row, closed: Iterable[date]) -> Row:
    said = {
        "source": SOURCE,
        "closed_days": sorted(day.isoformat() for day in closed),
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
        "meta": meta | said,  # what others wrote into `meta` stays
    }
