"""Commands of the desk: a visit is found, booked, seen on its day and cancelled, from the command line alone."""

import json
import sys
from collections.abc import Iterator
from datetime import time, timedelta
from io import StringIO
from pathlib import Path

import pytest

from scheduler.core.caps import Period
from scheduler.core.offers import VisitOffer
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from support.cli import CommandResult, run
from support.databases import execute
from support.desks import HALF_HOUR, NOW, Desk, all_rows, left_alone, on, open_desk

pytestmark = pytest.mark.database

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _stopped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("desk", "settings", "day"):
        monkeypatch.setattr(f"scheduler.cli.{module}.now", lambda: NOW)


def called(desk: Desk, *arguments: object) -> CommandResult:
    """Run a command for the clinic of the desk."""
    command, *words = (str(word) for word in arguments)
    return run(desk.url, command, "--tenant", desk.clinic.slug, *words)


def found(desk: Desk, *arguments: object) -> list[str]:
    """Return the lines of JSON that `find` prints."""
    result = called(desk, "find", *arguments, "--json")
    assert (result.code, result.err) == (0, "")
    return result.out.splitlines()


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def test_a_visit_is_found_booked_seen_and_cancelled(desk: Desk, tmp_path: Path) -> None:
    day, offers, cara = desk.day(), tmp_path / "offers", int(desk.cara)
    asked = (f"offering:{int(desk.with_cara)}", "--from", day, "--days", 1)
    shown = lines_of(called(desk, "find", *asked).out)
    assert shown[2].split()[:7] == ["1", f"{day:%a}", f"{day:%d}", f"{day:%b}", "08:50-09:30", "Cara", "Low"]
    assert shown[2].endswith(f"Main Street   nurse Nina, room 1   {int(desk.with_cara):8}")
    assert shown[-1] == "times of Europe/London"
    offers.write_text("\n\n".join(found(desk, *asked)))
    booked = called(desk, "book", "--offer", offers, "--number", 2, "--patient", int(desk.tim), "--key", day)
    again = called(desk, "book", "--offer", offers, "--number", 2, "--patient", int(desk.tim), "--key", day, "--json")
    visit = json.loads(again.out)
    of_visit = f"visit {visit['id']}: check-up with Cara Low at Main Street, {day:%a %d %b} 09:20-10:00 (Europe/London)"
    assert (booked.code, booked.out, booked.err) == (0, f"{of_visit}, scheduled\n", "")
    assert (visit["status"], visit["start_at"], visit["zone"]) == (
        "scheduled",
        f"{day}T09:20:00+00:00",
        "Europe/London",
    )
    with desk.work() as work:
        held = work.visits.hold(desk.offer(work, on(day, 10, 50), desk.with_cara), label="Tim's page")
        noon = Span(on(day, 11, 30), on(day, 12))
        work.exceptions.block(desk.cara, at=desk.clinic.facility, between=noon, reason="staff <meeting>")
        work.closures.add(desk.clinic.facility, day, start=noon.end.time(), end=time(13), reason="works")
    seen = called(desk, "day", cara, day)
    assert lines_of(seen.out) == [
        f"Cara Low, {day:%A} {day.day} {day:%B} {day.year}",
        "1 visit, 1 hold, 2 gaps. Times of Europe/London.",
        "09:00-09:30  ○  open: a slot of 30 minutes",
        f"09:20-10:00  ●  visit {visit['id']}: check-up, patient {int(desk.tim)}, scheduled",
        "                09:20-09:30 sample (lab, nurse Nina)",
        "                09:30-09:50 talk (office)",
        "                09:50-10:00 sample (nurse Nina, room 1)",
        "10:00-11:00  ○  open: 2 slots of 30 minutes",
        f"10:50-11:30  ◐  held until {held.ends_at:%a %d %b %H:%M}: check-up",
        "                10:50-11:00 sample (nurse Nina)",
        "                11:00-11:20 talk",
        "                11:20-11:30 sample (nurse Nina, room 1)",
        "11:30-12:00  ░  blocked",
        "12:00-13:00  ·  closed: works",
    ]
    named = called(desk, "day", cara, day, "--names")
    assert f"patient {int(desk.tim)} Tim Johnson" in named.out
    assert "Tim's page" in named.out
    assert "11:30-12:00  ░  blocked: staff <meeting>" in lines_of(named.out)
    svg, html = tmp_path / "day.svg", tmp_path / "day.html"
    assert called(desk, "day", cara, day, "--svg", svg, "--html", html) == (0, "", "")
    for picture in (svg.read_text(), html.read_text()):
        assert "closed: works" in picture
        assert "Tim" not in picture.replace("Times", "")
        assert "meeting" not in picture
    cancelled = called(desk, "cancel", visit["id"], "--reason", "has a cold")
    assert (cancelled.code, cancelled.out) == (0, f"{of_visit}, cancelled\n")
    assert called(desk, "cancel", visit["id"], "--reason", "has a cold").code == 4
    without = called(desk, "day", cara, day).out
    assert "cold" not in without
    assert "09:00-11:00  ○  open: 4 slots of 30 minutes" in lines_of(without)
    assert "cancelled: has a cold" in called(desk, "day", cara, day, "--names").out


