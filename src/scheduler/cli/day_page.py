"""Timeline of a doctor's day as an HTML page that stands alone.

Owns: the page around the picture: its style, and the table with the same entries for readers who do not see it.
Must not know: where entries come from; the clock and the database.
"""

from html import escape
from typing import Final

from scheduler.cli.day_picture import STYLE as PICTURE_STYLE
from scheduler.cli.day_picture import day_svg
from scheduler.cli.day_timeline import Entry, Timeline
from scheduler.cli.page_policy import content_policy
from scheduler.cli.terminal import printable

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --soft: #f2f4f7; --line: #8a939e; }
body { margin: 1rem auto; max-width: 52rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.45 system-ui, sans-serif; }
figure { margin: 0; }
h1 { font-size: 1.4rem; margin: 0; }
.day { display: block; max-width: 100%; height: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .6rem 0 .3rem; }
th, td { border: 1px solid var(--line); padding: .25rem .5rem; text-align: left; vertical-align: top; }
th { background: var(--soft); white-space: nowrap; }
ul { margin: .2rem 0 0; padding-left: 1.1rem; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --paper: #17191c; --soft: #24272c; --line: #7d858f; }
}
@media print {
  @page { margin: 12mm; }
  body { margin: 0; padding: 0; max-width: none; font-size: 9pt; }
  .day { max-height: 240mm; break-inside: avoid; }
  table { break-before: page; } thead { display: table-header-group; } tr { break-inside: avoid; }
}
"""


def day_html(timeline: Timeline) -> str:
    """Draw a day as an HTML document: its picture, and a table with the same entries."""
    rows = "\n".join(_row(timeline, entry) for entry in timeline.in_order)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{content_policy(styles=[_STYLE, PICTURE_STYLE])}">
<title>{_text(timeline.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{_text(timeline.title)}</h1>
<p>{_text(timeline.summary)}</p>
<figure>
{day_svg(timeline, with_heading=False)}</figure>
<table>
<caption>The same day as a table</caption>
<thead><tr><th scope="col">time</th><th scope="col">entry</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</main>
</body>
</html>
"""


def _row(timeline: Timeline, entry: Entry) -> str:
    steps = "".join(
        f"<li>{_text(f'{timeline.clock(entry, part.start_at, part.end_at)} {part.text}')}</li>" for part in entry.parts
    )
    listed = f"<ul>{steps}</ul>" if steps else ""
    when = _text(timeline.clock(entry, entry.start_at, entry.end_at))
    sign = f'<span aria-hidden="true">{entry.sign}</span>'
    return f'<tr class="{entry.kind.value}"><th scope="row">{when}</th><td>{sign} {_text(entry.text)}{listed}</td></tr>'


def _text(text: str) -> str:
    return escape(printable(text))
