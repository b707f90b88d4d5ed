"""Fixed clock: tests that do not depend on today."""

from datetime import datetime, timedelta

from scheduler.core.spans import utc


class FixedClock:
    """A clock that stands still until a test moves it: `Scheduler(url, clock=FixedClock(at))`.

    It is the clock of the library alone: PostgreSQL and your own code have theirs.

    Raises:
        InvalidSpanError: the instant is naive.
    """

    def __init__(self, at: datetime) -> None:
        self.move_to(at)

    def __call__(self) -> datetime:
        """Return the instant at which the clock stands, in UTC."""
        return self._at

    def move(self, by: timedelta) -> None:
        """Move the clock forward, or back by a negative length."""
        self.move_to(self._at + by)

    def move_to(self, at: datetime) -> None:
        """Move the clock to an aware instant."""
        self._at = utc(at, name="clock: at")
