"""Arguments of visits: how offers, holds, keys and texts are given.

Owns: their reading; an offer becomes what somebody wants, of which nothing is believed.
Must not know: what is done with them (`visit_booking`, `visits`).
"""

from datetime import datetime
from typing import Any, Final

from scheduler import models
from scheduler.booking.holds import Hold
from scheduler.booking.visits import Visit
from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import AppointmentStatus
from scheduler.core.offers import OfferedStep, VisitOffer, WantedVisit
from scheduler.core.readers import fault, text
from scheduler.core.slots import Slot
from scheduler.core.spans import utc
from scheduler.core.validation import Validator
from scheduler.core.workflows import WorkflowStep
from scheduler.core.zones import in_calendar
from scheduler.front_door.repository import fit
from scheduler.postgres.errors import NotAllowedError

_CHECK: Final = Validator(InvalidInputError)
_LARGEST_ID: Final = 2**63 - 1


def wanted_visit(field: str, offer: object) -> WantedVisit:
    """Return what somebody wants who gives an offer, which may stem from anywhere.

    Raises:
        InvalidInputError: it is no offer, or lacks what one of the tables has.
    """
    _CHECK.instance(field, offer, VisitOffer)
    assert isinstance(offer, VisitOffer)  # noqa: S101  # as just checked
    _CHECK.instance(f"{field}: slot", offer.slot, Slot)
    in_calendar(offer.slot.start_at)
    if not _CHECK.sequence(f"{field}: steps", offer.steps, OfferedStep):
        raise InvalidInputError(f"{field}: steps must not be empty")
    starts = {}
    ids = [offer.offering_id, offer.workflow_id, *offer.slot[2:4]]
    for step in offer.steps:
        _CHECK.instance(f"{field}: step", step.step, WorkflowStep)
        name = f"{field}: step {step.step.position}"
        starts[step.step.position] = in_calendar(utc(step.start_at, name=f"{name}: start_at"))
        _CHECK.instance(f"{name}: resources", step.resources, dict)
        for of_kind in step.resources.values():
            ids += _CHECK.sequence(f"{name}: resources", of_kind, int)
    for id_ in ids:
        if isinstance(id_, bool) or not isinstance(id_, int) or not 1 <= id_ <= _LARGEST_ID:
            raise InvalidInputError(f"{field}: an id must be that of a row, not {id_!r}")
    return WantedVisit(offer.offering_id, offer.workflow_id, offer.slot.identity, starts, frozenset(ids[4:]))


def asked(wanted: WantedVisit) -> list[Any]:
    """Return what a request asks for that names a visit; which resources it would like makes no difference."""
    starts = [[position, start_at.isoformat()] for position, start_at in wanted.starts.items()]
    return [wanted.offering_id, wanted.workflow_id, list(wanted.slot), starts]


def token_of(hold: object, *, field: str = "hold", wanted: str = "a Hold or its token") -> str:
    """Return the token of a hold, given as such or as the hold; a refusal says `field` and `wanted`."""
    if not isinstance(hold, Hold | str):
        raise fault(field, wanted, hold)
    return text("hold: token", hold.token if isinstance(hold, Hold) else hold)


def optional_text(field: str, value: object, model: type[Any], column: str) -> str | None:
    """Return a text for a column, or None."""
    if value is None:
        return None
    read = text(field, value)
    fit(field, model, column, read)
    return read


def key_of(key: object) -> str | None:
    """Return an idempotency key, or None."""
    return optional_text("key", key, models.BookingRequest, "key")


def refuse_begun(visit: Visit, now: datetime) -> None:
    """Refuse that people who are cared for change a visit that has begun, or should have.

    Raises:
        NotAllowedError: it has, or should have.
    """
    is_late = visit.status is AppointmentStatus.SCHEDULED and visit.start_at <= now
    if is_late or visit.status in {AppointmentStatus.CHECKED_IN, AppointmentStatus.IN_PROGRESS}:
        raise NotAllowedError("the visit has begun, or should have: only staff change it now")
