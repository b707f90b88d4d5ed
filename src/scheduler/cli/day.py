"""`scheduler day`: the timeline of a doctor's day."""

from typing import Annotated

import typer
from rich.console import Console

from scheduler.cli.day_page import day_html
from scheduler.cli.day_picture import day_svg
from scheduler.cli.day_reading import read_timeline
from scheduler.cli.day_text import day_lines
from scheduler.cli.desk import desk
from scheduler.cli.picture_files import HtmlFile, SvgFile, write_file
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, Tenant, now, read_day


def day(
    doctor: Annotated[int, typer.Argument(metavar="DOCTOR", help="The doctor's id; `scheduler doctors` lists them.")],
    date: Annotated[str, typer.Argument(metavar="DAY", help="The local day: 2027-03-28, today, tomorrow or +7.")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    names: Annotated[
        bool,
        typer.Option(
            "--names", help="Name patients, and print labels of holds and reasons of cancellations and exceptions."
        ),
    ] = False,
    svg: SvgFile = None,
    html: HtmlFile = None,
) -> None:
    """Show a day of a doctor: visits with their steps, holds, gaps, blocked time and why.

    A gap is open time that can be booked. The files of --svg and --html stand alone: they load nothing.
    """
    asked = read_day(date, default=now().date())
    with desk(url, tenant) as work:
        timeline = read_timeline(work, doctor, asked, names=names)
    if svg is not None:
        write_file(svg, day_svg(timeline))
    if html is not None:
        write_file(html, day_html(timeline))
    if svg is None and html is None:
        Console().print(day_lines(timeline))
