"""The tables of the schema `wellbeing`: organisations and their people, and what children do."""

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
    "Alert",
    "Child",
    "ChildDisplayCounter",
    "GardenItem",
    "Invitation",
    "KeyValue",
    "Organisation",
    "Profile",
    "ProfileRole",
    "StickerEarned",
    "WellbeingResponse",
    "WellbeingSession",
]
