"""Async work: the unit of work of a tenant, with the asynchronous twin of each repository.

Owns: the list of the awaited methods, one line each.
Must not know: what the methods do (the repositories), how a call is awaited (`awaiting`).
"""

from datetime import date
from typing import TYPE_CHECKING, Any, cast, overload

from sqlmodel import Session
from sqlmodel.ext.asyncio.session import AsyncSession

from scheduler import models
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from scheduler.front_door.awaiting import AsyncTwin, Turn, awaited
from scheduler.front_door.closures import Closures
from scheduler.front_door.doctors import Doctors
from scheduler.front_door.exceptions import Exceptions
from scheduler.front_door.facilities import Facilities
from scheduler.front_door.ids import DoctorId, OfferingId, TenantId, UserId
from scheduler.front_door.patients import Patients
from scheduler.front_door.rules import Rules
from scheduler.front_door.slots import OpenSlots
from scheduler.front_door.work import Work

Bookable = OfferingId | models.ServiceOffering | DoctorId | models.Doctor


class AsyncFacilities(AsyncTwin[Facilities]):
    """The facilities of a tenant."""

    get = awaited(Facilities.get)
    all = awaited(Facilities.all)
    by_slug = awaited(Facilities.by_slug)
    add = awaited(Facilities.add)
    change = awaited(Facilities.change)
    delete = awaited(Facilities.delete)


class AsyncDoctors(AsyncTwin[Doctors]):
    """The doctors of a tenant."""

    get = awaited(Doctors.get)
    all = awaited(Doctors.all)
    add = awaited(Doctors.add)
    change = awaited(Doctors.change)
    delete = awaited(Doctors.delete)


class AsyncPatients(AsyncTwin[Patients]):
    """The patients of a tenant."""

    get = awaited(Patients.get)
    all = awaited(Patients.all)
    add = awaited(Patients.add)
    change = awaited(Patients.change)
    delete = awaited(Patients.delete)


class AsyncRules(AsyncTwin[Rules]):
    """The availability rules of a tenant."""

    get = awaited(Rules.get)
    all = awaited(Rules.all)
    of = awaited(Rules.of)
    add = awaited(Rules.add)
    change = awaited(Rules.change)
    end = awaited(Rules.end)
    delete = awaited(Rules.delete)


class AsyncExceptions(AsyncTwin[Exceptions]):
    """The availability exceptions of a tenant."""

    get = awaited(Exceptions.get)
    all = awaited(Exceptions.all)
    of = awaited(Exceptions.of)
    block = awaited(Exceptions.block)
    override = awaited(Exceptions.override)
    emergency = awaited(Exceptions.emergency)
    remove = awaited(Exceptions.remove)


class AsyncClosures(AsyncTwin[Closures]):
    """The closures of the facilities of a tenant."""

    get = awaited(Closures.get)
    all = awaited(Closures.all)
    of = awaited(Closures.of)
    add = awaited(Closures.add)
    remove = awaited(Closures.remove)


class AsyncOpenSlots(AsyncTwin[OpenSlots]):
    """The slots of a tenant that can still be booked."""

    if TYPE_CHECKING:  # a type checker would keep the first overload only

        @overload
        async def open(self, what: Bookable, *, day: date, limit: int = 100) -> list[Slot]: ...

        @overload
        async def open(self, what: Bookable, *, between: Span, limit: int = 100) -> list[Slot]: ...

        async def open(self, *args: Any, **kwargs: Any) -> list[Slot]: ...
    else:
        open = awaited(OpenSlots.open)


class AsyncWork(AsyncTwin[Work]):
    """A unit of work: one transaction for one tenant. Get it from `AsyncScheduler.tenant`; it ends with the block.

    It serves one task: calls of several tasks at once are refused.
    """

    def __init__(self, work: Work, turn: Turn) -> None:
        super().__init__(work, turn)
        self._session: AsyncSession | None = None
        self.facilities = AsyncFacilities(work.facilities, turn)
        self.doctors = AsyncDoctors(work.doctors, turn)
        self.patients = AsyncPatients(work.patients, turn)
        self.rules = AsyncRules(work.rules, turn)
        self.exceptions = AsyncExceptions(work.exceptions, turn)
        self.closures = AsyncClosures(work.closures, turn)
        self.slots = AsyncOpenSlots(work.slots, turn)

    @property
    def session(self) -> AsyncSession:
        """The asynchronous SQLModel session of the transaction."""
        if self._session is None:
            of_the_transaction = self._sync.session
            made = cast("type[Session]", lambda **_: of_the_transaction)
            self._session = AsyncSession(sync_session_class=made)  # instead of a second session
        return self._session

    @property
    def tenant_id(self) -> TenantId:
        """The tenant that the work is for."""
        return self._sync.tenant_id

    @property
    def user_id(self) -> UserId | None:
        """The user that the work is for; None for the host itself."""
        return self._sync.user_id
