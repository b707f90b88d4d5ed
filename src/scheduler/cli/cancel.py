"""`scheduler cancel`: a visit is cancelled, with a reason."""

import json
from typing import Annotated

import typer

from scheduler.cli.desk import AsJsonLine, Names, booked_visit, desk, visit_as_json
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, Tenant, readable
from scheduler.cli.terminal import echo
from scheduler.core.ids import VisitId


def cancel(
    visit_id: Annotated[int, typer.Argument(metavar="VISIT", help="The visit's id, as `scheduler book` prints it.")],
    reason: Annotated[str, typer.Option("--reason", callback=readable, help="Why, for those who look at the visit.")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: AsJsonLine = False,
) -> None:
    """Cancel a visit: its time, its place and its resources are free at once.

    A visit that is over or cancelled already stays as it is: exit code 4.
    """
    with desk(url, tenant) as work:
        visit = work.visits.cancel(VisitId(visit_id), reason=reason)
        line = booked_visit(visit, Names(work))
    echo(json.dumps(visit_as_json(visit)) if as_json else line)
