"""The openings format: lines are read into places, and a broken line is refused with a reason."""

import json
import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.errors import InvalidInputError, InvalidScheduleError, NotFoundError
from scheduler.core.json_lines import LineError
from scheduler.core.releases import Release
from scheduler.core.schedules import Closure, ExceptionType, Schedule
from scheduler.openings.format.file import (
    BadLines,
    InvalidOpeningsError,
    OpeningsFile,
    places_to_import,
    read_openings,
)
from scheduler.openings.places import ClosedDay, Doctor, Place

DOCUMENT = (Path(__file__).parents[2] / "docs" / "openings.md").read_text(encoding="utf-8")
PLAIN: dict[str, Any] = {
    "code": "FYY76",
    "timezone": "Europe/London",
    "name": "Boots",
    "city": "Bourne",
    "postcode": "PE10 9NB",
    "phone": "01778 422007  ",
    "location": [-0.37, 52.76],
    "weekly": {"sunday": [], "monday": [["08:30", "12:30"], ["13:30", "18:00"]], "tuesday": None},
    "alterations": {"2016-12-26": [["10:00", "16:00"]], "2017-01-01": []},
}
FULL: dict[str, Any] = {
    "code": "night-clinic",
    "timezone": "America/New_York",
    "name": "Night Clinic",
    "country": "US",
    "locale": "en-US",
    "slot_minutes": 30,
    "capacity": 2,
    "weekly": {"Friday": [["22:00", "06:00"]]},
    "closures": {"2027-02-15": "Presidents' Day", "2027-03-01": None},
    "alterations": {"2027-03-05": [["20:00", "02:00"]]},
    "exceptions": [
        {"type": "emergency", "start": "2027-02-23T22:40", "end": "2027-02-25T02:00", "reason": "Burst pipe"}
    ],
    "doctors": [
        {
            "code": "Ann",
            "first_name": "Ann",
            "last_name": "Able",
            "specialty": "Nursing",
            "role": "nurse",
            "clinics": [
                {"code": "Group", "day": "tuesday", "opens": "17:00", "closes": "19:00", "slot_minutes": 60}
                | {"recurrence": "FREQ=MONTHLY;BYDAY=2TU", "alignment_minutes": 15, "capacity": 8}
                | {"release": {"days_before": 7, "at": "08:00"}},
            ],
            "exceptions": [
                {"type": "blocked", "start": "2027-03-09T17:00", "end": "2027-03-09T24:00", "clinic": "group"}
            ],
        },
        {"code": "bob", "first_name": "Bob", "last_name": "Best", "display_name": "Dr Best", "interval_minutes": 15},
    ],
}


def read(tmp_path: Path, *lines: Any) -> OpeningsFile:
    path = tmp_path / "openings.jsonl"
    raw = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    path.write_bytes(b"\n".join(raw))
    return read_openings(path)


def read_one(tmp_path: Path, line: Any) -> Place:
    file = read(tmp_path, line)
    assert file.faults == ()
    return file.places[0]


BARE: dict[str, Any] = {"code": "a", "name": "A", "timezone": "Europe/London", "weekly": {}}
PERSON = {"code": "p", "first_name": "P", "last_name": "Q"}


def schedule_of(tmp_path: Path, **fields: Any) -> Schedule:
    return read_one(tmp_path, BARE | fields).doctors[0].schedule


def fault_of(tmp_path: Path, line: Any) -> str:
    file = read(tmp_path, line)
    assert file.places == ()
    assert len(file.faults) == 1
    assert file.faults[0].line == 1
    return file.faults[0].reason


def test_a_plain_line_is_a_place_with_one_doctor(tmp_path: Path) -> None:
    place = read_one(tmp_path, PLAIN)
    assert (place.slug, place.name, place.zone.key) == ("fyy76", "Boots", "Europe/London")
    assert (place.address, place.phone) == ("Bourne, PE10 9NB", "01778 422007")
    assert json.loads(place.further) == {"location": [-0.37, 52.76]}
    assert [doctor.display_name for doctor in place.doctors] == ["Boots"]


def test_each_weekly_pair_is_a_rule(tmp_path: Path) -> None:
    rules = read_one(tmp_path, PLAIN).doctors[0].schedule.rules
    assert [(rule.id, rule.day_of_week, rule.start_time, rule.end_time) for rule in rules] == [
        ("monday 08:30", 1, time(8, 30), time(12, 30)),
        ("monday 13:30", 1, time(13, 30), time(18)),
    ]
    assert {rule.slot_duration for rule in rules} == {timedelta(minutes=20)}


