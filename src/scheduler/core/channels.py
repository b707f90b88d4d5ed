"""Channels: the words for the ways on which visits are found and booked.

Owns: the two channels that the library knows, and the form of the words of others.
Must not know: which other channels a tenant has, what a channel allows.
"""

import re
from typing import Final

from scheduler.core.errors import InvalidInputError

LONGEST_CHANNEL: Final = 50

DESK: Final = "desk"
"""The channel of staff, who also see private offerings."""
WEB: Final = "web"
"""The channel of people who are cared for, who do not see private offerings."""


def check_channel(field: str, channel: object) -> None:
    """Raise unless the value is a word of small letters, digits and _, such as web."""
    if (
        not isinstance(channel, str)
        or len(channel) > LONGEST_CHANNEL
        or not re.fullmatch("[a-z][a-z0-9_]*", channel, re.ASCII)
    ):
        shown = repr(channel) if isinstance(channel, str) else type(channel).__name__
        raise InvalidInputError(
            f"{field} must be a word of small letters, digits and _ with at most {LONGEST_CHANNEL} characters,"
            f" such as web, not {shown}"
        )
