"""Sought visits: a search, or the decision about a visit that somebody wants, as a value.

Owns: the value, with the rules that it leaves out of account.
Must not know: which offerings serve it (`candidates`), how it is found (`searching`).
"""

from collections.abc import Collection
from dataclasses import KW_ONLY, dataclass, replace
from datetime import datetime
from typing import Self

from scheduler.core.channels import DESK
from scheduler.core.offers import WantedVisit
from scheduler.core.overrides import BookingRule


@dataclass(frozen=True, slots=True)
class Sought:
    """The visit that is sought: one offering, or a service by any of these doctors at any of these facilities."""

    service_id: int | None = None
    offering_id: int | None = None
    doctor_ids: Collection[int] = ()
    facility_ids: Collection[int] = ()
    plan_id: int | None = None
    patient_id: int | None = None
    skip: Collection[int] = ()
    channel: str = DESK
    wanted: WantedVisit | None = None
    """The visit of the one offering, which names the workflow and the steps."""
    relaxed: frozenset[BookingRule] = frozenset()
    """The rules of booking that the visit may break."""
    names: bool = False
    """Whether a refusal names visits and holds: whoever asks is staff."""
    _: KW_ONLY
    now: datetime | None
    """The instant from which notice and horizon count, and by which slots must be released for channels but the desk.

    None for what is held, of which none of them is asked again.
    """

    @property
    def on_slots(self) -> Self:
        """The search for visits within the hours and places of slots, which are offered next instead."""
        return replace(self, relaxed=self.relaxed - {BookingRule.HOURS, BookingRule.PLACES})
