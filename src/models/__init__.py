"""SQLModel tables, one module a domain: rows without behaviour, the same as the migrated schema (a test compares)."""

from models.identity import Tenant
from models.scheduling import (
    AvailabilityException,
    AvailabilityRule,
    AvailabilitySlot,
    Doctor,
    Facility,
    FacilityClosure,
    FacilityDoctor,
    GenerationRun,
    ScheduleState,
    Service,
    ServiceOffering,
)

__all__ = [
    "AvailabilityException",
    "AvailabilityRule",
    "AvailabilitySlot",
    "Doctor",
    "Facility",
    "FacilityClosure",
    "FacilityDoctor",
    "GenerationRun",
    "ScheduleState",
    "Service",
    "ServiceOffering",
    "Tenant",
]
