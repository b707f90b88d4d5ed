"""`scheduler demo`: everything once, from an empty database to the calendar of a week."""

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from shlex import quote
from shutil import which
from typing import Annotated

import typer
from rich.console import Console

from scheduler.booking.visits import Visit
from scheduler.cli.demo_visit import SERVICE, demo_visit
from scheduler.cli.demo_world import world_pictures
from scheduler.cli.explain import Explained, explained
from scheduler.cli.generate import run
from scheduler.cli.import_openings import import_places, import_summary, read_places
from scheduler.cli.rendering import summary_table
from scheduler.cli.seed import make_if_missing
from scheduler.cli.settings import database_url, embedded_directory, master_keys, now, read_days, secret_address
from scheduler.cli.show import week_of
from scheduler.cli.terminal import echo, printable
from scheduler.cli.week_calendar import week_calendar
from scheduler.core.errors import InvalidInputError, MissingExtraError, NotFoundError
from scheduler.core.explanation import Explanation
from scheduler.core.reasons import ReasonCode
from scheduler.core.schedules import ExceptionType
from scheduler.generation.request import GenerationRequest
from scheduler.openings.format.file import BadLines
from scheduler.openings.places import Place
from scheduler.postgres.database import Database
from scheduler.postgres.encryption.errors import KeyUnavailableError
from scheduler.postgres.errors import SchemaMismatchError
from scheduler.postgres.schema import migrations
from scheduler.postgres.tenants import tenant_id_of
from scheduler.sample_data.scales import Scale, Seed

SLOT = timedelta(minutes=20)
REGION_FROM = date(2027, 2, 1)  # holidays, leave and clock changes of the made-up region follow within 90 days


def region() -> Path:
    """Return the file of the made-up region: in the installed package, or in the examples of a checkout.

    Raises:
        NotFoundError: the file is in neither place.
    """
    package = Path(__file__).parents[1]
    for path in (package / "region.jsonl", package.parents[1] / "examples" / "region.jsonl"):
        if path.is_file():
            return path
    raise NotFoundError("the made-up region is not installed: give a file of your own")


def demo(
    file: Annotated[Path | None, typer.Argument(help="Opening times of your own. [default: a made-up region]")] = None,
    url: Annotated[
        str | None,
        typer.Option(
            "--database-url",
            callback=secret_address,
            metavar="URL",
            help="Use this PostgreSQL instead of an embedded one.",
        ),
    ] = None,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="First day. [default: the month with most exceptions]"),
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, help="How many days.")] = 90,
) -> None:
    """Do everything once: a database, opening times, the nightly job, a week, an explanation.

    Without --database-url it uses an embedded PostgreSQL. The database stays for you to look at.
    """
    console = Console()
    path = file or region()
    tenant = "demo" if file is None else f"demo-{printable(path.stem.lower())}"[:63].strip()
    with read_places(path, slot_duration=SLOT, bad_lines=BadLines.REFUSE) as read:
        places = tuple(read)  # a demonstration looks for its most eventful week
    likely = REGION_FROM if file is None else _busiest_month(places) or now().date()
    begin, end = read_days(first or str(likely), days, None, default_days=days)
    with console.status("starting PostgreSQL"), database_url(url) as address:
        migrations.upgrade(address)
        with Database(address) as database:
            _refuse_other_schema(address, database.name, is_embedded=url is None)
            echo(f"PostgreSQL at {database.name}, schema {migrations.head()}")
            counts, _ = import_places(database, places, tenant=tenant)
            echo(f"{path.name}: {len(places)} places")
            echo(import_summary(counts))
            tenant_id = tenant_id_of(database, tenant)
            request = GenerationRequest(tenant_id, begin, end, now=now(), trigger="demo")
            echo(f"generating {days} days from {begin} for tenant {tenant}")
            _, summary = run(database, request)
            console.print(summary_table(summary))
            if not any(summary.counts[f"slots_{change}"] for change in ("created", "updated", "retired")):
                console.print("Nothing was created: every slot exists already, as it should be.\n")
            place, day = _most_eventful_week(places, begin, end)
            week = week_of(database, place.slug, day, tenant=tenant)
            console.print(week_calendar(week, columns=console.width))
            console.print(_day_without_slots(database, place.slug, day, tenant=tenant).picture())
            commands = [
                "status",
                f"show {place.slug} --week {day}",
                f"week {place.slug} --week {day} --html week.html",
                f"explain {place.slug} {day}",
                f"generate --from {begin} --days {days + 30}",
            ]
            if file is None:
                parts, visit = demo_visit(database, places[0].slug, begin, end, tenant=tenant)
                commands += [] if visit is None else list(_commands_of(places[0].slug, visit))
                for picture in parts:
                    console.print(picture, "")
                _show_sample_tenant(database, url, console)
    program = "scheduler" if which("scheduler") == which(sys.argv[0]) else quote(sys.argv[0])
    option = f"--tenant {quote(tenant)}"
    echo("")
    echo("The database stays. Look around:")
    for command in dict.fromkeys(commands):
        words, arrow, output = command.partition(" > ")
        echo(f"  {program} {words} {option}{arrow}{output}")


