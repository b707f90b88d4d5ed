"""Pictures in the terminal, read as plain text of 80 columns without colours."""

import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console, RenderableType

from scheduler.cli.rendering import RunSummary, between, explanation_table, runs_table, summary_table
from scheduler.cli.run_report import MAX_SLOTS_SHOWN
from scheduler.cli.run_report import _details as details
from scheduler.cli.run_report import _print_details as print_details
from scheduler.cli.show import _status as status
from scheduler.cli.week import Week, WeekClosure, WeekDoctor, WeekException, WeekSlot
from scheduler.cli.week_calendar import week_calendar
from scheduler.core.bookings import BookingContext
from scheduler.core.explanation import Explanation
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.schedules import ExceptionType
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span
from scheduler.core.uses import Use
from scheduler.generation.report import Report, RunResult
from scheduler.models.scheduling.generation import RUN_COUNTS, GenerationRun
from scheduler.postgres.promised_times import BrokenPromise

LONDON = ZoneInfo("Europe/London")
MONDAY = date(2027, 3, 22)
COUNTS = dict.fromkeys(RUN_COUNTS, 0) | {
    "schedules": 62,
    "slots_created": 89_217,
    "slots_retired": 12,
    "slots_kept": 771,
}
SUMMARY = RunSummary(facilities=41, schedules_unchanged=0, counts=COUNTS, seconds=2.0, peak_memory=83 << 20)


GROUP = Slot(datetime(2027, 3, 22, 9, tzinfo=UTC), datetime(2027, 3, 22, 10, tzinfo=UTC), 1, 1, capacity=2)


def drawn(picture: RenderableType) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=80, no_color=True, legacy_windows=False).print(picture)
    return out.getvalue().splitlines()


def at(day: int, hour: int, minute: int = 0, *, zone: ZoneInfo = LONDON, month: int = 3) -> datetime:
    return datetime(2027, month, day, hour, minute, tzinfo=zone).astimezone(UTC)


def slots(
    start_at: datetime, count: int, *, minutes: int = 20, status: str = "open", doctor: int = 1
) -> list[WeekSlot]:
    length = timedelta(minutes=minutes)
    return [WeekSlot(doctor, start_at + k * length, start_at + (k + 1) * length, status) for k in range(count)]


def week_values(*week_slots: WeekSlot, **parts: Any) -> Week:
    given: dict[str, Any] = {"slug": "larkspur", "name": "Larkspur", "zone": LONDON, "first_day": MONDAY}
    given |= {"doctors": (WeekDoctor(1, "Larkspur"),)}
    return Week(slots=week_slots, **given | parts)


def week(*week_slots: WeekSlot, **parts: Any) -> list[str]:
    return drawn(week_calendar(week_values(*week_slots, **parts)))


def cell(lines: list[str], day: str, row: str) -> str:
    header = next(line for line in lines if day in line and "Larkspur" not in line)
    start = header.index(day)
    line = next(line for line in lines if line[1:].startswith(f"{row} "))
    return line[start : start + 10].strip()


def test_a_cell_counts_the_slots_that_start_in_it() -> None:
    lines = week(*slots(at(23, 9), 5))
    assert [cell(lines, "Tue 23", row) for row in ("09:00", "09:30", "10:00")] == ["○2", "○1", "○2"]
    assert cell(lines, "Mon 22", "09:00") == ""


def test_a_cell_distinguishes_the_statuses() -> None:
    begun = [slots(at(22, 9, 5 * k), 1, minutes=5, status=s)[0] for k, s in enumerate(("open", "reserved", "booked"))]
    assert cell(week(*begun), "Mon 22", "09:00") == "○1 ◐1 ●1"
    begun += slots(at(22, 9, 20), 1, status="cancelled")
    assert cell(week(*begun), "Mon 22", "09:00") == "○1◐1●1✕1"
    begun += slots(at(22, 9, 25), 1, minutes=5, status="taken")
    assert cell(week(*begun[:2], begun[-1]), "Mon 22", "09:00") == "○1 ◐1 ◌1"
    assert cell(week(*begun), "Mon 22", "09:00") == "○1◐1●1"  # where it is short, without them


