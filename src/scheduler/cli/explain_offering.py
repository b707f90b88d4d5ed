"""Explanation of an offering's day at the desk: each start, offered or not, and why.

Owns: the answers of `scheduler explain --offering`, as tables and as JSON.
Must not know: how a start is explained (`booking.day_explanations`).
"""

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scheduler import models
from scheduler.booking.day_explanations import DayExplanation, ExplainedStart
from scheduler.booking.errors import BookingError
from scheduler.cli.desk import Names
from scheduler.cli.rendering import offset_time
from scheduler.cli.sought import offerings_sought
from scheduler.cli.terminal import printable
from scheduler.core.errors import InvalidWorkflowError, SchedulerError, WorkflowNotFoundError
from scheduler.core.ids import OfferingId
from scheduler.core.zones import zone_of
from scheduler.front_door.work import Work


class ExplainedOffering(NamedTuple):
    """The day of one offering: an explanation, or why the offering has no visits at all."""

    offering_id: int
    service: str
    doctor: tuple[int, str]
    facility: models.Facility
    explanation: DayExplanation | SchedulerError

    def picture(self, day: date) -> RenderableType:
        """Draw the day under its heading: a row for each start."""
        place = f"{self.service} (offering {self.offering_id}) with {self.doctor[1]} at {self.facility.name}"
        heading = Text(printable(f"{place}, {day:%a %d %b %Y} ({self.facility.timezone})"), style="bold")
        if not isinstance(self.explanation, DayExplanation):
            return Group(heading, Text(printable(str(self.explanation)), style="bold red"), "")
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("start", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("why")
        for start in self.explanation.starts:
            sign, style = ("○ offered", "green") if start.is_offered else ("✕ not offered", "red")
            table.add_row(Text(self.explanation.clock(start.start_at)), Text(sign, style=style), self._why(start))
        offered, refused = len(self.explanation.offered), len(self.explanation.refused)
        return Group(heading, table if offered + refused else "", f"{offered} offered, {refused} not offered", "")

    def _why(self, start: ExplainedStart) -> Text:
        if start.offer is not None:
            return Text(f"until {self._explained.clock(start.offer.end_at)}")
        return Text(printable("; ".join(reason.text for reason in start.reasons)))

    @property
    def _explained(self) -> DayExplanation:
        assert isinstance(self.explanation, DayExplanation)  # noqa: S101  # a start is that of an explanation
        return self.explanation

    def as_json(self) -> dict[str, object]:
        """Return the day as JSON; instants have the offset of the facility's zone."""
        found = self.explanation if isinstance(self.explanation, DayExplanation) else None
        return {
            "offering_id": self.offering_id,
            "service": self.service,
            "doctor": {"id": self.doctor[0], "name": self.doctor[1]},
            "facility": {"slug": self.facility.slug, "name": self.facility.name, "zone": self.facility.timezone},
            "fault": None if found is not None else str(self.explanation),
            "starts": [self._start(start) for start in found.starts] if found is not None else [],
        }

    def _start(self, start: ExplainedStart) -> dict[str, object]:
        zone = zone_of(self.facility.timezone)
        return {
            "start_at": offset_time(start.start_at, zone=zone),
            "end_at": None if start.offer is None else offset_time(start.offer.end_at, zone=zone),
            "is_offered": start.is_offered,
            "reasons": [
                {"code": reason.code.value, "text": reason.text, "cause_id": reason.cause_id}
                for reason in start.reasons
            ],
        }


def explained_offerings(
    work: Work, what: str, day: date, *, facility_slug: str | None, doctor_id: int | None
) -> list[ExplainedOffering]:
    """Explain a local day of an offering, or of each offering of a service, each at its facility.

    Raises:
        NotFoundError: there is no such service, offering, doctor or facility, or no offering there.
        InvalidInputError: several services have the name, or the day lies in the first or last days of the calendar.
    """
    names = Names(work)
    answers = []
    for offering in offerings_sought(work, what, doctor_id=doctor_id, facility_slug=facility_slug):
        id_ = OfferingId(offering.id or 0)
        explanation: DayExplanation | SchedulerError
        try:
            explanation = work.visits.explain(id_, day)
        except (BookingError, InvalidWorkflowError, WorkflowNotFoundError) as error:
            explanation = error
        doctor = offering.doctor_id, names.doctor(offering.doctor_id)
        place = names.facility(offering.facility_id)
        answers.append(ExplainedOffering(int(id_), names.service(int(id_)), doctor, place, explanation))
    return answers


def offerings_as_json(asked: date, answers: Iterable[ExplainedOffering]) -> dict[str, object]:
    """Return the answers as one JSON object."""
    return {"asked": asked.isoformat(), "answers": [answer.as_json() for answer in answers]}
