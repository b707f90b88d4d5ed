"""Rows that the tables refuse: each error is one line that names the mistake, and nothing is written.

Missing and wrong keys are in `security/test_phi.py`, invitations in `test_invitations.py`, concurrent migrations and
clashing names in `migrations/`.
"""

from collections.abc import Callable
from datetime import date
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlmodel import Session, SQLModel, select

from scheduler.models import Family, InsurancePlan, InsuranceProvider, Medication, User, UserRole
from scheduler.models.encrypted import Encrypted
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import StatementError

pytestmark = pytest.mark.database


def user(tenant_id: UUID, **changes: Any) -> User:
    defaults: dict[str, Any] = {"email": "ann@example.org", "name": "Ann", "role": UserRole.PATIENT}
    return User(tenant_id=tenant_id, **defaults | changes)


def medication(tenant_id: UUID, name: Any) -> Medication:
    return Medication(tenant_id=tenant_id, client_id=uuid4(), name=name)


def plan(tenant_id: UUID) -> list[SQLModel]:
    return [
        InsuranceProvider(tenant_id=tenant_id, id=1, name="An insurer"),
        InsurancePlan(
            tenant_id=tenant_id,
            insurance_provider_id=1,
            plan_code="A",
            name="A plan",
            effective_from=date(2027, 2, 1),
            effective_to=date(2027, 1, 31),
        ),
    ]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda tenant_id: [user(tenant_id, role="wizard")], "a value is not one of those that its column knows"),
        (lambda tenant_id: [user(tenant_id, email="nobody")], "an_email_is_an_address_in_lower_case"),
        (lambda tenant_id: [user(tenant_id, status="asleep")], "a_user_is_active_inactive_pending_or_suspended"),
        (plan, "an_insurance_plan_begins_before_it_ends"),
        (lambda _: [user(uuid4())], "row security refused a row of users: it is another tenant's"),
        (
            lambda tenant_id: [Family(tenant_id=tenant_id, family_name="A", created_by=uuid4())],
            "families_created_by_fkey",
        ),
        (
            lambda tenant_id: [medication(tenant_id, "aspirin")],
            "an encrypted column takes encrypted values only, not str",
        ),
        (
            lambda tenant_id: [medication(tenant_id, Encrypted(b"aspirin"))],
            "an encrypted column takes encrypted values only, not Encrypted",
        ),
    ],
    ids=["role", "e-mail", "status", "reversed dates", "wrong tenant", "nobody", "clear text", "no encrypted shape"],
)
def test_a_bad_row_is_refused_in_one_line_and_nothing_is_written(
    database: Database, tenant_id: UUID, rows: Callable[[UUID], list[SQLModel]], message: str
) -> None:
    def write(session: Session) -> None:
        session.add(user(tenant_id, email="first@example.org"))
        for row in rows(tenant_id):
            session.add(row)
            session.flush()

    with (
        pytest.raises(StatementError) as caught,
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        write(session)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        assert session.exec(select(User)).all() == []
