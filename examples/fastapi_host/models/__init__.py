"""Tables of the portal. Those of the library are `scheduler.models`."""

from models.people import Patient, User

__all__ = ["Patient", "User"]
