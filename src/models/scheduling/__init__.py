"""The tables of the schema `scheduling`: what can be booked, by whom, and what was; one module a concept."""

from models.scheduling.appointments import Appointment, AppointmentStep, Resource, WaitlistEntry
from models.scheduling.availability import AvailabilityException, AvailabilityRule, FacilityClosure
from models.scheduling.generation import GenerationRun, ScheduleState
from models.scheduling.insurance import FacilityInsurancePlan, InsurancePlan, InsuranceProvider
from models.scheduling.patients import Patient
from models.scheduling.places import Doctor, Facility, FacilityDoctor
from models.scheduling.services import Service, ServiceOffering, ServiceWorkflow, StepTemplate, WorkflowStep
from models.scheduling.slots import AvailabilitySlot

__all__ = [
    "Appointment",
    "AppointmentStep",
    "AvailabilityException",
    "AvailabilityRule",
    "AvailabilitySlot",
    "Doctor",
    "Facility",
    "FacilityClosure",
    "FacilityDoctor",
    "FacilityInsurancePlan",
    "GenerationRun",
    "InsurancePlan",
    "InsuranceProvider",
    "Patient",
    "Resource",
    "ScheduleState",
    "Service",
    "ServiceOffering",
    "ServiceWorkflow",
    "StepTemplate",
    "WaitlistEntry",
    "WorkflowStep",
]
