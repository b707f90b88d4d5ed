"""Tables for the terminal: the summary of a generation run, the list of runs, an explanation.

Owns: these tables. (The calendar of a week has its own module.)
Must not know: where the figures come from; the clock and the database.

Every table is complete without colour, and fits into 80 columns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scheduler.cli.terminal import printable
from scheduler.core.explanation import Explanation
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.slots import Id
from scheduler.models import GenerationRun

_MAX_STARTS_SHOWN: Final = 6
_BYTES_PER_MEBIBYTE: Final = 1 << 20
_STYLES: Final = {
    ReasonCode.EMERGENCY: "bold red",
    ReasonCode.BLOCKED: "red",
    ReasonCode.BOOKED: "blue",
    ReasonCode.HELD: "yellow",
    ReasonCode.OVERRIDE: "magenta",
    ReasonCode.CLOSURE: "red",
}
_RUN_STYLES: Final = {"succeeded": "green", "failed": "bold red", "interrupted": "yellow"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """Figures of one generation run: counts by their columns, real time in seconds, peak memory in bytes."""

    facilities: int
    schedules_unchanged: int
    counts: Mapping[str, int]
    seconds: float
    peak_memory: int
    dry: bool = False

    @property
    def slots_a_second(self) -> float:
        """Slots a second: those created, updated, retired, and kept as they are."""
        slots = sum(self.counts[f"slots_{fate}"] for fate in ("created", "updated", "retired", "kept"))
        return slots / self.seconds if self.seconds > 0 else 0.0

    def as_json(self) -> dict[str, object]:
        """Return the figures as one flat JSON object."""
        figures = asdict(self)
        return {**figures.pop("counts"), **figures}


def summary_table(summary: RunSummary) -> Table:
    """Draw the figures of a run; a sign and a colour mark the counts that need attention."""
    title = "Dry run: nothing was written" if summary.dry else "Slots are generated"
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    counts = summary.counts
    unchanged = f"{summary.schedules_unchanged:,} as before" if summary.schedules_unchanged else ""
    for name, count, note in (
        ("facilities", summary.facilities, ""),
        ("schedules", counts["schedules"], unchanged),
    ):
        table.add_row(name, f"{count:,}", note)
    table.add_section()
    for name, count, note, style in (
        ("slots created", counts["slots_created"], "", "green"),
        ("slots updated", counts["slots_updated"], "", ""),
        ("slots retired", counts["slots_retired"], "", ""),
        ("slots kept", counts["slots_kept"], "", ""),
        ("in conflict", counts["slots_conflicting"], "booked or held, no longer in the schedule", "bold yellow"),
        ("displaced", counts["slots_displaced"], "booked, under an emergency", "bold red"),
        ("schedules failed", counts["schedules_failed"], "left as they were", "bold red"),
    ):
        is_marked = bool(note) and count > 0
        figure = Text(f"! {count:,}" if is_marked else f"{count:,}", style=style if count else "dim")
        table.add_row(name, figure, note if is_marked else "")
    table.add_section()
    table.add_row("time", f"{summary.seconds:,.2f} s", f"{summary.slots_a_second:,.0f} slots a second")
    table.add_row("peak memory", f"{summary.peak_memory / _BYTES_PER_MEBIBYTE:,.0f} MiB", "")
    return table


def runs_table(runs: Iterable[GenerationRun]) -> Table:
    """Draw runs, a line each, in the given order; times are in UTC."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("run", "began (UTC)", "days", "status"):
        table.add_column(name, no_wrap=True)
    for name in ("created", "retired", "conflicts", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for run in runs:
        began = "" if run.started_at is None else f"{run.started_at.astimezone(UTC):%m-%d %H:%M}"
        counts = (run.slots_created, run.slots_retired, run.slots_conflicting, run.schedules_failed)
        status = Text(printable(run.status), style=_RUN_STYLES.get(run.status, ""))
        days = f"{run.from_day} +{(run.until_day - run.from_day).days}"
        table.add_row(str(run.id), began, days, status, *(f"{count:,}" for count in counts))
    return table


def explanation_table(
    explanation: Explanation, *, zone: ZoneInfo, comments: Mapping[tuple[ReasonCode, Id | None], str] | None = None
) -> RenderableType:
    """Draw the reasons of an explanation in order, in the wall-clock time of the zone, and the slots offered instead.

    `comments` has the texts that people wrote about the causes of reasons, by code and id: ids of different kinds of
    causes may be equal.
    """
    parts: list[RenderableType] = []
    if explanation.reasons:
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("#", justify="right", style="dim")
        table.add_column("when", no_wrap=True)
        table.add_column("reason", no_wrap=True)
        table.add_column("why")
        for number, reason in enumerate(explanation.reasons, start=1):
            code = Text(reason.code.replace("_", " "), style=_STYLES.get(reason.code, ""))
            why = _why(reason, zone, (comments or {}).get((reason.code, reason.cause_id)))
            table.add_row(str(number), between(reason.start_at, reason.end_at, zone=zone), code, why)
        parts.append(table)
    else:
        parts.append(Text("Nothing is in the way."))
    if explanation.offered:
        first, last = explanation.offered[0].start_at, explanation.offered[-1].start_at
        starts = f"{len(explanation.offered)} slots start" if len(explanation.offered) > 1 else "1 slot starts"
        parts.append(Text(f"offered: {starts} {between(first, last, zone=zone)}", style="green"))
    elif explanation.nearest is None:
        parts.append(Text("nearest offered: none"))
    else:
        slot = explanation.nearest
        parts.append(Text(f"nearest offered: {between(slot.start_at, slot.end_at, zone=zone)}", style="green"))
    return Group(*parts)


def _why(reason: Reason, zone: ZoneInfo, comment: str | None) -> Text:
    text = Text(printable(f"{reason.text}: {comment}" if comment else reason.text))
    if len(reason.starts) > 1:
        starts = ", ".join(f"{start.astimezone(zone):%H:%M}" for start in reason.starts[:_MAX_STARTS_SHOWN])
        hidden = len(reason.starts) - _MAX_STARTS_SHOWN
        text.append(f"\n{starts}{f' and {hidden} more' if hidden > 0 else ''}", style="dim")
    return text


def offset_time(at: datetime, *, zone: ZoneInfo) -> str:
    """Format an instant as ISO 8601 with the zone's offset: `2027-03-29T09:00:00+01:00`."""
    return at.astimezone(zone).isoformat()


def between(start_at: datetime, end_at: datetime, *, zone: ZoneInfo) -> str:
    """Format a span on the zone's wall clock: `Mon 22 Mar 09:00-09:20`; the end has a date if it differs."""
    start, end = start_at.astimezone(zone), end_at.astimezone(zone)
    if start == end:
        return f"{start:%a %d %b %H:%M}"
    if start.date() == end.date():
        return f"{start:%a %d %b %H:%M}-{end:%H:%M}"
    if end.time() != time(0):
        return f"{start:%a %d %b %H:%M} - {end:%a %d %b %H:%M}"
    last = end.date() - timedelta(days=1)  # leave until midnight does not reach into the next day
    if last == start.date():
        return f"{start:%a %d %b %H:%M}-24:00"
    return f"{start:%a %d %b %H:%M} - {last:%a %d %b} 24:00"


def titled_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """Return a plain table below a title; a cell may have several words."""
    table = Table(title=printable(title), title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*[printable(", ".join(cell) if isinstance(cell, list) else str(cell)) for cell in row])
    return table
