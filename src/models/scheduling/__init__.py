"""The tables of the schema `scheduling`: what can be booked, by whom, and what was; one module a concept."""

from scheduler.models.scheduling.appointments import Appointment, AppointmentStep, Resource, WaitlistEntry
from scheduler.models.scheduling.availability import AvailabilityException, AvailabilityRule, FacilityClosure
from scheduler.models.scheduling.generation import GenerationRun, ScheduleState
from scheduler.models.scheduling.insurance import FacilityInsurancePlan, InsurancePlan, InsuranceProvider
from scheduler.models.scheduling.patients import Patient
from scheduler.models.scheduling.places import Doctor, Facility, FacilityDoctor
from scheduler.models.scheduling.services import Service, ServiceOffering, ServiceWorkflow, StepTemplate, WorkflowStep
from scheduler.models.scheduling.slots import AvailabilitySlot

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
