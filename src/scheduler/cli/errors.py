"""Errors of the command line.

Owns: the errors of commands that did a part of their work only.
Must not know: the commands, exit codes.
"""

from scheduler.core.errors import SchedulerError


class SchedulesFailedError(SchedulerError):
    """Some schedules could not be generated or explained; all others were."""


class AmbiguousNamesError(SchedulerError):
    """Some families have ambiguous names and were not written; all others were."""


class NightAtRiskError(SchedulerError):
    """A check before the night found a fault."""
