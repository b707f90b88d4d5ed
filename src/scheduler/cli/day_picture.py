"""Timeline of a doctor's day as an SVG picture that stands alone.

Owns: the places and colours of the drawing.
Must not know: where entries come from; the clock and the database.

Entries that overlap stand side by side. Colours follow the viewer's light or dark theme; a printed picture is light.
Every box says its kind by its sign and its words, and the picture has a title and a description for screen readers.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from html import escape
from typing import Final, NamedTuple

from scheduler.cli.day_timeline import Entry, Kind, Part, Timeline
from scheduler.cli.terminal import printable

_WIDTH: Final = 800
_AXIS: Final = 56  # pixels to the left of the entries
_TOP: Final = 12  # above them
_HEADING: Final = 46  # the height of the title and the summary
_BOTTOM: Final = 16
_LINE: Final = 15  # from line to line of a box
_CHARACTER: Final = 6.4  # the width of one, about
_NARROWEST_TEXT: Final = 150
_LEAST, _MOST = 1.2, 4.0  # pixels a minute
_SHORTEST_ENTRY, _SHORTEST_PART = 20, 14  # pixels of the shortest ones
_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)

_LIGHT: Final = {
    "ink": "#1b1f24", "paper": "#ffffff", "line": "#c3c9d1", "open": "#e3f4e5", "held": "#fff1c9", "visit": "#dde8fb",
    "taken": "#e6e8eb", "blocked": "#fbe0de", "cancelled": "#f5f6f8", "part": "#ffffff",
}  # fmt: skip
_DARK: Final = {
    "ink": "#e8eaed", "paper": "#17191c", "line": "#4a5058", "open": "#17381d", "held": "#453608", "visit": "#1b3157",
    "taken": "#33373d", "blocked": "#4f211e", "cancelled": "#24272c", "part": "#17191c",
}  # fmt: skip
_CLASSES: Final = {Kind.CLOSED: "blocked", Kind.EMERGENCY: "blocked"}


def _rules(colours: dict[str, str]) -> str:
    fills = " ".join(f".day .{name} {{ fill: {colour}; }}" for name, colour in colours.items() if name != "ink")
    return f".day text {{ fill: {colours['ink']}; }} .day rect {{ stroke: {colours['line']}; }} {fills}"


STYLE: Final = f"""
.day text {{ font: 12px system-ui, sans-serif; stroke: none; }}
.day .title {{ font-size: 17px; font-weight: 600; }}
.day .small {{ font-size: 11px; }}
.day .cancelled + svg text {{ text-decoration: line-through; }}
.day line {{ stroke: #8a939e; stroke-width: 0.5; }}
{_rules(_LIGHT)}
@media screen and (prefers-color-scheme: dark) {{ {_rules(_DARK)} }}
@media print {{ .day rect {{ print-color-adjust: exact; -webkit-print-color-adjust: exact; }} }}
"""


class _Box(NamedTuple):
    """An entry in its place among those that it overlaps: the column, and the number of columns."""

    entry: Entry
    column: int
    columns: int


def day_svg(timeline: Timeline, *, with_heading: bool = True) -> str:
    """Draw a day as an SVG document; a page that has the title and the summary wants no heading."""
    drawn = [entry for entry in timeline.in_order if entry.kind is not Kind.OVERRIDE]
    begin, end = _bounds(drawn)
    scale = _scale(drawn)
    above = _HEADING if with_heading else 0
    height = round(above + _TOP + (end - begin) / _MINUTE * scale + _BOTTOM)
    heading = (
        f'<text class="title" x="8" y="24">{_text(timeline.title)}</text>\n'
        f'<text x="8" y="43">{_text(timeline.summary)}</text>\n'
    )
    body = "\n".join([*_hours(drawn, begin, end, scale), *(_box(timeline, box, begin, scale) for box in boxes(drawn))])
    entries = "; ".join(f"{timeline.clock(entry, entry.start_at, entry.end_at)} {entry.text}" for entry in drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="day" role="img" aria-labelledby="day-title day-desc"'
        f' width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}">\n'
        f'<title id="day-title">{_text(timeline.title)}</title>\n'
        f'<desc id="day-desc">{_text(timeline.summary)} {_text(entries)}</desc>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="paper" width="{_WIDTH}" height="{height}"/>\n'
        f'{heading if with_heading else ""}<g transform="translate(0 {above})">\n{body}\n</g>\n</svg>\n'
    )


def boxes(entries: Sequence[Entry]) -> list[_Box]:
    """Place entries in order of their start: those that overlap, also by way of others, share the width in columns."""
    placed: list[_Box] = []
    group: list[tuple[Entry, int]] = []
    ends: list[datetime] = []  # of the columns of the group
    for entry in entries:
        if ends and max(ends) <= entry.start_at:
            placed += [_Box(one, column, len(ends)) for one, column in group]
            group, ends = [], []
        free = next((number for number, end in enumerate(ends) if end <= entry.start_at), len(ends))
        ends[free : free + 1] = [entry.end_at]
        group.append((entry, free))
    return placed + [_Box(one, column, len(ends)) for one, column in group]


def _bounds(entries: Sequence[Entry]) -> tuple[datetime, datetime]:
    """Return the time that is drawn, from a full hour on. Leave of a whole day adds nothing to the rest."""
    parts = [entry for entry in entries if entry.end_at - entry.start_at < 20 * _HOUR] or entries
    if not parts:
        return datetime.min, datetime.min  # noqa: DTZ901  # nothing is drawn
    begin = min(entry.start_at for entry in parts)
    end = max(entry.end_at for entry in parts)
    clock = begin.astimezone(parts[0].zone)
    return begin - timedelta(minutes=clock.minute, seconds=clock.second), end


def _scale(entries: Sequence[Entry]) -> float:
    """Return the pixels a minute at which the shortest entry and the shortest step have room for a line."""
    needed = [_SHORTEST_ENTRY / ((entry.end_at - entry.start_at) / _MINUTE) for entry in entries]
    parts = (part for entry in entries for part in entry.parts)
    needed += [_SHORTEST_PART / ((part.end_at - part.start_at) / _MINUTE) for part in parts]
    return min(max([_LEAST, *needed]), _MOST)


def _hours(entries: Sequence[Entry], begin: datetime, end: datetime, scale: float) -> Iterator[str]:
    """Draw a line with the clock of the first facility for each hour that passes."""
    hour = begin
    while entries and hour <= end:
        y = _TOP + (hour - begin) / _MINUTE * scale
        yield f'<line x1="{_AXIS - 8}" y1="{y:.1f}" x2="{_WIDTH - 8}" y2="{y:.1f}"/>'
        yield f'<text class="small" x="8" y="{y + 4:.1f}">{hour.astimezone(entries[0].zone):%H:%M}</text>'
        hour += _HOUR


def _box(timeline: Timeline, box: _Box, begin: datetime, scale: float) -> str:
    """Draw an entry: its words at the left, its steps at their times at the right. Text that has no room is cut."""
    entry = box.entry
    width = (_WIDTH - _AXIS - 8) / box.columns
    x = _AXIS + box.column * width
    start_at, end_at = max(entry.start_at, begin), entry.end_at
    y = _TOP + (start_at - begin) / _MINUTE * scale
    height = max((end_at - start_at) / _MINUTE * scale - 1, 1)
    has_parts = len(entry.parts) > 1 or any("(" in part.text for part in entry.parts)
    beside = width * 0.6 if has_parts and width / 2 >= _NARROWEST_TEXT else 0
    words = f"{timeline.clock(entry, entry.start_at, entry.end_at)} {entry.sign} {entry.text}"
    steps = [f"{part.start_at.astimezone(entry.zone):%H:%M} {part.text}" for part in entry.parts]
    lines = _wrapped(words if beside else "; ".join([words, *(steps if has_parts else ())]), width - 8 - beside)
    texts = "".join(f'<text x="4" y="{13 + _LINE * number}">{_text(line)}</text>' for number, line in enumerate(lines))
    drawn = "".join(
        _part(part, text, start_at, scale, width - 4 - beside, beside)
        for part, text in zip(entry.parts, steps, strict=True)
        if beside
    )
    name = _CLASSES.get(entry.kind, entry.kind.value)
    return (
        f"<g><title>{_text('; '.join([words, *steps]))}</title>"
        f'<rect class="{name}" x="{x:.1f}" y="{y:.1f}" width="{width - 4:.1f}" height="{height:.1f}" rx="3"/>'
        f'<svg x="{x:.1f}" y="{y:.1f}" width="{width - 4:.1f}" height="{height:.1f}">{texts}{drawn}</svg></g>'
    )


def _part(part: Part, words: str, begin: datetime, scale: float, x: float, width: float) -> str:
    y = (part.start_at - begin) / _MINUTE * scale
    height = max((part.end_at - part.start_at) / _MINUTE * scale - 1, 1)
    lines = "".join(
        f'<text class="small" x="4" y="{11 + _LINE * number}">{_text(line)}</text>'
        for number, line in enumerate(_wrapped(words, width - 8))
    )
    return (
        f'<svg x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}">'
        f'<rect class="part" width="{width:.1f}" height="{height:.1f}"/>{lines}</svg>'
    )


def _wrapped(words: str, width: float) -> list[str]:
    """Break a text into lines of about this width; boxes cut what has no room."""
    limit = max(int(width / _CHARACTER), 8)
    lines = [""]
    for word in words.split():
        lines[-1:] = [f"{lines[-1]} {word}".strip()] if len(lines[-1]) + len(word) < limit else [lines[-1], word]
    return lines


def _text(text: str) -> str:
    """Return a text for XML: escaped, and without characters that XML lacks."""
    return escape(printable(text))