def _refuse_other_schema(address: str, name: str, *, is_embedded: bool) -> None:
    """Refuse a database at the last revision whose schema is another one, as one of an earlier development state.

    Raises:
        SchemaMismatchError: something differs.
    """
    differing = migrations.differences(address)
    if differing:
        remedy = f"delete {embedded_directory()}" if is_embedded else "give another --database-url"
        raise SchemaMismatchError(
            f"{len(differing)} things in the database {name} differ from the schema of this release, such as:"
            f" {differing[0]}. `scheduler schema check` lists them; for a new database, {remedy}"
        )


def _commands_of(place: str, visit: Visit) -> Iterator[str]:
    """Yield commands of a desk: the visit of the demo is seen, another one is booked and cancelled."""
    day, service = visit.local_start.date(), quote(SERVICE)
    yield f"show {place} --week {day}"
    yield f"day {visit.doctor_id} {day} --names"
    yield f"explain {day} --offering {service}"
    yield f"report visits --from {day} --until {day} --facility {place}"
    yield f"find {service} --from {day}"
    yield f"find {service} --from {day} --patient {visit.patient_id} --limit 1 --json > offer"
    yield f"book --offer offer --patient {visit.patient_id}"
    yield f"cancel {visit.id} --reason 'has a cold'"


def _show_sample_tenant(database: Database, url: str | None, console: Console) -> None:
    """Create the sample tenant and show parts of it; without Faker or a master key, print why it is skipped."""
    seed = Seed(1, 1, Scale.SMALL, REGION_FROM)
    try:
        masters = master_keys(url)
        make_if_missing(database, seed, masters, console)
    except (InvalidInputError, KeyUnavailableError, MissingExtraError) as error:
        echo("")
        echo(f"skipped the sample tenant: {error}")
        return
    for line in ("", f"the sample tenant {seed.slug}, with everything else that a tenant has", ""):
        echo(line)
    for picture in world_pictures(database, seed, masters):
        console.print(picture, "")


def _day_without_slots(database: Database, slug: str, day: date, *, tenant: str) -> Explained:
    """Explain the first day of the week on which a doctor with working hours offers nothing, else the given day."""
    monday = day - timedelta(days=day.weekday())
    for number in range(7):
        for answer in explained(database, slug, str(monday + timedelta(days=number)), tenant=tenant):
            explanation = answer.explanation
            if not isinstance(explanation, Explanation) or explanation.offered:
                continue
            if set(explanation.codes) - {ReasonCode.OUTSIDE_RULES}:
                return answer
    return explained(database, slug, str(day), tenant=tenant)[0]


def _busiest_month(places: tuple[Place, ...]) -> date | None:
    """Return the first day of the month with the most exceptions and closed days."""
    months = Counter(day.replace(day=1) for place in places for _, day in _events(place))
    most = max(months.values(), default=0)
    return min((month for month, count in months.items() if count == most), default=None)


def _events(place: Place) -> list[tuple[str, date]]:
    events = [
        (exception.type.value, exception.start_at.astimezone(place.zone).date())
        for doctor in place.doctors
        for exception in doctor.schedule.exceptions
    ]
    return events + [("closure", closure.day) for closure in place.closures]


def _most_eventful_week(places: tuple[Place, ...], begin: date, end: date) -> tuple[Place, date]:
    """Return a place and a day of its week with an emergency, else with the most kinds of exceptions."""
    best = places[0], begin
    most = False, 0, 0
    for place in places:
        weeks: dict[date, list[tuple[str, date]]] = {}
        for kind, day in _events(place):
            if begin <= day < end:
                weeks.setdefault(day - timedelta(days=day.weekday()), []).append((kind, day))
        for events in weeks.values():
            kinds = {kind for kind, _ in events}
            rank = ExceptionType.EMERGENCY.value in kinds, len(kinds), len(events)
            if rank > most:
                best, most = (place, min(day for _, day in events)), rank
    return best