def test_altered_pairs_become_overrides_and_an_empty_day_is_blocked(tmp_path: Path) -> None:
    exceptions = read_one(tmp_path, PLAIN).doctors[0].schedule.exceptions
    assert [(exception.id, exception.type, exception.start_at, exception.end_at) for exception in exceptions] == [
        (
            "override 2016-12-26T10:00",
            ExceptionType.OVERRIDE,
            datetime(2016, 12, 26, 10, tzinfo=UTC),
            datetime(2016, 12, 26, 16, tzinfo=UTC),
        ),
        (
            "blocked 2017-01-01T00:00",
            ExceptionType.BLOCKED,
            datetime(2017, 1, 1, tzinfo=UTC),
            datetime(2017, 1, 2, tzinfo=UTC),
        ),
    ]


def test_a_closed_day_is_as_long_as_that_local_day(tmp_path: Path) -> None:
    closed: dict[str, list[Any]] = {"2027-03-28": [], "2027-10-31": []}
    exceptions = schedule_of(tmp_path, alterations=closed).exceptions
    lengths = [exception.end_at - exception.start_at for exception in exceptions]
    assert lengths == [timedelta(hours=23), timedelta(hours=25)]


def test_t2_an_altered_pair_that_closes_before_it_opens_ends_next_day(tmp_path: Path) -> None:
    altered = {"2027-02-01": [["22:00", "06:00"]], "2027-02-03": [["09:00", "09:00"]]}
    night, day = schedule_of(tmp_path, alterations=altered).exceptions
    assert (night.start_at, night.end_at) == (
        datetime(2027, 2, 1, 22, tzinfo=UTC),
        datetime(2027, 2, 2, 6, tzinfo=UTC),
    )
    assert (day.type, day.start_at, day.end_at) == (
        ExceptionType.OVERRIDE,
        datetime(2027, 2, 3, 9, tzinfo=UTC),
        datetime(2027, 2, 4, 9, tzinfo=UTC),
    )


def test_t2_a_whole_day_may_be_written_in_two_ways(tmp_path: Path) -> None:
    weekly = {"monday": [["00:00", "24:00"]], "tuesday": [["00:00", "00:00"]]}
    altered = {"2027-02-01": [["00:00", "24:00"]], "2027-02-02": [["00:00", "00:00"]]}
    schedule = schedule_of(tmp_path, weekly=weekly, alterations=altered)
    assert [(rule.start_time, rule.end_time) for rule in schedule.rules] == [(time(0), time(0))] * 2
    assert [exception.end_at - exception.start_at for exception in schedule.exceptions] == [timedelta(days=1)] * 2


def test_t3_a_day_that_the_zone_skipped_yields_nothing(tmp_path: Path) -> None:
    altered = {"2011-12-30": [], "2011-12-29": [["09:00", "10:00"]]}
    skipped_open = altered | {"2011-12-30": [["09:00", "10:00"]]}
    for alterations in (altered, skipped_open):
        schedule = schedule_of(tmp_path, timezone="Pacific/Apia", alterations=alterations)
        assert [exception.id for exception in schedule.exceptions] == ["override 2011-12-29T09:00"]


def test_t3_a_day_open_only_at_skipped_hours_is_closed(tmp_path: Path) -> None:
    (only,) = schedule_of(tmp_path, alterations={"2027-03-28": [["01:10", "01:50"]]}).exceptions
    assert only.type is ExceptionType.BLOCKED
    assert only.end_at - only.start_at == timedelta(hours=23)


def test_t3_an_exception_at_skipped_hours_yields_nothing(tmp_path: Path) -> None:
    skipped = {"type": "blocked", "start": "2027-03-28T01:10", "end": "2027-03-28T01:50"}
    assert schedule_of(tmp_path, exceptions=[skipped]).exceptions == ()


def test_an_unknown_altered_day_changes_nothing(tmp_path: Path) -> None:
    assert schedule_of(tmp_path, alterations={"2027-03-28": None}).exceptions == ()


def test_empty_weekly_hours_yield_no_rules(tmp_path: Path) -> None:
    for weekly in ({}, {"monday": None}):
        assert schedule_of(tmp_path, weekly=weekly).rules == ()


def test_a_place_that_gives_no_hours_is_refused(tmp_path: Path) -> None:
    """The import would take all its rules away: the hours stand under another name, or were forgotten."""
    without = {name: value for name, value in BARE.items() if name != "weekly"}
    assert fault_of(tmp_path, without).startswith("no hours are given")
    assert fault_of(tmp_path, without | {"doctors": [PERSON]}).startswith("doctors: number 1: no hours are given")


