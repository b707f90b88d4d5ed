"""Week of a facility, read for its page: the time of doctors and resources, and what blocks it."""

import re
from collections.abc import Iterator
from datetime import datetime, time, timedelta

import pytest

from scheduler.cli.week_html import week_html
from scheduler.cli.week_page import Entry, Kind, Lane, WeekPage
from scheduler.cli.week_reading import week_page
from scheduler.core.errors import NotFoundError
from scheduler.core.releases import Release
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.postgres.database import Database
from support.cli import run
from support.desks import HALF_HOUR, NOW, Desk, on, open_desk

pytestmark = pytest.mark.database

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    """A desk with one busy week, its first; nobody writes to it afterwards."""
    with open_desk(database_url) as desk:
        monday, place = desk.clinic.monday, desk.clinic.facility
        with desk.work() as work:
            offer = desk.offer(work, on(monday, 9))
            work.visits.book(offer, patient=desk.patient(work))
            work.visits.hold(desk.offer(work, on(monday, 10)))
            work.visits.book(desk.offer(work, on(monday, 9, 50), desk.with_cara), patient=desk.patient(work))
            work.visits.book(desk.offer(work, on(monday, 9), desk.with_dora), patient=desk.patient(work))
            leave = Span(on(monday, 11), on(monday, 12))
            work.exceptions.block(desk.clinic.anna, at=place, between=leave, reason="surgery of Anna Ray")
            work.closures.add(place, monday + 2 * DAY, reason="Founders' Day")
            work.rules.add(
                desk.clinic.ben,
                at=place,
                on=Weekday.SATURDAY,
                start=time(9),
                end=time(10),
                slot_duration=HALF_HOUR,
                release=Release(1, time(8)),
            )
            work.rules.add(desk.room, at=place, on=Weekday.MONDAY, start=time(8), end=time(18))
            work.exceptions.block(
                desk.room, at=place, between=Span(on(monday, 12), on(monday, 13)), reason="painted by Bob Lee"
            )
        yield desk


def read(desk: Desk, *, names: bool = False, now: datetime = NOW, doctor_id: int | None = None) -> WeekPage:
    with Database(desk.url) as database:
        slug, day = desk.clinic.slug, desk.clinic.monday + DAY
        return week_page(database, "main", day, tenant=slug, now=now, doctor_id=doctor_id, names=names)


def entries(lanes: tuple[Lane, ...], name: str, number: int = 0) -> list[Entry]:
    (lane,) = [lane for lane in lanes if lane.name == name]
    return [entry for entry in lane.days[number] if entry.kind is not Kind.OUTSIDE]


def told(found: list[Entry]) -> list[tuple[str, str, str]]:
    return [(entry.kind.value, f"{entry.start_at:%H:%M}", entry.text) for entry in found]


def test_the_week_has_each_time_of_a_doctor_and_why(desk: Desk) -> None:
    page = read(desk)
    anna = told(entries(page.doctors, "Anna Ray"))
    assert [(kind, at) for kind, at, _ in anna] == [
        ("booked", "09:00"),
        ("open", "09:30"),
        ("held", "10:00"),
        ("open", "10:30"),
        ("blocked", "11:00"),
    ]
    assert anna[0][2] == "check-up, check-up"
    assert re.fullmatch(r"check-up, until \w{3} \d\d:\d\d", anna[2][2])
    assert re.fullmatch(r"blocked exception \d+ takes this time", anna[4][2])
    assert told(entries(page.doctors, "Anna Ray", 2)) == [("blocked", "09:00", "closure: Founders' Day")]
    assert told(entries(page.doctors, "Anna Ray", 5)) == []


def test_a_slot_of_several_places_is_open_beside_its_visit(desk: Desk) -> None:
    dora = entries(read(desk).doctors, "Dora Low")
    assert [kind for kind, at, _ in told(dora) if at == "09:00"] == ["open", "booked"]
    assert [entry.text for entry in dora if entry.kind is Kind.OPEN][:2] == ["1 of 2 places", "2 of 2 places"]


def test_q5_a_slot_that_is_not_released_says_when(desk: Desk) -> None:
    friday = desk.clinic.monday + 4 * DAY
    until = f"released on {friday:%a %d %b} 08:00"
    expected = [("open", "09:00", until), ("open", "09:30", until)]
    assert told(entries(read(desk).doctors, "Ben Cole", 5)) == expected
    released = read(desk, now=on(friday, 8))
    assert {text for _, _, text in told(entries(released.doctors, "Ben Cole", 5))} == {""}