def test_a_long_slot_goes_on_in_the_rows_below() -> None:
    lines = week(*slots(at(22, 9), 1, minutes=90))
    assert [cell(lines, "Mon 22", row) for row in ("09:00", "09:30", "10:00")] == ["○1", "┆", "┆"]
    assert not any(line.startswith(" 10:30") for line in lines)


def test_a_week_of_many_hours_has_a_row_an_hour() -> None:
    lines = week(*slots(at(22, 0), 72))
    assert cell(lines, "Mon 22", "23:00") == "○3"
    assert not any(line.startswith(" 09:30") for line in lines)


def test_an_empty_week_shows_office_hours() -> None:
    rows = [line[1:6] for line in week() if line[3:4] == ":"]
    assert (rows[0], rows[-1], len(rows)) == ("08:00", "17:30", 20)


def test_a3_the_strongest_exception_gives_a_cell_its_sign() -> None:
    types = [ExceptionType.EMERGENCY, ExceptionType.BLOCKED, ExceptionType.OVERRIDE]
    for kind, sign in zip(types, ("▓▓▓▓▓▓▓▓▓", "░░░░░░░░░", "≈"), strict=True):
        over = tuple(WeekException(1, each, at(22, 9), at(22, 10)) for each in types[types.index(kind) :])
        assert cell(week(*slots(at(22, 8), 3), exceptions=over), "Mon 22", "09:00") == sign


def test_a_booking_under_a_block_stays_visible() -> None:
    block = WeekException(1, ExceptionType.BLOCKED, at(22, 9), at(22, 10))
    assert cell(week(*slots(at(22, 9), 1, status="booked"), exceptions=(block,)), "Mon 22", "09:00") == "●1 ░░░░░░"


def test_an_exception_that_only_touches_a_cell_does_not_mark_it() -> None:
    block = WeekException(1, ExceptionType.BLOCKED, at(22, 9), at(22, 9, 30))
    lines = week(*slots(at(22, 9, 30), 2), exceptions=(block,))
    assert cell(lines, "Mon 22", "09:30") == "○2"


def test_a_closed_day_is_dotted_and_named() -> None:
    lines = week(
        *slots(at(22, 9), 3),
        closures=(WeekClosure(date(2027, 3, 26), "Good Friday"), WeekClosure(date(2027, 4, 26), "later")),
    )
    assert cell(lines, "Fri 26", "09:00") == "·········"
    assert [line.split() for line in lines if "closed:" in line] == [
        ["·", "Fri", "26", "Mar", "closed:", "Good", "Friday"]
    ]


def test_a_closed_time_is_dotted_and_named_with_its_times() -> None:
    half = WeekClosure(date(2027, 3, 22), "Fair", at(22, 10), at(23, 0))
    evening = WeekClosure(date(2027, 3, 21), None, at(21, 22), at(22, 9, 30))
    lines = week(*slots(at(22, 9), 6), closures=(evening, half))
    shown = {row: cell(lines, "Mon 22", row) for row in ("09:00", "09:30", "10:00")}
    assert shown == {"09:00": "○2 ······", "09:30": "○1", "10:00": "○2 ······"}
    assert [line.strip() for line in lines if "closed" in line][1:] == [
        "·  Sun 21 Mar 22:00 - Mon 22 Mar 09:30  closed",
        "·  Mon 22 Mar 10:00-24:00               closed: Fair",
    ]


def test_exceptions_of_the_week_are_listed_with_reasons_and_names() -> None:
    pipe = WeekException(1, ExceptionType.EMERGENCY, at(23, 22, 40), at(25, 2), "Burst pipe")
    april = WeekException(1, ExceptionType.BLOCKED, at(5, 9, month=4), at(5, 10, month=4), "April")
    doctors = tuple(WeekDoctor(number, f"Dr {name}") for number, name in enumerate("XYZ", 1))
    lines = week(exceptions=(pipe._replace(doctor_id=3), pipe, april), doctors=doctors)
    listed = [line.strip() for line in lines if "Burst" in line or "April" in line]
    assert listed == ["▓  Tue 23 Mar 22:40 - Thu 25 Mar 02:00  A Dr X, C Dr Z: Burst pipe"]
    lines = week(exceptions=tuple(pipe._replace(doctor_id=doctor.id) for doctor in doctors), doctors=doctors)
    assert any(line.rstrip().endswith("all doctors: Burst pipe") for line in lines)


