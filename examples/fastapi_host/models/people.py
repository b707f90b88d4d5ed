"""People of the portal: users, and the patients for whom they sign in."""

from uuid import UUID

from sqlalchemy import BigInteger, UniqueConstraint
from sqlmodel import Field, Relationship, SQLModel

from scheduler import models as scheduling
from scheduler import references


class User(SQLModel, table=True):
    """A person who signs in to the portal."""

    __table_args__ = (UniqueConstraint("tenant_id", "email", name="a_user_has_an_email_address_alone"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: UUID
    email: str
    patients: list["Patient"] = Relationship(back_populates="user")


class Patient(SQLModel, table=True):
    """A patient for whom a user signs in; `chart_id` is the patient of the library."""

    __table_args__ = (references(scheduling.Patient, "chart_id", ondelete="CASCADE", name="a_patient_has_a_chart"),)

    id: int | None = Field(default=None, primary_key=True)
    tenant_id: UUID
    chart_id: int = Field(sa_type=BigInteger)
    user_id: int | None = Field(default=None, foreign_key="user.id", nullable=False)
    user: User = Relationship(back_populates="patients", sa_relationship_kwargs={"lazy": "selectin"})