@pytest.mark.parametrize("hours", [{"weekly": None}, {"weekly": None, "clinics": []}, {"doctors": [PERSON]}])
def test_null_hours_are_none(tmp_path: Path, hours: dict[str, Any]) -> None:
    """The opening times of a region have such places; an import that takes rules away by one asks first."""
    assert schedule_of(tmp_path, **({"weekly": None} | hours)).rules == ()


def test_null_hours_of_a_doctor_are_those_of_the_place(tmp_path: Path) -> None:
    hours = {"monday": [["09:00", "12:00"]]}
    assert len(schedule_of(tmp_path, weekly=hours, doctors=[PERSON | {"weekly": None}]).rules) == 1


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Weekly", "weekly"),
        ("WEEKLY", "weekly"),
        ("wekly", "weekly"),
        ("weeklys", "weekly"),
        ("openingHours", "weekly"),
        ("opening_hours", "weekly"),
        ("time_zone", "timezone"),
        ("slotMinutes", "slot_minutes"),
        ("slot-minutes", "slot_minutes"),
        ("slot_length", "slot_minutes"),
        ("closure", "closures"),
        ("holidays", "closures"),
        ("exeptions", "exceptions"),
        ("alteration", "alterations"),
        ("doctor", "doctors"),
        ("Capacity", "capacity"),
    ],
)
def test_a_field_like_a_known_one_is_refused(tmp_path: Path, name: str, meant: str) -> None:
    """As a field of its own it would be kept in `further`, and the known field would count as missing."""
    assert fault_of(tmp_path, BARE | {name: {}}) == f"unknown field {name!r}: did you mean {meant!r}?"


@pytest.mark.parametrize(
    "name", ["location", "phone2", "county", "County", "website", "email", "region", "ods_code", "parking", "notes"]
)
def test_other_unknown_fields_are_kept(tmp_path: Path, name: str) -> None:
    assert json.loads(read_one(tmp_path, BARE | {name: 1}).further) == {name: 1}


def test_every_documented_field_of_a_place_is_known(tmp_path: Path) -> None:
    table = DOCUMENT.partition("## A place")[2].partition("| any other")[0]
    fields = [name for row in table.splitlines() for name in re.findall("`([a-z_]+)`", row.partition(" | ")[0])]
    assert len(fields) > 15
    values = {"slot_minutes": 10, "interval_minutes": 10, "alignment_minutes": 10, "capacity": 1, "country": "GB"}
    line = BARE | {name: None for name in fields if name not in BARE} | values
    assert read_one(tmp_path, line).further == "{}"


def test_overlapping_and_equal_pairs_stay_as_given(tmp_path: Path) -> None:
    rules = schedule_of(tmp_path, weekly={"monday": [["09:00", "12:00"], ["09:00", "12:00"], ["10:00", "11:00"]]}).rules
    assert [rule.id for rule in rules] == ["monday 09:00", "monday 09:00 #2", "monday 10:00"]


def test_a_time_may_have_seconds(tmp_path: Path) -> None:
    (rule,) = schedule_of(tmp_path, weekly={"monday": [["09:00:30", "12:00:15"]]}).rules
    assert (rule.id, rule.start_time, rule.end_time) == ("monday 09:00:30", time(9, 0, 30), time(12, 0, 15))


def test_the_default_slot_duration_applies_to_lines_without_one(tmp_path: Path) -> None:
    path = tmp_path / "openings.jsonl"
    path.write_text(json.dumps(PLAIN) + "\n" + json.dumps(FULL), encoding="utf-8")
    plain, full = read_openings(path, slot_duration=timedelta(minutes=7)).places
    assert plain.doctors[0].schedule.rules[0].slot_duration == timedelta(minutes=7)
    assert full.doctors[1].schedule.rules[0].slot_duration == timedelta(minutes=30)


def test_names_do_not_depend_on_the_order_within_a_line(tmp_path: Path) -> None:
    turned = PLAIN | {
        "weekly": {"MONDAY": [["13:30", "18:00"], ["08:30", "12:30"]]},
        "alterations": dict(reversed(PLAIN["alterations"].items())),
    }
    assert read_one(tmp_path, turned) == read_one(tmp_path, PLAIN)


