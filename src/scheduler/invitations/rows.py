"""Invitations in PostgreSQL: their rows, found by the digest of a token, and the profile that comes of one.

Owns: how a token becomes what stands in the table, what is locked while it is decided on, and which constraint means
what to somebody who invites.
Holds: R4 (what is written here is of the caller's one transaction).
Must not know: who may accept what, and until when (`scheduler.invitations.service`).
"""

from datetime import datetime
from hashlib import sha256
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col, or_, select

from scheduler.core.errors import InvalidInputError, SchedulerError
from scheduler.invitations.errors import InvitationNotAllowedError
from scheduler.models import Invitation, Organisation, Profile, ProfileRole, User
from scheduler.postgres.database import NOT_ALLOWED, translated
from scheduler.postgres.errors import StatementError

_MEANINGS: Final = {
    "practitioners_and_group_contacts_are_invited": "only practitioners and group contacts are invited",
    "a_token_is_one_invitation": "the token is that of another invitation: draw a new one",
}


class Invited(NamedTuple):
    """A user who may be let in: the name and e-mail address that the profile gets."""

    email: str | None
    name: str


def digest(token: str) -> str:
    """Return what stands in the table for a token: its SHA-256, in hexadecimal digits.

    Raises:
        InvalidInputError: the token is no text that can be encoded.
    """
    try:
        return sha256(token.encode()).hexdigest()
    except UnicodeEncodeError:
        raise InvalidInputError("the token is not a text that can be encoded") from None


def add_invitation(session: Session, invitation: Invitation) -> None:
    """Write an invitation; it has its id afterwards.

    Raises:
        InvitationNotAllowedError: the user of this unit of work may not invite there, or not for so long.
        InvalidInputError: the role is none to invite for, or the token is taken.
    """
    session.add(invitation)
    try:
        with translated("an invitation"):
            session.flush()
    except StatementError as refused:
        raise _meaning(refused) from None


def _meaning(refused: StatementError) -> SchedulerError:
    if refused.sqlstate == NOT_ALLOWED:
        return InvitationNotAllowedError("only a group contact invites, only into the own organisation and for a week")
    if refused.constraint in _MEANINGS:
        return InvalidInputError(_MEANINGS[refused.constraint])
    return refused


def lock_by_token(session: Session, token: str) -> Invitation | None:
    """Find an invitation by its token; until this transaction ends nobody else decides on it."""
    query = select(Invitation).where(col(Invitation.invitation_token) == digest(token))
    return session.exec(query.with_for_update()).one_or_none()


def lock_by_id(session: Session, invitation_id: UUID, *, tenant_id: UUID) -> Invitation | None:
    """Find an invitation by its id; until this transaction ends nobody else decides on it."""
    query = select(Invitation).where(
        col(Invitation.tenant_id) == tenant_id,  # an account sees those of others, too
        col(Invitation.id) == invitation_id,
    )
    return session.exec(query.with_for_update()).one_or_none()


def find_invited(session: Session, user_id: UUID, *, tenant_id: UUID) -> Invited | None:
    """Find an active user."""
    query = select(User.email, User.name).where(
        col(User.tenant_id) == tenant_id,
        col(User.id) == user_id,
        col(User.status) == "active",
        col(User.deleted_at).is_(None),
    )
    found = session.exec(query).one_or_none()
    return None if found is None else Invited(*found)


def still_stands(session: Session, invitation: Invitation) -> bool:
    """Whether the organisation is still there, and who invited may still invite into it: nobody who went lets in."""
    query = (
        select(Profile.id)
        .join(Organisation, (col(Organisation.id) == col(Profile.org_id)) | (col(Profile.role) == ProfileRole.ACCOUNT))
        .where(
            col(Organisation.id) == invitation.org_id,
            col(Organisation.deleted_at).is_(None),
            col(Profile.id) == invitation.invited_by,
            col(Profile.role).in_((ProfileRole.GROUP_CONTACT, ProfileRole.ACCOUNT)),
            col(Profile.status) == "active",
            col(Profile.deleted_at).is_(None),
        )
    )
    return session.exec(query).one_or_none() is not None


def add_member(session: Session, invitation: Invitation, user_id: UUID, invited: Invited) -> bool:
    """Give a user the profile that an invitation is for; False if the user has another one.

    A profile that is deleted, or still pending, is no hindrance: it becomes what the invitation says.
    """
    member = {"role": invitation.role, "org_id": invitation.org_id, "email": invited.email, "status": "active"}
    write = insert(Profile).values(tenant_id=invitation.tenant_id, id=user_id, name=invited.name, **member)
    write = write.on_conflict_do_update(
        constraint="a_person_has_one_profile",
        set_=member | {"deleted_at": None},
        where=or_(col(Profile.deleted_at).is_not(None), col(Profile.status) == "pending"),
    )
    return session.connection().execute(write.returning(col(Profile.id))).one_or_none() is not None


def mark_accepted(session: Session, invitation: Invitation, user_id: UUID, *, at: datetime) -> None:
    """Write down by whom an invitation was accepted, and when."""
    invitation.status, invitation.accepted_by, invitation.accepted_at = "accepted", user_id, at
    session.add(invitation)


def mark_revoked(session: Session, invitation: Invitation) -> None:
    """Write down that an invitation was taken back."""
    invitation.status = "revoked"
    session.add(invitation)
