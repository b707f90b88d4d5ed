"""World of people of one tenant: staff, people in their care, people who left, and rows of each.

Owns: the people, and the owner of each row. Must not know: anybody's reach (the tests do), or any policy.

The rows of `support.rows` are there for both tenants; in ours they belong to Ann, an admin. With them a family has its
home and three members, the parents Parent and Partner, and Student. Student and Patient are patients, and so are both
parents. Parent is also a parent of a family that was deleted, whose student, Doctor, is a patient.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from support.rows import Row, insert, key
from support.rows.all_domains import all_rows, insert_all
from support.worlds.tenants import without_triggers

ROLES: Final = {
    "Admin": "admin",
    "Doctor": "doctor",
    "Parent": "parent",
    "Partner": "parent",
    "Student": "student",
    "Patient": "patient",
    "Child": "staff",  # the profile decides
    "Suspended": "staff",
    "Deleted": "staff",
}
EVERYBODY: Final = frozenset(ROLES)
FAMILY: Final = frozenset({"Parent", "Partner", "Student"})
NOBODY: Final[frozenset[str]] = frozenset()
PATIENTS: Final = {
    "Student": FAMILY,
    "Patient": frozenset({"Patient"}),
    "Parent": frozenset({"Parent"}),
    "Doctor": NOBODY,
    "Partner": frozenset({"Partner"}),
}
"""Who is a patient, and whose that patient is."""
LONG_AGO: Final = "2027-01-01 00:00Z"


class World(NamedTuple):
    """A connection with all rows in a transaction, and the owners of ours: (table, key) -> names."""

    connection: psycopg.Connection
    ours: UUID
    theirs: UUID
    owners: dict[tuple[str, str], frozenset[str]]


def person(tenant: UUID, name: str) -> UUID:
    """Return the id of a person of a tenant."""
    return key(tenant, name)


def make(connection: psycopg.Connection, ours: UUID, theirs: UUID) -> World:
    """Write all rows as a superuser, and leave them uncommitted; the tenants have the same people."""
    owners = {("identity.addresses", str(key(ours, "identity.addresses"))): EVERYBODY}  # the facility's address
    for tenant in (theirs, ours):
        insert_all(connection, tenant)
        with without_triggers(connection):
            for table, changes, whose in _rows(tenant):
                row = all_rows(tenant)[table] | changes
                insert(connection, table, row)
                if tenant == ours:
                    owners[table, key_of(row)] = whose
    return World(connection, ours, theirs, owners)


def key_of(row: Row) -> str:
    """Return the key of a row within its tenant and table."""
    if "id" in row:
        return str(row["id"])
    return " ".join(str(row[name]) for name in ("family_id", "user_id", "appointment_step_id") if name in row)


def _rows(tenant: UUID) -> Iterator[tuple[str, Row, frozenset[str]]]:
    """Yield a table, changes to the sample row of that table, and the owners of the row."""
    yield from _people(tenant)
    yield from _family(tenant, "Brown", {"Parent": "parent", "Partner": "parent", "Student": "student"}, whose=FAMILY)
    yield from _family(tenant, "Gone", {"Parent": "parent", "Doctor": "student"}, whose=NOBODY, deleted_at=LONG_AGO)
    for number, (name, whose) in enumerate(PATIENTS.items(), start=2):
        own: Row = {"id": number}
        yield "scheduling.patients", own | {"user_id": person(tenant, name)}, whose
        # cancelled, so that all may be at the same time
        visit: Row = {"patient_id": number, "status": "cancelled"}
        yield "scheduling.appointments", own | visit, whose
        yield "scheduling.appointment_steps", own | {"appointment_id": number}, whose
        yield "scheduling.appointment_step_resources", {"appointment_step_id": number}, whose
        hour: Row = {"start_at": f"2027-03-0{number} 07:00Z", "end_at": f"2027-03-0{number} 08:00Z"}
        yield "scheduling.allocations", hour | {"id": 1_000_000 + number, "appointment_id": number}, whose
        yield "scheduling.waitlist_entries", own | {"patient_id": number}, whose
    for number, (status, count) in enumerate({"booked": 1, "cancelled": 0}.items(), start=2):
        times: Row = {"start_at": f"2027-03-0{number} 09:00Z", "end_at": f"2027-03-0{number} 09:20Z"}
        taken: Row = {"id": number, "status": status, "booked_count": count}
        yield "scheduling.availability_slots", times | taken, NOBODY


def _people(tenant: UUID) -> Iterator[tuple[str, Row, frozenset[str]]]:
    inactive: dict[str, Row] = {"Suspended": {"status": "suspended"}, "Deleted": {"deleted_at": LONG_AGO}}
    for name, role in ROLES.items():
        columns: Row = {"id": person(tenant, name), "name": name, "email": f"{name.lower()}@example.org"}
        signs_in: Row = {"role": role, "supertokens_user_id": None}
        whose = FAMILY if name in FAMILY else frozenset({name})
        yield "identity.users", columns | signs_in | inactive.get(name, {}), whose
        if name == "Child":
            yield "wellbeing.profiles", columns, NOBODY


def _family(
    tenant: UUID, name: str, members: dict[str, str], *, whose: frozenset[str], deleted_at: str | None = None
) -> Iterator[tuple[str, Row, frozenset[str]]]:
    family, home = key(tenant, name), key(tenant, f"home of {name}")
    yield "identity.addresses", {"id": home}, whose
    about: Row = {"id": family, "family_name": name, "address_id": home, "deleted_at": deleted_at}
    yield "identity.families", about, whose
    for member, role in members.items():
        of_family: Row = {"family_id": family, "user_id": person(tenant, member), "role": role}
        yield "identity.family_members", of_family | {"is_primary_contact": False}, whose
