"""Patients: the people who have appointments."""

from collections.abc import Mapping
from datetime import date
from typing import ClassVar, TypedDict, Unpack

from scheduler import models
from scheduler.core.ids import PatientId, PlanId, UserId
from scheduler.core.readers import day, optional, text, uuid
from scheduler.core.readers import email as read_email
from scheduler.front_door.fields import Field, reference
from scheduler.front_door.repository import Repository


class PatientFields(TypedDict, total=False):
    """Fields of a patient that `change` takes."""

    first_name: str
    last_name: str
    email: str
    user: UserId | None
    plan: PlanId | models.InsurancePlan | None
    dob: date | None
    phone: str | None


class Patients(Repository[models.Patient, PatientId, PatientId | models.Patient]):
    """The patients of a tenant."""

    _model = models.Patient
    _id = PatientId
    _noun = "patient"
    _fields: ClassVar[Mapping[str, Field]] = {
        "first_name": Field("first_name", text),
        "last_name": Field("last_name", text),
        "email": Field("email", read_email),
        "user": Field("user_id", optional(uuid)),
        "plan": Field("default_insurance_plan_id", optional(reference(PlanId, models.InsurancePlan))),
        "dob": Field("dob", optional(day)),
        "phone": Field("phone", optional(text)),
    }

    def add(  # noqa: PLR0913  # the fields of a patient
        self,
        first_name: str,
        last_name: str,
        *,
        email: str,
        user: UserId | None = None,
        plan: PlanId | models.InsurancePlan | None = None,
        dob: date | None = None,
        phone: str | None = None,
    ) -> PatientId:
        """Add a patient and return the id. The e-mail address is kept in lower case; patients may share one.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            MissingReferenceError: there is no such user or plan.
        """
        return self._insert(
            first_name=first_name, last_name=last_name, email=email, user=user, plan=plan, dob=dob, phone=phone
        )

    def change(self, patient: PatientId | models.Patient, **fields: Unpack[PatientFields]) -> None:
        """Change fields of a patient; None removes the value of an optional field. Errors are those of `add`."""
        self._update(patient, fields)

    def delete(self, patient: PatientId | models.Patient) -> None:
        """Delete a patient softly: the row stays, and so do the patient's visits. Erasure is `scheduler erase`."""
        self._delete_softly(patient)
