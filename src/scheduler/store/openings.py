"""Openings in the tables: what a file says becomes facilities, doctors, rules, exceptions and closures.

Owns: how a place is written as rows, and which rows are an import's own. A rule that is still said keeps its row, and
so its id and the fingerprint of its schedule (R3).
Holds: R4 (all in the caller's one transaction), A1.
Must not know: the file format, slots.

An import speaks for the places that it names and leaves all others alone. It changes and removes only what an import
wrote: rows whose `meta ->> 'source'` is `openings` (for a doctor, `contact`); which closures are an import's stands in
their facility's `meta`. It never switches a rule on or off: `active` belongs to whoever set it by hand.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col

from models import scheduling as tables
from scheduler.core.errors import InvalidInputError
from scheduler.core.places import Doctor, Place
from scheduler.core.schedules import AvailabilityException, AvailabilityRule
from scheduler.core.slots import Id
from scheduler.store.settling import Row, Settlement, Tally, among

SOURCE: Final = "openings"
_LOCK: Final = text("select pg_advisory_xact_lock(hashtextextended('openings ' || :tenant_id, 0))")
_NAMED_ELSEWHERE: Final = text("""
    select distinct doctor.contact ->> 'code', doctor.display_name
    from scheduling.doctors doctor
    join scheduling.facility_doctors post on post.tenant_id = doctor.tenant_id and post.doctor_id = doctor.id
    join scheduling.facilities facility on facility.tenant_id = post.tenant_id and facility.id = post.facility_id
    where doctor.contact ->> 'source' = :source and doctor.contact ->> 'code' = any(:codes)
      and doctor.deleted_at is null and post.active and facility.slug <> all(:slugs)
""")
_RULE: Final = (
    "day_of_week",
    "start_time",
    "end_time",
    "slot_duration_minutes",
    "slot_interval_minutes",
    "slot_alignment_minutes",
    "capacity",
    "effective_from",
    "effective_until",
    "recurrence",
)
_EXCEPTION: Final = (
    "availability_rule_id",
    "type",
    "start_at",
    "end_at",
    "reason",
    "slot_duration_minutes",
    "slot_interval_minutes",
    "capacity",
)

_Post: TypeAlias = tuple[int, int]
"""A doctor at a facility: the two ids, facility first."""
_Named: TypeAlias = tuple[int, int, Id]
"""A rule or exception of a post, by the name that the file gives it."""


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
    facilities, closures, facility_ids = _facilities(settlement, wanted)
    _refuse_renaming(session, given)
    doctors, doctor_ids = _doctors(settlement, given)
    staff = {(facility_ids[place.slug], doctor_ids[doctor.code]): doctor for place in given for doctor in place.doctors}
    here = frozenset(facility_ids.values())
    posts = _posts(settlement, staff, here)
    rules, rule_ids = _rules(settlement, staff, here)
    exceptions = _exceptions(settlement, staff, here, rule_ids)
    return ImportCounts(facilities, doctors, posts, rules, exceptions, closures)


def _facilities(settlement: Settlement, wanted: Mapping[str, Place]) -> tuple[Tally, Tally, dict[str, int]]:
    """Settle facilities and their closures together, since a facility says which closures are an import's."""
    table, closure = tables.Facility, tables.FacilityClosure
    columns = ("slug", "name", "address", "phone", "locale", "timezone", "country", "meta")
    live = col(table.deleted_at).is_(None)

    def read() -> dict[str, Row]:
        return {row["slug"]: row for row in settlement.stored(table, columns, live, among(table.slug, wanted))}

    stored = read()
    foreign = sorted(slug for slug, row in stored.items() if (row["meta"] or {}).get("source") != SOURCE)
    if foreign:
        raise InvalidInputError(f"facility {foreign[0]!r} was not made by an import: give the place another code")
    known = [row["id"] for row in stored.values()]
    closed = settlement.stored(closure, ("facility_id", "day", "reason"), among(closure.facility_id, known))
    imported = {(row["id"], day) for row in stored.values() for day in row["meta"].get("closed_days", ())}
    ours = {(row["facility_id"], row["day"]): row for row in closed if _is_in(imported, row)}
    by_hand = {(row["facility_id"], row["day"]) for row in closed if not _is_in(imported, row)}
    days: dict[str, dict[date, str | None]] = {}
    rows = {}
    for slug, place in wanted.items():
        there = stored.get(slug, {"id": None, "meta": {}})
        days[slug] = {day: reason for day, reason in place.closures if (there["id"], day) not in by_hand}
        rows[slug] = _facility_row(place, there["meta"], days[slug])
    facilities, ids = settlement.settle(table, rows, read)
    wanted_closures = {
        (ids[slug], day): {"facility_id": ids[slug], "day": day, "reason": reason}
        for slug, said in days.items()
        for day, reason in said.items()
    }
    closures, _ = settlement.settle(closure, wanted_closures, lambda: ours)
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


def _refuse_renaming(session: Session, places: Iterable[Place]) -> None:
    """Refuse a code that means somebody else elsewhere: to take it over would make one person of two."""
    names = {doctor.code: doctor.display_name for place in places for doctor in place.doctors}
    slugs = [place.slug for place in places]
    for code, name in session.execute(_NAMED_ELSEWHERE, {"codes": list(names), "slugs": slugs, "source": SOURCE}):
        if names[code] != name:
            raise InvalidInputError(
                f"doctor {code!r} is {names[code]!r} in this file, and {name!r} at a place that is not in it"
            )


