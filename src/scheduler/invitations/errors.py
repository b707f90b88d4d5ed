"""Errors of invitations: why one cannot be made, accepted or revoked.

Owns: one class for each refusal that a caller handles differently.
Must not know: exit codes (the command line's).
"""

from scheduler.core.errors import NotFoundError, SchedulerError


class InvitationError(SchedulerError):
    """An invitation that cannot be made, accepted or revoked."""


class UnknownInvitationError(InvitationError, NotFoundError):
    """No invitation has this token or id, as far as the one who asks may see."""


class InvitationExpiredError(InvitationError):
    """The invitation was open for some days, and they are over."""


class InvitationUsedError(InvitationError):
    """Somebody accepted the invitation: it opens the door once."""


class InvitationRevokedError(InvitationError):
    """The invitation was taken back."""


class InvitationForAnotherError(InvitationError):
    """The invitation went to another e-mail address than that of the one who accepts it."""


class ProfileTakenError(InvitationError):
    """Who accepts has a profile already, and so a role that an invitation does not change."""


class InvitationNotAllowedError(InvitationError):
    """Who invites may not: only a group contact does, and only into the own organisation."""
