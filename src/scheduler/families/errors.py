"""Family errors: reasons why a family cannot have these members.

Owns: a class for each refusal that a caller handles differently.
Must not know: exit codes of the command line.
"""

from scheduler.core.errors import InvalidInputError, SchedulerError


class FamilyError(SchedulerError):
    """A family cannot have these members."""


class DuplicateMemberError(FamilyError, InvalidInputError):
    """A person would be in one family twice."""


class MissingParentError(FamilyError, InvalidInputError):
    """A family would be created without a parent, or its new list of parents is empty."""


class LastParentError(FamilyError):
    """The last parent of a family cannot leave it: add another parent first, or delete the family."""