def test_t3_an_hour_that_the_clock_skips_is_marked() -> None:
    lines = week(*slots(at(28, 0), 5))
    assert [cell(lines, "Sun 28", row) for row in ("00:30", "01:00", "01:30", "02:00")] == [
        "○1",
        "»»»»»»»»»",
        "»»»»»»»»»",
        "○2",
    ]
    assert cell(lines, "Sat 27", "01:00") == ""
    assert any("Sun 28 Mar 01:00  the clock goes forward to 02:00" in line for line in lines)


def test_t3_an_hour_that_the_clock_repeats_shows_twice() -> None:
    first = datetime(2027, 10, 31, 0, 30, tzinfo=UTC)  # 01:30 in summer time; the clock goes back half an hour later
    lines = week(*slots(first, 3, minutes=30), *slots(at(26, 9, month=10), 1), first_day=date(2027, 10, 25))
    rows = ("01:00", "01:00↻", "01:30", "01:30↻", "02:00")
    assert [cell(lines, "Sun 31", row) for row in rows] == ["", "○1", "○1", "○1", ""]
    assert cell(lines, "Sat 30", "01:00↻") == ""
    assert any("Sun 31 Oct 02:00  the clock goes back to 01:00" in line for line in lines)


def test_t3_half_an_hour_repeats_on_lord_howe() -> None:
    zone = ZoneInfo("Australia/Lord_Howe")
    begun = slots(datetime(2027, 4, 3, 14, 30, tzinfo=UTC), 4, minutes=30)
    lines = week(*begun, zone=zone, first_day=date(2027, 3, 29))
    assert [cell(lines, "Sun 04", row) for row in ("01:30", "01:30↻", "02:00")] == ["○1", "○1", "○1"]
    assert not any("01:00↻" in line for line in lines)


def test_slots_of_other_weeks_are_neither_drawn_nor_counted() -> None:
    lines = week(*slots(at(22, 9), 3), *slots(at(29, 9), 3))
    assert any("○ 3 open" in line for line in lines)


def test_every_line_fits_into_eighty_columns() -> None:
    long = WeekException(1, ExceptionType.BLOCKED, at(22, 9), at(22, 10), "a very long reason " * 12)
    lines = week(*slots(at(22, 0), 99, minutes=15), *slots(at(22, 0), 500, minutes=1), exceptions=(long,))
    assert max(map(len, lines)) <= 80


TWO = (WeekDoctor(1, "Ada Poe"), WeekDoctor(2, "Bea Roe"))
LEAVE = WeekException(1, ExceptionType.BLOCKED, at(22, 9), at(22, 10), "Leave")


def row_of(lines: list[str], doctor: str) -> list[str]:
    """Return the cells of a doctor's days."""
    line = next(line for line in lines if line[1:].startswith(f"{doctor} "))
    header = next(line for line in lines if line[1:].startswith("doctor "))
    starts = [header.index(day) for day in header.split("doctor")[1].split() if not day.isdigit()]
    return [line[start : start + 8].strip() for start in starts]


def test_a3_leave_of_one_doctor_hides_no_slot_of_another() -> None:
    lines = week(*slots(at(22, 8), 9, doctor=2), *slots(at(22, 8), 3), doctors=TWO, exceptions=(LEAVE,))
    shown = {row: cell(lines, "Mon 22", row) for row in ("08:30", "09:00", "09:30", "10:00")}
    assert shown == {"08:30": "○2", "09:00": "○2 ░A", "09:30": "○1 ░A", "10:00": "○2"}
    assert any(line.rstrip().endswith("A Ada Poe: Leave") for line in lines)