def test_an_offer_is_read_from_standard_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    (offer,) = found(desk, "CHECK-UP", "--from", desk.day(), "--doctor", int(desk.dora), "--limit", 1)
    monkeypatch.setattr(sys, "stdin", StringIO(offer + "\n"))
    assert called(desk, "book", "--offer", "-", "--patient", int(desk.clinic.patient)).code == 0


def test_find_takes_a_doctor_a_facility_and_a_patient(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    asked = (f"service:{int(desk.clinic.service)}", "--from", day, "--days", 1, "--facility", "main", "--limit", 100)
    of_all = [VisitOffer.from_json(line) for line in found(desk, *asked)]
    of_dora = found(desk, *asked, "--doctor", int(desk.dora))
    free = [VisitOffer.from_json(line) for line in found(desk, *asked, "--patient", int(visit.patient_id))]
    assert {offer.start_at.date() for offer in of_all} == {day}
    assert of_dora == [offer.to_json() for offer in of_all if offer.slot.doctor_id == desk.dora]
    assert [offer for offer in of_all if offer.end_at <= visit.start_at or offer.start_at >= visit.end_at] == free
    nothing = called(desk, "find", "check-up", "--from", "2027-12-01")
    assert (nothing.code, nothing.out.startswith("no visit can be booked")) == (0, True)


def test_find_takes_local_days_of_each_facility(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        tokyo = work.facilities.add("tokyo", name="Tokyo", zone="Asia/Tokyo")
        kei = work.doctors.add("Kei", "Ito", at=[tokyo])
        advice = work.services.add("advice", duration=HALF_HOUR, code="99401")
        for doctor, place in ((kei, tokyo), (desk.clinic.anna, desk.clinic.facility)):
            work.offerings.add(advice, by=doctor, at=place)
        work.rules.add(kei, at=tokyo, on=Weekday.of(day), start=time(0), end=time(1), slot_duration=HALF_HOUR)
    desk.clinic.scheduler.generate(desk.clinic.slug, from_day=day, days=1)
    of_day = [VisitOffer.from_json(line).start_at for line in found(desk, "99401", "--from", day, "--days", 1)]
    assert of_day[:3] == [on(day, 0) - 9 * HOUR, on(day, 0) - 8.5 * HOUR, on(day, 9)]
    shown = lines_of(called(desk, "find", "99401", "--from", day, "--days", 1, "--limit", 3).out)
    assert ["Tokyo (Asia/Tokyo)" in line for line in shown[2:4]] == [True, True]
    assert f"{day:%a %d %b} 00:00-00:30" in shown[2]


def test_a_slot_that_a_host_has_reserved_is_no_gap(desk: Desk) -> None:
    day = desk.day()
    reserved = "update scheduling.availability_slots set status = 'reserved', reserved_until = '2099-01-01'"
    execute(desk.url, f"{reserved} where doctor_id = {int(desk.clinic.anna)} and start_at = '{on(day, 9).isoformat()}'")
    seen = lines_of(called(desk, "day", int(desk.clinic.anna), day).out)
    assert seen[2:] == ["09:00-09:30  ◐  reserved", "09:30-12:00  ○  open: 5 slots of 30 minutes"]


@pytest.mark.parametrize(
    ("change", "code", "why"),
    [
        ({"09:00": "09:10", "09:30": "09:40"}, 11, "the next start is"),
        ({"2027": "2026"}, 11, "begins in the past"),
        ({}, 12, "was given to somebody else; the next start is"),
    ],
    ids=["no start", "past", "taken"],
)
def test_a_visit_that_cannot_be_booked_has_an_exit_code(
    desk: Desk, tmp_path: Path, change: dict[str, str], code: int, why: str
) -> None:
    day = desk.day()
    (offer,) = found(desk, f"offering:{int(desk.clinic.with_anna)}", "--from", day, "--limit", 1)
    if not change:
        desk.booked(on(day, 9))
    for old, new in change.items():
        offer = offer.replace(old, new)
    file = tmp_path / "offer"
    file.write_text(offer)
    with left_alone(desk.url):
        result = called(desk, "book", "--offer", file, "--patient", int(desk.clinic.patient))
    assert (result.code, result.out, len(result.lines)) == (code, "", 1)
    assert why in result.err


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        ("find nothing", 3, "no service 'nothing'; the services are 'check-up', 'second opinion'"),
        ("find service:nothing", 3, "no service 'service:nothing'"),
        ("find service:404", 3, "no service has the id 404"),
        ("find offering:404", 3, "no offering has the id 404"),
        ("find offering:99999999999999999999", 3, "no service 'offering:99999999999999999999'"),
        ("find \udcff", 2, "not a line of text"),
        ("find check-up --from garbage", 2, "'garbage' is not a day"),
        ("find check-up --from 0001-01-01", 2, "leaves the calendar"),
        ("find check-up --doctor 404", 3, "no doctor has the id 404"),
        ("find check-up --facility nowhere", 3, "nowhere"),
        ("find check-up --patient 404", 3, "no patient has the id 404"),
        ("book --offer /nowhere --patient 1", 3, "there is no file '/nowhere'"),
        ("book --offer / --patient 1", 2, "'/' cannot be read: Is a directory"),
        ("book --offer {empty} --patient 1", 2, "has no offer"),
        ("book --offer {bytes} --patient 1", 2, "it is not text in UTF-8"),
        ("book --offer {two} --patient 1", 2, "has 2 offers: choose one with --number"),
        ("book --offer {two} --patient 1 --number 3", 2, "has no offer 3: it has 2"),
        ("book --offer {two} --patient 1 --number 2", 2, "offer"),
        ("book --patient 1", 2, "give --offer FILE, or --offering with --at"),
        ("book --offering check-up --patient 1", 2, "give --offer FILE, or --offering with --at"),
        ("book --offering check-up --at 2027-01-11T09:00 --patient 1", 2, "several offerings: give one of offering:"),
        (
            "book --offering offering:1 --at 2027-01-11 --patient 1",
            2,
            "is a day: give a time, such as 2027-01-11T10:20",
        ),
        ("book --offering offering:1 --at 2027-01-11T09:00 --patient 1 --key k", 2, "--key needs --offer"),
        ("book --offer {two} --number 1 --patient 1 --override cap", 2, "--override and --reason belong together"),
        ("book --offer {two} --number 1 --patient 1 --override cup --reason why", 2, "no rule is called 'cup'"),
        ("book --offer {two} --number 1 --patient 1 --override , --reason why", 2, "must name each rule"),
        ("explain 2027-01-11", 2, "give a facility and a day or time"),
        ("explain main 2027-01-11 why --offering check-up", 2, "give a facility and a day or time"),
        ("explain garbage --offering check-up", 2, "'garbage' is not a day"),
        ("explain 2027-01-11 --offering nothing", 3, "no service 'nothing'"),
        ("explain nowhere 2027-01-11 --offering check-up", 3, "nowhere"),
        ("cancel 404 --reason why", 3, "no visit has the id 404"),
        ("cancel 1 --reason \n", 2, "not a line of text"),
        ("day 404 2027-01-11", 3, "no doctor has the id 404"),
        ("day 1 garbage", 2, "'garbage' is not a day"),
        ("day 1 0001-01-01", 2, "leaves the calendar"),
        ("day 1 2027-01-11 --svg /nowhere/x", 2, "/nowhere/x cannot be written"),
        ("day 1 2027-01-11 --tenant nobody", 3, "no tenant 'nobody'"),
    ],
)
def test_a_mistake_at_the_desk_is_one_line_and_its_exit_code(
    desk: Desk, tmp_path: Path, arguments: str, code: int, why: str
) -> None:
    files = {name: tmp_path / name for name in ("empty", "bytes", "two")}
    for path, text in zip(files.values(), (b" \n", b"\xff", b"{}\n{}\n"), strict=True):
        path.write_bytes(text)
    result = called(desk, *arguments.format(**files).split(" "))
    assert (result.code, result.out, len(result.lines)) == (code, "", 1)
    assert why in result.lines[0]


