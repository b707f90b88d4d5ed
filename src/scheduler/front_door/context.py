"""Context of a unit of work: its session, its tenant and user, and the clock of the host.

Must not know: which repositories there are.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlmodel import Session

from scheduler.front_door.ids import TenantId, UserId

Clock = Callable[[], datetime]
"""Returns the current instant, aware."""


@dataclass(frozen=True, slots=True)
class Context:
    """The session, tenant, user and clock that the repositories of one unit of work share."""

    session: Session
    tenant_id: TenantId
    user_id: UserId | None
    clock: Clock
