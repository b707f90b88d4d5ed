"""Invitations: the invited person becomes a member, once and in time; all others are refused with a reason."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from threading import Barrier
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlmodel import col, select

from scheduler.core.errors import InvalidInputError, InvalidSpanError, NotFoundError, SchedulerError
from scheduler.invitations.errors import (
    InvitationExpiredError,
    InvitationForAnotherError,
    InvitationNotAllowedError,
    InvitationRevokedError,
    InvitationUsedError,
    ProfileTakenError,
    UnknownInvitationError,
)
from scheduler.invitations.service import LIFETIME, Caller, Membership, accept, invite, revoke
from scheduler.models import Invitation, Organisation, Profile, ProfileRole, User, UserRole
from scheduler.postgres.database import Database, Role
from support.databases import new_tenant

pytestmark = pytest.mark.database

# The database compares an invitation with its own clock, so this clock must agree with it.
NOW = datetime.now(UTC)


class School:
    """An organisation with a group contact, and people who have no profile yet."""

    def __init__(self, database: Database, tenant_id: UUID) -> None:
        self.database = database
        self.tenant_id = tenant_id
        with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
            session.add(Organisation(id=tenant_id, name="The Hill School", type="school-primary"))
        self.contact = self.member("contact@example.org", ProfileRole.GROUP_CONTACT)
        self.bob = self.user("bob@example.org")

    def user(self, email: str | None) -> Caller:
        user_id = uuid4()
        with self.database.unit_of_work(role=Role.OWNER, tenant_id=self.tenant_id) as session:
            session.add(User(tenant_id=self.tenant_id, id=user_id, email=email, name="Bob", role=UserRole.STAFF))
        return Caller(self.tenant_id, user_id)

    def member(
        self, email: str, role: ProfileRole, status: str = "active", deleted_at: datetime | None = None
    ) -> Caller:
        user = self.user(email)
        with self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant_id) as session:
            session.add(
                Profile(
                    tenant_id=self.tenant_id,
                    id=user.user_id,
                    email=email,
                    name="Bob",
                    role=role,
                    org_id=self.tenant_id,
                    status=status,
                    deleted_at=deleted_at,
                )
            )
        return user

    def invite(self, *, token: str, email: str = "bob@example.org") -> UUID:
        role = ProfileRole.PRACTITIONER
        return invite(self.database, self.contact, email=email, role=role, token=token, now=NOW)

    def profile(self, caller: Caller) -> Profile | None:
        with self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant_id) as session:
            return session.exec(select(Profile).where(col(Profile.id) == caller.user_id)).one_or_none()

    def invitation(self) -> Invitation:
        with self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant_id) as session:
            return session.exec(select(Invitation)).one()


@pytest.fixture
def token() -> str:
    """A token for one test: no two invitations in the database may share a token."""
    return uuid4().hex + uuid4().hex


@pytest.fixture
def school(database: Database, tenant_id: UUID) -> School:
    return School(database, tenant_id)


def test_accepting_creates_the_profile_of_the_invitation(school: School, token: str) -> None:
    school.invite(token=token)
    membership = accept(school.database, school.bob, token=token, now=NOW)
    profile = school.profile(school.bob)
    assert membership == Membership(school.tenant_id, ProfileRole.PRACTITIONER)
    assert profile is not None
    assert (profile.role, profile.org_id, profile.status) == ("Practitioner", school.tenant_id, "active")


def test_an_accepted_invitation_records_when_and_by_whom(school: School, token: str) -> None:
    school.invite(token=token)
    accept(school.database, school.bob, token=token, now=NOW)
    invitation = school.invitation()
    assert (invitation.status, invitation.accepted_by, invitation.accepted_at) == ("accepted", school.bob.user_id, NOW)


def test_only_the_digest_of_the_token_is_stored(school: School, token: str) -> None:
    school.invite(token=token)
    assert school.invitation().invitation_token == sha256(token.encode()).hexdigest()


def test_the_digest_is_not_accepted_as_a_token(school: School, token: str) -> None:
    school.invite(token=token)
    with pytest.raises(UnknownInvitationError):
        accept(school.database, school.bob, token=school.invitation().invitation_token, now=NOW)


def test_an_invitation_is_accepted_once(school: School, token: str) -> None:
    school.invite(token=token)
    accept(school.database, school.bob, token=token, now=NOW)
    with pytest.raises(InvitationUsedError):
        accept(school.database, school.bob, token=token, now=NOW)


def test_only_one_of_many_concurrent_accepts_succeeds(school: School, token: str) -> None:
    school.invite(token=token)
    barrier = Barrier(8)

    def outcome(_: int) -> str:
        barrier.wait()
        try:
            accept(school.database, school.bob, token=token, now=NOW)
        except SchedulerError as error:
            return type(error).__name__
        return "accepted"

    with ThreadPoolExecutor(8) as threads:
        outcomes = sorted(threads.map(outcome, range(8)))
    assert outcomes == ["InvitationUsedError"] * 7 + ["accepted"]


def test_an_invitation_can_be_accepted_until_it_expires(school: School, token: str) -> None:
    school.invite(token=token)
    with pytest.raises(InvitationExpiredError, match=f"expired at {NOW + LIFETIME:%Y-%m-%d %H:%M} UTC"):
        accept(school.database, school.bob, token=token, now=NOW + LIFETIME)
    accept(school.database, school.bob, token=token, now=NOW + LIFETIME - timedelta(microseconds=1))


def test_an_invitation_marked_as_expired_is_refused(school: School, token: str) -> None:
    school.invite(token=token)
    with school.database.unit_of_work(role=Role.SYSTEM, tenant_id=school.tenant_id) as session:
        session.execute(text("update wellbeing.invitations set status = 'expired'"))
    with pytest.raises(InvitationExpiredError):
        accept(school.database, school.bob, token=token, now=NOW)


def test_a_revoked_invitation_is_refused(school: School, token: str) -> None:
    revoke(school.database, school.contact, invitation_id=school.invite(token=token))
    with pytest.raises(InvitationRevokedError):
        accept(school.database, school.bob, token=token, now=NOW)


@pytest.mark.parametrize(
    "change",
    [
        "update wellbeing.profiles set status = 'suspended' where id = :inviter",
        "update wellbeing.profiles set deleted_at = now() where id = :inviter",
        "update wellbeing.profiles set role = 'Practitioner' where id = :inviter",
        "update wellbeing.profiles set org_id = null where id = :inviter",
        "update identity.users set status = 'suspended' where id = :inviter",
        "update wellbeing.organisations set deleted_at = now()",
        "update wellbeing.organisations set status = 'suspended'",
        "update identity.tenants set status = 'suspended'",
        "update identity.tenants set deleted_at = now()",
    ],
)
def test_invitations_of_a_removed_group_contact_are_refused(school: School, token: str, change: str) -> None:
    """Otherwise a removed group contact could return by an invitation that they sent before."""
    school.invite(token=token)
    with school.database.unit_of_work(role=Role.SYSTEM, tenant_id=school.tenant_id) as session:
        session.execute(text(change), {"inviter": school.contact.user_id} if ":inviter" in change else {})
    with pytest.raises(InvitationRevokedError):
        accept(school.database, school.bob, token=token, now=NOW)
    assert school.profile(school.bob) is None


def test_an_accepted_invitation_cannot_be_revoked(school: School, token: str) -> None:
    invitation_id = school.invite(token=token)
    accept(school.database, school.bob, token=token, now=NOW)
    with pytest.raises(InvitationUsedError):
        revoke(school.database, school.contact, invitation_id=invitation_id)


def test_a_revoked_invitation_cannot_be_revoked_again(school: School, token: str) -> None:
    invitation_id = school.invite(token=token)
    revoke(school.database, school.contact, invitation_id=invitation_id)
    with pytest.raises(InvitationRevokedError):
        revoke(school.database, school.contact, invitation_id=invitation_id)


def test_a_practitioner_finds_no_invitation_to_revoke(school: School, token: str) -> None:
    invitation_id = school.invite(token=token)
    practitioner = school.member("p@example.org", ProfileRole.PRACTITIONER)
    with pytest.raises(UnknownInvitationError):
        revoke(school.database, practitioner, invitation_id=invitation_id)


@pytest.mark.parametrize("unknown", ["", "no such token", "\0", "a" * 100_000])
def test_an_unknown_token_is_refused(school: School, unknown: str) -> None:
    with pytest.raises(UnknownInvitationError):
        accept(school.database, school.bob, token=unknown, now=NOW)


def test_a_token_that_cannot_be_encoded_is_refused(school: School) -> None:
    with pytest.raises(InvalidInputError, match="token"):
        accept(school.database, school.bob, token="\ud800", now=NOW)  # noqa: S106  # not a secret


def test_the_token_of_another_tenant_is_refused(school: School, database: Database, token: str) -> None:
    other = School(database, new_tenant(database))
    other.invite(token=token)
    with pytest.raises(UnknownInvitationError):
        accept(database, school.bob, token=token, now=NOW)


def test_an_invitation_is_for_one_address(school: School, token: str) -> None:
    school.invite(token=token, email="carol@example.org")
    with pytest.raises(InvitationForAnotherError):
        accept(school.database, school.bob, token=token, now=NOW)
    assert school.profile(school.bob) is None


def test_a_user_without_an_address_is_refused(school: School, token: str) -> None:
    school.invite(token=token)
    with pytest.raises(InvitationForAnotherError):
        accept(school.database, school.user(None), token=token, now=NOW)


def test_an_address_is_the_same_in_capitals(school: School, token: str) -> None:
    school.invite(token=token, email=" Bob@Example.ORG ")
    accept(school.database, school.bob, token=token, now=NOW)


def test_a_user_with_a_role_keeps_it(school: School, token: str) -> None:
    suspended = school.member("s@example.org", ProfileRole.PRACTITIONER, "suspended")
    school.invite(token=token, email="s@example.org")
    with pytest.raises(ProfileTakenError):
        accept(school.database, suspended, token=token, now=NOW)
    assert school.invitation().status == "pending"


@pytest.mark.parametrize(("status", "deleted_at"), [("pending", None), ("suspended", NOW)])
def test_a_pending_or_deleted_profile_gets_the_invited_role(
    school: School, token: str, status: str, deleted_at: datetime | None
) -> None:
    back = school.member("back@example.org", ProfileRole.CHILD, status, deleted_at)
    school.invite(token=token, email="back@example.org")
    accept(school.database, back, token=token, now=NOW)
    profile = school.profile(back)
    assert profile is not None
    assert (profile.role, profile.status, profile.deleted_at) == ("Practitioner", "active", None)


def test_an_unknown_user_is_not_found(school: School, token: str) -> None:
    school.invite(token=token)
    with pytest.raises(NotFoundError, match="no active user"):
        accept(school.database, Caller(school.tenant_id, uuid4()), token=token, now=NOW)


@pytest.mark.parametrize("role", [ProfileRole.PRACTITIONER, ProfileRole.CHILD, ProfileRole.ACCOUNT])
def test_only_a_group_contact_invites(school: School, token: str, role: ProfileRole) -> None:
    member = school.member("m@example.org", role)
    with pytest.raises(InvitationNotAllowedError):
        invite(school.database, member, email="b@example.org", role=ProfileRole.PRACTITIONER, token=token, now=NOW)


@pytest.mark.parametrize("role", [ProfileRole.CHILD, ProfileRole.ACCOUNT])
def test_an_invitation_as_a_child_or_an_account_is_refused(school: School, token: str, role: ProfileRole) -> None:
    with pytest.raises(InvalidInputError, match="only practitioners and group contacts"):
        invite(school.database, school.contact, email="b@example.org", role=role, token=token, now=NOW)


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "a b@example.org", "\u212aate@example.org"])
def test_an_invalid_address_is_not_invited(school: School, token: str, email: str) -> None:
    with pytest.raises(InvalidInputError, match="address"):
        school.invite(token=token, email=email)


def test_a_token_in_use_is_refused(school: School, token: str) -> None:
    school.invite(token=token)
    with pytest.raises(InvalidInputError, match="another invitation"):
        school.invite(token=token, email="carol@example.org")


def test_a_short_token_is_refused(school: School) -> None:
    with pytest.raises(InvalidInputError, match="has 8 characters"):
        school.invite(token="password")  # noqa: S106  # not a secret


@pytest.mark.parametrize(("ahead", "may"), [(timedelta(minutes=59), True), (timedelta(hours=3), False)])
def test_a_clock_hours_ahead_of_the_database_invites_nobody(
    school: School, token: str, ahead: timedelta, *, may: bool
) -> None:
    role = ProfileRole.PRACTITIONER
    with nullcontext() if may else pytest.raises(InvitationNotAllowedError, match="for at most a week"):
        invite(school.database, school.contact, email="b@e.org", role=role, token=token, now=NOW + ahead)


def test_t5_a_clock_without_a_zone_is_refused(school: School, token: str) -> None:
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(InvalidSpanError):
        invite(school.database, school.contact, email="b@e.org", role=ProfileRole.PRACTITIONER, token=token, now=naive)
