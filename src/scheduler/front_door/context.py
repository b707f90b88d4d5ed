"""Context of a unit of work: its session, its tenant and user, and the clock of the host.

Must not know: which repositories there are.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlmodel import Session

from scheduler.core.ids import TenantId, UserId
from scheduler.front_door.process import random_bytes

Clock = Callable[[], datetime]
"""Returns the current instant, aware."""


@dataclass(frozen=True, slots=True)
class Context:
    """The session, tenant, user, clock and random source that the repositories of one unit of work share.

    `bookings` has the key, or None, of each call that booked: if the connection is lost while the transaction is
    committed, their outcome is unknown.
    """

    session: Session
    tenant_id: TenantId
    user_id: UserId | None
    clock: Clock
    random_bytes: Callable[[int], bytes] = random_bytes
    bookings: list[str | None] = field(default_factory=list)

    def booked(self, key: str | None) -> None:
        """Note that a call has booked, with its key if it had one."""
        self.bookings.append(key)
