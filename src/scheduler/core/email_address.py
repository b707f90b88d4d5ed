"""E-mail addresses: validation, and one spelling for each address.

Owns: the value of an address, and the parsing of text into an address.
Holds: the same language as `identity.is_email`, which the CHECK of every address column calls (a test compares): HTML's
definition of a valid e-mail address, in lower case, at most 64 characters before the @ and 254 in all.
Must not know: the owner of an address, or whether mail reaches it.

ASCII only: lower case and look-alikes of other letters depend on tables that differ from server to server.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from scheduler.core.errors import InvalidInputError

MAX_LENGTH: Final = 254
MAX_LOCAL_LENGTH: Final = 64
_MAX_SHOWN_LENGTH: Final = 60

# HTML Living Standard, 4.10.5.1.5; a label of the domain as in RFC 1034, 3.5.
_NOT_LOCAL: Final = re.compile(r"[^a-z0-9.!#$%&'*+/=?^_`{|}~-]")
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class EmailAddress:
    """An e-mail address in lower case; `EmailAddress.parse` also reads addresses as people type them.

    Raises:
        InvalidInputError: the text is no address, or not in lower case.
    """

    text: str

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise InvalidInputError(f"an e-mail address must be text, not {type(self.text).__name__}")
        fault = _fault(self.text)
        if fault is not None:
            raise InvalidInputError(f"{_shown(self.text)} is no e-mail address: {fault}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an address in any case, with or without surrounding space.

        >>> str(EmailAddress.parse(" Ann@Example.org"))
        'ann@example.org'

        Raises:
            InvalidInputError: the text is no address; the message shows at most 60 characters of it.
        """
        if isinstance(text, str):
            text = text.strip()
            if text.isascii():  # lower() would turn some other letters into ASCII: the kelvin sign into a k
                text = text.lower()
        return cls(text)

    def __str__(self) -> str:
        return self.text


def _shown(text: str) -> str:
    """Return the text for an error message, escaped and at most 60 characters long."""
    escaped = repr(text[:_MAX_SHOWN_LENGTH])
    fits = len(text) <= _MAX_SHOWN_LENGTH and len(escaped) <= _MAX_SHOWN_LENGTH
    return escaped if fits else f"{escaped[: _MAX_SHOWN_LENGTH - 3]}..."


def _fault(text: str) -> str | None:
    """Return the reason why a text is no address; None if it is one."""
    local, at, domain = text.partition("@")
    if not at:
        return "it has no @"
    if "@" in domain:
        return "it has more than one @"
    if not local:
        return "nothing stands before the @"
    if len(local) > MAX_LOCAL_LENGTH:
        return f"more than {MAX_LOCAL_LENGTH} characters stand before the @"
    forbidden = _NOT_LOCAL.search(local)
    if forbidden is not None:
        return f"{forbidden.group()!r} cannot stand before the @"
    if not all(_LABEL.fullmatch(label) for label in domain.split(".")):
        return "the domain is not of letters, digits and hyphens, in parts of 1 to 63 between dots"
    return f"it is longer than {MAX_LENGTH} characters" if len(text) > MAX_LENGTH else None