def test_doctors_have_schedules_of_their_own(tmp_path: Path) -> None:
    ann, bob = read_one(tmp_path, FULL).doctors
    assert [rule.id for rule in ann.schedule.rules] == ["clinic group"]
    assert [rule.id for rule in bob.schedule.rules] == ["friday 22:00"]
    assert (ann.display_name, ann.specialty, ann.role, bob.display_name) == ("Ann Able", "Nursing", "nurse", "Dr Best")


def test_a2_a_clinic_sets_every_field_of_a_rule(tmp_path: Path) -> None:
    rule = read_one(tmp_path, FULL).doctors[0].schedule.rules[0]
    assert (rule.day_of_week, rule.start_time, rule.end_time) == (2, time(17), time(19))
    assert (rule.slot_duration, rule.slot_interval) == (timedelta(minutes=60), None)
    assert (rule.slot_alignment, rule.capacity, rule.recurrence) == (
        timedelta(minutes=15),
        8,
        "FREQ=MONTHLY;BYDAY=2TU",
    )
    assert rule.release == Release(7, time(8))


def test_q5_doctors_and_clinics_inherit_the_release_of_their_place(tmp_path: Path) -> None:
    ann, bob = read_one(tmp_path, FULL | {"release": {"days_before": 0, "at": "06:00:30"}}).doctors
    releases = [doctor.schedule.rules[0].release for doctor in (ann, bob)]
    assert releases == [Release(7, time(8)), Release(0, time(6, 0, 30))]
    assert read_one(tmp_path, FULL).doctors[1].schedule.rules[0].release is None


def test_a_doctor_inherits_missing_slot_fields(tmp_path: Path) -> None:
    rule = read_one(tmp_path, FULL).doctors[1].schedule.rules[0]
    assert (rule.slot_duration, rule.slot_interval, rule.capacity) == (
        timedelta(minutes=30),
        timedelta(minutes=15),
        2,
    )


def test_a_slot_length_of_its_own_does_not_inherit_an_interval(tmp_path: Path) -> None:
    clinic = {"day": "monday", "opens": "09:00", "closes": "12:00", "slot_minutes": 45}
    (rule,) = schedule_of(tmp_path, interval_minutes=5, clinics=[clinic]).rules
    assert rule.slot_interval is None


def test_an_exception_of_the_place_concerns_every_doctor(tmp_path: Path) -> None:
    for doctor in read_one(tmp_path, FULL).doctors:
        exceptions = doctor.schedule.exceptions
        (pipe,) = (exception for exception in exceptions if exception.type is ExceptionType.EMERGENCY)
        assert (pipe.start_at, pipe.end_at) == (
            datetime(2027, 2, 24, 3, 40, tzinfo=UTC),
            datetime(2027, 2, 25, 7, tzinfo=UTC),
        )
        assert dict(doctor.reasons)[pipe.id] == "Burst pipe"


def test_a6_an_exception_may_concern_one_clinic(tmp_path: Path) -> None:
    ann, bob = read_one(tmp_path, FULL).doctors
    blocks = [exception for exception in ann.schedule.exceptions if exception.type is ExceptionType.BLOCKED]
    assert [block.rule_id for block in blocks] == ["clinic group"]
    assert [exception for exception in bob.schedule.exceptions if exception.rule_id is not None] == []


def test_a6_a_places_exception_for_a_clinic_concerns_only_its_doctor(tmp_path: Path) -> None:
    block = {"type": "blocked", "start": "2027-04-13", "end": "2027-04-14T00:00", "clinic": "GROUP"}
    block["start"] += "T00:00"
    ann, bob = read_one(tmp_path, FULL | {"exceptions": [block], "alterations": {}}).doctors
    assert len(ann.schedule.exceptions) == 2
    assert bob.schedule.exceptions == ()


def test_closures_reach_every_schedule(tmp_path: Path) -> None:
    place = read_one(tmp_path, FULL)
    assert place.closures == (ClosedDay(date(2027, 2, 15), "Presidents' Day"), ClosedDay(date(2027, 3, 1)))
    assert [[closure.day for closure in doctor.schedule.closures] for doctor in place.doctors] == [
        [date(2027, 2, 15), date(2027, 3, 1)]
    ] * 2


def test_a2_a_clinic_without_a_day_is_open_when_its_recurrence_says(tmp_path: Path) -> None:
    every_second_day = {"opens": "09:00", "closes": "12:00", "recurrence": "FREQ=DAILY;INTERVAL=2"}
    first_day = {"effective_from": "2027-03-02"}
    (rule,) = schedule_of(tmp_path, weekly=None, alterations=None, clinics=[every_second_day | first_day]).rules
    assert (rule.id, rule.day_of_week, rule.effective_from) == ("any day 09:00", None, date(2027, 3, 2))