def test_a3_leave_of_the_only_doctor_at_work_is_marked_as_theirs() -> None:
    lines = week(doctors=TWO, exceptions=(LEAVE,))
    assert [cell(lines, day, "09:00") for day in ("Mon 22", "Tue 23")] == ["░A", ""]


def test_a3_an_exception_of_every_doctor_fills_the_cell() -> None:
    away = LEAVE, LEAVE._replace(doctor_id=2)
    assert cell(week(doctors=TWO, exceptions=away), "Mon 22", "09:00") == "░░░░░░░░░"
    mixed = LEAVE, LEAVE._replace(doctor_id=2, type=ExceptionType.EMERGENCY)
    assert cell(week(doctors=TWO, exceptions=mixed), "Mon 22", "09:00") == "▓B ░A"


def test_a6_an_exception_of_one_rule_fills_no_cell() -> None:
    lines = week(*slots(at(22, 9), 2), exceptions=(LEAVE._replace(rule_id=7),))
    assert cell(lines, "Mon 22", "09:00") == "○2 ░"
    assert any(line.rstrip().endswith("Larkspur: Leave (part of the rules)") for line in lines)
    both = LEAVE._replace(rule_id=7), LEAVE._replace(doctor_id=2)
    assert cell(week(doctors=TWO, exceptions=both), "Mon 22", "09:00") == "░AB"


def test_a_closed_day_stays_closed_beside_an_override_of_one() -> None:
    extra = LEAVE._replace(type=ExceptionType.OVERRIDE, doctor_id=2)
    lines = week(*slots(at(22, 9), 2, doctor=2), doctors=TWO, exceptions=(extra,), closures=(WeekClosure(MONDAY),))
    assert cell(lines, "Mon 22", "09:00") == "○2 ≈B ···"
    assert (row_of(lines, "A Ada Poe")[0], row_of(lines, "B Bea Roe")[0]) == ("·······", "○2 ≈ ··")


def test_days_of_each_doctor_tell_who_has_open_slots() -> None:
    given = [*slots(at(22, 9), 3), *slots(at(23, 9), 1, status="booked"), *slots(at(24, 9), 40, doctor=2, minutes=5)]
    away = LEAVE, LEAVE._replace(start_at=at(23, 0), end_at=at(25, 0))
    lines = week(*given, doctors=TWO, exceptions=away, closures=(WeekClosure(date(2027, 3, 26)),))
    assert row_of(lines, "A Ada Poe") == ["○3 ░", "●1 ░░░░", "░░░░░░░", "", "·······", "", ""]
    assert row_of(lines, "B Bea Roe") == ["", "", "○40", "", "·······", "", ""]


def test_a_single_doctor_is_named_in_the_title_only() -> None:
    lines = week(doctors=TWO[:1])
    assert lines[0].startswith("Larkspur (larkspur), Ada Poe, 22 Mar to 28 Mar 2027")
    assert not any("doctor" in line for line in lines)


def test_a_crowded_cell_keeps_the_sign_of_an_exception() -> None:
    twelve = tuple(WeekDoctor(number, f"Doctor {number}") for number in range(1, 13))
    away = tuple(LEAVE._replace(doctor_id=number) for number in range(1, 6))
    crowded = {
        "○5 ░ABCDE": {"open": 5},
        "○15░ABCDE": {"open": 15, "cancelled": 2},
        "○15●9░5": {"open": 15, "booked": 9, "cancelled": 2},
        "○15◐9●13░": {"open": 15, "reserved": 9, "booked": 13, "cancelled": 2},
        "○15●13░": {"open": 15, "reserved": 10, "booked": 13},
        "○150░": {"open": 150, "booked": 1130},
    }
    for expected, counts in crowded.items():
        given = [slot for status, count in counts.items() for slot in slots(at(22, 9), 1, status=status) * count]
        assert cell(week(*given, doctors=twelve, exceptions=away), "Mon 22", "09:00") == expected
        lines = week(*given, doctors=twelve, exceptions=away, closures=(WeekClosure(MONDAY),))
        assert cell(lines, "Mon 22", "09:00").endswith("·")
        alone = week(*given, exceptions=(LEAVE,))
        assert cell(alone, "Mon 22", "09:00").endswith("░")
        assert re.fullmatch(rf"○{counts['open']}( ?●\d+)? ?░ ?·+", row_of(lines, "A Doctor 1")[0])


