"""Personal rows: which rows of which tables are about a person.

Owns: where a search for a person begins, and which references lead from there to more about the same person.
Must not know: what the rows are wanted for (`exporting`, `erasing`), or what stands in them.

A reference that is not named here is not followed, however it is declared: an export that misses a row is found by a
test (every reference to a table about people is decided on there, with a reason), one that tells a stranger's story is
found by the stranger. So what only says who did something (`created_by`, `acknowledged_by`) ends the search, and so do
the patients of a doctor, the children of a practitioner and the other members of a family.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ForeignKeyConstraint, Table, tuple_
from sqlmodel import Session, SQLModel, select

from scheduler.core.errors import NotFoundError
from scheduler.models.registry import METADATA, model_of, table_of

CHUNK: Final = 500

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
    "waitlist_entries_patient_id_fkey",
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
)
"""Rows that point to a row about a person, and are about the same person."""

SHARED: Final = ("family_members_family_id_fkey", "families_address_id_fkey", "clients_address_id_fkey")
"""Rows that a row about a person points to, and that say something of the person and of others: a home, a family."""


class Kind(StrEnum):
    """As what a person is known; the value is the table. Whoever signs in is a user, and all else besides."""

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
        """Say for the audit log whom an event is about, and how many rows of which tables."""
        return {"kind": self.kind.name.lower(), "id": str(self.id), "rows": {**rows}}

    def __str__(self) -> str:
        return f"{self.kind.name.lower()} {self.id}"


Found: TypeAlias = Mapping[Table, Sequence[SQLModel]]
"""The rows about a person by table, in the order of their keys; a table comes after those that it points to."""


class _Step(NamedTuple):
    """From rows of one table to rows of another whose `columns` have the same values."""

    table: Table
    names: tuple[str, ...]
    to: Table
    columns: tuple[Any, ...]


def rows_of_subject(session: Session, person: Person, *, lock: bool = False) -> Found:
    """Find all rows about a person, deleted ones too; with `lock` nobody changes or points to them meanwhile.

    Raises:
        NotFoundError: there is no such person in the tenant.
    """
    found: dict[Table, dict[Any, SQLModel]] = {table: {} for table in _tables()}
    fresh = [_start(session, person, lock=lock)]
    while fresh:
        for row in fresh:
            found[table_of(type(row))][key_of(row)] = row
        beside = [row for step in steps() for row in _beside(session, step, fresh, lock=lock)]
        fresh = [row for row in beside if key_of(row) not in found[table_of(type(row))]]
    return {table: [rows[key] for key in sorted(rows)] for table, rows in found.items() if rows}


def references() -> Iterator[ForeignKeyConstraint]:
    """Yield every reference of every table."""
    for table in _tables():
        yield from table.foreign_key_constraints


@cache
def steps() -> tuple[_Step, ...]:
    """Return the steps that the search takes."""
    named = {str(one.name): one for one in references()}
    return (*(_towards(named[name]) for name in SUBJECT_REFERENCES), *(_along(named[name]) for name in SHARED))


def key_of(row: SQLModel) -> tuple[Any, ...]:
    """Return the key of a row, tenant and all."""
    return tuple(getattr(row, column.name) for column in table_of(type(row)).primary_key)


def chunks(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Cut into parts that a statement can take."""
    return (values[first : first + CHUNK] for first in range(0, len(values), CHUNK))


@cache
def _tables() -> tuple[Table, ...]:
    return tuple(METADATA.sorted_tables)


def _start(session: Session, person: Person, *, lock: bool) -> SQLModel:
    """Return the row that all else about the person hangs on: that of the user, if there is one."""
    row = session.get(_model(person.kind), (person.tenant_id, person.id), with_for_update=lock or None)
    if row is None:
        raise NotFoundError(f"no {person}")
    for column, kind in _IS_ALSO:
        if (known_as := getattr(row, column, None)) is not None:
            return _start(session, Person(person.tenant_id, kind, known_as), lock=lock)
    return row


def _model(kind: Kind) -> type[SQLModel]:
    return model_of(METADATA.tables[kind.value])


def _towards(reference: ForeignKeyConstraint) -> _Step:
    names = tuple(element.column.name for element in reference.elements)
    return _Step(reference.referred_table, names, reference.table, tuple(reference.columns))


def _along(reference: ForeignKeyConstraint) -> _Step:
    columns = tuple(element.column for element in reference.elements)
    return _Step(reference.table, tuple(reference.columns.keys()), reference.referred_table, columns)


def _beside(session: Session, step: _Step, rows: Iterable[SQLModel], *, lock: bool) -> Iterator[SQLModel]:
    here = (tuple(getattr(row, name) for name in step.names) for row in rows if table_of(type(row)) is step.table)
    for some in chunks([values for values in here if None not in values]):
        asked = select(model_of(step.to)).where(tuple_(*step.columns).in_(some))
        yield from session.exec(asked.with_for_update() if lock else asked)
