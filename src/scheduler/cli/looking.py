"""`scheduler status`, `show` and `explain`: look at what is there."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import date, datetime, time, timedelta
from typing import Annotated, NamedTuple
from zoneinfo import ZoneInfo

import pendulum
import typer
from pendulum.parsing.exceptions import ParserError
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text
from sqlmodel import Session

from scheduler.cli.pictures import explanation_table, printable, runs_table
from scheduler.cli.settings import DEFAULT_TENANT, AsJson, DatabaseUrl, Tenant, now, opened, read_day, readable
from scheduler.cli.week import Week, WeekException, WeekSlot, week_calendar
from scheduler.core.desk import Desk
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.explanation import Explanation, explain
from scheduler.core.reasons import ReasonCode
from scheduler.core.schedules import ExceptionType, Schedule
from scheduler.core.slots import Id
from scheduler.core.zones import (
    DAY,
    FIRST_INSTANT,
    LAST_INSTANT,
    MICROSECOND,
    check_inside,
    day_bounds,
    day_number,
    instant,
    instant_at,
    micros,
    zone_of,
)
from scheduler.store.database import Database, Role
from scheduler.store.overview import (
    FacilityView,
    Post,
    Totals,
    closures_between,
    exceptions_between,
    facility_view,
    failing_schedules,
    totals,
)
from scheduler.store.runs import latest_runs
from scheduler.store.schedules import load_schedules
from scheduler.store.slots import slots_of_doctor, stored_slots
from scheduler.store.tenants import tenant_id_of

WEEK = timedelta(days=7)
SEARCH = timedelta(days=35)
_REACH = (SEARCH + timedelta(days=2)) // MICROSECOND  # what overlaps a slot may start a long day off
_OF_EXCEPTIONS = (
    ReasonCode.EMERGENCY,
    ReasonCode.BLOCKED,
    ReasonCode.OVERRIDE,
    ReasonCode.OVERRIDE_WITHOUT_SLOTS,
)
RUNS = 5
FAILING = 20

Slug = Annotated[str, typer.Argument(metavar="FACILITY", callback=readable, help="The facility's slug.")]
Doctor = Annotated[int | None, typer.Option("--doctor", metavar="ID", help="Only this doctor.")]


def status(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Say what is there: facilities, schedules, slots, the latest runs, and what failed."""
    with opened(url) as database:
        tenant_id = tenant_id_of(database, tenant)
        with database.unit_of_work(role=Role.JOB, tenant_id=tenant_id) as session:
            found, runs, failing = (
                totals(session),
                latest_runs(session, most=RUNS),
                failing_schedules(session, most=FAILING),
            )
    if as_json:
        listed = [run.model_dump(mode="json") for run in runs]
        typer.echo(json.dumps(asdict(found) | {"runs": listed, "failing_schedules": failing}, default=str))
        return
    console = Console()
    console.print(_totals_table(found))
    console.print(runs_table(runs))
    for slug, doctor_id, reason in failing:
        typer.echo(f"failing: doctor {doctor_id} at {slug}: {reason}")


def show(
    slug: Slug,
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    week: Annotated[
        str | None, typer.Option("--week", metavar="DAY", help="A day of the week. [default: today]")
    ] = None,
    doctor: Doctor = None,
) -> None:
    """Show a facility's week as a calendar, with its slots, exceptions and closed days."""
    day = read_day(week, default=now().date())
    with opened(url) as database:
        picture = week_of(database, slug, day, tenant=tenant, doctor_id=doctor)
    Console().print(picture)