def test_more_doctors_than_letters_are_counted() -> None:
    many = tuple(WeekDoctor(number, f"Doctor {number}") for number in range(1, 61))
    lines = week(doctors=many, exceptions=(LEAVE, LEAVE._replace(doctor_id=60)))
    assert cell(lines, "Mon 22", "09:00") == "░2"
    assert row_of(lines, "Doctor 60")[0] == "░░░░░░░"


@pytest.mark.parametrize("columns", [80, 100, 140, 300])
def test_a_week_fits_into_the_columns_of_the_terminal(columns: int) -> None:
    given = week_values(*slots(at(22, 9), 3), doctors=(WeekDoctor(1, "Dr " + "Long " * 20), *TWO[1:]))
    out = io.StringIO()
    Console(file=out, width=columns, no_color=True).print(week_calendar(given, columns=columns))
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= columns
    assert "".join(lines).count("Long") == 20


def test_b2_a_hold_that_has_ended_is_shown_as_open() -> None:
    slot = Slot(at(22, 9), at(22, 10), 1, 1)
    held = StoredSlot(1, slot, SlotStatus.RESERVED, reserved_until=at(20, 9))
    assert [status(held, BookingContext([held], now=now)) for now in (at(20, 8), at(20, 9))] == ["reserved", "open"]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (StoredSlot(1, GROUP, booked_count=1), "open"),
        (StoredSlot(1, GROUP, booked_count=2), "booked"),
        (StoredSlot(1, GROUP, booked_count=1, held_count=1), "reserved"),
        (StoredSlot(1, GROUP, SlotStatus.CANCELLED), "cancelled"),
    ],
)
def test_q3_a_slot_is_shown_as_open_while_a_place_is_left(stored: StoredSlot, shown: str) -> None:
    assert status(stored, BookingContext([stored], [Use(Span(at(22, 9), at(22, 10)), GROUP.identity)])) == shown


def test_s3_a_slot_is_shown_as_taken_while_the_doctor_is() -> None:
    stored = StoredSlot(1, GROUP)
    uses = [Use(Span(at(22, 9, 59), at(22, 11)), ends_at=at(20, 9))]
    contexts = (BookingContext([stored], uses, now) for now in (at(20, 8), at(20, 9)))
    assert [status(stored, context) for context in contexts] == ["taken", "open"]


def test_a_week_as_json_has_instants_with_the_offset_of_the_zone() -> None:
    given = week_values(
        *slots(at(28, 9), 1, doctor=2),
        *slots(at(22, 9), 1),
        doctors=TWO,
        exceptions=(LEAVE._replace(id=3),),
        closures=(WeekClosure(MONDAY, "Fair", id=4), WeekClosure(MONDAY, None, at(22, 9), at(22, 10))),
    )
    shown = json.loads(json.dumps(given.as_json()))
    nine, ten = "2027-03-22T09:00:00+00:00", "2027-03-22T10:00:00+00:00"
    first, last = shown.pop("slots")
    assert (first["start_at"], last["start_at"]) == (nine, "2027-03-28T09:00:00+01:00")
    assert (last["doctor_id"], set(last)) == (2, set(WeekSlot._fields))
    closed = {"day": "2027-03-22", "reason": "Fair", "start_at": None, "end_at": None, "id": 4}
    leave = {"doctor_id": 1, "type": "blocked", "start_at": nine, "end_at": ten, "reason": "Leave", "id": 3}
    assert shown == {
        "facility": {"slug": "larkspur", "name": "Larkspur", "zone": "Europe/London"},
        "first_day": "2027-03-22",
        "last_day": "2027-03-28",
        "doctors": [{"id": 1, "name": "Ada Poe"}, {"id": 2, "name": "Bea Roe"}],
        "exceptions": [leave | {"rule_id": None}],
        "closures": [closed, closed | {"reason": None, "start_at": nine, "end_at": ten, "id": None}],
    }


