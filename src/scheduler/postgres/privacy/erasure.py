"""Erasure: deletion of all rows about a data subject (GDPR, article 17).

Owns: the order of deletion, and the refusal if rows about other people depend on the person.
Holds: R4 (all of it or nothing, in the caller's transaction).
Must not know: the rows about a person (`data_subject` finds them), or legal duties to keep rows. A caller that must
keep rows about the person, such as the records of a treatment, must not erase the person.

A user who signs in for others, such as a guardian of two patients, is not erased before each of them is erased or has
another user: their records would lose their guardian. A person whom the records of others refer to (a doctor with
appointments, a practitioner with children) is not erased: a cascade would delete those, too. A column that only names
the person as the author of something is set to null. A family or an address is deleted with its last person. The audit
log stays: it has ids, but no names and no notes. Ended holds refuse nothing: they go first.
"""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from typing import Final

from sqlalchemy import ColumnElement, ForeignKeyConstraint, Table, select, text, tuple_
from sqlmodel import Session, SQLModel

from scheduler.postgres.audit.log import record_system
from scheduler.postgres.errors import ErasureRefusedError
from scheduler.postgres.privacy.data_subject import (
    SHARED,
    Person,
    Rows,
    batches,
    key_of,
    others_under,
    references,
    rows_of_subject,
)

GOES_ALONG: Final = frozenset({"contributors_placement_info_id_fkey", "schedule_states_doctor_id_fkey"})
"""Foreign keys of rows that are not about the person but useless without a row that is: a cascade deletes them."""

_ENDED_HOLDS: Final = text("delete from scheduling.holds where tenant_id = :tenant and ends_at <= scheduling.clock()")


def erase_person(session: Session, person: Person) -> dict[str, int]:
    """Delete all rows about a person as `Role.SYSTEM`, record it, and return the number of deleted rows by table.

    Raises:
        NotFoundError: the tenant has no such person.
        ErasureRefusedError: the person signs in for others, or rows about other people depend on rows about the person;
            nothing is deleted.
    """
    session.connection().execute(_ENDED_HOLDS, {"tenant": person.tenant_id})
    rows = rows_of_subject(session, person, lock=True)
    if others := others_under(session, rows):
        names = ", ".join(map(str, others))
        counts_of_others = Counter(other.kind.value for other in others)
        remedy = "erase each of them first, or give the record another user or none"
        raise ErasureRefusedError(
            f"{person} cannot be erased, it signs in for others ({names}): {remedy}", counts_of_others
        )
    dependants = {str(key.name): count for key in references() if (count := _dependants(session, key, rows))}
    if dependants:
        counts = ", ".join(f"{name} ({count})" for name, count in dependants.items())
        raise ErasureRefusedError(f"{person} cannot be erased, rows about others need it: {counts}", dependants)
    deleted = {table.fullname: _delete(session, table, rows[table]) for table in reversed(list(rows))}
    session.expire_all()
    record_system(session, "person.erased", person.described(deleted))
    return deleted


def _dependants(session: Session, reference: ForeignKeyConstraint, rows: Rows) -> int:
    """Count the rows about others that refer to a row about the person and do not survive its deletion."""
    set_null = (reference.ondelete or "").startswith("SET NULL")
    table = reference.referred_table
    if set_null or table not in rows or table in _shared() or reference.name in GOES_ALONG:
        return 0
    known = {key_of(row) for row in rows.get(reference.table, ())}
    names = [element.column.name for element in reference.elements]
    values = [tuple(getattr(row, name) for name in names) for row in rows[table]]
    query = select(*reference.table.primary_key)
    return sum(
        tuple(key) not in known
        for batch in batches(values)
        for key in session.connection().execute(query.where(tuple_(*reference.columns).in_(batch)))
    )


def _delete(session: Session, table: Table, rows: Sequence[SQLModel]) -> int:
    """Delete rows; in a shared table only those without references to them."""
    conditions = [_is_unreferenced(key) for key in references() if key.referred_table is table and table in _shared()]
    keys = tuple_(*table.primary_key)
    delete = table.delete().where(*conditions)
    parts = batches([key_of(row) for row in rows])
    return sum(session.connection().execute(delete.where(keys.in_(part))).rowcount for part in parts)


def _is_unreferenced(reference: ForeignKeyConstraint) -> ColumnElement[bool]:
    same = (element.parent == element.column for element in reference.elements)
    return ~select(*reference.columns).where(*same).exists()


@cache
def _shared() -> frozenset[Table]:
    return frozenset(key.referred_table for key in references() if key.name in SHARED)
