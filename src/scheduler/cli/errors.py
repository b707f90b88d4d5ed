"""Errors of the command line.

Owns: the error of a command that did its work for some schedules only.
Must not know: the commands, exit codes.
"""

from scheduler.core.errors import SchedulerError


class SchedulesFailedError(SchedulerError):
    """Some schedules could not be generated or explained; all others were."""
