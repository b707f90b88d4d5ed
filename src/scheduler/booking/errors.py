"""Booking errors: reasons why a visit cannot be offered, held, booked or changed.

Owns: a class for each refusal that a caller handles differently, with the facts as attributes.
Must not know: how a refusal is found, exit codes of the command line.

A lock that was not free in time is a `BusyError` (postgres.errors).
"""

from collections.abc import Iterable
from datetime import datetime

from scheduler.core.errors import SchedulerError
from scheduler.core.reasons import Reason


class BookingError(SchedulerError):
    """A visit cannot be offered, held, booked or changed. Nothing was written."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # the other arguments let the facts survive pickling


class NotOfferedError(BookingError):
    """The visit cannot start then.

    Attributes:
        reasons: why, each a `Reason`, the strongest first: its `code` is a `ReasonCode`, its `text` is for people.
        next_start_at: the next start that is offered, in UTC; None if there is none within the days searched.
    """

    def __init__(self, message: str, reasons: Iterable[Reason] = (), next_start_at: datetime | None = None) -> None:
        self.reasons: tuple[Reason, ...] = tuple(reasons)
        self.next_start_at = next_start_at
        super().__init__(message, self.reasons, next_start_at)


class SlotTakenError(BookingError):
    """The visit was offered, and somebody else took its place, its doctor or a resource meanwhile.

    Attributes:
        next_start_at: the next start that is offered, in UTC; None if there is none within the days searched.
    """

    def __init__(self, message: str, next_start_at: datetime | None = None) -> None:
        super().__init__(message, next_start_at)
        self.next_start_at = next_start_at


class HoldEndedError(BookingError):
    """The time of the hold is over: find the visit again.

    The token of a hold that was confirmed or released is an `UnknownHoldError`. A call of `hold` that is repeated with
    its key cannot tell these apart, and is a `HoldEndedError` in each case.
    """


class UnknownHoldError(BookingError):
    """No hold of this tenant has this token: it was confirmed or released, or is another user's.

    A hold whose time is over is a `HoldEndedError` for a day, until the nightly job deletes it.
    """


class OverrideNotNeededError(BookingError):
    """The override names rules, and the visit breaks none of them: book it without an override."""


class KeyReusedError(BookingError):
    """The idempotency key belongs to another request."""


class OutcomeUnknownError(BookingError):
    """The connection was lost while the transaction was committed: perhaps it was written, perhaps it was not.

    Repeat the call with the same key: it returns the first answer if there is one.

    Attributes:
        key: the idempotency key of the call, if it had one.
    """

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message, key)
        self.key = key


class PatientBusyError(BookingError):
    """The patient has another visit at this time.

    Attributes:
        visit_id: the id of that visit.
    """

    def __init__(self, message: str, visit_id: int) -> None:
        super().__init__(message, visit_id)
        self.visit_id = visit_id


class CapReachedError(BookingError):
    """A cap of the day or the week of the visit is reached.

    Attributes:
        cap: the id of the cap.
        count: how many visits and holds it counts now, without the one that is refused.
    """

    def __init__(self, message: str, cap: int, count: int) -> None:
        super().__init__(message, cap, count)
        self.cap = cap
        self.count = count


class TooLateError(BookingError):
    """A policy lets people who are cared for cancel or move a visit until an instant, which has passed.

    Attributes:
        until: the last instant at which they could, in UTC.
    """

    def __init__(self, message: str, until: datetime) -> None:
        super().__init__(message, until)
        self.until = until


class TooManyHoldsError(BookingError):
    """The user, who is not staff, holds as many visits as a user may hold.

    Attributes:
        most: how many that is.
    """

    def __init__(self, message: str, most: int) -> None:
        super().__init__(message, most)
        self.most = most


class NoSuchNeedError(BookingError):
    """A step needs more resources of a kind than the facility has at all.

    Attributes:
        kind: the kind, such as nurse.
        facility: the id of the facility.
    """

    def __init__(self, message: str, kind: str, facility: int) -> None:
        super().__init__(message, kind, facility)
        self.kind = kind
        self.facility = facility