def test_a3_a_closed_time_has_its_times_and_its_reason(tmp_path: Path) -> None:
    afternoon = {"from": "13:00", "until": "24:00", "reason": " Christmas Eve "}
    place = read_one(
        tmp_path,
        FULL
        | {
            "closures": {
                "2027-12-24": afternoon,
                "2027-12-31": [{"from": "22:00:30", "until": "06:00"}, {"from": "12:00", "until": "13:00"}],
            }
        },
    )
    christmas_eve, new_year = date(2027, 12, 24), date(2027, 12, 31)
    assert place.closures == (
        ClosedDay(christmas_eve, "Christmas Eve", time(13), time(0)),
        ClosedDay(new_year, None, time(22, 0, 30), time(6)),
        ClosedDay(new_year, None, time(12), time(13)),
    )
    for doctor in place.doctors:
        assert doctor.schedule.closures == (
            Closure("2027-12-24 13:00:00-00:00:00", christmas_eve, time(13), time(0)),
            Closure("2027-12-31 22:00:30-06:00:00", new_year, time(22, 0, 30), time(6)),
            Closure("2027-12-31 12:00:00-13:00:00", new_year, time(12), time(13)),
        )


def test_blank_lines_carriage_returns_and_a_byte_order_mark_are_accepted(tmp_path: Path) -> None:
    file = read(
        tmp_path, b"\xef\xbb\xbf" + json.dumps(PLAIN).encode() + b"\r", b"", b"  ", json.dumps(FULL).encode(), b""
    )
    assert [place.slug for place in file.places] == ["fyy76", "night-clinic"]
    assert file.faults == ()


def test_a_repeated_place_code_is_a_line_error(tmp_path: Path) -> None:
    file = read(tmp_path, PLAIN, PLAIN | {"code": "fyy76"})
    assert len(file.places) == 1
    assert file.faults == (LineError(2, "code 'fyy76' is also that of line 1"),)


def test_a_doctor_code_with_two_names_is_a_line_error(tmp_path: Path) -> None:
    elsewhere = FULL | {"code": "b", "doctors": [FULL["doctors"][1] | {"display_name": "Dr Worst"}], "exceptions": []}
    file = read(tmp_path, FULL, elsewhere)
    assert file.faults == (LineError(2, "doctor 'bob' is 'Dr Worst' here and 'Dr Best' on line 1"),)


def test_a_line_after_a_broken_one_is_read(tmp_path: Path) -> None:
    file = read(tmp_path, b"{", PLAIN)
    assert [fault.line for fault in file.faults] == [1]
    assert [place.slug for place in file.places] == ["fyy76"]


