"""Rows of booking policies: which row decides which field of the policy of a visit.

Owns: the row, its place, and the decision; contradictions of rows.
Holds: Q2 (field by field, the most specific row: offering, then doctor, facility, channel).
Must not know: what a policy allows (`policies`), how rows are stored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from itertools import product
from typing import Any, Final, NamedTuple, Self

from scheduler.core.channels import check_channel
from scheduler.core.errors import InvalidInputError
from scheduler.core.policies import LONGEST_HOLD, LONGEST_LEAD, DaysBefore, Lead, Policy, local_days
from scheduler.core.slots import Id
from scheduler.core.validation import Validator

FARTHEST_HORIZON: Final = 3660
"""The farthest horizon, in days."""

_CHECK: Final = Validator(InvalidInputError)
_NO_TIME: Final = timedelta(0)
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)


class Place(NamedTuple):
    """Channel, facility, doctor and offering of a visit, or of a row of policies, where None stands for any."""

    channel: str | None = None
    facility_id: Id | None = None
    doctor_id: Id | None = None
    offering_id: Id | None = None

    def includes(self, place: Self) -> bool:
        """Tell whether a row with these holds for a visit."""
        return all(own is None or own == its for own, its in zip(self, place, strict=True))


ANYWHERE: Final = Place()
"""The place of all visits."""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """The fields that one row decides for its place; another row decides a field that is None.

    `notice` is the least time from booking to visit, `horizon` the number of local days after today on which visits may
    be booked. Lengths are whole minutes.

    Raises:
        InvalidInputError: a field is invalid, or the notice is longer than the horizon.
    """

    place: Place = ANYWHERE
    notice: Lead | None = None
    horizon: int | None = None
    hold_lasts: timedelta | None = None
    offer_lasts: timedelta | None = None
    cancel_until: Lead | None = None

    def __post_init__(self) -> None:
        _CHECK.instance("policy: place", self.place, Place)
        if self.place.channel is not None:
            check_channel("policy: channel", self.place.channel)
        _check_lead("policy: notice", self.notice)
        _check_lead("policy: cancel_until", self.cancel_until)
        if self.horizon is not None:
            _CHECK.whole("policy: horizon", self.horizon, lowest=0)
            if self.horizon > FARTHEST_HORIZON:
                raise InvalidInputError(f"policy: horizon must be at most {FARTHEST_HORIZON} days, not {self.horizon}")
        _check_hold("policy: hold_lasts", self.hold_lasts)
        _check_hold("policy: offer_lasts", self.offer_lasts)
        _refuse_longer(self.notice, self.horizon)

    @property
    def says_nothing(self) -> bool:
        """Whether no field is given."""
        return replace(self, place=ANYWHERE) == PolicyRow()


def effective(rows: Iterable[PolicyRow], place: Place) -> Policy:
    """Return the policy of a visit: each field as the most specific row says it that says it at all.

    A row for the offering is more specific than any row without it; so are, next, doctor, facility and channel.
    """
    chosen: dict[str, Any] = {}
    for row in sorted((row for row in rows if row.place.includes(place)), key=_rank, reverse=True):
        for field in fields(Policy):
            said = getattr(row, field.name)
            if said is not None:
                chosen.setdefault(field.name, said)
    return Policy(**chosen)


def refuse_contradictions(rows: Iterable[PolicyRow], offerings: Mapping[Id, Place]) -> None:
    """Refuse rows that together leave some visit without any start: a notice longer than the horizon.

    `offerings` has the facility and doctor of each offering that a row names.

    Raises:
        InvalidInputError: there is such a visit.
    """
    given = list(rows)
    early = [row for row in given if row.notice is not None and row.notice != _NO_TIME]
    late = [row for row in given if row.horizon is not None]
    for first, second in product(early, late):
        if not _is_longer(first.notice, second.horizon):
            continue
        place = _meeting(_whole(first.place, offerings), _whole(second.place, offerings))
        if place is not None:
            policy = effective(given, place)
            _refuse_longer(policy.notice, policy.horizon)


def _rank(row: PolicyRow) -> tuple[bool, ...]:
    return tuple(part is not None for part in reversed(row.place))


def _whole(place: Place, offerings: Mapping[Id, Place]) -> Place:
    if place.offering_id is None:
        return place
    of_offering = offerings[place.offering_id]
    return place._replace(facility_id=of_offering.facility_id, doctor_id=of_offering.doctor_id)


def _meeting(first: Place, second: Place) -> Place | None:
    """Return the place for which rows of both places hold, if any."""
    if not all(one is None or other is None or one == other for one, other in zip(first, second, strict=True)):
        return None
    return first._replace(**{field: part for field, part in second._asdict().items() if part is not None})


def _is_longer(notice: Lead | None, horizon: int | None) -> bool:
    """Tell whether no start is both after the notice and within the horizon, whose first day is today."""
    if notice is None or horizon is None:
        return False
    return notice.days > horizon if isinstance(notice, DaysBefore) else notice >= (horizon + 1) * _DAY


def _refuse_longer(notice: Lead | None, horizon: int | None) -> None:
    if _is_longer(notice, horizon):
        raise InvalidInputError(
            f"policy: the notice ({notice}) is longer than the horizon ({local_days(horizon or 0)}):"
            " nothing could ever be booked"
        )


def _check_lead(field: str, lead: object) -> None:
    if lead is None or isinstance(lead, DaysBefore):
        return
    if not isinstance(lead, timedelta) or not _NO_TIME <= lead <= LONGEST_LEAD or lead % _MINUTE:
        raise InvalidInputError(
            f"{field} must be a timedelta of whole minutes, at most {LONGEST_LEAD.days} days, or DaysBefore, not"
            f" {lead!r}"
        )


def _check_hold(field: str, lasts: object) -> None:
    if lasts is None:
        return
    if not isinstance(lasts, timedelta) or not _NO_TIME < lasts <= LONGEST_HOLD or lasts % _MINUTE:
        raise InvalidInputError(
            f"{field} must be a timedelta of whole minutes longer than zero, at most one day, not {lasts!r}"
        )
