"""Soft deletion: deleted and restored rows, and refusals that a caller can handle."""

from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlmodel import col

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.models import Family, FamilyMember, User, UserRole
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import CheckFailedError, DuplicateError, StoreError
from scheduler.postgres.soft_delete import live, restore, soft_delete
from support.databases import execute

pytestmark = pytest.mark.database

AT = datetime(2027, 3, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def family(database: Database, tenant_id: UUID) -> Family:
    """The only family of the test's tenant."""
    family = Family(tenant_id=tenant_id, family_name="Adams")
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        session.add(family)
    return family


@pytest.fixture
def ann(database: Database, tenant_id: UUID) -> User:
    """A deleted user, whose address is free."""
    user = User(tenant_id=tenant_id, email="ann@example.org", name="Ann", role=UserRole.PARENT, deleted_at=AT)
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        session.add(user)
    return user


def live_families(database: Database, tenant_id: UUID) -> list[str]:
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        return [family.family_name for family in session.exec(live(Family))]


def test_a_row_that_is_not_deleted_is_live(database: Database, family: Family) -> None:
    assert live_families(database, family.tenant_id) == ["Adams"]


def test_a_deleted_row_is_not_live(database: Database, family: Family) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session:
        soft_delete(session, family, AT)
    assert live_families(database, family.tenant_id) == []


def test_a_deleted_row_is_still_there_and_says_since_when(database: Database, family: Family) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session:
        soft_delete(session, family, AT)
    with database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session:
        assert session.get_one(Family, (family.tenant_id, family.id)).deleted_at == AT


def test_the_row_in_hand_knows_that_it_is_deleted(database: Database, family: Family) -> None:
    before = family.updated_at
    with database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session:
        soft_delete(session, family, AT)
    assert family.deleted_at == AT
    assert before is not None
    assert family.updated_at is not None
    assert family.updated_at > before


def test_live_rows_are_narrowed_down_like_any_others(database: Database, family: Family) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session:
        assert session.exec(live(Family).where(col(Family.family_name) == "Baker")).all() == []
        assert session.exec(live(Family).where(col(Family.family_name) == "Adams")).one().id == family.id


def test_a_row_is_deleted_once(database: Database, family: Family) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session:
        soft_delete(session, family, AT)
        with pytest.raises(NotFoundError, match=rf"^no live row of identity.families has the key .*{family.id}$"):
            soft_delete(session, family, AT)


def test_a_row_of_another_tenant_is_not_found(database: Database, family: Family) -> None:
    with (
        pytest.raises(NotFoundError, match=r"no live row of identity\.families"),
        database.unit_of_work(role=Role.APP, tenant_id=uuid4()) as session,
    ):
        soft_delete(session, family, AT)
    assert live_families(database, family.tenant_id) == ["Adams"]


def test_a_row_that_was_never_written_is_not_found(database: Database, tenant_id: UUID) -> None:
    with (
        pytest.raises(NotFoundError, match=r"no live row of identity\.families"),
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        soft_delete(session, Family(tenant_id=tenant_id, family_name="Nobody"), AT)


def test_a_row_that_waits_to_be_written_is_written_and_deleted(database: Database, tenant_id: UUID) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        pending = Family(tenant_id=tenant_id, family_name="Adams")
        session.add(pending)
        soft_delete(session, pending, AT)
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        assert session.get_one(Family, (tenant_id, pending.id)).deleted_at == AT


def test_a_naive_time_is_no_instant(database: Database, family: Family) -> None:
    with (
        pytest.raises(InvalidInputError, match="is naive"),
        database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session,
    ):
        soft_delete(session, family, AT.replace(tzinfo=None))


def test_rows_that_are_not_deleted_softly_are_refused_by_name() -> None:
    with pytest.raises(InvalidInputError, match=r"identity\.family_members are not deleted softly"):
        live(FamilyMember)


def test_a_restored_row_is_live_again(database: Database, family: Family) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session:
        soft_delete(session, family, AT)
    with database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session:
        restore(session, family)
    assert live_families(database, family.tenant_id) == ["Adams"]
    assert family.deleted_at is None


def test_a_live_row_is_not_restored(database: Database, family: Family) -> None:
    with (
        pytest.raises(NotFoundError, match=rf"^no deleted row of identity.families has the key .*{family.id}$"),
        database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session,
    ):
        restore(session, family)


def test_a_row_whose_name_is_taken_stays_deleted_and_the_work_continues(database: Database, ann: User) -> None:
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=ann.tenant_id) as session:
        session.add(User(tenant_id=ann.tenant_id, email=ann.email, name="Another", role=UserRole.STAFF))
        with pytest.raises(DuplicateError) as refused:
            restore(session, ann)
        assert [user.name for user in session.exec(live(User))] == ["Another"]
    assert (refused.value.constraint, refused.value.sqlstate) == ("live_users_have_their_own_email", "23505")
    assert ann.deleted_at == AT


def test_the_refusal_names_the_rule_and_no_value(database: Database, ann: User) -> None:
    with (  # noqa: PT012  # another takes the name within the same unit of work
        pytest.raises(StoreError, match="would violate live_users_have_their_own_email: a live row") as refused,
        database.unit_of_work(role=Role.SYSTEM, tenant_id=ann.tenant_id) as session,
    ):
        session.add(User(tenant_id=ann.tenant_id, email=ann.email, name="Another", role=UserRole.STAFF))
        restore(session, ann)
    assert "ann@" not in str(refused.value)


@pytest.fixture
def no_way_back(database_url: str) -> Iterator[None]:
    """A temporary constraint that no family is live."""
    execute(database_url, "alter table identity.families add constraint gone check (deleted_at is not null) not valid")
    yield
    execute(database_url, "alter table identity.families drop constraint gone")


def test_another_violation_while_restoring_is_no_duplicate(
    database: Database, family: Family, request: pytest.FixtureRequest
) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session:
        soft_delete(session, family, AT)
    request.getfixturevalue("no_way_back")
    with (
        pytest.raises(CheckFailedError, match="refused a statement by gone"),
        database.unit_of_work(role=Role.APP, tenant_id=family.tenant_id) as session,
    ):
        restore(session, family)
