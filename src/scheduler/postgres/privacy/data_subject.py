"""Data subject: the rows of all tables that are about a person.

Owns: the first row of the search for a person, and the references that lead to more rows about the same person.
Must not know: the use of the rows (`export`, `erasure`), or their contents.

Only references that are listed here are followed, and a user's e-mail address to its invitations. A test finds a
missing reference, since it asks for a decision, with a reason, about every reference to a table about people; no test
would find an export that tells a stranger's story. So references to the author of something (`created_by`,
`acknowledged_by`) end the search, and so do the patients of a doctor, the children of a practitioner and the other
members of a family.

A record that names a user is usually about that user. But a guardian signs in for several patients, and a practice for
several specialists: these records are about other people (`others_under`), so the search goes neither from the user to
them nor back.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ForeignKeyConstraint, Table, tuple_
from sqlmodel import Session, SQLModel, col, select

from scheduler.core.errors import NotFoundError
from scheduler.models import FamilyMember, Invitation, User, UserRole
from scheduler.models.registry import METADATA, model_of, table_of

ROWS_PER_STATEMENT: Final = 500

SUBJECT_REFERENCES: Final = (
    # a user, in the parts that a user may have
    "profiles_id_fkey",
    "family_members_user_id_fkey",
    "doctors_user_id_fkey",
    "patients_user_id_fkey",
    "clients_user_id_fkey",
    "specialists_user_id_fkey",
    "facility_staff_user_id_fkey",
    "contributors_user_id_fkey",
    "holds_held_by_fkey",
    "booking_requests_actor_id_fkey",
    # what a user holds
    "allocations_hold_id_fkey",
    # a profile
    "children_id_fkey",
    "invitations_accepted_by_fkey",
    # a child
    "wellbeing_sessions_child_id_fkey",
    "wellbeing_responses_child_id_fkey",
    "garden_items_child_id_fkey",
    "stickers_earned_child_id_fkey",
    "alerts_child_id_fkey",
    # a patient
    "appointments_patient_id_fkey",
    "appointment_steps_appointment_id_fkey",
    "appointment_step_resources_appointment_step_id_fkey",
    "allocations_appointment_id_fkey",
    "waitlist_entries_patient_id_fkey",
    "booking_caps_patient_id_fkey",
    # a client
    "medications_client_id_fkey",
    "placement_info_client_id_fkey",
    "placement_info_specialists_placement_info_id_fkey",
    "metadata_placement_info_id_fkey",
    "form_field_contributions_placement_info_id_fkey",
    # who contributes to a placement
    "form_field_contributions_placement_info_id_contributor_id_fkey",
    # a doctor: where and when one works
    "specialists_doctor_id_fkey",
    "facility_doctors_doctor_id_fkey",
    "service_offerings_doctor_id_fkey",
    "availability_rules_doctor_id_fkey",
    "availability_exceptions_doctor_id_fkey",
    "booking_policies_doctor_id_fkey",
    "resources_doctor_id_fkey",
    "booking_caps_doctor_id_fkey",
    "booking_caps_service_offering_id_fkey",
    "resource_rules_resource_id_fkey",
    "resource_exceptions_resource_id_fkey",
)
"""References of rows to a row about a person that are about the same person."""

SHARED: Final = ("family_members_family_id_fkey", "families_address_id_fkey", "clients_address_id_fkey")
"""References of a row about a person to rows about the person and others: a home, a family."""


_ADDRESS: Final = ("tenant_id", "email")
"""Columns of a user, and of the invitations to the user's address in any state: no reference leads to them."""

IN_CARE: Final = ("patients_user_id_fkey", "clients_user_id_fkey")
SPECIALISTS: Final = ("specialists_user_id_fkey",)
"""References to a user who may sign in for others: of several records none is the user, and of a guardian's none in
care. A doctor has a user of their own, by a constraint, and a child is its user, by its key."""


class Kind(StrEnum):
    """The kind of a person; the value is the table. A person who signs in is a user besides other kinds."""

    USER = "identity.users"
    CLIENT = "placement.clients"
    PATIENT = "scheduling.patients"
    DOCTOR = "scheduling.doctors"
    SPECIALIST = "placement.specialists"
    CONTRIBUTOR = "placement.contributors"


_IS_ALSO: Final = (("user_id", Kind.USER), ("doctor_id", Kind.DOCTOR))


class Person(NamedTuple):
    """A person of a tenant."""

    tenant_id: UUID
    kind: Kind
    id: UUID | int

    def described(self, rows: Mapping[str, int]) -> dict[str, JsonValue]:
        """Return the audit log's details of an event: the person, and the number of rows by table."""
        return {"kind": self.kind.name.lower(), "id": str(self.id), "rows": {**rows}}

    def __str__(self) -> str:
        return f"{self.kind.name.lower()} {self.id}"


Rows: TypeAlias = Mapping[Table, Sequence[SQLModel]]
"""The rows about a person by table, in the order of their keys; a table comes after those that it refers to."""


class _Step(NamedTuple):
    """A step along a reference, from rows of one table to rows of another whose `columns` have the same values."""

    reference: str
    table: Table
    names: tuple[str, ...]
    to: Table
    columns: tuple[Any, ...]


