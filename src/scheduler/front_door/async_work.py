"""Async work: the unit of work of a tenant, with the asynchronous twin of each repository.

Owns: the list of the awaited methods, one line each.
Must not know: what the methods do (the repositories), how a call is awaited (`awaiting`).
"""

from asyncio import Lock
from typing import TYPE_CHECKING, Any, cast, overload

from sqlmodel.ext.asyncio.session import AsyncSession

from scheduler import models
from scheduler.front_door.awaiting import AsyncTwin, awaited
from scheduler.front_door.closures import Closures
from scheduler.front_door.doctors import Doctors
from scheduler.front_door.exceptions import Exceptions
from scheduler.front_door.facilities import Facilities
from scheduler.front_door.ids import DoctorId, OfferingId, TenantId, UserId
from scheduler.front_door.insurance import Insurance, Plans, Providers
from scheduler.front_door.offerings import Offerings
from scheduler.front_door.patients import Patients
from scheduler.front_door.resources import Resources
from scheduler.front_door.rules import Rules
from scheduler.front_door.services import Services
from scheduler.front_door.slots import OpenSlots
from scheduler.front_door.work import Work
from scheduler.front_door.workflows import StepTemplates, Workflows

if TYPE_CHECKING:
    from datetime import date

    from sqlmodel import Session

    from scheduler.core.slots import Slot
    from scheduler.core.spans import Span

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


class AsyncServices(AsyncTwin[Services]):
    """The services of a tenant."""

    get = awaited(Services.get)
    all = awaited(Services.all)
    add = awaited(Services.add)
    change = awaited(Services.change)
    delete = awaited(Services.delete)


class AsyncOfferings(AsyncTwin[Offerings]):
    """The offerings of a tenant."""

    get = awaited(Offerings.get)
    all = awaited(Offerings.all)
    add = awaited(Offerings.add)
    change = awaited(Offerings.change)
    delete = awaited(Offerings.delete)


class AsyncStepTemplates(AsyncTwin[StepTemplates]):
    """The step templates of a tenant."""

    get = awaited(StepTemplates.get)
    all = awaited(StepTemplates.all)
    of = awaited(StepTemplates.of)
    add = awaited(StepTemplates.add)
    change = awaited(StepTemplates.change)


class AsyncWorkflows(AsyncTwin[Workflows]):
    """The workflows of a tenant."""

    get = awaited(Workflows.get)
    all = awaited(Workflows.all)
    of = awaited(Workflows.of)
    value = awaited(Workflows.value)
    add = awaited(Workflows.add)
    replace = awaited(Workflows.replace)
    change = awaited(Workflows.change)
    delete = awaited(Workflows.delete)


class AsyncProviders(AsyncTwin[Providers]):
    """The insurance providers of a tenant."""

    get = awaited(Providers.get)
    all = awaited(Providers.all)
    add = awaited(Providers.add)
    change = awaited(Providers.change)


class AsyncPlans(AsyncTwin[Plans]):
    """The insurance plans of a tenant."""

    get = awaited(Plans.get)
    all = awaited(Plans.all)
    add = awaited(Plans.add)
    change = awaited(Plans.change)


class AsyncInsurance(AsyncTwin[Insurance]):
    """Insurance: its `providers`, their `plans`, and the facilities that accept them."""

    def __init__(self, insurance: Insurance, lock: Lock) -> None:
        super().__init__(insurance, lock)
        self.providers = AsyncProviders(insurance.providers, lock)
        self.plans = AsyncPlans(insurance.plans, lock)

    add_provider = awaited(Insurance.add_provider)
    add_plan = awaited(Insurance.add_plan)
    accept = awaited(Insurance.accept)
    refuse = awaited(Insurance.refuse)
    accepted = awaited(Insurance.accepted)


class AsyncResources(AsyncTwin[Resources]):
    """The resources of a tenant."""

    get = awaited(Resources.get)
    all = awaited(Resources.all)
    add = awaited(Resources.add)
    change = awaited(Resources.change)
    delete = awaited(Resources.delete)


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

        async def open(self, *args: Any, **kwargs: Any) -> list[Slot]:
            """As `OpenSlots.open`."""
            raise NotImplementedError
    else:
        open = awaited(OpenSlots.open)


class AsyncWork(AsyncTwin[Work]):
    """A unit of work: one transaction for one tenant. Get it from `AsyncScheduler.tenant`; it ends with the block.

    It serves one task: calls of several tasks at once are refused.
    """

    def __init__(self, work: Work, lock: Lock) -> None:
        super().__init__(work, lock)
        self._session: AsyncSession | None = None
        self.facilities = AsyncFacilities(work.facilities, lock)
        self.doctors = AsyncDoctors(work.doctors, lock)
        self.patients = AsyncPatients(work.patients, lock)
        self.services = AsyncServices(work.services, lock)
        self.offerings = AsyncOfferings(work.offerings, lock)
        self.step_templates = AsyncStepTemplates(work.step_templates, lock)
        self.workflows = AsyncWorkflows(work.workflows, lock)
        self.insurance = AsyncInsurance(work.insurance, lock)
        self.resources = AsyncResources(work.resources, lock)
        self.rules = AsyncRules(work.rules, lock)
        self.exceptions = AsyncExceptions(work.exceptions, lock)
        self.closures = AsyncClosures(work.closures, lock)
        self.slots = AsyncOpenSlots(work.slots, lock)

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