BLOCK = {"type": "blocked", "start": "2027-02-01T09:00", "end": "2027-02-01T10:00"}
CLINIC = {"day": "monday", "opens": "09:00", "closes": "12:00"}
BROKEN: list[tuple[dict[str, Any], str]] = [
    ({"code": None}, "code is missing"),
    ({"code": "a/b"}, "code 'a/b' must be letters and digits, joined by '-', '_' or '.'"),
    ({"code": "a" * 256}, "is longer than 255 characters"),
    ({"name": "  "}, "name is missing"),
    ({"name": 7}, "name must be text, not 7"),
    ({"name": "n" * 256}, "is longer than 255 characters"),
    ({"name": "two\nlines"}, "name 'two\\nlines' contains a control character"),
    ({"phone": "1" * 51}, "is longer than 50 characters"),
    ({"country": "gb"}, "country 'gb' must be two capital letters"),
    ({"timezone": "Europe/Londinium"}, "unknown time zone 'Europe/Londinium'"),
    ({"timezone": None}, "timezone must be an IANA name"),
    ({"weekly": []}, "weekly must be an object, not a list"),
    ({"weekly": {"mondy": []}}, "weekly: 'mondy' is not a day of the week"),
    ({"weekly": {"monday": [], "Monday": []}}, "weekly: monday appears twice"),
    ({"weekly": {"monday": {}}}, "weekly: monday must be a list, not an object"),
    ({"weekly": {"monday": ["09:00", "10:00"]}}, "expected a pair [opens, closes], not '09:00'"),
    ({"weekly": {"monday": [["09:00"]]}}, "expected a pair [opens, closes]"),
    ({"weekly": {"monday": [["9:00", "10:00"]]}}, "weekly: monday: '9:00' is not a time of day"),
    ({"weekly": {"monday": [["09:00", "25:00"]]}}, "'25:00' is not a time of day"),
    ({"weekly": {"monday": [["24:00", "10:00"]]}}, "'24:00' is not a time of day"),
    ({"weekly": {"monday": [["09:00", "24:01"]]}}, "'24:01' is not a time of day"),
    ({"weekly": {"monday": [["09:00", "10:00+02"]]}}, "is not a time of day"),
    ({"weekly": {"monday": [["\uff10\uff19:00", "10:00"]]}}, "is not a time of day"),
    ({"weekly": {"monday": [[9, 10]]}}, "9 is not a time of day"),
    ({"alterations": {"2027-02-30": []}}, "alterations: '2027-02-30' is not a day"),
    ({"alterations": {"20270201": []}}, "'20270201' is not a day"),
    ({"alterations": {"0001-01-01": []}}, "in the years 2 to 9998"),
    ({"alterations": {"9999-01-01": []}}, "in the years 2 to 9998"),
    ({"alterations": "never"}, "alterations must be an object, not a text"),
    ({"closures": {"2027-02-01": 4}}, "closures: 2027-02-01 must be text, not 4"),
    ({"closures": {"2027-02-01": []}}, "closures: 2027-02-01: a list of closed times must have at least one"),
    ({"closures": {"2027-02-01": ["13:00"]}}, "closures: 2027-02-01: expected a JSON object, not a text"),
    (
        {"closures": {"2027-02-01": [{"from": "13:00", "until": "24:00"}, {"from": "13:00", "until": "00:00"}]}},
        "closures: 2027-02-01: the closed time from 13:00 until 00:00 is given twice",
    ),
    ({"closures": ["2027-02-01"]}, "closures must be an object, not a list"),
    ({"closures": {"2027-02-01": {"until": "24:00"}}}, "closures: 2027-02-01: from: None is not a time of day"),
    ({"closures": {"2027-02-01": {"from": "24:00"}}}, "closures: 2027-02-01: from: '24:00' is not a time of day"),
    ({"closures": {"2027-02-01": {"from": "13:00"}}}, "closures: 2027-02-01: until: None is not a time of day"),
    (
        {"closures": {"2027-02-01": {"from": "13:00", "until": "24:00", "why": "?"}}},
        "closures: 2027-02-01: unknown field 'why'",
    ),
    (
        {"clinics": [{"opens": "09:00", "closes": "12:00", "recurrence": "FREQ=DAILY"}]},
        "clinics: number 1: a clinic whose recurrence says the days needs effective_from",
    ),
    ({"slot_minutes": 0}, "slot_minutes must be a whole number from 1 to 1440, not 0"),
    ({"slot_minutes": -20}, "not -20"),
    ({"slot_minutes": 1441}, "not 1441"),
    ({"slot_minutes": 2.5}, "not 2.5"),
    ({"slot_minutes": True}, "not True"),
    ({"slot_minutes": 10**400}, "slot_minutes must be a whole number"),
    ({"capacity": 0}, "capacity must be a whole number from 1 to 10000, not 0"),
    ({"release": 7}, "release: expected a JSON object, not a number"),
    ({"release": {"at": "08:00"}}, "release: days_before must be a whole number from 0, not None"),
    ({"release": {"days_before": True, "at": "08:00"}}, "release: days_before must be a whole number from 0, not True"),
    ({"release": {"days_before": -1, "at": "08:00"}}, "release: days_before must be"),
    ({"release": {"days_before": 367, "at": "08:00"}}, "release: days_before must be at most 366, not 367"),
    ({"release": {"days_before": 1}}, "release: at: None is not a time of day such as 08:30"),
    ({"release": {"days_before": 1, "at": "24:00"}}, "release: at: '24:00' is not a time of day such as 08:30"),
    ({"release": {"days_before": 1, "at": "08:00", "for": "web"}}, "release: unknown field 'for'"),
    ({"clinics": [CLINIC | {"release": {"days_before": 0, "at": "23:00"}}]}, "release"),
    ({"clinics": [CLINIC | {"day": 1}]}, "clinics: number 1: day: 1 is not a day of the week"),
    ({"clinics": [CLINIC | {"notes": 1}]}, "clinics: number 1: unknown field 'notes'"),
    ({"clinics": [CLINIC | {"recurrence": "FREQ=HOURLY"}]}, "FREQ must be one of"),
    ({"clinics": [CLINIC | {"recurrence": "FREQ=WEEKLY;INTERVAL=2"}]}, "counts from an anchor: set effective_from"),
    (
        {"clinics": [CLINIC | {"effective_from": "2027-02-02", "effective_until": "2027-02-01"}]},
        "effective_until 2027-02-01 is before effective_from 2027-02-02",
    ),
    ({"clinics": [CLINIC | {"code": "x"}, CLINIC | {"code": "X"}]}, "clinics: two clinics have the code 'x'"),
    ({"clinics": ["monday"]}, "clinics: number 1: expected a JSON object, not a text"),
    ({"exceptions": [BLOCK | {"type": "holiday"}]}, "type must be one of override, blocked, emergency, not 'holiday'"),
    ({"exceptions": [BLOCK | {"start": "2027-02-01T09:00Z"}]}, "is not a local time such as 2027-03-28T09:00"),
    ({"exceptions": [BLOCK | {"end": "2027-02-01T09:00"}]}, "end 2027-02-01 09:00 is not after start 2027-02-01 09:00"),
    ({"exceptions": [BLOCK | {"capacity": 2}]}, "only an override may set slot fields"),
    ({"exceptions": [BLOCK | {"clinic": "x"}]}, "exceptions: number 1: there is no clinic with the code 'x'"),
    ({"exceptions": [BLOCK | {"why": "x"}]}, "exceptions: number 1: unknown field 'why'"),
    (
        {"exceptions": [BLOCK | {"type": "override", "end": "2027-02-02T09:30"}]},
        "an override spans at most one day on the clock of Europe/London",
    ),
    ({"doctors": []}, "doctors must be a list with at least one doctor, not a list"),
    ({"doctors": [PERSON | {"code": None}]}, "doctors: number 1: code is missing"),
    ({"doctors": [PERSON | {"last_name": None}]}, "doctors: number 1: last_name is missing"),
    ({"doctors": [PERSON | {"weekly": {"x": []}}]}, "doctors: number 1: weekly: 'x' is not a day of the week"),
    ({"doctors": [PERSON | {"salary": 1}]}, "doctors: number 1: unknown field 'salary'"),
    ({"doctors": [PERSON, PERSON | {"code": "P"}]}, "doctor 'p' is listed twice"),
    ({"note": "NUL \0 here"}, "contains a NUL or a lone surrogate"),
    ({"note": ["\ud800"]}, "contains a NUL or a lone surrogate"),
    ({"\ud800": 1}, "contains a NUL or a lone surrogate"),
    ({"note": float("nan")}, "NaN is not a number"),
    ({"note": float("inf")}, "Infinity is not a number"),
]