def _doctors(settlement: Settlement, places: Iterable[Place]) -> tuple[Tally, dict[str, int]]:
    table = tables.Doctor
    said: dict[str, Doctor] = {}
    for place in places:
        for doctor in place.doctors:
            said.setdefault(doctor.code, doctor)
    contact: Any = table.contact
    columns = ("first_name", "last_name", "display_name", "specialty", "contact")
    mine = contact["source"].astext == SOURCE, among(contact["code"].astext, said), col(table.deleted_at).is_(None)

    def read() -> dict[str, Row]:
        return {row["contact"]["code"]: row for row in settlement.stored(table, columns, *mine)}

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
    return settlement.settle(table, wanted, read)


def _posts(settlement: Settlement, staff: Mapping[_Post, Doctor], here: frozenset[int]) -> Tally:
    """Settle who works where. A post that is no longer said is switched off: other rows may point to it."""
    table, doctor = tables.FacilityDoctor, tables.Doctor
    contact: Any = doctor.contact
    imported = {row["id"] for row in settlement.stored(doctor, (), contact["source"].astext == SOURCE)}
    found = settlement.stored(table, ("facility_id", "doctor_id", "role", "active"), among(table.facility_id, here))
    stored = {(row["facility_id"], row["doctor_id"]): row for row in found if row["doctor_id"] in imported}
    left = {post: row | {"active": False} for post, row in stored.items() if post not in staff}
    wanted = {
        (facility, doctor): {
            "facility_id": facility,
            "doctor_id": doctor,
            "role": person.role or stored.get((facility, doctor), {}).get("role"),
            "active": True,
        }
        for (facility, doctor), person in staff.items()
    }
    tally, _ = settlement.settle(table, wanted | left, lambda: stored)
    removed = sum(stored[post]["active"] for post in left)
    updated = tally.updated - removed
    return Tally(tally.created, updated, removed, len(wanted) - tally.created - updated)


def _rules(
    settlement: Settlement, staff: Mapping[_Post, Doctor], here: frozenset[int]
) -> tuple[Tally, dict[_Named, int]]:
    wanted = {
        (*post, rule.id): _own(post, rule.id) | _rule_row(rule)
        for post, doctor in staff.items()
        for rule in doctor.schedule.rules
    }
    table = tables.AvailabilityRule
    return settlement.settle(table, wanted, lambda: _imported(settlement, table, _RULE, here))


def _exceptions(
    settlement: Settlement, staff: Mapping[_Post, Doctor], here: frozenset[int], rule_ids: Mapping[_Named, int]
) -> Tally:
    wanted = {}
    for post, doctor in staff.items():
        reasons = dict(doctor.reasons)
        for one in doctor.schedule.exceptions:
            rule_id = None if one.rule_id is None else rule_ids[*post, one.rule_id]
            row = {"availability_rule_id": rule_id, "reason": reasons.get(one.id)}
            wanted[*post, one.id] = _own(post, one.id) | _exception_row(one) | row
    table = tables.AvailabilityException
    tally, _ = settlement.settle(table, wanted, lambda: _imported(settlement, table, _EXCEPTION, here))
    return tally


def _own(post: _Post, name: Id) -> Row:
    return {"facility_id": post[0], "doctor_id": post[1], "meta": {"source": SOURCE, "key": name}}


def _imported(
    settlement: Settlement,
    table: type[tables.AvailabilityRule | tables.AvailabilityException],
    columns: Iterable[str],
    here: frozenset[int],
) -> dict[_Named, Row]:
    """Read what an import wrote at these facilities, by post and name, with the columns that are compared."""
    meta: Any = table.meta
    found = settlement.stored(
        table,
        ("facility_id", "doctor_id", "meta", *columns),
        among(table.facility_id, here),
        meta["source"].astext == SOURCE,
    )
    return {(row.pop("facility_id"), row.pop("doctor_id"), row.pop("meta")["key"]): row for row in found}


def _rule_row(rule: AvailabilityRule) -> Row:
    return {
        "day_of_week": rule.day_of_week,
        "start_time": rule.start_time,
        "end_time": rule.end_time,
        "slot_duration_minutes": _minutes(rule.slot_duration),
        "slot_interval_minutes": _minutes(rule.slot_interval),
        "slot_alignment_minutes": _minutes(rule.slot_alignment),
        "capacity": rule.capacity,
        "effective_from": rule.effective_from,
        "effective_until": rule.effective_until,
        "recurrence": rule.recurrence,
    }


def _exception_row(exception: AvailabilityException) -> Row:
    return {
        "type": exception.type.value,
        "start_at": exception.start_at,
        "end_at": exception.end_at,
        "slot_duration_minutes": _minutes(exception.slot_duration),
        "slot_interval_minutes": _minutes(exception.slot_interval),
        "capacity": exception.capacity,
    }


def _minutes(length: timedelta | None) -> int | None:
    return None if length is None else length // timedelta(minutes=1)
