"""Async work: the unit of work of a tenant, with the asynchronous twin of each repository.

Owns: the list of the awaited methods, one line each.
Must not know: what the methods do (the repositories), how a call is awaited (`awaiting`).
"""

from asyncio import Lock
from typing import TYPE_CHECKING, Final, cast

from sqlmodel.ext.asyncio.session import AsyncSession

from scheduler.core.ids import TenantId, UserId
from scheduler.front_door.async_families import AsyncFamilies, AsyncUsers
from scheduler.front_door.async_schedules import AsyncClosures, AsyncExceptions, AsyncOpenSlots, AsyncRules
from scheduler.front_door.async_visits import AsyncVisits
from scheduler.front_door.awaiting import AsyncTwin, awaited
from scheduler.front_door.caps import Caps
from scheduler.front_door.doctors import Doctors
from scheduler.front_door.facilities import Facilities
from scheduler.front_door.insurance import Insurance, Plans, Providers
from scheduler.front_door.offerings import Offerings
from scheduler.front_door.patients import Patients
from scheduler.front_door.policies import Policies
from scheduler.front_door.resources import Resources
from scheduler.front_door.services import Services
from scheduler.front_door.work import Work
from scheduler.front_door.workflows import StepTemplates, Workflows

if TYPE_CHECKING:
    from sqlmodel import Session


class AsyncFacilities(AsyncTwin[Facilities]):
    """The facilities of a tenant."""

    get: Final = awaited(Facilities.get)
    all: Final = awaited(Facilities.all)
    by_slug: Final = awaited(Facilities.by_slug)
    add: Final = awaited(Facilities.add)
    change: Final = awaited(Facilities.change)
    delete: Final = awaited(Facilities.delete)


class AsyncDoctors(AsyncTwin[Doctors]):
    """The doctors of a tenant."""

    get: Final = awaited(Doctors.get)
    all: Final = awaited(Doctors.all)
    add: Final = awaited(Doctors.add)
    change: Final = awaited(Doctors.change)
    delete: Final = awaited(Doctors.delete)


class AsyncPatients(AsyncTwin[Patients]):
    """The patients of a tenant."""

    get: Final = awaited(Patients.get)
    all: Final = awaited(Patients.all)
    add: Final = awaited(Patients.add)
    change: Final = awaited(Patients.change)
    delete: Final = awaited(Patients.delete)


class AsyncServices(AsyncTwin[Services]):
    """The services of a tenant."""

    get: Final = awaited(Services.get)
    all: Final = awaited(Services.all)
    add: Final = awaited(Services.add)
    change: Final = awaited(Services.change)
    delete: Final = awaited(Services.delete)


class AsyncOfferings(AsyncTwin[Offerings]):
    """The offerings of a tenant."""

    get: Final = awaited(Offerings.get)
    all: Final = awaited(Offerings.all)
    add: Final = awaited(Offerings.add)
    change: Final = awaited(Offerings.change)
    delete: Final = awaited(Offerings.delete)


class AsyncStepTemplates(AsyncTwin[StepTemplates]):
    """The step templates of a tenant."""

    get: Final = awaited(StepTemplates.get)
    all: Final = awaited(StepTemplates.all)
    of: Final = awaited(StepTemplates.of)
    add: Final = awaited(StepTemplates.add)
    change: Final = awaited(StepTemplates.change)


class AsyncWorkflows(AsyncTwin[Workflows]):
    """The workflows of a tenant."""

    get: Final = awaited(Workflows.get)
    all: Final = awaited(Workflows.all)
    of: Final = awaited(Workflows.of)
    value: Final = awaited(Workflows.value)
    add: Final = awaited(Workflows.add)
    replace: Final = awaited(Workflows.replace)
    change: Final = awaited(Workflows.change)
    delete: Final = awaited(Workflows.delete)


