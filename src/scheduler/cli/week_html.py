"""Page of a week as HTML that stands alone: nothing is loaded, and nothing but the page's own script runs.

Owns: the HTML of the page: its tables, legend and content security policy.
Must not know: where the values come from; the clock and the database.

Without its script the page shows all views, one after another. Every value passes through `escape`.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from html import escape as escape_html
from itertools import pairwise
from typing import Final

from scheduler.cli.page_policy import content_policy
from scheduler.cli.terminal import printable
from scheduler.cli.week_page import Entry, Kind, Lane, WeekPage, runs
from scheduler.cli.week_rows import changes_of, clock, ends_of, offset, rows_of
from scheduler.cli.week_style import SCRIPT, STYLE

SIGNS: Final = {Kind.OPEN: "○", Kind.HELD: "◐", Kind.BOOKED: "●", Kind.BLOCKED: "░", Kind.OUTSIDE: "·"}
_MEANINGS: Final = {
    Kind.OPEN: "slots or time that can be booked",
    Kind.HELD: "held for somebody who is still choosing, or reserved",
    Kind.BOOKED: "a visit, or all places of a slot",
    Kind.BLOCKED: "no slot, for the reason beside it",
    Kind.OUTSIDE: "no opening hours",
}
_CLASSES: Final = {kind: kind.value.split()[0] for kind in Kind}
_STRONGEST: Final = (Kind.BOOKED, Kind.HELD, Kind.BLOCKED, Kind.OPEN, Kind.OUTSIDE)
_Changes = Sequence[tuple[datetime, str]]
_GROUPS: Final = ("doctor", "resource")


def escape(text: str) -> str:
    """Return a text that HTML shows as it is, in an attribute, too."""
    return escape_html(printable(text), quote=True)


def week_html(page: WeekPage) -> str:
    """Return the page as one HTML document."""
    title = f"{page.name} ({page.slug}), week of {page.first_day:%d %B %Y}"
    changes = changes_of(page)
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{content_policy(styles=[STYLE], scripts=[SCRIPT])}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="color-scheme" content="light dark">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        *_header(page, title, changes),
        "<main>",
        *_week(page),
        *(line for number in range(7) for line in _day(page, number, changes)),
        "</main>",
        f"<script>{SCRIPT}</script>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _header(page: WeekPage, title: str, changes: _Changes) -> Iterator[str]:
    made = f"{page.made_at.astimezone(page.zone):%a %d %b %Y} {clock(page.made_at, page.zone)}"
    yield f"<header>\n<h1>{escape(title)}</h1>"
    yield f"<p>All times are those of {escape(page.zone.key)}. This page shows the state of {escape(made)}.</p>"
    for _, sentence in changes:
        yield f"<p><strong>{escape(sentence)}</strong></p>"
    if page.has_names:
        yield "<p><strong>This page names patients: keep it like their records.</strong></p>"
    yield "<h2>Legend</h2>"
    yield '<ul class="legend">'
    for kind, sign in SIGNS.items():
        yield f'<li class="{_CLASSES[kind]}">{_sign(sign)} {kind}: {_MEANINGS[kind]}</li>'
    yield f"<li>{_sign('┆')} goes on from the row above</li>\n</ul>"
    yield '<nav aria-label="Views"><div id="tabs">'
    yield '<a href="#view-week">Week</a>'
    yield from (f'<a href="#view-{day}">{day:%a %d}</a>' for day in page.days)
    yield "</div></nav>"
    if page.resources:
        yield '<fieldset id="rows" hidden><legend>Show</legend>'
        for number, group in enumerate(_GROUPS):
            checked = "" if number else " checked"
            label = f"{group.capitalize()}s"
            yield f'<label><input type="radio" name="rows" value="{group}"{checked}> {label}</label>'
        yield "</fieldset>"
    yield "</header>"


def _groups(page: WeekPage) -> Iterator[tuple[str, Sequence[Lane]]]:
    """Yield the doctors, and the resources if there are any."""
    yield _GROUPS[0], page.doctors
    if page.resources:
        yield _GROUPS[1], page.resources


def _week(page: WeekPage) -> Iterator[str]:
    heading = f"Week: {page.days[0]:%A %d %B} to {page.days[-1]:%A %d %B %Y}"
    yield from _section("week", heading)
    for group, lanes in _groups(page):
        columns = [f"{day:%a %d %b}" for day in page.days]
        yield from _table_head(group, f"{heading}, by {group}", [group.capitalize(), *columns])
        for lane in lanes:
            cells = "".join(
                f"<td>{_entries(_of_week(lane.days[number]), day, page)}</td>" for number, day in enumerate(page.days)
            )
            yield f'<tr><th scope="row">{_lane(lane)}</th>{cells}</tr>'
        yield "</tbody></table></div>"
    yield "</section>"


def _of_week(entries: Sequence[Entry]) -> list[Entry]:
    """Return the runs of a day; time outside the hours is said only where there is nothing else."""
    inside = runs(entry for entry in entries if entry.kind is not Kind.OUTSIDE)
    return inside or list(entries[:1])


def _day(page: WeekPage, number: int, changes: _Changes) -> Iterator[str]:
    day = page.days[number]
    heading = f"{day:%A %d %B %Y}"
    yield from _section(str(day), heading)
    rows = rows_of(page, number)
    if not rows:
        yield f"<p>This day does not exist in {escape(page.zone.key)}: the clock skipped it.</p>\n</section>"
        return
    yield f"<p>Times of {escape(page.zone.key)}, {escape(' to '.join(_offsets(page, rows)))}.</p>"
    for group, lanes in _groups(page):
        names = [lane.name for lane in lanes]
        yield from _table_head(group, f"{heading}, by {group}", ["Time", *names])
        for (before, _), (start_at, end_at) in pairwise([rows[0], *rows]):
            for change in (sentence for at, sentence in changes if before < at <= start_at):
                yield f'<tr class="clock"><td colspan="{len(lanes) + 1}">{escape(change)}</td></tr>'
            is_first = (start_at, end_at) == rows[0]
            cells = "".join(_cell(lane.days[number], (start_at, end_at), day, page, is_first) for lane in lanes)
            label = _time(start_at, clock(start_at, page.zone), page)
            yield f'<tr><th scope="row">{label}</th>{cells}</tr>'
        yield "</tbody></table></div>"
    yield "</section>"


def _offsets(page: WeekPage, rows: Iterable[tuple[datetime, datetime]]) -> list[str]:
    return list(dict.fromkeys(offset(start_at, page.zone) for start_at, _ in rows))


def _cell(entries: Sequence[Entry], row: tuple[datetime, datetime], day: date, page: WeekPage, is_first: bool) -> str:
    """Return the cell of a row: the entries that start in it, else the strongest that goes on."""
    overlapping = [entry for entry in entries if entry.overlaps(*row)]
    new = [entry for entry in overlapping if entry.start_at >= row[0] or is_first]
    if new and not all(entry.kind is Kind.OUTSIDE for entry in new):
        return f"<td>{_entries([entry for entry in new if entry.kind is not Kind.OUTSIDE], day, page)}</td>"
    kind = next((kind for kind in _STRONGEST for entry in overlapping if entry.kind is kind), Kind.OUTSIDE)
    if kind is Kind.OUTSIDE:
        return f'<td class="goes outside">{_sign(SIGNS[kind])}<span class="only-read">{kind}</span></td>'
    return f'<td class="goes {_CLASSES[kind]}">{_sign("┆")}<span class="only-read">{kind}, goes on</span></td>'


def _section(name: str, heading: str) -> Iterator[str]:
    yield f'<section id="view-{name}" aria-labelledby="heading-{name}">'
    yield f'<h2 id="heading-{name}">{escape(heading)}</h2>'


def _table_head(group: str, caption: str, columns: Iterable[str]) -> Iterator[str]:
    label = escape(caption)
    yield f'<div class="scroll" data-rows="{group}" role="region" aria-label="{label}" tabindex="0">'
    heads = "".join(f'<th scope="col">{escape(column)}</th>' for column in columns)
    yield f"<table><caption>{label}</caption><thead><tr>{heads}</tr></thead><tbody>"


def _lane(lane: Lane) -> str:
    kind = f"<small>{escape(lane.resource_kind)}</small>" if lane.resource_kind else ""
    return f"{escape(lane.name)}{kind}"


def _entries(entries: Iterable[Entry], day: date, page: WeekPage) -> str:
    items = "".join(f'<li class="{_CLASSES[entry.kind]}">{_entry(entry, day, page)}</li>' for entry in entries)
    return f"<ul>{items}</ul>" if items else '<span class="only-read">nothing</span>'


def _entry(entry: Entry, day: date, page: WeekPage) -> str:
    first, last = ends_of(entry, day, page.zone)
    when = f"{_time(entry.start_at, first, page)}-{_time(entry.end_at, last, page)}"
    slots = f" ({entry.count} slots)" if entry.count > 1 and entry.kind is Kind.OPEN else ""
    why = ", ".join(filter(None, (entry.text, entry.patient)))
    return f"{_sign(SIGNS[entry.kind])} {when} {entry.kind}{slots}{f': {escape(why)}' if why else ''}"


def _time(at: datetime, label: str, page: WeekPage) -> str:
    return f'<time datetime="{at.astimezone(page.zone).isoformat()}">{escape(label)}</time>'


def _sign(sign: str) -> str:
    return f'<span class="sign" aria-hidden="true">{sign}</span>'
