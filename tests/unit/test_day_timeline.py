"""Timeline of a doctor's day: its drawings, and nothing in them that a viewer would load or run."""

import re
from base64 import b64encode
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from io import StringIO
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from scheduler.cli.day_page import day_html
from scheduler.cli.day_picture import boxes, day_svg
from scheduler.cli.day_text import day_lines
from scheduler.cli.day_timeline import Entry, Kind, Part, Timeline
from scheduler.core.zones import zone_of

DAY = date(2027, 3, 28)  # the clock of London goes forward at 1:00
NEXT = DAY + timedelta(days=1)
MINUTE = timedelta(minutes=1)


def at(minute: int, day: date = NEXT) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + minute * MINUTE


def entry(first: int, last: int, kind: Kind = Kind.VISIT, text: str = "x", **fields: Any) -> Entry:
    fields = {"zone": zone_of("UTC")} | fields
    return Entry(kind=kind, start_at=at(first), end_at=at(last), text=text, **fields)


def timeline(*entries: Entry, day: date = NEXT, doctor: str = "Cara <Low>") -> Timeline:
    return Timeline(doctor=doctor, day=day, entries=entries)


def text_of(shown: Timeline) -> list[str]:
    console = Console(file=StringIO(), record=True, width=100)
    console.print(day_lines(shown))
    return [line.rstrip() for line in console.export_text().splitlines()]


def svg_of(shown: Timeline) -> ET.Element:
    return ET.fromstring(day_svg(shown))  # noqa: S314  # a text of our own


def texts_of(svg: ET.Element) -> str:
    return " ".join("".join(text.itertext()) for text in svg.iter("{http://www.w3.org/2000/svg}text"))


def test_entries_that_overlap_stand_side_by_side() -> None:
    spans = [(0, 30), (10, 50), (30, 40), (50, 60), (60, 90), (60, 70), (65, 80)]
    placed = [(box.column, box.columns) for box in boxes([entry(*span) for span in spans])]
    assert placed == [(0, 2), (1, 2), (0, 2), (0, 1), (0, 3), (1, 3), (2, 3)]


def test_boxes_are_at_their_times_and_never_overlap() -> None:
    svg = svg_of(timeline(entry(545, 560), entry(550, 600, Kind.OPEN), entry(570, 575, Kind.HELD)))
    drawn = [rect.attrib for rect in svg.iter("{http://www.w3.org/2000/svg}rect") if "rx" in rect.attrib]
    kinds = [rect["class"] for rect in drawn]
    x, y, width, height = ([float(rect[name]) for rect in drawn] for name in ("x", "y", "width", "height"))
    minute = y[1] - y[0]
    assert kinds == ["visit", "open", "held"]
    assert [round((top - y[0]) / minute) for top in y] == [0, 1, 5]
    assert [round((tall + 1) / minute) for tall in height] == [3, 10, 1]
    assert x[0] + width[0] <= x[1]
    assert x[2] + width[2] <= x[1]


def test_leave_of_a_whole_day_does_not_make_the_picture_taller() -> None:
    visit, leave = entry(540, 570), entry(0, 24 * 60, Kind.BLOCKED, "blocked: leave")
    assert svg_of(timeline(visit, leave)).attrib["height"] == svg_of(timeline(visit)).attrib["height"]
    alone = svg_of(timeline(leave))
    assert "00:00-24:00 ░ blocked: leave" in texts_of(alone)


def test_pictures_escape_words_and_drop_characters_of_control() -> None:
    parts = (Part(at(540), at(550), "a & <b>\x1b"), Part(at(550), at(570), "talk"))
    shown = timeline(entry(540, 570, text='</text><script>"\x00\ud800', parts=parts))
    assert '09:00-09:30 ● </text><script>"??' in " ".join(texts_of(svg_of(shown)).split())
    assert "09:00 a & <b>?" in texts_of(svg_of(shown))
    for picture in (day_svg(shown), day_html(shown)):
        assert "<script" not in picture
        assert picture.isprintable() or not re.search(r"[\x00\x1b\ud800]", picture)


@pytest.mark.parametrize("draw", [day_svg, day_html])
def test_a_picture_stands_alone_in_light_and_dark(draw: Any) -> None:
    picture = draw(timeline(entry(540, 570)))
    without = picture.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"url\(|src=|href=|@import|https?:|<script", without)
    assert "@media screen and (prefers-color-scheme: dark)" in picture
    assert "@media print" in picture


def test_the_policy_of_the_page_allows_its_own_styles_alone() -> None:
    page = day_html(timeline(entry(540, 570)))
    styles = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    hashes = [f"'sha256-{b64encode(sha256(style.encode()).digest()).decode()}'" for style in styles]
    policy = f"default-src 'none'; style-src {' '.join(hashes)}; base-uri 'none'; form-action 'none'"
    assert len(styles) == 2
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in page
    assert " style=" not in page


def test_a_picture_has_its_entries_in_words_for_screen_readers() -> None:
    shown = timeline(entry(540, 570, text="visit 7"), entry(570, 600, Kind.OPEN, "open"))
    svg = svg_of(shown)
    named = {element.attrib["id"]: "".join(element.itertext()) for element in svg if "id" in element.attrib}
    assert (svg.attrib["role"], svg.attrib["aria-labelledby"].split()) == ("img", list(named))
    assert named["day-title"] == "Cara <Low>, Monday 29 March 2027"
    assert named["day-desc"] == "1 visit, 1 gap. Times of UTC. 09:00-09:30 visit 7; 09:30-10:00 open"
    rows = re.findall(r'<th scope="row">(.*?)</th><td>(.*?)</td>', day_html(shown))
    sign = '<span aria-hidden="true">{}</span>'
    assert rows == [("09:00-09:30", f"{sign.format('●')} visit 7"), ("09:30-10:00", f"{sign.format('○')} open")]
    assert '<html lang="en">' in day_html(shown)


def test_an_empty_day_is_drawn_in_every_form() -> None:
    shown = timeline()
    assert text_of(shown)[:2] == ["Cara <Low>, Monday 29 March 2027", "No visit and no gap."]
    assert "No visit and no gap." in texts_of(svg_of(shown))
    assert "<tbody>\n\n</tbody>" in day_html(shown)


def test_t3_times_say_their_offset_where_the_clock_changes() -> None:
    london = zone_of("Europe/London")
    visit = Entry(kind=Kind.VISIT, start_at=at(30, DAY), end_at=at(90, DAY), zone=london, text="x")
    assert text_of(timeline(visit, day=DAY))[3].split()[0] == "00:30+00:00-02:30+01:00"


def test_times_of_two_zones_name_their_zone() -> None:
    rome = zone_of("Europe/Rome")
    lines = text_of(timeline(entry(540, 570), entry(540, 1400, zone=rome, text="y")))
    assert [line.split("  ")[0] for line in lines[3:]] == [
        "09:00-09:30 UTC",
        "Mon 29 Mar 11:00 - Tue 30 Mar 01:20 CEST",
    ]
