"""Early end of a run: the time that `--max-duration` gives, and a termination by SIGTERM.

Owns: the reading of a duration, the reasons for which a command ends after its batch, and their errors.
Must not know: runs, batches.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from typing import Final

from scheduler.cli.errors import TerminatedError, TimeIsUpError
from scheduler.cli.signals import recorded_termination
from scheduler.core.errors import InvalidInputError

_DURATION: Final = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", re.ASCII)


def read_duration(text: str | None) -> timedelta | None:
    """Read a duration such as `2h`, `90m`, `1h30m` or `45s`.

    Raises:
        InvalidInputError: the text is no duration, or it is zero.
    """
    if text is None:
        return None
    read = _DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in read.groups()) if read else (0, 0, 0)
    duration = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if not duration:
        raise InvalidInputError(f"{text!r} is not a duration: 2h, 90m, 1h30m or 45s are")
    return duration


class Ending:
    """The end of a command that is asked for before its work is done."""

    def __init__(self, most: timedelta | None, terminations: list[int]) -> None:
        self._terminations = terminations
        self._until = None if most is None else monotonic() + most.total_seconds()

    def is_due(self) -> bool:
        """Tell whether no further batch may begin."""
        return bool(self._terminations) or (self._until is not None and monotonic() >= self._until)

    def is_time_up(self) -> bool:
        """Tell whether the time ends the command, and no termination."""
        return not self._terminations and self.is_due()

    def error(self, left: str) -> TerminatedError | TimeIsUpError:
        """Return the error that names the reason, and what is left."""
        if self._terminations:
            return TerminatedError(f"terminated after the batch in progress: {left} are left to the next run")
        return TimeIsUpError(f"the time is up: {left} are left to the next run")


@contextmanager
def ending_early(most: timedelta | None) -> Iterator[Ending]:
    """Let the block end by itself after so long, or after a SIGTERM; a second SIGTERM interrupts it."""
    with recorded_termination() as terminations:
        yield Ending(most, terminations)