def rows_of_subject(session: Session, person: Person, *, lock: bool = False) -> Rows:
    """Find all rows about a person, also deleted ones; with `lock`, lock them against changes and new references.

    Raises:
        NotFoundError: the tenant has no such person.
    """
    by_table: dict[Table, dict[Any, SQLModel]] = {table: {} for table in _tables()}
    fresh = [_start(session, person, lock=lock)]
    others: set[Person] = set()
    while fresh:
        for row in fresh:
            by_table[table_of(type(row))][key_of(row)] = row
            others.update(_others_under(session, row))
        related = [row for step in steps() for row in _related(session, step, fresh, lock=lock)]
        fresh = [
            row for row in related if key_of(row) not in by_table[table_of(type(row))] and _person_of(row) not in others
        ]
    return {table: [rows[key] for key in sorted(rows)] for table, rows in by_table.items() if rows}


def others_under(session: Session, rows: Rows) -> list[Person]:
    """Return the other people for whom a person with these rows signs in, by kind and id."""
    others = {other for of_table in rows.values() for row in of_table for other in _others_under(session, row)}
    return sorted(others, key=lambda other: (other.kind.value, str(other.id)))


def references() -> Iterator[ForeignKeyConstraint]:
    """Yield the foreign keys of all tables."""
    for table in _tables():
        yield from table.foreign_key_constraints


@cache
def steps() -> tuple[_Step, ...]:
    """Return the steps of the search."""
    named = {str(reference.name): reference for reference in references()}
    invitations = table_of(Invitation)
    address = tuple(invitations.columns[name] for name in _ADDRESS)
    to_address = _Step("invitations to the address of a user", table_of(User), _ADDRESS, invitations, address)
    backward = (_backward(named[name]) for name in SUBJECT_REFERENCES)
    return (*backward, *(_forward(named[name]) for name in SHARED), to_address)


def key_of(row: SQLModel) -> tuple[Any, ...]:
    """Return the primary key of a row, with its tenant."""
    return tuple(getattr(row, column.name) for column in table_of(type(row)).primary_key)


def batches(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Split values into batches for one statement each."""
    return (values[first : first + ROWS_PER_STATEMENT] for first in range(0, len(values), ROWS_PER_STATEMENT))


@cache
def _tables() -> tuple[Table, ...]:
    return tuple(METADATA.sorted_tables)


def _start(session: Session, person: Person, *, lock: bool) -> SQLModel:
    """Return the row that the search starts from: that of the user, if the person is one."""
    row = session.get(_model(person.kind), (person.tenant_id, person.id), with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"no {person}")
    for column, kind in _IS_ALSO:
        if (known_as := getattr(row, column, None)) is not None:
            start = _start(session, Person(person.tenant_id, kind, known_as), lock=lock)
            named = session.get_one(_model(kind), (person.tenant_id, known_as))
            return row if person in _others_under(session, named) else start
    return row


def _person_of(row: SQLModel) -> Person | None:
    """Return the person that a row is, if its table is of a kind of people."""
    tenant_id, *key = key_of(row)
    name = table_of(type(row)).fullname
    return Person(tenant_id, Kind(name), key[0]) if name in {*Kind} else None


def _others_under(session: Session, row: SQLModel) -> Iterator[Person]:
    """Yield the other people whose records name this row, if it is a user."""
    if isinstance(row, User):
        for names in (IN_CARE, SPECIALISTS):
            to_records = [step for step in steps() if step.reference in names]
            records = [record for step in to_records for record in _related(session, step, [row], lock=False)]
            if len(records) > 1 or (names is IN_CARE and records and _is_guardian(session, row)):
                yield from filter(None, map(_person_of, records))


def _is_guardian(session: Session, user: User) -> bool:
    """Tell whether a user is a parent: by role, or as a member of any family."""
    query = select(FamilyMember).where(
        col(FamilyMember.tenant_id) == user.tenant_id,
        col(FamilyMember.user_id) == user.id,
        col(FamilyMember.role) == "parent",
    )
    return user.role == UserRole.PARENT or session.exec(query).first() is not None


def _model(kind: Kind) -> type[SQLModel]:
    return model_of(METADATA.tables[kind.value])


def _backward(reference: ForeignKeyConstraint) -> _Step:
    names = tuple(element.column.name for element in reference.elements)
    return _Step(str(reference.name), reference.referred_table, names, reference.table, tuple(reference.columns))


def _forward(reference: ForeignKeyConstraint) -> _Step:
    columns = tuple(element.column for element in reference.elements)
    return _Step(
        str(reference.name), reference.table, tuple(reference.columns.keys()), reference.referred_table, columns
    )


def _related(session: Session, step: _Step, rows: Iterable[SQLModel], *, lock: bool) -> Iterator[SQLModel]:
    keys = (tuple(getattr(row, name) for name in step.names) for row in rows if table_of(type(row)) is step.table)
    for batch in batches([key for key in keys if None not in key]):
        query = select(model_of(step.to)).where(tuple_(*step.columns).in_(batch))
        yield from session.exec(query.with_for_update() if lock else query)
