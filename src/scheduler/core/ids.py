"""Ids: one class for each kind of row, so that one kind is never taken for another.

Owns: the id classes, and the reading of an id from what a caller gives.
Must not know: whether the row exists.

An id of a row is an `int`, so it can be compared, stored and sent as a number: `FacilityId(7)`.
"""

from collections.abc import Mapping
from typing import Any, Final, NewType, TypeVar
from uuid import UUID

from scheduler.core.errors import InvalidInputError
from scheduler.core.readers import uuid

TenantId = NewType("TenantId", UUID)
UserId = NewType("UserId", UUID)
FamilyId = NewType("FamilyId", UUID)


class RowId(int):
    """The id of a row of the tenant."""

    __slots__ = ()


class FacilityId(RowId):
    """The id of a facility."""

    __slots__ = ()


class DoctorId(RowId):
    """The id of a doctor."""

    __slots__ = ()


class PatientId(RowId):
    """The id of a patient."""

    __slots__ = ()


class ServiceId(RowId):
    """The id of a service."""

    __slots__ = ()


class OfferingId(RowId):
    """The id of an offering."""

    __slots__ = ()


class StepTemplateId(RowId):
    """The id of a step template."""

    __slots__ = ()


class WorkflowId(RowId):
    """The id of a workflow."""

    __slots__ = ()


class ProviderId(RowId):
    """The id of an insurance provider."""

    __slots__ = ()


class PlanId(RowId):
    """The id of an insurance plan."""

    __slots__ = ()


class ResourceId(RowId):
    """The id of a resource."""

    __slots__ = ()


class RuleId(RowId):
    """The id of an availability rule."""

    __slots__ = ()


class ExceptionId(RowId):
    """The id of an availability exception."""

    __slots__ = ()


class ResourceRuleId(RowId):
    """The id of a rule of a resource."""

    __slots__ = ()


class ResourceExceptionId(RowId):
    """The id of an exception of a resource."""

    __slots__ = ()


class ClosureId(RowId):
    """The id of a closure."""

    __slots__ = ()


class CapId(RowId):
    """The id of a cap."""

    __slots__ = ()


class VisitId(RowId):
    """The id of a visit."""

    __slots__ = ()


AnyId = TypeVar("AnyId", bound=RowId)
_BEYOND: Final = 2**63


def read_id(field: str, value: object, kind: type[AnyId], *owners: type[Any]) -> AnyId:
    """Return an id, given as such, as a plain whole number, or as an object of `owners` that has it.

    Raises:
        InvalidInputError: the value is something else, such as the id of another kind of row.
    """
    if isinstance(value, owners):
        value = getattr(value, "id", None)
    if type(value) in {int, kind}:
        if abs(value) >= _BEYOND:  # type: ignore[arg-type]  # an int, as just checked
            raise InvalidInputError(f"{field} is too large for an id")
        return kind(value)  # type: ignore[call-overload,no-any-return]  # its type is one of the two
    found = "None" if value is None else f"a value of type {type(value).__name__}"
    raise InvalidInputError(f"{field} must be of type {kind.__name__}, not {found}")


def read_uuid(field: str, value: object, *, owners: Mapping[type[Any], str]) -> UUID:
    """Return a UUID, given as such, or as an object of `owners`, which names the attribute that holds it.

    Raises:
        InvalidInputError: the value is something else.
    """
    for owner, attribute in owners.items():
        if isinstance(value, owner):
            value = getattr(value, attribute)
    return uuid(field, value)
