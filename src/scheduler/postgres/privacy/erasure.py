"""Erasing: what is stored about a person goes for good (GDPR, article 17).

Owns: what of a person can go, in which order, and what is in the way.
Holds: R4 (all of it or nothing, in the caller's transaction).
Must not know: which rows are about a person (`personal`), whether the person may be erased: what has to be kept, such
as the records of a treatment, is kept by not calling this.

A person on whom the records of others hang (a doctor with appointments, a practitioner with children) is not erased:
with a cascade those would go, too. What only says that the person did something forgets who it was. A family or an
address goes with the last one who had it. The audit log stays: it has ids, but no names and no notes.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

from sqlalchemy import ColumnElement, ForeignKeyConstraint, Table, not_, select, tuple_
from sqlmodel import Session, SQLModel

from scheduler.postgres.audit.log import record_system
from scheduler.postgres.errors import ErasureRefusedError
from scheduler.postgres.privacy.data_subject import SHARED, Found, Person, chunks, key_of, references, rows_of_subject

GOES_ALONG: Final = frozenset({"contributors_placement_info_id_fkey", "schedule_states_doctor_id_fkey"})
"""Rows that are not about the person, and mean nothing without a row that is: with it they go by cascade."""


def erase_person(session: Session, person: Person) -> dict[str, int]:
    """Delete all rows about a person as `Role.SYSTEM`, record it, and return how many went, by table.

    Raises:
        NotFoundError: there is no such person in the tenant.
        ErasureRefusedError: rows about others hang on rows about the person; nothing is deleted.
    """
    found = rows_of_subject(session, person, lock=True)
    others = {str(one.name): count for one in references() if (count := _others(session, one, found))}
    if others:
        said = ", ".join(f"{name} ({count})" for name, count in others.items())
        raise ErasureRefusedError(f"{person} cannot be erased, rows about others need it: {said}", others)
    gone = {table.fullname: _delete(session, table, found[table]) for table in reversed(list(found))}
    session.expire_all()
    record_system(session, "person.erased", person.described(gone))
    return gone


def _others(session: Session, reference: ForeignKeyConstraint, found: Found) -> int:
    """Count the rows that point to one about the person, and would go with it or hold it, without being about it."""
    forgets = (reference.ondelete or "").startswith("SET NULL")
    here = reference.referred_table
    if forgets or here not in found or here in _shared() or reference.name in GOES_ALONG:
        return 0
    known = {key_of(row) for row in found.get(reference.table, ())}
    names = [element.column.name for element in reference.elements]
    pointed = [tuple(getattr(row, name) for name in names) for row in found[here]]
    asked = select(*reference.table.primary_key)
    return sum(
        tuple(key) not in known
        for some in chunks(pointed)
        for key in session.connection().execute(asked.where(tuple_(*reference.columns).in_(some)))
    )


def _delete(session: Session, table: Table, rows: Sequence[SQLModel]) -> int:
    """Delete rows; of a table that is shared those only to which nothing points any more."""
    unless = [_pointing(one) for one in references() if one.referred_table is table] if table in _shared() else []
    keys = tuple_(*table.primary_key)
    statements = (table.delete().where(keys.in_(some), *unless) for some in chunks([key_of(row) for row in rows]))
    return sum(session.connection().execute(one).rowcount for one in statements)


def _pointing(reference: ForeignKeyConstraint) -> ColumnElement[bool]:
    same = (element.parent == element.column for element in reference.elements)
    return not_(select(*reference.columns).where(*same).exists())


@cache
def _shared() -> frozenset[Table]:
    return frozenset(one.referred_table for one in references() if one.name in SHARED)