def test_a_name_of_several_services_is_refused(desk: Desk) -> None:
    with desk.work() as work:
        former, twin = desk.clinic.service, work.services.add("Check-Up", duration=NOW - NOW.replace(hour=7))
    try:
        result = called(desk, "find", "check-up")
    finally:
        with desk.work() as work:
            work.services.delete(twin)
    several = f"several services are called 'check-up': give one of service:{int(former)}, service:{int(twin)}"
    assert (result.code, result.lines) == (2, [f"error: {several}"])


def test_q3_explain_has_each_start_of_an_offering_and_why(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    asked = ("explain", "main", day, "--offering", "check-up", "--doctor", int(desk.clinic.anna))
    shown = lines_of(called(desk, *asked).out)
    heading = f"check-up (offering {int(desk.clinic.with_anna)}) with Anna Ray at Main Street, {day:%a %d %b %Y}"
    assert shown[0] == f"{heading} (Europe/London)"
    assert [line.split(maxsplit=1) for line in shown[3:5]] == [
        ["09:00", f"✕ not offered   visit {visit.id} takes the doctor"],
        ["09:30", "○ offered       until 10:00"],
    ]
    assert shown[-1] == "5 offered, 1 not offered"
    (answer,) = json.loads(called(desk, *asked, "--json").out)["answers"]
    assert [(start["start_at"], start["is_offered"]) for start in answer["starts"][:2]] == [
        (f"{day}T09:00:00+00:00", False),
        (f"{day}T09:30:00+00:00", True),
    ]
    assert answer["starts"][0]["reasons"] == [
        {"code": "booked", "text": f"visit {visit.id} takes the doctor", "cause_id": visit.id}
    ]
    of_all = json.loads(called(desk, "explain", day, "--offering", "check-up", "--json").out)["answers"]
    assert [row["doctor"]["name"] for row in of_all] == ["Anna Ray", "Ben Cole", "Cara Low", "Dora Low"]


def test_b8_book_breaks_the_rules_that_an_override_names(desk: Desk) -> None:
    day, anna = desk.day(), f"offering:{int(desk.clinic.with_anna)}"
    desk.booked(on(day, 9))
    with desk.work() as work:
        cap = work.caps.set(1, per=Period.DAY, doctor=desk.clinic.anna)
    book = ("book", "--offering", anna, "--at", f"{day}T10:00", "--patient", int(desk.clinic.patient))
    refused = called(desk, *book)
    booked = called(desk, *book, "--override", "Cap", "--reason", "referred today", "--json")
    with desk.work() as work:
        work.caps.remove(cap)
    assert (refused.code, booked.code) == (11, 0)
    assert "the doctor's cap of 1 is reached; the next start is" in refused.err
    assert refused.err.endswith("09:00 (Europe/London)\n")
    kept = all_rows(
        desk.url,
        "select override_rules, override_reason from scheduling.appointments where id = %s",
        json.loads(booked.out)["id"],
    )
    assert kept == [(["cap"], "referred today")]
    unneeded = called(desk, *book[:4], f"{day}T11:00", *book[5:], "--override", "cap", "--reason", "why")
    assert (unneeded.code, unneeded.lines) == (
        4,
        ["error: the visit breaks no rule that the override names: book it without one"],
    )