class AsyncProviders(AsyncTwin[Providers]):
    """The insurance providers of a tenant."""

    get: Final = awaited(Providers.get)
    all: Final = awaited(Providers.all)
    add: Final = awaited(Providers.add)
    change: Final = awaited(Providers.change)


class AsyncPlans(AsyncTwin[Plans]):
    """The insurance plans of a tenant."""

    get: Final = awaited(Plans.get)
    all: Final = awaited(Plans.all)
    add: Final = awaited(Plans.add)
    change: Final = awaited(Plans.change)


class AsyncInsurance(AsyncTwin[Insurance]):
    """Insurance: its `providers`, their `plans`, and the facilities that accept them."""

    def __init__(self, insurance: Insurance, lock: Lock) -> None:
        super().__init__(insurance, lock)
        self.providers: AsyncProviders = AsyncProviders(insurance.providers, lock)
        self.plans: AsyncPlans = AsyncPlans(insurance.plans, lock)

    add_provider: Final = awaited(Insurance.add_provider)
    add_plan: Final = awaited(Insurance.add_plan)
    accept: Final = awaited(Insurance.accept)
    refuse: Final = awaited(Insurance.refuse)
    accepted: Final = awaited(Insurance.accepted)


class AsyncResources(AsyncTwin[Resources]):
    """The resources of a tenant."""

    get: Final = awaited(Resources.get)
    all: Final = awaited(Resources.all)
    of: Final = awaited(Resources.of)
    add: Final = awaited(Resources.add)
    change: Final = awaited(Resources.change)
    delete: Final = awaited(Resources.delete)


class AsyncCaps(AsyncTwin[Caps]):
    """The caps of a tenant."""

    get: Final = awaited(Caps.get)
    all: Final = awaited(Caps.all)
    set: Final = awaited(Caps.set)
    remove: Final = awaited(Caps.remove)


class AsyncPolicies(AsyncTwin[Policies]):
    """The booking policies of a tenant."""

    set: Final = awaited(Policies.set)
    effective: Final = awaited(Policies.effective)
    all: Final = awaited(Policies.all)


class AsyncWork(AsyncTwin[Work]):
    """A unit of work: one transaction for one tenant. Get it from `AsyncScheduler.tenant`; it ends with the block.

    It serves one task: calls of several tasks at once are refused.
    """

    def __init__(self, work: Work, lock: Lock) -> None:
        super().__init__(work, lock)
        self._session: AsyncSession | None = None
        self.users: AsyncUsers = AsyncUsers(work.users, lock)
        self.families: AsyncFamilies = AsyncFamilies(work.families, lock)
        self.facilities: AsyncFacilities = AsyncFacilities(work.facilities, lock)
        self.doctors: AsyncDoctors = AsyncDoctors(work.doctors, lock)
        self.patients: AsyncPatients = AsyncPatients(work.patients, lock)
        self.services: AsyncServices = AsyncServices(work.services, lock)
        self.offerings: AsyncOfferings = AsyncOfferings(work.offerings, lock)
        self.step_templates: AsyncStepTemplates = AsyncStepTemplates(work.step_templates, lock)
        self.workflows: AsyncWorkflows = AsyncWorkflows(work.workflows, lock)
        self.insurance: AsyncInsurance = AsyncInsurance(work.insurance, lock)
        self.resources: AsyncResources = AsyncResources(work.resources, lock)
        self.rules: AsyncRules = AsyncRules(work.rules, lock)
        self.exceptions: AsyncExceptions = AsyncExceptions(work.exceptions, lock)
        self.closures: AsyncClosures = AsyncClosures(work.closures, lock)
        self.caps: AsyncCaps = AsyncCaps(work.caps, lock)
        self.policies: AsyncPolicies = AsyncPolicies(work.policies, lock)
        self.slots: AsyncOpenSlots = AsyncOpenSlots(work.slots, lock)
        self.visits: AsyncVisits = AsyncVisits(work.visits, lock)

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
