"""Retries of the nightly job: growing random pauses, a bounded number of attempts.

Owns: how often a batch is tried, and how long the job pauses before it repeats one.
Must not know: which errors are transient (`generation.retrying`), what a batch does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from scheduler.cli.signals import is_interrupted
from scheduler.generation.retrying import is_transient

T = TypeVar("T")

DEFAULT_ATTEMPTS: Final = 8
"""With the pauses below, a batch waits half a minute on average, and a minute at most, for a server that restarts."""


@dataclass(frozen=True, slots=True)
class JobRetries:
    """A policy of retries that pauses between attempts; a value, so that it can go to another process."""

    attempts: int = DEFAULT_ATTEMPTS
    first_pause: timedelta = timedelta(seconds=0.5)
    """The limit of the first pause. Each pause is random up to its limit, which doubles with each attempt."""
    longest_pause: timedelta = timedelta(seconds=30)

    def __call__(self, work: Callable[[], T], /) -> T:
        """Return the result of the work; repeat it after transient errors, and raise the last one."""
        first, longest = self.first_pause.total_seconds(), self.longest_pause.total_seconds()
        return Retrying(
            stop=stop_after_attempt(self.attempts),
            wait=wait_random_exponential(multiplier=first, max=longest),
            # A driver that cleans up after an interruption may raise an error of the connection in its place.
            retry=retry_if_exception(lambda error: is_transient(error) and not is_interrupted()),
            reraise=True,
        )(work)