def test_a_reason_can_neither_steer_the_terminal_nor_be_markup() -> None:
    evil = WeekException(1, ExceptionType.BLOCKED, at(22, 9), at(22, 10), "\x1b[2J\x07[bold]x[/bold]")
    assert any("?[2J?[bold]x[/bold]" in line for line in week(exceptions=(evil,)))


def test_summary_has_the_figures_of_the_run() -> None:
    lines = drawn(summary_table(SUMMARY))
    assert lines[0].strip() == "Slots are generated"
    rows = [line.split() for line in lines if line.strip()]
    assert ["slots", "created", "89,217"] in rows
    assert ["time", "2.00", "s", "45,000", "slots", "a", "second"] in rows
    assert ["peak", "memory", "83", "MiB"] in rows
    assert not any("!" in line for line in lines)


@pytest.mark.parametrize("count", ["slots_conflicting", "slots_displaced", "schedules_failed"])
def test_count_that_needs_attention_has_a_sign(count: str) -> None:
    lines = drawn(summary_table(replace(SUMMARY, counts=COUNTS | {count: 3})))
    assert sum("! 3" in line for line in lines) == 1


def test_a_dry_run_says_that_nothing_was_written() -> None:
    assert "nothing was written" in drawn(summary_table(replace(SUMMARY, dry=True)))[0]


def test_a_run_of_no_time_has_no_speed() -> None:
    assert replace(SUMMARY, seconds=0.0).slots_a_second == 0


def test_runs_are_listed_in_the_order_given() -> None:
    run: dict[str, Any] = {
        "started_at": datetime(2027, 2, 1, 1, 30, tzinfo=UTC),
        "from_day": MONDAY,
        "until_day": date(2027, 6, 20),
        "engine_version": "1",
        "tzdata_version": "2026a",
    }
    runs = [GenerationRun(id=8, status="failed", **run), GenerationRun(id=7, status="succeeded", **run)]
    rows = [line.split() for line in drawn(runs_table(runs)) if "02-01 01:30" in line]
    assert [row[:6] for row in rows] == [
        ["8", "02-01", "01:30", "2027-03-22", "+90", "failed"],
        ["7", "02-01", "01:30", "2027-03-22", "+90", "succeeded"],
    ]


def test_the_list_of_runs_crops_no_count_of_seven_digits() -> None:
    run: dict[str, Any] = {"from_day": MONDAY, "until_day": MONDAY + timedelta(days=120), "status": "succeeded"}
    run |= {"started_at": at(1, 0), "slots_created": 1_689_197, "slots_retired": 1_000_001}
    run |= {"slots_conflicting": 2_345_678, "schedules_failed": 99_999}
    text = "\n".join(drawn(runs_table([GenerationRun(id=1234, **run)])))
    assert all(shown in text for shown in ("1234", "+120", "1,689,197", "1,000,001", "2,345,678", "99,999"))


def explained(*reasons: Reason, offered: tuple[Slot, ...] = (), nearest: Slot | None = None) -> list[str]:
    return drawn(explanation_table(Explanation(at(29, 0), at(29, 9), reasons, offered, nearest), zone=LONDON))


def test_an_explanation_shows_its_reasons_in_order_and_in_wall_clock_time() -> None:
    closed = Reason(
        ReasonCode.CLOSURE, at(29, 9), at(29, 12), "the facility is closed", tuple(at(29, h) for h in (9, 10))
    )
    outside = Reason(ReasonCode.OUTSIDE_RULES, at(29, 12), at(30, 0), "no rule opens this time")
    lines = [line.strip() for line in explained(closed, outside)]
    first = lines.index("1   Mon 29 Mar 09:00-12:00   closure         the facility is closed")
    assert lines[first + 1] == "09:00, 10:00"
    assert lines[first + 2] == "2   Mon 29 Mar 12:00-24:00   outside rules   no rule opens this time"