def test_w7_the_week_has_each_time_of_a_resource_and_why(desk: Desk) -> None:
    page = read(desk)
    room = entries(page.resources, "1")
    assert told([entry for entry in room if entry.kind is not Kind.OPEN])[1:] == [
        ("blocked", "12:00", room[-2].text),
    ]
    (booked,) = [entry for entry in room if entry.kind is Kind.BOOKED]
    assert (booked.text, booked.end_at - booked.start_at) == ("check-up, sample", HALF_HOUR / 3)
    assert [(f"{entry.start_at:%H:%M}", f"{entry.end_at:%H:%M}") for entry in room if entry.kind is Kind.OPEN] == [
        ("08:00", f"{booked.start_at:%H:%M}"),
        (f"{booked.end_at:%H:%M}", "12:00"),
        ("13:00", "18:00"),
    ]
    assert re.fullmatch(r"blocked exception \d+ takes this time", room[-2].text)
    assert entries(page.resources, "1", 1) == []
    nurse = entries(page.resources, "Nina", 1)
    assert [(entry.kind, entry.end_at - entry.start_at) for entry in nurse] == [(Kind.OPEN, DAY)]
    assert told(entries(page.resources, "Nina", 2)) == [("blocked", "00:00", "closure: Founders' Day")]


def test_people_are_named_only_where_asked_for(desk: Desk) -> None:
    html = week_html(read(desk))
    assert not any(name in html for name in ("Poe", "surgery", "painted"))
    named = week_html(read(desk, names=True))
    assert named.count("check-up, check-up, Ada Poe") >= 2
    assert "blocked: surgery of Anna Ray" in named
    assert "blocked: painted by Bob Lee" in named


def test_a_day_that_is_over_is_explained_as_of_its_beginning(desk: Desk) -> None:
    monday = desk.clinic.monday
    page = read(desk, now=on(monday + DAY, 10))
    assert [kind for kind, _, _ in told(entries(page.doctors, "Anna Ray"))].count("open") == 2
    today = told(entries(page.doctors, "Anna Ray", 1))
    assert today[0] == ("blocked", "09:00", "the slot begins in the past")
    assert next(at for kind, at, _ in today if kind == "open") == "10:00"


def test_time_without_generated_slots_is_not_open(desk: Desk) -> None:
    with Database(desk.url) as database:
        far = desk.clinic.monday + 40 * 7 * DAY
        page = week_page(database, "main", far, tenant=desk.clinic.slug, now=NOW, doctor_id=None, names=False)
    assert {(kind, text) for kind, _, text in told(entries(page.doctors, "Anna Ray"))} == {
        ("blocked", "not generated yet")
    }


def test_one_doctor_may_be_asked_for(desk: Desk) -> None:
    assert [lane.name for lane in read(desk, doctor_id=desk.cara).doctors] == ["Cara Low"]
    with pytest.raises(NotFoundError, match="doctor 999999 has no schedule at 'main'"):
        read(desk, doctor_id=999999)


def test_the_command_writes_the_page(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    html = tmp_path_factory.mktemp("page") / "week.html"
    options = ("--tenant", desk.clinic.slug, "--week", str(desk.clinic.monday), "--html", str(html))
    result = run(desk.url, "week", "main", *options)
    assert (result.code, result.out, result.err) == (0, "", "")
    assert "Ada Poe" not in html.read_text(encoding="utf-8")
    assert run(desk.url, "week", "main", *options, "--names").code == 0
    assert "Ada Poe" in html.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ("elsewhere --html {}", 3, "no facility 'elsewhere'"),
        ("main --html {} --week soon", 2, "'soon' is not a day"),
        ("main --html {}/no/week.html", 2, "cannot be written"),
        ("main", 2, "--html"),
    ],
)
def test_a_mistake_is_told_and_writes_nothing(
    desk: Desk, tmp_path_factory: pytest.TempPathFactory, arguments: str, code: int, why: str
) -> None:
    folder = tmp_path_factory.mktemp("page")
    words = arguments.format(folder / "week.html").split()
    result = run(desk.url, "week", *words, "--tenant", desk.clinic.slug)
    assert result.code == code
    assert why in result.err
    assert list(folder.iterdir()) == []
