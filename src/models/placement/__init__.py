"""The tables of the schema `placement`: the people cared for, what is known about them, and who wrote it."""

from models.placement.clients import Client
from models.placement.forms import Contributor, FormFieldContribution, FormMetadata
from models.placement.medications import Medication
from models.placement.placements import PlacementInfo, PlacementInfoSpecialist
from models.placement.staff import FacilityStaff, Specialist

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
