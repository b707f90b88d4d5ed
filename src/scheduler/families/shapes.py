"""Family shapes: users and families as documents with references in both directions.

Owns: the names and nesting of the documents; in JSON the names are in camel case (`familyId`, `parentIds`).
Must not know: how they are read (`reading`).

A web framework with Pydantic returns them as they are. Instants are aware, in UTC.
"""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from scheduler.families.values import CAMEL_CASE, FamilyStatus, PostalAddress
from scheduler.models import UserRole


class _Shape(BaseModel):
    model_config = ConfigDict(**CAMEL_CASE, frozen=True)


class Stamp(_Shape):
    """When a document was written, and by which user. `by` is None for the host itself, and for an erased user."""

    at: datetime
    by: UUID | None = None


class UserSummary(_Shape):
    """A user, with the ids of the families that the user belongs to, in the order of joining.

    In the details of a family, the user is a contact of this family; elsewhere, of any family.
    """

    user_id: UUID
    email: str | None
    name: str
    role: UserRole
    status: str
    phone: str | None
    family_ids: tuple[UUID, ...]
    is_primary_contact: bool
    is_emergency_contact: bool
    created: Stamp
    modified: Stamp


class FamilySummary(_Shape):
    """A family, with the ids of its members in the order of joining."""

    family_id: UUID
    family_name: str
    parent_ids: tuple[UUID, ...]
    student_ids: tuple[UUID, ...]
    address: PostalAddress | None
    preferred_programs: tuple[str, ...]
    status: FamilyStatus
    soft_delete: bool
    created: Stamp
    modified: Stamp


class FamilyDetails(FamilySummary):
    """A family as in `FamilySummary`, with its members in the order of `parent_ids` and `student_ids`."""

    parents: tuple[UserSummary, ...]
    students: tuple[UserSummary, ...]


class UserDetails(UserSummary):
    """A user as in `UserSummary`, with the families that the user belongs to, by name."""

    families: tuple[FamilySummary, ...]
