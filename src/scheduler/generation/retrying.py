"""Retries: the errors after which a batch of the job is repeated, and the policy that repeats it.

Owns: the SQLSTATE classes of transient errors, and those of errors that concern the server and no schedule.
Holds: R4 (a repeated batch is a transaction of its own).
Must not know: the clock, random sources: a policy is given, and how long it waits is its own.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from scheduler.postgres.errors import DatabaseUnreachableError, StoreError

T = TypeVar("T")

_TRANSIENT: Final = (
    "08",  # the connection was lost
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53",  # no disk space, memory or connections
    "55P03",  # a lock was not free in time
    "57P01",  # the server is stopped
    "57P02",  # another backend crashed
    "57P03",  # the server is starting
)
_OF_THE_SERVER: Final = ("08", "53", "57P")


class Retry(Protocol):
    """A policy of retries: it calls the work, and again after errors that `is_transient`, as often as it says.

    A policy that goes to another process must be picklable.
    """

    def __call__(self, work: Callable[[], T], /) -> T:
        """Return the result of the work, or raise its last error."""


def once(work: Callable[[], T], /) -> T:
    """Repeat nothing."""
    return work()


def is_transient(error: BaseException) -> bool:
    """Return whether the same batch may succeed if it is repeated a little later."""
    if isinstance(error, DatabaseUnreachableError) and error.sqlstate is None:  # lost without an answer
        return True
    return isinstance(error, StoreError) and (error.sqlstate or "").startswith(_TRANSIENT)


def concerns_the_server(error: BaseException) -> bool:
    """Return whether an error would meet each batch alike: a run that goes on would report every schedule as failed."""
    if isinstance(error, DatabaseUnreachableError):
        return True
    return isinstance(error, StoreError) and (error.sqlstate or "").startswith(_OF_THE_SERVER)
