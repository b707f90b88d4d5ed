"""Timeline of a doctor's day as lines for the terminal.

Owns: the drawing.
Must not know: where entries come from; the clock and the database.
"""

from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scheduler.cli.day_timeline import Kind, Timeline
from scheduler.cli.terminal import printable

_STYLES: Final = {
    Kind.CLOSED: "red",
    Kind.EMERGENCY: "bold red",
    Kind.BLOCKED: "red",
    Kind.OVERRIDE: "magenta",
    Kind.VISIT: "bold blue",
    Kind.TAKEN: "dim",
    Kind.HELD: "yellow",
    Kind.OPEN: "green",
    Kind.CANCELLED: "dim",
}


def day_lines(timeline: Timeline) -> RenderableType:
    """Draw a day: a line for each entry in order, and beneath it its steps. It is complete without colour."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for entry in timeline.in_order:
        style = _STYLES[entry.kind]
        when = timeline.clock(entry, entry.start_at, entry.end_at)
        table.add_row(when, Text(entry.sign, style=style), Text(printable(entry.text), style=style))
        for part in entry.parts:
            words = f"{timeline.clock(entry, part.start_at, part.end_at)} {part.text}"
            table.add_row("", "", Text(printable(words), style="dim" if entry.kind is Kind.CANCELLED else ""))
    return Group(Text(printable(timeline.title), style="bold"), Text(printable(timeline.summary)), "", table)
