"""`scheduler explain`: reasons for a day or a time that is not offered; starts of an offering."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

import pendulum
import typer
from pendulum.parsing.exceptions import ParserError
from rich.console import Console, Group, RenderableType
from rich.text import Text
from sqlmodel import Session

from scheduler.cli.desk import desk
from scheduler.cli.errors import SchedulesFailedError
from scheduler.cli.explain_offering import explained_offerings, offerings_as_json
from scheduler.cli.picture_files import HtmlFile, SvgFile, write_pictures
from scheduler.cli.rendering import explanation_table, offset_time
from scheduler.cli.settings import (
    DEFAULT_TENANT,
    AsJson,
    DatabaseUrl,
    DoctorId,
    Tenant,
    now,
    opened,
    read_day,
    readable,
)
from scheduler.cli.terminal import echo, printable
from scheduler.core.errors import InvalidInputError, SchedulerError
from scheduler.core.explanation import Explanation, explain
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.slots import Id, Slot
from scheduler.core.zones import (
    EARLIEST,
    MICROSECOND,
    after,
    before,
    in_calendar,
    instant_on_clock,
    local_days,
    zone_of,
)
from scheduler.postgres.database import Database, Role
from scheduler.postgres.facilities import (
    DoctorAtFacility,
    FacilityView,
    closures_between,
    doctors_at,
    exceptions_between,
    facility_view,
    with_doctors_of_slots,
)
from scheduler.postgres.schedules import load_schedules
from scheduler.postgres.tenants import tenant_id_of
from scheduler.postgres.uses import booking_contexts

SEARCH = timedelta(days=35)
_REACH = SEARCH + timedelta(days=2)  # an exception that overlaps a slot may start a long day before it
MAX_SLOT = timedelta(days=1)
_OF_EXCEPTIONS = (
    ReasonCode.EMERGENCY,
    ReasonCode.BLOCKED,
    ReasonCode.OVERRIDE,
    ReasonCode.OVERRIDE_WITHOUT_SLOTS,
)


def _all_readable(words: list[str]) -> list[str]:
    """Return words, each of which is a line of text."""
    return [readable(word) or "" for word in words]


def explain_time(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="FACILITY WHEN",
            callback=_all_readable,
            help="The facility's slug, and a day (2027-03-26, today, +7) or a time there (2027-03-26T10:20). With"
            " --offering a day, before which a facility may stand.",
        ),
    ],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    doctor: DoctorId = None,
    offering: Annotated[
        str | None,
        typer.Option(
            "--offering",
            callback=readable,
            metavar="SERVICE",
            help="Explain each start of visits: of `offering:ID`, or of a service by its code, its name or"
            " `service:ID`, with each doctor.",
        ),
    ] = None,
    as_json: AsJson = False,
    svg: SvgFile = None,
    html: HtmlFile = None,
) -> None:
    """Explain why a day or a time is not offered, and name the slot that is.

    With --offering, the answer has each start of a day at which a visit could begin: offered, or each reason why not.
    Exit code 1 if a schedule is invalid; the others are explained.
    """
    *slugs, when = words
    if len(slugs) > 1 or (offering is None and not slugs):
        raise InvalidInputError("give a facility and a day or time; with --offering a day, and a facility before it")
    faults: list[object]
    if offering is not None:
        day, slug = read_day(when, default=now().date()), slugs[0] if slugs else None
        with desk(url, tenant) as work:
            of_offerings = explained_offerings(work, offering, day, facility_slug=slug, doctor_id=doctor)
        picture, title = Group(*(answer.picture(day) for answer in of_offerings)), f"{offering}, {when}"
        as_object, faults = offerings_as_json(day, of_offerings), [answer.explanation for answer in of_offerings]
    else:
        (slug,) = slugs
        with opened(url) as database:
            answers = explained(database, slug, when, tenant=tenant, doctor_id=doctor)
        picture, title = Group(*(answer.picture() for answer in answers)), f"{answers[0].facility.name}, {when}"
        as_object, faults = _as_json(answers), [answer.explanation for answer in answers]
    write_pictures(lambda _: picture, title=title, svg=svg, html=html)
    if as_json:
        echo(json.dumps(as_object))
    elif svg is None and html is None:
        Console().print(picture)
    if failed := sum(isinstance(fault, SchedulerError) for fault in faults):
        what = f"schedules at {slugs[0]!r}" if offering is None else f"offerings of {offering!r}"
        raise SchedulesFailedError(f"{failed} of {len(faults)} {what} cannot be explained")


class Explained(NamedTuple):
    """A question about one doctor at a facility, with its answer: an explanation, or the fault of the schedule."""

    facility: FacilityView
    doctor: DoctorAtFacility
    when: str
    explanation: Explanation | InvalidInputError
    comments: Mapping[tuple[ReasonCode, Id | None], str]

    def picture(self) -> RenderableType:
        """Draw the answer under its heading."""
        heading = printable(f" at {self.facility.name}, {self.when} ({self.facility.zone})")
        if isinstance(self.explanation, InvalidInputError):
            fault = f"the schedule of doctor {self.doctor.key.doctor_id} is invalid: {self.explanation}"
            table: RenderableType = Text(printable(fault), style="bold red")
        else:
            table = explanation_table(self.explanation, zone=zone_of(self.facility.zone), comments=self.comments)
        return Group(Text.assemble((printable(self.doctor.name), "bold"), heading), table)

    def as_json(self) -> dict[str, object]:
        """Return the answer as JSON; instants have the offset of the facility's zone."""
        zone = zone_of(self.facility.zone)

        def times(part: Reason | Slot) -> dict[str, str]:
            return {name: offset_time(getattr(part, name), zone=zone) for name in ("start_at", "end_at")}

        def slot(offered: Slot) -> dict[str, object]:
            return {**times(offered), "service_offering_id": offered.service_offering_id, "rule_id": offered.rule_id}

        found = None if isinstance(self.explanation, InvalidInputError) else self.explanation
        reasons = [
            {
                "code": reason.code.value,
                **times(reason),
                "text": reason.text,
                "comment": self.comments.get((reason.code, reason.cause_id)),
                "starts": [offset_time(start, zone=zone) for start in reason.starts],
                "rule_id": reason.rule_id,
                "cause_id": reason.cause_id,
            }
            for reason in found or ()
        ]
        return {
            "doctor": {"id": self.doctor.key.doctor_id, "name": self.doctor.name},
            "fault": str(self.explanation) if found is None else None,
            "reasons": reasons,
            "offered": [slot(offered) for offered in found.offered] if found is not None else [],
            "nearest": slot(found.nearest) if found is not None and found.nearest is not None else None,
        }


