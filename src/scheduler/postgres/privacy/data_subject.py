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
"""Rows that point to a row about a person, and are about the same person."""

SHARED: Final = ("a_member_is_of_a_family", "a_family_may_have_an_address", "a_client_may_have_an_address")
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