@pytest.mark.parametrize(("change", "reason"), BROKEN, ids=[reason for _, reason in BROKEN])
def test_a_broken_line_is_an_error_that_names_the_mistake(change: Any, reason: str, tmp_path: Path) -> None:
    assert reason in fault_of(tmp_path, BARE | change)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff\xfe{}", "byte 1 is not UTF-8"),
        (b"{", "the line is not JSON"),
        (b"[]", "expected a JSON object, not a list"),
        (b'{"code": "a", "code": "b"}', "the field 'code' appears twice"),
        (b'{"number": 1e400}', "the number '1e400' is too large"),
        (b'{"number": ' + b"9" * 5000 + b"}", "the line is not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "the JSON is nested too deep"),
        (b'{"note": ' + b"[" * 16 + b"]" * 16 + b"}", "the JSON is nested more than 16 levels deep"),
        (b'"' + b"x" * 1_000_000 + b'"', "the line is longer than 1,000,000 bytes"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_a_line_that_is_no_object_is_an_error(line: bytes, reason: str, tmp_path: Path) -> None:
    assert reason in fault_of(tmp_path, line)


def test_a_long_reason_is_cut(tmp_path: Path) -> None:
    line = {"code": "a", "name": "A", "timezone": "Europe/London", "clinics": [CLINIC | {"recurrence": "X" * 250}]}
    reason = fault_of(tmp_path, line)
    assert (len(reason), reason[-3:]) == (300, "...")


def test_line_numbers_continue_after_a_line_that_is_too_long(tmp_path: Path) -> None:
    file = read(tmp_path, b"x" * 3_000_000, PLAIN, b"{")
    assert [fault.line for fault in file.faults] == [1, 3]
    assert [place.slug for place in file.places] == ["fyy76"]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        read_openings(tmp_path / "nowhere.jsonl")
    with pytest.raises(InvalidInputError, match="cannot be read: Is a directory"):
        read_openings(tmp_path)
    with pytest.raises(InvalidInputError, match="cannot be read: embedded null"):
        read_openings("a\0b")


def test_an_endless_file_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="is larger than 256,000,000 bytes"):
        read_openings("/dev/zero")


@pytest.mark.parametrize("minutes", [0, -1, 0.5, 1441])
def test_a_slot_duration_that_no_rule_can_hold_is_refused(minutes: float, tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="slot duration"):
        read_openings(tmp_path / "x", slot_duration=timedelta(minutes=minutes))


def test_broken_lines_are_skipped_only_on_request(tmp_path: Path) -> None:
    file = read(tmp_path, b"{", PLAIN, b"}")
    with pytest.raises(InvalidOpeningsError, match="2 lines are broken, first line 1: the line is not JSON") as caught:
        places_to_import(file)
    assert caught.value.faults == file.faults
    assert places_to_import(file, bad_lines=BadLines.SKIP) == file.places
    assert places_to_import(OpeningsFile(file.places, ())) == file.places


def test_a_place_refuses_a_schedule_of_another_place(tmp_path: Path) -> None:
    place = read_one(tmp_path, FULL)
    ann = place.doctors[0]
    with pytest.raises(InvalidScheduleError, match="belongs to 'night-clinic' in America/New_York"):
        Place("elsewhere", "Elsewhere", place.zone, (ann,))
    with pytest.raises(InvalidScheduleError, match="the schedule has no exception 'x' to give a reason for"):
        Doctor("ann", "Ann", "Able", "Ann Able", ann.schedule, reasons=(("x", "why"),))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["09:00", "24:00", "2027-02-01", "2027-03-28T01:30", "monday", "blocked", "FREQ=DAILY;COUNT=1"])
)
NAMES = st.sampled_from(sorted({*PLAIN, *FULL, *CLINIC, *BLOCK, *PERSON, "monday", "2027-02-01"})) | st.text(max_size=3)
ANY_JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)


