"""Overrides: rules that a visit may break, each named, for a reason.

Owns: the rules that can be broken, and the override as a value.
Holds: B8 (an override names each rule, and says why).
Must not know: who may break a rule, how a visit is decided on.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from scheduler.core.errors import InvalidOverrideError
from scheduler.core.validation import Validator


class BookingRule(StrEnum):
    """A rule of booking that staff may break for a reason."""

    NOTICE = "notice"
    """The visit begins sooner than the policy's notice."""
    HORIZON = "horizon"
    """The visit begins later than the policy's horizon."""
    CAP = "cap"
    """A cap of the doctor, the offering, the service at the facility, or the patient is reached."""
    RELEASE = "release"
    """The slot is not released yet. On the channel of staff every slot is, so that nobody there needs to name it."""
    HOURS = "hours"
    """No slot of the offering starts then, or the doctor or a resource does not work then: the visit has no slot."""
    PLACES = "places"
    """All places of the slot are booked: the visit gets one more, and shares the doctor with the others."""


_CHECK: Final = Validator(InvalidOverrideError)
_LONGEST_REASON: Final = 1000


@dataclass(frozen=True, slots=True)
class Override:
    """The rules that a visit may break, and the reason, which is stored with the visit.

    Raises:
        InvalidOverrideError: no rule is named, or the reason is empty or longer than 1,000 characters.
    """

    reason: str
    rules: Iterable[BookingRule]

    def __post_init__(self) -> None:
        _CHECK.text("override: reason", self.reason)
        if len(self.reason) > _LONGEST_REASON:
            raise InvalidOverrideError(f"override: reason must have at most {_LONGEST_REASON} characters")
        rules = frozenset(_CHECK.sequence("override: rules", self.rules, BookingRule))
        if not rules:
            raise InvalidOverrideError("override: rules must name each rule that may be broken, at least one")
        object.__setattr__(self, "rules", rules)