def explain_time(
    slug: Slug,
    when: Annotated[str, typer.Argument(help="A day (2027-03-26) or a time there (2027-03-26T10:20).")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    doctor: Doctor = None,
) -> None:
    """Explain why a day or a time is not offered, and say which slot is."""
    with opened(url) as database:
        answers = explained(database, slug, when, tenant=tenant, doctor_id=doctor)
    for answer in answers:
        Console().print(answer.picture())


def week_of(database: Database, slug: str, day: date, *, tenant: str, doctor_id: int | None = None) -> RenderableType:
    """Return the picture of the week (Monday to Sunday) that a day is in."""
    monday = day - timedelta(days=day.weekday())
    with database.unit_of_work(role=Role.JOB, tenant_id=tenant_id_of(database, tenant)) as session:
        facility = facility_view(session, slug)
        posts = _posts(facility, doctor_id)
        zone = zone_of(facility.zone)
        begin, end = _instants(zone, day_number(monday), day_number(monday) + WEEK.days, shown=day)
        found = stored_slots(session, [post.key for post in posts], begin, end)
        names = {post.key.doctor_id: post.doctor for post in posts}
        exceptions = exceptions_between(session, facility.id, begin, end)
        closures = closures_between(session, facility.id, monday, monday + WEEK)
    return week_calendar(
        Week(
            title=f"{facility.name} ({facility.slug})",
            zone=zone,
            first_day=monday,
            slots=tuple(
                WeekSlot(one.slot.start_at, one.slot.end_at, "booked" if one.is_booked else one.status.value)
                for of_post in found.values()
                for one in of_post
            ),
            exceptions=tuple(
                WeekException(ExceptionType(row.type), row.start_at, row.end_at, row.reason, names[row.doctor_id])
                for row in exceptions
                if row.doctor_id in names
            ),
            closures=tuple((row.day, row.reason) for row in closures),
        )
    )


class Explained(NamedTuple):
    """What was asked about one doctor at a facility, and the answer."""

    facility: FacilityView
    post: Post
    when: str
    explanation: Explanation
    written: Mapping[tuple[ReasonCode, Id | None], str]

    def picture(self) -> RenderableType:
        """Draw the answer under its heading."""
        heading = f" at {printable(self.facility.name)}, {self.when} ({self.facility.zone})"
        table = explanation_table(self.explanation, zone=zone_of(self.facility.zone), written=self.written)
        return Group(Text.assemble((printable(self.post.doctor), "bold"), heading), table)


def explained(
    database: Database, slug: str, when: str, *, tenant: str, doctor_id: int | None = None
) -> list[Explained]:
    """Explain a day or a time at a facility, for each of its doctors or for one."""
    with database.unit_of_work(role=Role.JOB, tenant_id=tenant_id_of(database, tenant)) as session:
        facility = facility_view(session, slug)
        zone = zone_of(facility.zone)
        at = _read_time(when, zone)
        if isinstance(at, datetime):
            first = last = micros(at)
        else:
            check_inside(day_number(at) * DAY, at)
            first, last = day_bounds(zone, day_number(at))
        begin, end = max(first - _REACH, FIRST_INSTANT), min(last + _REACH, LAST_INSTANT)
        known = instant(begin), instant(end)
        # What is over is explained as of then: that it is over is no reason that anybody asks for.
        current = now()
        as_of = instant(first) if instant(last) <= current else current
        found = _explained(session, _posts(facility, doctor_id), at, known, as_of)
        written = _written(session, facility.id, *known)
        return [Explained(facility, post, when, explanation, written) for post, explanation in found]


def _explained(
    session: Session, posts: Iterable[Post], at: date | datetime, known: tuple[datetime, datetime], as_of: datetime
) -> Iterator[tuple[Post, Explanation]]:
    by_key = {post.key: post for post in posts}
    for loaded in load_schedules(session, list(by_key), lock=False):
        if not isinstance(loaded.schedule, Schedule):
            raise loaded.schedule
        desk = Desk(slots_of_doctor(session, loaded.key.doctor_id, *known), now=as_of)
        yield by_key[loaded.key], explain(loaded.schedule, at, desk=desk, search=SEARCH)


def _written(
    session: Session, facility_id: int, begin: datetime, end: datetime
) -> dict[tuple[ReasonCode, Id | None], str]:
    """Return what people wrote about exceptions and closed days, by the codes of reasons that name these."""
    exceptions = exceptions_between(session, facility_id, begin, end)
    written = {(code, one.id): one.reason for one in exceptions for code in _OF_EXCEPTIONS}
    for one in closures_between(session, facility_id, begin.date(), end.date()):
        written[ReasonCode.CLOSURE, one.id] = one.reason
    return {cause: reason for cause, reason in written.items() if reason}


def _instants(zone: ZoneInfo, first: int, last: int, *, shown: date) -> tuple[datetime, datetime]:
    """Return the instants at which two local days begin; `shown` is what was asked for."""
    for day in (first, last):
        check_inside(day * DAY, shown)
    return instant(day_bounds(zone, first)[0]), instant(day_bounds(zone, last)[0])


def _posts(facility: FacilityView, doctor_id: int | None) -> tuple[Post, ...]:
    posts = tuple(post for post in facility.posts if doctor_id in {None, post.key.doctor_id})
    if not facility.posts:
        raise NotFoundError(f"nobody has a schedule at {facility.slug!r}")
    if not posts:
        known = ", ".join(str(post.key.doctor_id) for post in facility.posts)
        raise NotFoundError(f"doctor {doctor_id} has no schedule at {facility.slug!r}; there are {known}")
    return posts


def _read_time(text: str, zone: ZoneInfo) -> date | datetime:
    """Read a day, a time on the zone's wall clock, or an instant with an offset."""
    try:
        read = pendulum.parse(text, exact=True, tz=None)
    except (ParserError, ValueError, OverflowError):
        read = None
    if isinstance(read, datetime) and text != "now":
        if read.tzinfo is not None:
            at = micros(datetime.combine(read.date(), read.time(), read.tzinfo))
            check_inside(at, text)
            return instant(at)
        check_inside(day_number(read.date()) * DAY, text)
        midnight, wall = (datetime.combine(read.date(), clock) for clock in (time(), read.time()))
        return instant_at(zone, read.date(), wall - midnight)
    if isinstance(read, date) and read.isoformat() == text:
        return date(read.year, read.month, read.day)
    raise InvalidInputError(f"{text!r} is neither a day (2027-03-26) nor a time (2027-03-26T10:20)")


def _totals_table(found: Totals) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    days = "none yet" if found.from_day is None else f"{found.from_day} to before {found.until_day}"
    for name, shown in (
        ("facilities", f"{found.facilities:,}"),
        ("schedules", f"{found.schedules:,}" + (f", {found.failing:,} failing" if found.failing else "")),
        ("days generated", days),
        ("slots", f"{found.slots:,}"),
        ("booked, held, cancelled", f"{found.booked:,}, {found.held:,}, {found.cancelled:,}"),
    ):
        table.add_row(name, shown)
    return table
