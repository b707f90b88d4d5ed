"""Page of a week: HTML that is well formed, accessible, and loads and runs nothing else than its own script."""

import base64
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from scheduler.cli.week_html import SIGNS, week_html
from scheduler.cli.week_page import Entry, Kind, Lane, WeekPage, runs
from scheduler.cli.week_rows import clock, rows_of
from support.week_pages import ATTACK, AUTUMN, LONDON, SPRING, entry, sample

_VOID = {"meta", "input"}
_ATTRIBUTES = {
    "lang",
    "charset",
    "http-equiv",
    "content",
    "name",
    "id",
    "class",
    "href",
    "hidden",
    "type",
    "value",
    "checked",
    "data-rows",
    "role",
    "aria-label",
    "aria-labelledby",
    "aria-hidden",
    "tabindex",
    "scope",
    "colspan",
    "datetime",
}


class _Document(HTMLParser):
    """A strict reader: each element is closed in order, each attribute is known, and texts are collected."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        assert len(attributes) == len(attrs)
        assert attributes.keys() <= _ATTRIBUTES, tag
        self.elements.append((tag, attributes))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.setdefault(self.open[-1], []).append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def rows_in(html: str, day: date, group: str = "doctor") -> str:
    """Return the table of a day, as HTML."""
    (section,) = re.findall(rf'<section id="view-{day}".*?</section>', html, re.DOTALL)
    (table,) = re.findall(rf'data-rows="{group}".*?</table>', section, re.DOTALL)
    return str(table)


def labels(html: str, day: date) -> list[str]:
    return re.findall(r'<th scope="row"><time[^>]*>([^<]*)<', rows_in(html, day))


@pytest.mark.parametrize("first_day", [SPRING, AUTUMN, date(2027, 1, 4)])
def test_the_page_is_well_formed(first_day: date) -> None:
    document = _Document(week_html(sample(first_day)))
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"].removeprefix("#") for link in document.all("a")} == {id_ for id_ in ids if "view" in id_}
    assert {section["aria-labelledby"] for section in document.all("section")} <= set(ids)


def test_every_table_has_a_caption_and_headers_with_scope() -> None:
    document = _Document(week_html(sample()))
    assert len(document.all("table")) == len(document.all("caption")) == 2 * 8
    assert {cell["scope"] for cell in document.all("th")} == {"col", "row"}
    assert document.all("html") == [{"lang": "en"}]
    assert len(document.all("h1")) == 1


def test_nothing_is_loaded_and_only_the_own_script_runs() -> None:
    html = week_html(sample(name=ATTACK))
    (policy,) = (meta["content"] for meta in _Document(html).all("meta") if "http-equiv" in meta)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == rules.pop("base-uri") == rules.pop("form-action") == "'none'"
    for tag in ("style", "script"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(sha256(inline.encode()).digest()).decode()
        assert rules.pop(f"{tag}-src") == f"'sha256-{digest}'"
    assert rules == {}
    assert not re.search(r"https?:|url\(|@import|\bsrc\b(?!\s')", html.replace(policy, ""))


def test_every_text_is_escaped() -> None:
    html = week_html(sample(name=ATTACK, patient=f"Ada {ATTACK}\x1b\u202e"))
    document = _Document(html)
    assert len(document.all("script")) == 1
    assert "alert" not in "".join(document.texts["script"])
    assert not re.search("[\x00-\x09\x0b-\x1f\u202e]", html)
    texts = "".join(text for tag, parts in document.texts.items() if tag not in {"script", "style"} for text in parts)
    for shown in (f"{ATTACK} (larkspur)", f"check-up {ATTACK}, Ada {ATTACK}??", f"closure: {ATTACK}"):
        assert shown in texts


def test_no_kind_of_time_is_told_by_colour_alone() -> None:
    html = week_html(sample())
    for each, sign in SIGNS.items():
        assert f'<span class="sign" aria-hidden="true">{sign}</span> {each}: ' in html
    for kind in ("open", "held", "booked", "blocked"):
        items = re.findall(rf'<li class="{kind}">(.*?)</li>', html)
        assert items
        assert all(re.search(rf"\b{kind}\b", re.sub("<[^>]*>", "", item)) for item in items)
    going_on = re.findall(r'<td class="goes (\w+)">(.*?)</td>', html)
    assert {kind for kind, _ in going_on} == {"booked", "blocked", "open", "outside"}
    assert all(f'<span class="only-read">{kind}' in cell for kind, cell in going_on)


def test_patients_are_named_where_asked_for() -> None:
    assert "Ada Poe" not in week_html(sample())
    html = week_html(sample(patient="Ada Poe"))
    assert "booked: check-up Larkspur, Ada Poe" in html
    assert "This page names patients" in html


def test_without_resources_there_is_nothing_to_choose() -> None:
    page = sample()
    html = week_html(replace(page, resources=()))
    assert 'data-rows="resource"' not in html
    assert "<fieldset" not in html


def test_t3_a_skipped_hour_has_no_row() -> None:
    html = week_html(sample(SPRING))
    assert labels(html, date(2027, 3, 28)) == ["00:00", "00:30", "02:00", "02:30", "03:00", "03:30"]
    sentence = "Sunday 28 March, 01:00: the clock goes forward to 02:00. The times between are skipped."
    assert html.count(sentence) == 3  # above the tables, and between the rows of doctors and resources
    assert "Times of Europe/London, UTC+00:00 to UTC+01:00." in html


def test_t3_a_repeated_hour_has_rows_twice() -> None:
    html = week_html(sample(AUTUMN))
    twice = ["01:00 (UTC+01:00)", "01:30 (UTC+01:00)", "01:00 (UTC+00:00)", "01:30 (UTC+00:00)"]
    assert labels(html, date(2027, 10, 31)) == ["00:00", "00:30", *twice, "02:00", "02:30", "03:00", "03:30"]
    assert "Sunday 31 October, 02:00: the clock goes back to 01:00. The times between come twice." in html


def test_a_day_that_the_zone_skipped_is_named() -> None:
    page = WeekPage(
        slug="apia",
        name="Apia",
        zone=ZoneInfo("Pacific/Apia"),
        first_day=date(2011, 12, 26),
        made_at=datetime(2011, 12, 1, tzinfo=UTC),
        doctors=(Lane("Dr", ((),) * 7),),
    )
    html = week_html(page)
    _Document(html)
    assert "This day does not exist in Pacific/Apia: the clock skipped it." in html


def test_a_time_on_another_day_names_the_day() -> None:
    night = entry(Kind.OPEN, SPRING, 22, 26)
    days = ((night,), (night,), *((),) * 5)
    page = sample()
    html = week_html(replace(page, doctors=(Lane("Dr", days),)))
    shown = re.sub("<[^>]*>", "", html)
    assert "22:00-Tue 02:00 open" in shown
    assert "Mon 22:00-02:00 open" in shown


def test_a_time_until_midnight_ends_at_24() -> None:
    shown = re.sub("<[^>]*>", "", rows_in(week_html(sample()), SPRING))
    assert "09:00-09:30 open" in shown
    whole = Entry(Kind.BLOCKED, *(entry(Kind.OPEN, SPRING, 12, 24).start_at, entry(Kind.OPEN, SPRING, 12, 24).end_at))
    page = sample()
    lanes = (Lane("Dr", ((whole,), *((),) * 6)),)
    html = week_html(replace(page, doctors=lanes))
    assert "12:00-24:00 blocked" in re.sub("<[^>]*>", "", html)


def test_neighbours_of_one_kind_and_text_are_one_run() -> None:
    slots = [entry(Kind.OPEN, SPRING, *ends) for ends in ((9, 10), (10, 11), (12, 13))]
    visits = [entry(Kind.BOOKED, SPRING, *ends, "check-up") for ends in ((9, 10), (10, 11))]
    merged = runs([*slots, *visits])
    assert [(run.kind, run.count, run.end_at - run.start_at) for run in merged] == [
        (Kind.OPEN, 2, timedelta(hours=2)),
        (Kind.OPEN, 1, timedelta(hours=1)),
        (Kind.BOOKED, 1, timedelta(hours=1)),
        (Kind.BOOKED, 1, timedelta(hours=1)),
    ]


def test_a_long_day_has_rows_of_an_hour() -> None:
    page = sample()
    busy = (entry(Kind.OPEN, SPRING, 5, 6), entry(Kind.OPEN, SPRING, 20, 21))
    long = replace(page, doctors=(Lane("Dr", (busy, *((),) * 6)),))
    rows = rows_of(long, 0)
    assert {end_at - start_at for start_at, end_at in rows} == {timedelta(hours=1)}
    assert (clock(rows[0][0], LONDON), clock(rows[-1][1], LONDON)) == ("05:00", "21:00")