def explained(
    database: Database, slug: str, when: str, *, tenant: str, doctor_id: int | None = None
) -> list[Explained]:
    """Explain a day or a time at a facility, for each of its doctors or for one."""
    with database.unit_of_work(role=Role.JOB, tenant_id=tenant_id_of(database, tenant, role=Role.JOB)) as session:
        facility = facility_view(session, slug)
        zone = zone_of(facility.zone)
        at = read_time(when, zone)
        if isinstance(at, datetime):
            first = last = at
        else:
            first, last = local_days(zone, at)
        known = before(first, _REACH), after(last, _REACH)
        # A past time is explained as of then: nobody asks for the reason that it is over.
        current = now()
        as_of = first if last <= current else current
        around = before(first, MAX_SLOT), max(last, first + MICROSECOND)
        doctors = doctors_at(with_doctors_of_slots(session, facility, *around), doctor_id)
        answers = _explained(session, doctors, at, known, as_of)
        comments = comments_on(session, facility, *known)
        return [Explained(facility, doctor, when, explanation, comments) for doctor, explanation in answers]


def _as_json(answers: Sequence[Explained]) -> dict[str, object]:
    """Return the answers, of which there is at least one, as one JSON object."""
    facility, when = answers[0].facility, answers[0].when
    return {
        "facility": {"slug": facility.slug, "name": facility.name, "zone": facility.zone},
        "asked": when,
        "answers": [answer.as_json() for answer in answers],
    }


def _explained(
    session: Session,
    doctors: Iterable[DoctorAtFacility],
    at: date | datetime,
    known: tuple[datetime, datetime],
    as_of: datetime,
) -> Iterator[tuple[DoctorAtFacility, Explanation | InvalidInputError]]:
    by_key = {doctor.key: doctor for doctor in doctors}
    contexts = booking_contexts(session, [key.doctor_id for key in by_key], *known, now=as_of)
    for loaded in load_schedules(session, list(by_key), lock=False):
        if isinstance(loaded.schedule, InvalidInputError):
            yield by_key[loaded.key], loaded.schedule
            continue
        bookings = contexts[loaded.key.doctor_id]
        yield by_key[loaded.key], explain(loaded.schedule, at, bookings=bookings, search=SEARCH)


def comments_on(
    session: Session, facility: FacilityView, begin: datetime, end: datetime
) -> dict[tuple[ReasonCode, Id | None], str]:
    """Return the texts that people wrote about exceptions and closed days, by code and id of the cause."""
    exceptions = exceptions_between(session, facility, begin, end)
    comments = {(code, row.id): row.reason for _, _, row in exceptions for code in _OF_EXCEPTIONS}
    for closure in closures_between(session, facility.id, begin.date(), end.date()):
        comments[ReasonCode.CLOSURE, closure.id] = closure.reason
    return {cause: text for cause, text in comments.items() if text}


def read_time(text: str, zone: ZoneInfo) -> date | datetime:
    """Read a day (also `today` or `+7`), a time on the zone's wall clock, or an instant.

    Raises:
        InvalidInputError: the text is none of these.
    """
    try:
        read = pendulum.parse(text, exact=True, tz=None)
    except (ParserError, ValueError, OverflowError, TypeError):  # TypeError for `8:`
        read = None
    if isinstance(read, datetime) and text != "now":
        if read.tzinfo is not None:
            return in_calendar(datetime.combine(read.date(), read.time(), read.tzinfo), text)
        return instant_on_clock(zone, datetime.combine(read.date(), read.time()))
    with suppress(InvalidInputError):
        return read_day(text, default=EARLIEST.date())
    raise InvalidInputError(f"{text!r} is neither a day (2027-03-26, today, +7) nor a time (2027-03-26T10:20)")