def test_explanation_has_the_comment_on_its_own_cause_only() -> None:
    """An exception, a closure and a slot may have the same number."""
    taken, closed = (
        Reason(code, at(29, 9), at(29, 12), f"{code} 7", cause_id=7)
        for code in (ReasonCode.EMERGENCY, ReasonCode.CLOSURE)
    )
    explanation = Explanation(at(29, 0), at(29, 9), (taken, closed), (), None)
    comments: dict[tuple[ReasonCode, Id | None], str] = {(ReasonCode.EMERGENCY, 7): "Burst pipe\x1b[2J"}
    lines = drawn(explanation_table(explanation, zone=LONDON, comments=comments))
    assert [line.strip().split("   ")[-1].strip() for line in lines if " 7" in line] == [
        "emergency 7: Burst pipe?[2J",
        "closure 7",
    ]


def test_an_explanation_names_the_nearest_slot_or_says_that_there_is_none() -> None:
    slot = Slot(at(30, 9), at(30, 9, 20), 1, 1)
    assert explained(nearest=slot)[-1] == "nearest offered: Tue 30 Mar 09:00-09:20"
    assert explained()[-1] == "nearest offered: none"


def test_an_explanation_summarizes_the_offered_slots() -> None:
    day = tuple(Slot(at(30, hour), at(30, hour, 20), 1, 1) for hour in (9, 10, 11))
    assert explained(offered=day)[-1] == "offered: 3 slots start Tue 30 Mar 09:00-11:00"
    assert explained(offered=day[:1])[-1] == "offered: 1 slot starts Tue 30 Mar 09:00"


def test_a_span_is_formatted_in_the_fewest_words() -> None:
    assert between(at(22, 9), at(22, 9), zone=LONDON) == "Mon 22 Mar 09:00"
    assert between(at(22, 9), at(22, 10), zone=LONDON) == "Mon 22 Mar 09:00-10:00"
    assert between(at(22, 0), at(23, 0), zone=LONDON) == "Mon 22 Mar 00:00-24:00"
    assert between(at(22, 0), at(24, 0), zone=LONDON) == "Mon 22 Mar 00:00 - Tue 23 Mar 24:00"


def test_t6_every_broken_promise_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """There are more of them than slots are listed: each patient has to be told."""
    told = datetime(2027, 3, 22, 9)
    promises = [
        BrokenPromise(number, "larkspur", told, "Europe/London", told.replace(hour=10), "Europe/Paris")
        for number in range(MAX_SLOTS_SHOWN + 2)
    ]
    promises.append(BrokenPromise(99, "larkspur", told, "Europe/London", None, "Europe/Nowhere"))
    report = Report(1, 1, RunResult(broken_promises=tuple(promises)))
    print_details(report)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(promises)
    booked = (
        "booked for another time: appointment {} at larkspur, the patient was told 2027-03-22 09:00 Europe/London; "
    )
    assert lines[1].strip() == booked.format(1) + "its start is now 2027-03-22 10:00 Europe/Paris"
    assert lines[-1].strip() == booked.format(99) + "the time zone Europe/Nowhere of the facility is unknown"
    listed = json.loads(json.dumps(details(report), default=str))["broken_promises"]
    assert [promise["appointment_id"] for promise in listed] == [promise.appointment_id for promise in promises]
    assert (listed[1]["promised_start"], listed[1]["local_start"]) == ("2027-03-22 09:00:00", "2027-03-22 10:00:00")


def test_the_peak_memory_is_that_of_the_process_alone() -> None:
    """A large process that starts a small one left its own peak in the figure of the small one."""
    child = "from scheduler.cli.generate import peak_memory; print(peak_memory())"
    large = f"import subprocess, sys; large = b'x' * 400_000_000; subprocess.run([sys.executable, '-c', {child!r}])"
    done = subprocess.run([sys.executable, "-c", large], capture_output=True, text=True, check=True)
    assert 10_000_000 < int(done.stdout) < 300_000_000