def mutated(draw: st.DrawFn, value: Any) -> Any:
    """Replace a random value inside, or drop or add a field."""
    if isinstance(value, dict) and value and draw(st.integers(0, 4)):
        name = draw(st.sampled_from(sorted(value)))
        match draw(st.sampled_from(["into", "into", "into", "drop", "add"])):
            case "into":
                return value | {name: mutated(draw, value[name])}
            case "drop":
                return {other: kept for other, kept in value.items() if other != name}
            case _:
                return value | {draw(NAMES): draw(ANY_JSON)}
    if isinstance(value, list) and value and draw(st.integers(0, 4)):
        place = draw(st.integers(0, len(value) - 1))
        return [*value[:place], mutated(draw, value[place]), *value[place + 1 :]]
    return draw(ANY_JSON)


@st.composite
def broken_lines(draw: st.DrawFn) -> bytes:
    line = mutated(draw, draw(st.sampled_from([PLAIN, FULL])))
    return json.dumps(line).encode()


@given(
    st.lists(
        broken_lines() | ANY_JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=40), max_size=4
    )
)
def test_any_broken_line_is_refused_and_does_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    file = read(tmp_path_factory.getbasetemp(), *lines)
    for fault in file.faults:
        assert fault.line >= 1
        assert 0 < len(fault.reason) <= 300
        assert fault.reason.isprintable()
    slugs = {place.slug for place in file.places}
    assert len(slugs) == len(file.places)


DOCS = Path(__file__).parents[2] / "docs" / "openings.md"


def test_the_examples_of_the_docs_are_read_as_written(tmp_path: Path) -> None:
    blocks = [json.loads(block.split("```")[0]) for block in DOCS.read_text(encoding="utf-8").split("```json\n")[1:]]
    place, doctor_fields, clinic, exception_fields = blocks
    line = place | {"doctors": [doctor_fields | {"clinics": [clinic], "exceptions": [exception_fields]}]}
    (schedule,) = (doctor.schedule for doctor in read_one(tmp_path, line).doctors)
    assert [rule.id for rule in schedule.rules] == ["monday 08:30", "monday 14:00", "clinic diabetes-group"]
    emergencies = [exception for exception in schedule.exceptions if exception.type is ExceptionType.EMERGENCY]
    assert [emergency.id for emergency in emergencies] == ["emergency 2027-02-23T22:40"]
    assert len(read_one(tmp_path, place).doctors[0].schedule.rules) == 3
