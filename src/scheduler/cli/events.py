"""`scheduler events`: the events of a tenant's visits as lines of JSON, from a position on."""

import json
from dataclasses import asdict
from time import sleep
from typing import Annotated, Final

import typer

from scheduler.booking.events import Event, events_after
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, Tenant, opened
from scheduler.cli.terminal import echo
from scheduler.postgres.database import Role
from scheduler.postgres.tenants import tenant_id_of

EVENTS_AT_ONCE: Final = 500
SECONDS_BETWEEN_POLLS: Final = 1


def events(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    after: Annotated[
        int,
        typer.Option("--after", min=0, metavar="POSITION", help="Begin after this position.", show_default="oldest"),
    ] = 0,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for further events until interrupted.")] = False,
) -> None:
    """Print the events of visits as lines of JSON, in order: booked, moved, cancelled and so on."""
    with opened(url) as database:
        tenant_id = tenant_id_of(database, tenant)
        while True:
            with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
                read = events_after(session, after, limit=EVENTS_AT_ONCE)
            for event in read:
                echo(line(event))
                after = event.position
            if not read:
                if not follow:
                    return
                sleep(SECONDS_BETWEEN_POLLS)


def line(event: Event) -> str:
    """Return an event as a line of JSON; times are written as in ISO 8601."""
    return json.dumps(asdict(event), default=lambda at: at.isoformat())
