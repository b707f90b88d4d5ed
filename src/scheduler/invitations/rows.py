"""Invitations in PostgreSQL: rows found by the digest of a token, and the profiles that they create.

Owns: the digest of a token, the locking of invitations, and the meaning of constraints for the caller.
Holds: R4 (all writes belong to the caller's transaction).
Must not know: the rules of acceptance and expiry (`scheduler.invitations.service`).
"""

from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, or_, select

from scheduler.core.errors import InvalidInputError, SchedulerError
from scheduler.invitations.errors import InvitationNotAllowedError
from scheduler.models import Invitation, Organisation, Profile, ProfileRole, Tenant, User
from scheduler.postgres.errors import StatementError
from scheduler.postgres.translation import NOT_ALLOWED, translated

_CONSTRAINT_MESSAGES: Final = {
    "practitioners_and_group_contacts_are_invited": "only practitioners and group contacts can be invited",
    "a_token_is_one_invitation": "the token belongs to another invitation: generate a new token",
}


class Invitee(NamedTuple):
    """The e-mail address and name of an active user, for the profile."""

    email: str | None
    name: str


def digest(token: str) -> str:
    """Return the SHA-256 of a token in hexadecimal digits, which the table stores instead of the token.

    Raises:
        InvalidInputError: the token cannot be encoded as UTF-8.
    """
    try:
        return sha256(token.encode()).hexdigest()
    except UnicodeEncodeError:
        raise InvalidInputError("the token cannot be encoded as UTF-8") from None


def add_invitation(session: Session, invitation: Invitation) -> None:
    """Insert an invitation, which then has its id.

    Raises:
        InvitationNotAllowedError: the user of this unit of work may not invite there, or not for so long.
        InvalidInputError: nobody can be invited for this role, or the token is in use.
    """
    session.add(invitation)
    try:
        with translated("an invitation"):
            session.flush()
    except StatementError as error:
        raise _translated(error) from None


def _translated(error: StatementError) -> SchedulerError:
    if error.sqlstate == NOT_ALLOWED:
        return InvitationNotAllowedError(
            "only a group contact may invite, only into the own organisation and for at most a week"
        )
    if error.constraint in _CONSTRAINT_MESSAGES:
        return InvalidInputError(_CONSTRAINT_MESSAGES[error.constraint])
    return error


def lock_by_token(session: Session, token: str) -> Invitation | None:
    """Find an invitation by its token, and lock it until the transaction ends."""
    query = select(Invitation).where(col(Invitation.invitation_token) == digest(token))
    return session.exec(query.with_for_update()).one_or_none()


def lock_by_id(session: Session, invitation_id: UUID, *, tenant_id: UUID) -> Invitation | None:
    """Find an invitation by its id, and lock it until the transaction ends."""
    query = select(Invitation).where(
        col(Invitation.tenant_id) == tenant_id,  # an account also sees those of other tenants
        col(Invitation.id) == invitation_id,
    )
    return session.exec(query.with_for_update()).one_or_none()


def find_invitee(session: Session, user_id: UUID, *, tenant_id: UUID) -> Invitee | None:
    """Find an active user of the tenant."""
    query = select(User.email, User.name).where(
        col(User.tenant_id) == tenant_id,
        col(User.id) == user_id,
        col(User.status) == "active",
        col(User.deleted_at).is_(None),
    )
    row = session.exec(query).one_or_none()
    return None if row is None else Invitee(*row)


def is_still_valid(session: Session, invitation: Invitation) -> bool:
    """Tell whether tenant and organisation are still active, and the inviter may still invite into it."""
    query = (
        select(Profile.id)
        .join(Organisation, (col(Organisation.id) == col(Profile.org_id)) | (col(Profile.role) == ProfileRole.ACCOUNT))
        .join(User, (col(User.tenant_id) == col(Profile.tenant_id)) & (col(User.id) == col(Profile.id)))
        .join(Tenant, col(Tenant.id) == col(Profile.tenant_id))
        .where(
            col(Tenant.status) == "active",
            col(Tenant.deleted_at).is_(None),
            col(User.status) == "active",
            col(User.deleted_at).is_(None),
            col(Profile.tenant_id) == invitation.tenant_id,
            col(Organisation.tenant_id) == invitation.tenant_id,
            col(Organisation.id) == invitation.org_id,
            col(Organisation.status).in_(("active", "trial")),
            col(Organisation.deleted_at).is_(None),
            col(Profile.id) == invitation.invited_by,
            col(Profile.role).in_((ProfileRole.GROUP_CONTACT, ProfileRole.ACCOUNT)),
            col(Profile.status) == "active",
            col(Profile.deleted_at).is_(None),
        )
    )
    return session.exec(query).one_or_none() is not None


def add_member(session: Session, invitation: Invitation, user_id: UUID, invitee: Invitee) -> bool:
    """Create the profile that an invitation is for; return False if the user has another profile.

    A profile that is deleted or still pending is overwritten.
    """
    member = {"role": invitation.role, "org_id": invitation.org_id, "email": invitee.email, "status": "active"}
    statement = insert(Profile).values(tenant_id=invitation.tenant_id, id=user_id, name=invitee.name, **member)
    statement = statement.on_conflict_do_update(
        constraint="a_person_has_one_profile",
        set_=member | {"deleted_at": None},
        where=or_(col(Profile.deleted_at).is_not(None), col(Profile.status) == "pending"),
    )
    return session.connection().execute(statement.returning(col(Profile.id))).one_or_none() is not None


def mark_accepted(session: Session, invitation: Invitation, user_id: UUID, *, at: datetime) -> None:
    """Record who accepted an invitation, and when."""
    invitation.status, invitation.accepted_by, invitation.accepted_at = "accepted", user_id, at
    session.add(invitation)


def mark_revoked(session: Session, invitation: Invitation) -> None:
    """Record that an invitation was revoked."""
    invitation.status = "revoked"
    session.add(invitation)
