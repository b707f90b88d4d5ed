"""People at the desk: who asks, and for which patient or visit.

Owns: the question to row security, asked as the user, whether a patient or a visit is theirs.
Holds: B9 (a patient or a visit that is not the user's is not found; the channel `desk` is that of staff).
Must not know: what is done with a visit.
"""

from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.channels import DESK, WEB
from scheduler.core.errors import NotFoundError

_ASK: Final = text("""
select identity.current_user_id() is null or identity.is_staff_member() as is_staff, array(
    select id from scheduling.patients
    where tenant_id = (select identity.current_tenant_id()) and id = any(cast(:patients as bigint[]))
      and deleted_at is null
) as patients, array(
    select id from scheduling.appointments
    where tenant_id = (select identity.current_tenant_id()) and id = any(cast(:visits as bigint[]))
) as visits
""")


class Person(NamedTuple):
    """The person who asks: the user, or the host itself without one, and the channel."""

    user_id: UUID | None
    channel: str

    @property
    def is_staff(self) -> bool:
        """Whether the person works for the tenant, as the host itself does."""
        return self.channel == DESK


def ask(
    session: Session, user_id: UUID | None, *, patients: tuple[int, ...] = (), visits: tuple[int, ...] = ()
) -> Person:
    """Return who asks, having seen that the patients and the visits are theirs.

    Raises:
        NotFoundError: there is no such patient or visit, the patient is deleted, or it is not the user's.
    """
    if user_id is None and not visits:
        return Person(None, DESK)  # the host itself: the lock finds out whether the patients are there
    row = session.connection().execute(_ASK, {"patients": list(patients), "visits": list(visits)}).one()
    for name, wanted, found in (("patient", patients, row.patients), ("visit", visits, row.visits)):
        for id_ in wanted:
            if id_ not in found:
                raise NotFoundError(f"no {name} has the id {id_}")
    return Person(user_id, DESK if row.is_staff else WEB)
