"""Data subject: the rows of all tables that are about a person.

Owns: the first row of the search for a person, and the references that lead to more rows about the same person.
Must not know: the use of the rows (`export`, `erasure`), or their contents.

Only references that are listed here are followed. A test finds a missing one, since it asks for a decision, with a
reason, about every reference to a table about people; no test would find an export that tells a stranger's story. So
references to the author of something (`created_by`, `acknowledged_by`) end the search, and so do the patients of a
doctor, the children of a practitioner and the other members of a family.
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

ROWS_PER_STATEMENT: Final = 500

SUBJECT_REFERENCES: Final = (
    # a user, in the parts that a user may have
    "a_profile_is_of_a_user",
    "a_member_is_a_user",
    "a_doctor_may_sign_in",
    "a_patient_may_sign_in",
    "a_client_may_sign_in",
    "a_specialist_may_sign_in",
    "an_assignment_is_of_a_user",
    "a_contributor_may_be_a_user",
    # a profile
    "a_child_is_a_profile",
    "an_invitation_may_be_accepted_by_somebody",
    # a child
    "a_session_is_of_a_child",
    "a_response_is_of_a_child",
    "a_garden_item_is_of_a_child",
    "a_sticker_is_of_a_child",
    "an_alert_is_about_a_child",
    # a patient
    "an_appointment_is_of_a_patient",
    "an_appointment_step_is_of_an_appointment",
    "a_waitlist_entry_is_of_a_patient",
    # a client
    "a_medication_is_of_a_client",
    "a_placement_is_of_a_client",
    "a_treatment_is_in_a_placement",
    "a_form_is_about_a_placement",
    "a_contribution_is_to_a_placement",
    # who contributes to a placement
    "a_contribution_is_by_a_contributor_of_its_placement",
    # a doctor: where and when one works
    "a_specialist_may_have_a_schedule",
    "the_doctor_of_a_pair_stays",
    "an_offering_is_by_a_doctor",
    "a_rule_is_of_a_doctor",
    "an_exception_is_of_a_doctor",
)
"""References of rows to a row about a person that are about the same person."""

SHARED: Final = ("a_member_is_of_a_family", "a_family_may_have_an_address", "a_client_may_have_an_address")
"""References of a row about a person to rows about the person and others: a home, a family."""


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


RowsByTable: TypeAlias = Mapping[Table, Sequence[SQLModel]]
"""The rows about a person by table, in the order of their keys; a table comes after those that it refers to."""


class _Step(NamedTuple):
    """A step from rows of one table to rows of another whose `columns` have the same values."""

    table: Table
    names: tuple[str, ...]
    to: Table
    columns: tuple[Any, ...]


def rows_of_subject(session: Session, person: Person, *, lock: bool = False) -> RowsByTable:
    """Find all rows about a person, also deleted ones; with `lock`, lock them against changes and new references.

    Raises:
        NotFoundError: the tenant has no such person.
    """
    by_table: dict[Table, dict[Any, SQLModel]] = {table: {} for table in _tables()}
    fresh = [_start(session, person, lock=lock)]
    while fresh:
        for row in fresh:
            by_table[table_of(type(row))][key_of(row)] = row
        related = [row for step in steps() for row in _related(session, step, fresh, lock=lock)]
        fresh = [row for row in related if key_of(row) not in by_table[table_of(type(row))]]
    return {table: [rows[key] for key in sorted(rows)] for table, rows in by_table.items() if rows}


def references() -> Iterator[ForeignKeyConstraint]:
    """Yield the foreign keys of all tables."""
    for table in _tables():
        yield from table.foreign_key_constraints


@cache
def steps() -> tuple[_Step, ...]:
    """Return the steps of the search."""
    named = {str(reference.name): reference for reference in references()}
    return (*(_backward(named[name]) for name in SUBJECT_REFERENCES), *(_forward(named[name]) for name in SHARED))


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
            return _start(session, Person(person.tenant_id, kind, known_as), lock=lock)
    return row


def _model(kind: Kind) -> type[SQLModel]:
    return model_of(METADATA.tables[kind.value])


def _backward(reference: ForeignKeyConstraint) -> _Step:
    names = tuple(element.column.name for element in reference.elements)
    return _Step(reference.referred_table, names, reference.table, tuple(reference.columns))


def _forward(reference: ForeignKeyConstraint) -> _Step:
    columns = tuple(element.column for element in reference.elements)
    return _Step(reference.table, tuple(reference.columns.keys()), reference.referred_table, columns)


def _related(session: Session, step: _Step, rows: Iterable[SQLModel], *, lock: bool) -> Iterator[SQLModel]:
    keys = (tuple(getattr(row, name) for name in step.names) for row in rows if table_of(type(row)) is step.table)
    for batch in batches([key for key in keys if None not in key]):
        query = select(model_of(step.to)).where(tuple_(*step.columns).in_(batch))
        yield from session.exec(query.with_for_update() if lock else query)
