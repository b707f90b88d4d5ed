"""Large removals: rules, exceptions and closures that facilities lose by an import.

Owns: the count of the parts that still matter, and the share that an import may remove without a question.
Must not know: the file format, how an import is written, how a person is asked.

A file with a part missing would otherwise close whole facilities, or open their closed days.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from fractions import Fraction
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError

LARGE_SHARE: Final = Fraction(1, 10)
"""The largest share of a tenant's rules, exceptions or closures that an import removes without a question."""
_MAX_NAMES: Final = 3

_PARTS: Final = text("""
select facility.slug, count(*) filter (where part.kind = 'rule'), count(*) filter (where part.kind = 'exception'),
    count(*) filter (where part.kind = 'closure')
from (
    select tenant_id, facility_id, 'rule' as kind from scheduling.availability_rules
    where effective_until is null or effective_until >= cast(:day as date)
    union all
    select tenant_id, facility_id, 'exception' from scheduling.availability_exceptions where end_at > :now
    union all
    select tenant_id, facility_id, 'closure' from scheduling.facility_closures where day >= cast(:day as date)
) part
join scheduling.facilities facility on facility.tenant_id = part.tenant_id and facility.id = part.facility_id
group by facility.slug
""")


class PartCounts(NamedTuple):
    """How many rules, exceptions and closures a facility or tenant has."""

    rules: int = 0
    exceptions: int = 0
    closures: int = 0


class Removals(NamedTuple):
    """The parts that the facilities of a tenant lost, the parts that they had, and facilities without any rule left."""

    lost: PartCounts = PartCounts()
    before: PartCounts = PartCounts()
    closed: frozenset[str] = frozenset()


NO_REMOVALS: Final = Removals()


class LargeRemovalError(InvalidInputError):
    """An import that removes more than `LARGE_SHARE` of a kind of parts, or all rules of a facility."""

    def __init__(self, removals: Removals, reasons: list[str]) -> None:
        self.removals = removals
        super().__init__(f"the import removes {', '.join(reasons)}")


def parts_by_facility(session: Session, *, now: datetime) -> dict[str, PartCounts]:
    """Count the parts of each facility of the tenant that are not over at `now` (aware), by its slug."""
    rows = session.connection().execute(_PARTS, {"now": now, "day": now.date()})
    return {slug: PartCounts(*counts) for slug, *counts in rows}


def removals_between(before: Mapping[str, PartCounts], after: Mapping[str, PartCounts]) -> Removals:
    """Return the losses of all facilities; a part that replaces another of its facility is no loss."""
    lost = [
        PartCounts(*(max(0, had - has) for had, has in zip(parts, after.get(slug, PartCounts()), strict=True)))
        for slug, parts in before.items()
    ]
    closed = frozenset(
        slug for slug, parts in before.items() if parts.rules and not after.get(slug, PartCounts()).rules
    )
    return Removals(_total(lost), _total(before.values()), closed)


def refuse_large_removals(removals: Removals, *, confirmed: Removals = NO_REMOVALS) -> None:
    """Refuse large removals beyond those that a person confirmed.

    Raises:
        LargeRemovalError: more than `LARGE_SHARE` of a kind of parts, or all rules of a facility, are lost.
    """
    reasons = [
        f"{lost:,} of {before:,} {kind}"
        for kind, lost, before, allowed in zip(
            PartCounts._fields, removals.lost, removals.before, confirmed.lost, strict=True
        )
        if lost > before * LARGE_SHARE and lost > allowed
    ]
    if closed := sorted(removals.closed - confirmed.closed):
        names = ", ".join(map(repr, closed[:_MAX_NAMES]))
        more = f" and {len(closed) - _MAX_NAMES:,} more" if len(closed) > _MAX_NAMES else ""
        reasons.append(f"all rules of {names}{more}")
    if reasons:
        raise LargeRemovalError(removals, reasons)


def _total(counts: Iterable[PartCounts]) -> PartCounts:
    return PartCounts(*map(sum, zip(PartCounts(), *counts, strict=True)))
