"""Stored offers: the visit of a hold as an offer.

Owns: the steps of a hold as they are stored, read back.
Must not know: whether the visit is still possible.
"""

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler import models as rows
from scheduler.booking.errors import NotOfferedError
from scheduler.booking.holds import HeldVisit
from scheduler.core.search import OfferedStep, VisitOffer
from scheduler.core.slots import Slot
from scheduler.postgres.workflows import load_workflow

_KINDS: Final = text("""
select id, kind from scheduling.resources
where tenant_id = (select identity.current_tenant_id()) and id = any(cast(:ids as bigint[]))
""")


def held_offer(session: Session, held: HeldVisit) -> VisitOffer:
    """Return the visit of a hold.

    Raises:
        NotOfferedError: its slot or its workflow is gone.
    """
    row = held.row
    workflow_row = session.get(rows.ServiceWorkflow, (row.tenant_id, row.service_workflow_id))
    if workflow_row is None or row.slot_end_at is None:
        raise NotOfferedError("the slot or the workflow of the hold is not there any more: find the visit again")
    steps = {step.position: step for step in load_workflow(session, workflow_row).steps}
    ids = {id_ for stored in row.steps for id_ in stored["resources"] or ()}
    kinds = dict(session.connection().execute(_KINDS, {"ids": list(ids)}).tuples().all()) if ids else {}
    offered = tuple(
        OfferedStep(
            steps[stored["position"]],
            _instant(stored["start_at"]),
            _instant(stored["end_at"]),
            _by_kind(stored["resources"] or (), kinds),
        )
        for stored in row.steps
    )
    ids_of_slot = row.doctor_id, row.facility_id, row.slot_offering, row.capacity, row.created_from_rule_id
    slot = Slot(row.slot_start_at, row.slot_end_at, *ids_of_slot)
    return VisitOffer(row.service_offering_id, row.service_workflow_id, slot, offered)


def _by_kind(ids: Any, kinds: dict[int, str]) -> dict[str, tuple[int, ...]]:  # noqa: ANN401  # JSON
    return {kind: tuple(id_ for id_ in ids if kinds.get(id_) == kind) for kind in sorted(set(kinds.values()))}


def _instant(written: str) -> datetime:
    return datetime.fromisoformat(written).astimezone(UTC)
