"""Errors of the nightly job.

Owns: the end of a run whose executor has died.
Must not know: executors, exit codes (the command line's).
"""

from scheduler.core.errors import SchedulerError


class WorkersLostError(SchedulerError):
    """The executor of a run died, or was shut down: complete batches stay, and the next run does the rest."""
