"""SQLModel tables, one module or package a domain: rows without behaviour; a test compares them with the schema.

Import it as `scheduler.models`. With the folder `src` on the path, `import models` gives the same classes, and
`import models.identity` is refused, since it would declare the tables a second time.
"""

from scheduler.models.audit import AuditSeal, SystemAuditLog, UserActionAuditLog
from scheduler.models.identity import Address, DataKey, Family, FamilyMember, Tenant, User, UserRole, UserStatus
from scheduler.models.placement.clients import Client
from scheduler.models.placement.forms import Contributor, FormFieldContribution, FormMetadata
from scheduler.models.placement.medications import Medication
from scheduler.models.placement.placements import PlacementInfo, PlacementInfoSpecialist
from scheduler.models.placement.staff import FacilityStaff, Specialist
from scheduler.models.scheduling.appointments import (
    Allocation,
    Appointment,
    AppointmentStep,
    AppointmentStepResource,
    Resource,
    WaitlistEntry,
)
from scheduler.models.scheduling.availability import AvailabilityException, AvailabilityRule, FacilityClosure
from scheduler.models.scheduling.caps import BookingCap
from scheduler.models.scheduling.events import Event, EventCounter
from scheduler.models.scheduling.figure_sums import DoctorFigureSum, FigureChange, FigureState, ResourceFigureSum
from scheduler.models.scheduling.generation import GenerationRun, ScheduleState
from scheduler.models.scheduling.holds import BookingRequest, Hold
from scheduler.models.scheduling.insurance import FacilityInsurancePlan, InsurancePlan, InsuranceProvider
from scheduler.models.scheduling.patients import Patient
from scheduler.models.scheduling.places import Doctor, Facility, FacilityDoctor
from scheduler.models.scheduling.policies import BookingPolicy
from scheduler.models.scheduling.resource_hours import ResourceException, ResourceRule
from scheduler.models.scheduling.services import (
    Service,
    ServiceOffering,
    ServiceWorkflow,
    StepTemplate,
    WorkflowStep,
    WorkflowStepNeed,
)
from scheduler.models.scheduling.slots import AvailabilitySlot
from scheduler.models.wellbeing.activity import Alert, GardenItem, StickerEarned, WellbeingResponse, WellbeingSession
from scheduler.models.wellbeing.people import (
    Child,
    ChildDisplayCounter,
    Invitation,
    KeyValue,
    Organisation,
    Profile,
    ProfileRole,
)

__all__ = [
    "Address",
    "Alert",
    "Allocation",
    "Appointment",
    "AppointmentStep",
    "AppointmentStepResource",
    "AuditSeal",
    "AvailabilityException",
    "AvailabilityRule",
    "AvailabilitySlot",
    "BookingCap",
    "BookingPolicy",
    "BookingRequest",
    "Child",
    "ChildDisplayCounter",
    "Client",
    "Contributor",
    "DataKey",
    "Doctor",
    "DoctorFigureSum",
    "Event",
    "EventCounter",
    "Facility",
    "FacilityClosure",
    "FacilityDoctor",
    "FacilityInsurancePlan",
    "FacilityStaff",
    "Family",
    "FamilyMember",
    "FigureChange",
    "FigureState",
    "FormFieldContribution",
    "FormMetadata",
    "GardenItem",
    "GenerationRun",
    "Hold",
    "InsurancePlan",
    "InsuranceProvider",
    "Invitation",
    "KeyValue",
    "Medication",
    "Organisation",
    "Patient",
    "PlacementInfo",
    "PlacementInfoSpecialist",
    "Profile",
    "ProfileRole",
    "Resource",
    "ResourceException",
    "ResourceFigureSum",
    "ResourceRule",
    "ScheduleState",
    "Service",
    "ServiceOffering",
    "ServiceWorkflow",
    "Specialist",
    "StepTemplate",
    "StickerEarned",
    "SystemAuditLog",
    "Tenant",
    "User",
    "UserActionAuditLog",
    "UserRole",
    "UserStatus",
    "WaitlistEntry",
    "WellbeingResponse",
    "WellbeingSession",
    "WorkflowStep",
    "WorkflowStepNeed",
]

if __name__ != "scheduler.models":
    __path__ = []
