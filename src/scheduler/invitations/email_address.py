"""E-mail addresses: what can be one, in one spelling.

Owns: the value of an address, and how a text becomes one.
Holds: the language of `identity.is_email`, which every CHECK of an address asks (a test compares): HTML's definition of
a valid e-mail address, in lower case, at most 64 characters before the @ and 254 in all.
Must not know: whose address it is, whether anybody reads what is sent to it.

ASCII only: what is a small letter, and which letters look alike, depends on tables that differ from server to server.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from scheduler.core.errors import InvalidInputError

LONGEST: Final = 254
LONGEST_LOCAL: Final = 64
_SHOWN: Final = 60

# HTML Living Standard, 4.10.5.1.5; a label of the domain as in RFC 1034, 3.5.
_NOT_LOCAL: Final = re.compile(r"[^a-z0-9.!#$%&'*+/=?^_`{|}~-]")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An e-mail address in lower case, without space around it; `EmailAddress.parse` makes one from what people type.

    Raises:
        InvalidInputError: the text is no address, or not in lower case.
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InvalidInputError(f"an e-mail address is a text, not {type(self.text).__name__}")
        fault = _fault(self.text)
        if fault is not None:
            raise InvalidInputError(f"{_shown(self.text)} is no e-mail address: {fault}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address in any case, with or without space around it.

        >>> str(EmailAddress.parse(" Ann@Example.org"))
        'ann@example.org'

        Raises:
            InvalidInputError: it is no address; the message names the fault and shows 60 characters at most.
        """
        if isinstance(text, str):
            text = text.strip()
            if text.isascii():  # other letters may become ASCII ones: the sign of the kelvin is a capital k
                text = text.lower()
        return cls(text)

    def __str__(self) -> str:
        return self.text


def _shown(text: str) -> str:
    """Return the text for a message, at most 60 characters of it however they have to be written."""
    written = repr(text[:_SHOWN])
    return written if len(text) <= _SHOWN and len(written) <= _SHOWN else f"{written[: _SHOWN - 3]}..."


def _fault(text: str) -> str | None:
    """Say what stops a text from being an address; None if nothing does."""
    local, at, domain = text.partition("@")
    if not at:
        return "it has no @"
    if "@" in domain:
        return "it has more than one @"
    if not local:
        return "nothing stands before the @"
    if len(local) > LONGEST_LOCAL:
        return f"more than {LONGEST_LOCAL} characters stand before the @"
    wrong = _NOT_LOCAL.search(local)
    if wrong is not None:
        return f"{wrong.group()!r} cannot stand before the @"
    if not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        return "the domain is not of letters, digits and hyphens, in parts of 1 to 63 between dots"
    return f"it is longer than {LONGEST} characters" if len(text) > LONGEST else None
