"""`scheduler week`: the week of a facility as one HTML page that stands alone."""

from pathlib import Path
from typing import Annotated

import typer

from scheduler.cli.picture_files import write_file
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, DoctorId, FacilitySlug, Tenant, now, opened, read_day
from scheduler.cli.week_html import week_html
from scheduler.cli.week_reading import week_page


def week(
    slug: FacilitySlug,
    html: Annotated[Path, typer.Option("--html", metavar="FILE", help="Write the page to this file, and replace it.")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    day: Annotated[
        str | None, typer.Option("--week", metavar="DAY", help="A day of the week. [default: today]")
    ] = None,
    doctor: DoctorId = None,
    names: Annotated[
        bool,
        typer.Option("--names", help="Name patients, and write the texts of exceptions, such as why a doctor is away."),
    ] = False,
) -> None:
    """Write a facility's week as one HTML page: doctors, resources, open and taken time, and why.

    The page loads nothing. Without --names it has no data of patients.
    """
    at = now()
    shown = read_day(day, default=at.date())
    with opened(url) as database:
        page = week_page(database, slug, shown, tenant=tenant, now=at, doctor_id=doctor, names=names)
    write_file(html, week_html(page))
