"""Errors of the command line.

Owns: the errors of commands that did a part of their work only.
Must not know: the commands, exit codes.
"""

from scheduler.core.errors import SchedulerError


class SchedulesFailedError(SchedulerError):
    """Some schedules could not be generated or explained; all others were."""


class OutputLostError(SchedulerError):
    """All is done, but a file about it could not be written."""


class AmbiguousNamesError(SchedulerError):
    """Some families have ambiguous names and were not written; all others were."""


class TenantsFailedError(SchedulerError):
    """The work failed for some tenants; it is done for all others."""


class TimeIsUpError(SchedulerError):
    """The time that was given is over: the next run does the rest."""


class TerminatedError(SchedulerError):
    """A termination was asked for, and the command ended after its batch: the next run does the rest."""


class NightAtRiskError(SchedulerError):
    """A check before the night found a fault."""
