"""Work: a unit of work of a tenant, with a repository for each kind of row.

Owns: the list of the repositories.
Must not know: how a unit of work begins and ends (`scheduler`).
"""

from sqlmodel import Session

from scheduler.core.ids import TenantId, UserId
from scheduler.front_door.caps import Caps
from scheduler.front_door.closures import Closures
from scheduler.front_door.context import Context
from scheduler.front_door.doctors import Doctors
from scheduler.front_door.exceptions import Exceptions
from scheduler.front_door.facilities import Facilities
from scheduler.front_door.families import Families
from scheduler.front_door.insurance import Insurance
from scheduler.front_door.offerings import Offerings
from scheduler.front_door.patients import Patients
from scheduler.front_door.policies import Policies
from scheduler.front_door.resources import Resources
from scheduler.front_door.rules import Rules
from scheduler.front_door.services import Services
from scheduler.front_door.slots import OpenSlots
from scheduler.front_door.users import Users
from scheduler.front_door.visits import Visits
from scheduler.front_door.workflows import StepTemplates, Workflows


class Work:
    """A unit of work: one transaction for one tenant. Get it from `Scheduler.tenant`; it ends with the block."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.users: Users = Users(context)
        self.families: Families = Families(context)
        self.facilities: Facilities = Facilities(context)
        self.doctors: Doctors = Doctors(context)
        self.patients: Patients = Patients(context)
        self.services: Services = Services(context)
        self.offerings: Offerings = Offerings(context)
        self.step_templates: StepTemplates = StepTemplates(context)
        self.workflows: Workflows = Workflows(context)
        self.insurance: Insurance = Insurance(context)
        self.resources: Resources = Resources(context)
        self.rules: Rules = Rules(context)
        self.exceptions: Exceptions = Exceptions(context)
        self.closures: Closures = Closures(context)
        self.caps: Caps = Caps(context)
        self.policies: Policies = Policies(context)
        self.slots: OpenSlots = OpenSlots(context)
        self.visits: Visits = Visits(context)

    @property
    def session(self) -> Session:
        """The SQLModel session of the transaction."""
        return self._context.session

    @property
    def tenant_id(self) -> TenantId:
        """The tenant that the work is for."""
        return self._context.tenant_id

    @property
    def user_id(self) -> UserId | None:
        """The user that the work is for; None for the host itself."""
        return self._context.user_id
