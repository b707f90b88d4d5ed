"""Stored offers: the visit of a hold as an offer, with its steps and resources.

Owns: the steps of a hold as they are stored, read back.
Must not know: whether the visit is still possible.
"""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler import models as rows
from scheduler.booking.errors import NotOfferedError, UnknownHoldError
from scheduler.booking.holds import HeldVisit
from scheduler.core.offers import OfferedStep, VisitOffer
from scheduler.core.slots import Slot
from scheduler.postgres.workflows import load_workflow

_HOLD: Final = text("""
select hold.tenant_id, hold.steps, hold.service_workflow_id, slot.capacity, slot.created_from_rule_id,
    slot.released_at, (
    select coalesce(jsonb_object_agg(resource.id, resource.kind), '{}') from scheduling.resources resource
    where resource.tenant_id = hold.tenant_id and resource.id in (
        select cast(jsonb_array_elements_text(step -> 'resources') as bigint) from jsonb_array_elements(hold.steps) step
    )
) as kinds
from scheduling.holds hold
left join scheduling.availability_slots slot
    on slot.tenant_id = hold.tenant_id and slot.id = hold.availability_slot_id and slot.start_at = hold.slot_start_at
where hold.tenant_id = (select identity.current_tenant_id()) and hold.id = :hold
""")


def held_offer(session: Session, held: HeldVisit) -> VisitOffer:
    """Return the visit of a hold as an offer.

    Raises:
        UnknownHoldError: it was confirmed, released or deleted since it was read.
        NotOfferedError: its workflow has other steps now.
    """
    row = session.connection().execute(_HOLD, {"hold": held.id}).one_or_none()
    if row is None:
        raise UnknownHoldError("the hold was just confirmed or released, or has ended: find the visit again")
    workflow = session.get_one(rows.ServiceWorkflow, (row.tenant_id, row.service_workflow_id))
    planned = {step.position: step for step in load_workflow(session, workflow).steps}
    if not planned.keys() >= held.wanted.starts.keys():
        raise NotOfferedError("the workflow of the hold has other steps now: find the visit again")
    steps = tuple(
        OfferedStep(
            planned[stored["position"]],
            _instant(stored["start_at"]),
            _instant(stored["end_at"]),
            _by_kind(stored["resources"], row.kinds),
        )
        for stored in row.steps
    )
    slot = Slot(*held.wanted.slot, row.capacity or 1, row.created_from_rule_id, row.released_at)
    return VisitOffer(held.wanted.offering_id, held.wanted.workflow_id, slot, steps, held.channel)


def _by_kind(ids: list[int], kinds: dict[str, str]) -> dict[str, tuple[Any, ...]]:
    by_kind: dict[str, list[int]] = {}
    for id_ in ids:
        by_kind.setdefault(kinds[str(id_)], []).append(id_)
    return {kind: tuple(found) for kind, found in by_kind.items()}


def _instant(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)
