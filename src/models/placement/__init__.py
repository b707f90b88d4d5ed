"""The tables of the schema `placement`: the people cared for, what is known about them, and who wrote it."""

from scheduler.models.placement.clients import Client
from scheduler.models.placement.forms import Contributor, FormFieldContribution, FormMetadata
from scheduler.models.placement.medications import Medication
from scheduler.models.placement.placements import PlacementInfo, PlacementInfoSpecialist
from scheduler.models.placement.staff import FacilityStaff, Specialist

__all__ = [
    "Client",
    "Contributor",
    "FacilityStaff",
    "FormFieldContribution",
    "FormMetadata",
    "Medication",
    "PlacementInfo",
    "PlacementInfoSpecialist",
    "Specialist",
]
