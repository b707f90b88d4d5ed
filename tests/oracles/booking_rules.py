"""Oracle of the rules of booking: notice, horizon, release and caps, each from its definition (Q2, Q4, Q5).

Owns: the choice of the policy, the counting of visits and holds, and the rules that a start breaks.
Must not know: `scheduler.core.policies`, `scheduler.core.caps`: nothing of it decides here.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.policies import DaysBefore
from scheduler.core.reasons import ReasonCode

PARTS = ("offering", "doctor", "facility", "channel")
"""The parts that a policy may name, from the most specific to the least."""
DAY = timedelta(days=1)


class Asked(NamedTuple):
    """A visit of an offering, as policies and caps see it, asked for at `now`."""

    channel: str
    now: datetime
    zone: ZoneInfo
    offering: int
    service: int
    doctor: int
    facility: int
    patient: int | None = None


class Counted(NamedTuple):
    """A visit or hold that caps count on a local day; a hold has no patient."""

    day: date
    offering: int
    service: int
    doctor: int
    facility: int
    patient: int | None


def said(policies: Iterable[Mapping[str, Any]], asked: Asked, field: str) -> Any:
    """Return a field of the most specific policy that says it, else None."""
    fitting = [
        policy
        for policy in policies
        if field in policy and all(policy.get(part) in {None, getattr(asked, part)} for part in PARTS)
    ]
    most_specific = max(fitting, key=lambda policy: [policy.get(part) is not None for part in PARTS], default={})
    return most_specific.get(field)


def broken(
    start_at: datetime,
    asked: Asked,
    *,
    policies: Iterable[Mapping[str, Any]] = (),
    caps: Iterable[Mapping[str, Any]] = (),
    counted: Iterable[Counted] = (),
    released_at: datetime | None = None,
) -> set[ReasonCode]:
    """Return the rules that a visit with this start, on a slot with this release, would break."""
    local, rules = start_at.astimezone(asked.zone), set[ReasonCode]()
    horizon, notice = said(policies, asked, "horizon"), said(policies, asked, "notice")
    if horizon is not None and local.date() > asked.now.astimezone(asked.zone).date() + horizon * DAY:
        rules.add(ReasonCode.HORIZON)
    if asked.now > start_at or (notice is not None and asked.now > _latest(notice, local, asked.zone)):
        rules.add(ReasonCode.NOTICE)
    counts = list(counted)
    if any(_is_reached(cap, local.date(), asked, counts) for cap in caps):
        rules.add(ReasonCode.CAP)
    if asked.channel != "desk" and released_at is not None and asked.now < released_at:
        rules.add(ReasonCode.RELEASE)
    return rules


def _latest(notice: timedelta | DaysBefore, local: datetime, zone: ZoneInfo) -> datetime:
    """Return the last instant at which the start is booked; no clock of the tests changes by day."""
    if isinstance(notice, timedelta):
        return local.astimezone(UTC) - notice
    return datetime.combine(local.date() - notice.days * DAY, notice.until, zone).astimezone(UTC)


def _is_reached(cap: Mapping[str, Any], day: date, asked: Asked, counted: Iterable[Counted]) -> bool:
    target = {part: cap[part] for part in ("offering", "doctor", "service", "facility", "patient") if part in cap}
    if any(getattr(asked, part) != id_ for part, id_ in target.items()):
        return False
    same = [each for each in counted if all(getattr(each, part) == id_ for part, id_ in target.items())]
    days = [each.day for each in same]
    if cap["per"] == "week":
        return [each.isocalendar()[:2] for each in days].count(day.isocalendar()[:2]) >= int(cap["most"])
    return days.count(day) >= int(cap["most"])
