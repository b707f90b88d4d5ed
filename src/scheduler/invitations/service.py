"""Invitation service: invite a person into an organisation, accept with a single-use token, and revoke.

Owns: the rules of acceptance and expiry, and the membership that an invitation gives.
Holds: R4 (each function is one transaction), T5 (the clock and the random token are arguments).
Must not know: SQL; how a token reaches the invited person.

A group contact invites and revokes with their own rights. The accepting user has no role yet, so the system role acts
for them: the user's e-mail address must be the invited one. Of many users who accept an invitation at the same time,
only one succeeds.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from scheduler.core.email_address import EmailAddress
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.spans import utc
from scheduler.invitations.errors import (
    InvitationExpiredError,
    InvitationForAnotherError,
    InvitationRevokedError,
    InvitationUsedError,
    ProfileTakenError,
    UnknownInvitationError,
)
from scheduler.invitations.rows import (
    add_invitation,
    add_member,
    digest,
    find_invitee,
    is_still_valid,
    lock_by_id,
    lock_by_token,
    mark_accepted,
    mark_revoked,
)
from scheduler.models import Invitation, ProfileRole
from scheduler.postgres.database import Database, Request, Role

LIFETIME: Final = timedelta(days=7)
"""The time during which an invitation can be accepted."""
MIN_TOKEN_LENGTH: Final = 32
"""In characters. The stored digest has no salt, so a token must be random and long: `secrets.token_urlsafe`."""


class Caller(NamedTuple):
    """A user of a tenant, and the request that the call belongs to."""

    tenant_id: UUID
    user_id: UUID
    request: Request = Request()


class Membership(NamedTuple):
    """The role in an organisation that an accepted invitation gave."""

    organisation_id: UUID
    role: ProfileRole


def invite(database: Database, caller: Caller, *, email: str, role: ProfileRole, token: str, now: datetime) -> UUID:
    """Invite an e-mail address into the caller's organisation, and return the invitation's id.

    Only the digest of the token is stored: send the token, and forget it. `now` is aware.

    Raises:
        InvalidInputError: the address is invalid, nobody can be invited for the role, the token is short or in use.
        InvitationNotAllowedError: the caller is no group contact, or `now` is an hour ahead of the database's clock.
    """
    if len(token) < MIN_TOKEN_LENGTH:
        raise InvalidInputError(
            f"the token has {len(token)} characters: generate at least {MIN_TOKEN_LENGTH} random ones"
        )
    invitation = Invitation(
        tenant_id=caller.tenant_id,
        org_id=caller.tenant_id,
        email=str(EmailAddress.parse(email)),
        role=role.value,
        invited_by=caller.user_id,
        invitation_token=digest(token),
        expires_at=utc(now, name="now") + LIFETIME,
    )
    with database.unit_of_work(role=Role.APP, **caller._asdict()) as session:
        add_invitation(session, invitation)
    assert invitation.id is not None  # noqa: S101  # the database generated it
    return invitation.id


def accept(database: Database, caller: Caller, *, token: str, now: datetime) -> Membership:
    """Make the caller a member of the organisation that invited them. `now` is aware.

    Raises:
        UnknownInvitationError: no invitation of this tenant has the token.
        InvitationUsedError: the invitation was accepted before.
        InvitationRevokedError: it was revoked, the inviter may no longer invite, or the tenant or organisation is
            suspended or deleted.
        InvitationExpiredError: the invitation has expired.
        InvitationForAnotherError: it was sent to another address than the caller's.
        ProfileTakenError: the caller has a role already.
        NotFoundError: the caller is no active user of the tenant.
    """
    now = utc(now, name="now")
    with database.unit_of_work(role=Role.SYSTEM, **caller._asdict()) as session:
        invitation = lock_by_token(session, token)
        if invitation is None:
            raise UnknownInvitationError("there is no invitation with this token")
        _refuse_closed(invitation)
        if invitation.status == "expired" or invitation.expires_at is None or invitation.expires_at <= now:
            raise InvitationExpiredError(f"the invitation expired at {invitation.expires_at:%Y-%m-%d %H:%M} UTC")
        if not is_still_valid(session, invitation):
            raise InvitationRevokedError("the organisation is not active, or the inviter may no longer invite into it")
        invitee = find_invitee(session, caller.user_id, tenant_id=caller.tenant_id)
        if invitee is None:
            raise NotFoundError(f"there is no active user {caller.user_id}")
        if invitee.email != invitation.email:
            raise InvitationForAnotherError("the invitation was sent to another e-mail address")
        if not add_member(session, invitation, caller.user_id, invitee):
            raise ProfileTakenError("this user has a role already: an invitation does not change it")
        mark_accepted(session, invitation, caller.user_id, at=now)
        return Membership(invitation.org_id, ProfileRole(invitation.role))


def revoke(database: Database, caller: Caller, *, invitation_id: UUID) -> None:
    """Revoke an invitation of the caller's organisation.

    Raises:
        UnknownInvitationError: no invitation has this id, or the caller is no group contact of its organisation.
        InvitationUsedError: the invitation was accepted before.
        InvitationRevokedError: the invitation was revoked before.
    """
    with database.unit_of_work(role=Role.APP, **caller._asdict()) as session:
        invitation = lock_by_id(session, invitation_id, tenant_id=caller.tenant_id)
        if invitation is None:
            raise UnknownInvitationError(f"there is no invitation {invitation_id}")
        _refuse_closed(invitation)
        mark_revoked(session, invitation)


def _refuse_closed(invitation: Invitation) -> None:
    if invitation.status == "accepted":
        raise InvitationUsedError("the invitation was accepted before: it can be used only once")
    if invitation.status == "revoked":
        raise InvitationRevokedError("the invitation was revoked")
