"""Process: clock and random source of a host that gives none of its own.

Holds: T5 (no other module of the front door reads them).
Must not know: what they are for.
"""

import os
from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current instant in UTC."""
    return datetime.now(UTC)


def random_bytes(count: int) -> bytes:
    """Return so many random bytes, fit for keys."""
    return os.urandom(count)
