"""Offers: visits that could be booked, as values, and as JSON for a browser and back.

Owns: the offer and its steps, and the fields of their JSON.
Must not know: how a visit is found (`search`), whether it can still be booked.

The JSON says what a page shows and what a booking decides anew. Nothing in it is believed: it may name any offering,
time and resource. The channel is not in it, since who sends it back would choose the rules; nor is what else a workflow
says about a step (preparation, waits, the place).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final, NamedTuple, Self

from scheduler.core.channels import DESK, check_channel
from scheduler.core.errors import InvalidInputError
from scheduler.core.json_fields import Fields, Json, list_from, object_from, parse_json, shown
from scheduler.core.slots import Id, Slot, SlotIdentity
from scheduler.core.spans import utc
from scheduler.core.workflows import DOCTOR, Need, StepTemplate, WorkflowStep
from scheduler.core.zones import in_calendar

_WHERE: Final = "offer"
_LARGEST_ID: Final = 2**63 - 1
_LARGEST: Final = 2**31 - 1
_LONGEST_NAME: Final = 255


class WantedVisit(NamedTuple):
    """A visit that somebody wants, as an offer or a hold names it; nothing of it is believed.

    `starts` are the starts of its steps by position, `resources` the ids of those it would like to have.
    """

    offering_id: Id
    workflow_id: Id
    slot: SlotIdentity
    starts: Mapping[int, datetime]
    resources: frozenset[Id] = frozenset()


@dataclass(frozen=True, slots=True)
class OfferedStep:
    """A step of an offer: its times `[start_at, end_at)` in UTC, and the ids of its resources by kind."""

    step: WorkflowStep
    start_at: datetime
    end_at: datetime
    resources: Mapping[str, tuple[Id, ...]]

    @property
    def position(self) -> int:
        """The position of the step in its workflow."""
        return self.step.position

    @property
    def name(self) -> str:
        """The name of the step, such as blood sample."""
        return self.step.template.name


@dataclass(frozen=True, slots=True)
class VisitOffer:
    """A visit that could be booked: the slot of its anchor, and its steps in order with their resources.

    `channel` is the one on which it was found.
    """

    offering_id: Id
    workflow_id: Id
    slot: Slot
    steps: tuple[OfferedStep, ...]
    channel: str = DESK

    @property
    def wanted(self) -> WantedVisit:
        """The visit that somebody wants who chooses the offer."""
        starts = {step.step.position: step.start_at for step in self.steps}
        resources = frozenset(id_ for step in self.steps for ids in step.resources.values() for id_ in ids)
        return WantedVisit(self.offering_id, self.workflow_id, self.slot.identity, starts, resources)

    @property
    def start_at(self) -> datetime:
        """The start of the first step, when the patient is to be there."""
        return self.steps[0].start_at

    @property
    def end_at(self) -> datetime:
        """The end of the last step."""
        return self.steps[-1].end_at

    def to_json(self) -> str:
        """Return the offer as JSON text, for a browser.

        Raises:
            InvalidInputError: an id is not a whole number, as those of rows are.
        """
        slot = self.slot
        value: dict[str, object] = {
            "offering_id": _id_out("offering_id", self.offering_id),
            "workflow_id": _id_out("workflow_id", self.workflow_id),
            "slot": {
                "start_at": slot.start_at.isoformat(),
                "end_at": slot.end_at.isoformat(),
                "doctor_id": _id_out("doctor_id", slot.doctor_id),
                "facility_id": _id_out("facility_id", slot.facility_id),
                "service_offering_id": slot.service_offering_id
                and _id_out("service_offering_id", slot.service_offering_id),
                "capacity": slot.capacity,
                "rule_id": slot.rule_id and _id_out("rule_id", slot.rule_id),
                "released_at": slot.released_at and slot.released_at.isoformat(),
            },
            "steps": [
                {
                    "position": offered.step.position,
                    "template_id": _id_out("template_id", offered.step.template.id),
                    "name": offered.step.template.name,
                    "start_at": offered.start_at.isoformat(),
                    "end_at": offered.end_at.isoformat(),
                    "doctor": offered.step.has_doctor,
                    "resources": {
                        kind: [_id_out("resources", id_) for id_ in ids] for kind, ids in offered.resources.items()
                    },
                }
                for offered in self.steps
            ],
        }
        return json.dumps(value)

    @classmethod
    def from_json(cls, value: object, *, channel: str = DESK) -> Self:
        """Return the offer of a JSON text, or of a value that was read from one; booking decides it anew.

        `channel` is the one whose rules the booking follows; `desk` is `web` for who is not staff.

        Raises:
            InvalidInputError: the JSON is malformed; the message names the field.
        """
        check_channel(f"{_WHERE}: channel", channel)
        if not isinstance(value, str):
            try:
                value = json.dumps(value)
            except (TypeError, ValueError, RecursionError):
                raise InvalidInputError(f"{_WHERE}: expected JSON, not a {type(value).__name__}") from None
        fields = Fields(parse_json(value, noun=_WHERE), where=_WHERE)
        offering_id, workflow_id = _id(fields, "offering_id"), _id(fields, "workflow_id")
        slot = _slot(Fields(fields.take("slot"), where=f"{_WHERE}: slot"))
        steps = [
            _step(Fields(step, where=f"{_WHERE}: step {number}"), f"{_WHERE}: step {number}")
            for number, step in enumerate(list_from(fields.take("steps"), where=f"{_WHERE}: steps"), start=1)
        ]
        fields.end()
        if not steps:
            fields.refuse("steps must not be empty")
        for sooner, later in pairwise(steps):
            if sooner.step.position >= later.step.position or sooner.end_at > later.start_at:
                fields.refuse("steps must be in order, one after another")
        return cls(offering_id, workflow_id, slot, tuple(steps), channel)


def _id_out(name: str, id_: Id) -> int:
    if not isinstance(id_, int):
        raise InvalidInputError(f"{_WHERE}: {name} must be a whole number for JSON, not {type(id_).__name__}")
    return int(id_)


def _slot(fields: Fields) -> Slot:
    start_at, end_at = _span(fields)
    slot = Slot(
        start_at,
        end_at,
        _id(fields, "doctor_id"),
        _id(fields, "facility_id"),
        fields.whole("service_offering_id", maximum=_LARGEST_ID),
        fields.whole("capacity", maximum=_LARGEST) or 1,
        fields.whole("rule_id", maximum=_LARGEST_ID),
        _optional_instant(fields, "released_at"),
    )
    fields.end()
    return slot


def _step(fields: Fields, where: str) -> OfferedStep:
    position = fields.whole("position", maximum=_LARGEST) or fields.refuse("position is missing")
    template_id, name = _id(fields, "template_id"), fields.needed_text("name", max_length=_LONGEST_NAME)
    start_at, end_at = _span(fields)
    has_doctor = fields.take("doctor")
    if not isinstance(has_doctor, bool):
        fields.refuse(f"doctor must be true or false, not {shown(has_doctor)}")
    found = object_from(fields.take("resources"), where=f"{where}: resources")
    resources = {kind: _ids(ids, where=f"{where}: resources: {shown(kind)}") for kind, ids in found.items()}
    fields.end()
    try:
        needs = [Need(kind, len(ids)) for kind, ids in resources.items()]
        if has_doctor:
            needs.append(Need(DOCTOR))
        step = WorkflowStep(position, StepTemplate(template_id, name, end_at - start_at), needs=needs)
    except InvalidInputError as error:
        fields.refuse(str(error))
    return OfferedStep(step, start_at, end_at, resources)


def _id(fields: Fields, name: str) -> int:
    return fields.whole(name, maximum=_LARGEST_ID) or fields.refuse(f"{name} is missing")


def _ids(value: Json, *, where: str) -> tuple[int, ...]:
    ids: list[int] = []
    for id_ in list_from(value, where=where):
        if isinstance(id_, bool) or not isinstance(id_, int) or not 1 <= id_ <= _LARGEST_ID or id_ in ids:
            raise InvalidInputError(f"{where} must be different ids, whole numbers from 1, not {shown(id_)}")
        ids.append(id_)
    return tuple(ids)


def _span(fields: Fields) -> tuple[datetime, datetime]:
    start_at, end_at = _instant(fields, "start_at"), _instant(fields, "end_at")
    if start_at >= end_at:
        fields.refuse("end_at must be after start_at")
    return start_at, end_at


def _instant(fields: Fields, name: str) -> datetime:
    return _instant_from(fields, name, fields.take(name))


def _optional_instant(fields: Fields, name: str) -> datetime | None:
    value = fields.take(name)
    return None if value is None else _instant_from(fields, name, value)


def _instant_from(fields: Fields, name: str, value: Json) -> datetime:
    try:
        found = in_calendar(utc(datetime.fromisoformat(value))) if isinstance(value, str) else None
    except ValueError:  # also an instant that is naive, or outside the calendar
        found = None
    if found is None:
        fields.refuse(f"{name} must be an instant such as 2027-03-28T09:00:00+00:00, not {shown(value)}")
    return found
