"""Calls at the desk: parts of a unit of work that book.

Owns: the savepoint and the role of a call, and the refusals of the constraints as errors of booking.
Holds: B1 (the constraints are the last line: whoever is refused by one is told that the visit was taken).
Must not know: what a call does.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlmodel import Session

from scheduler.booking.errors import SlotTakenError
from scheduler.postgres.acting import Role, acting
from scheduler.postgres.errors import CheckFailedError, DuplicateError
from scheduler.postgres.savepoints import refusable

_TAKEN: Final = frozenset(
    {
        "a_doctor_is_taken_once_at_a_time",
        "a_resource_is_taken_once_at_a_time",
        "a_patient_has_one_appointment_at_a_time",
        "a_slot_is_booked_within_its_capacity",
        "a_doctor_is_shared_within_the_slot",
        "a_cancelled_slot_takes_no_visit",
    }
)


@contextmanager
def at_the_desk(session: Session, *, then: Callable[[], object] | None = None) -> Iterator[None]:
    """Run the block as the role that books, and `then` as the former role; an error undoes both alone.

    A writer of other SQL, which holds no lock of the library, may come between decision and writing: then a constraint
    refuses.

    Raises:
        SlotTakenError: a constraint of booking refused.
        StatementError: the database refused a statement of the block.
    """
    refusal: str | None = None
    try:
        with refusable(session):
            with acting(session, Role.DESK):
                yield
            if then is not None:
                then()
    except (DuplicateError, CheckFailedError) as error:
        if error.constraint not in _TAKEN:
            raise
        refusal = error.constraint
    if refusal is not None:
        raise SlotTakenError("the time or the place was just given to somebody else: find the visit again")
