"""Invitations: somebody is let into an organisation, once, by a token that only the mail knows.

Owns: who may accept which invitation, until when, and what it makes of them.
Holds: R4 (each of these is one transaction), T5 (the clock and the token, which is chance, are arguments).
Must not know: SQL; how a token gets to whom it is for.

A group contact invites and revokes with the own rights. Who accepts has no role yet, so the system does it for them:
the e-mail address of the user has to be the one that was invited. Of many who accept one invitation at the same
moment, one is let in.
"""

from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.spans import utc
from scheduler.invitations.email_address import EmailAddress
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
    find_invited,
    lock_by_id,
    lock_by_token,
    mark_accepted,
    mark_revoked,
    still_stands,
)
from scheduler.models import Invitation, ProfileRole
from scheduler.postgres.database import Database, Request, Role

OPEN: Final = timedelta(days=7)
"""How long an invitation can be accepted."""
SHORTEST_TOKEN: Final = 32
"""In characters. The table has its digest without salt: it has to be random and long, as of `secrets.token_urlsafe`."""


class Caller(NamedTuple):
    """Who asks: a user of a tenant, and where the wish came from."""

    tenant_id: UUID
    user_id: UUID
    request: Request = Request()


class Membership(NamedTuple):
    """What somebody became by accepting."""

    organisation_id: UUID
    role: ProfileRole


def invite(database: Database, caller: Caller, *, email: str, role: ProfileRole, token: str, now: datetime) -> UUID:
    """Invite an e-mail address into the caller's organisation, and return the invitation's id.

    Nothing keeps the token but its digest: send it, and forget it. `now` is aware.

    Raises:
        InvalidInputError: the address is none, the role is none to invite for, the token is short or taken.
        InvitationNotAllowedError: the caller is no group contact, or `now` is an hour ahead of the database's clock.
    """
    if len(token) < SHORTEST_TOKEN:
        raise InvalidInputError(f"the token has {len(token)} characters: it needs {SHORTEST_TOKEN} random ones")
    invitation = Invitation(
        tenant_id=caller.tenant_id,
        org_id=caller.tenant_id,
        email=str(EmailAddress.parse(email)),
        role=role.value,
        invited_by=caller.user_id,
        invitation_token=digest(token),
        expires_at=utc(now, name="now") + OPEN,
    )
    with database.unit_of_work(role=Role.APP, **caller._asdict()) as session:
        add_invitation(session, invitation)
    assert invitation.id is not None  # noqa: S101  # the database drew it
    return invitation.id


def accept(database: Database, caller: Caller, *, token: str, now: datetime) -> Membership:
    """Make the caller a member of the organisation that invited them. `now` is aware.

    Raises:
        UnknownInvitationError: no invitation of this tenant has the token.
        InvitationUsedError: it was accepted before.
        InvitationRevokedError: it was taken back, or who invited may not any more, or the organisation is gone.
        InvitationExpiredError: its days are over.
        InvitationForAnotherError: it went to another address than the caller's.
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
        if not still_stands(session, invitation):
            raise InvitationRevokedError("who invited may not invite into this organisation any more")
        invited = find_invited(session, caller.user_id, tenant_id=caller.tenant_id)
        if invited is None:
            raise NotFoundError(f"there is no active user {caller.user_id}")
        if invited.email != invitation.email:
            raise InvitationForAnotherError("the invitation went to another e-mail address")
        if not add_member(session, invitation, caller.user_id, invited):
            raise ProfileTakenError("this user has a role already: an invitation does not change it")
        mark_accepted(session, invitation, caller.user_id, at=now)
        return Membership(invitation.org_id, ProfileRole(invitation.role))


def revoke(database: Database, caller: Caller, *, invitation_id: UUID) -> None:
    """Take back an invitation of the caller's organisation.

    Raises:
        UnknownInvitationError: there is none with this id, or the caller is no group contact of its organisation.
        InvitationUsedError: it was accepted before.
        InvitationRevokedError: it was taken back before.
    """
    with database.unit_of_work(role=Role.APP, **caller._asdict()) as session:
        invitation = lock_by_id(session, invitation_id, tenant_id=caller.tenant_id)
        if invitation is None:
            raise UnknownInvitationError(f"there is no invitation {invitation_id}")
        _refuse_closed(invitation)
        mark_revoked(session, invitation)


def _refuse_closed(invitation: Invitation) -> None:
    if invitation.status == "accepted":
        raise InvitationUsedError("the invitation was accepted before: it opens the door once")
    if invitation.status == "revoked":
        raise InvitationRevokedError("the invitation was taken back")
