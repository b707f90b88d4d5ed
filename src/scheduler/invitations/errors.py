"""Invitation errors: reasons why an invitation cannot be created, accepted or revoked.

Owns: a class for each refusal that a caller handles differently.
Must not know: exit codes of the command line.
"""

from scheduler.core.errors import NotFoundError, SchedulerError


class InvitationError(SchedulerError):
    """An invitation cannot be created, accepted or revoked."""


class UnknownInvitationError(InvitationError, NotFoundError):
    """No invitation that the caller may see has this token or id."""


class InvitationExpiredError(InvitationError):
    """The invitation has expired."""


class InvitationUsedError(InvitationError):
    """The invitation was accepted already, and can be accepted only once."""


class InvitationRevokedError(InvitationError):
    """The invitation was revoked."""


class InvitationForAnotherError(InvitationError):
    """The invitation was sent to another e-mail address than the caller's."""


class ProfileTakenError(InvitationError):
    """The caller has a profile already, whose role an invitation does not change."""


class InvitationNotAllowedError(InvitationError):
    """The caller may not invite: only a group contact may, and only into the own organisation."""
