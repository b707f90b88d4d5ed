"""Import of openings: each file is stored once, and only imported rows are changed."""

import copy
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import sleep
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from scheduler import models
from scheduler.cli import import_openings as command
from scheduler.core.errors import InvalidInputError
from scheduler.core.expansion import expand
from scheduler.core.schedules import Schedule
from scheduler.core.spans import Span
from scheduler.openings.format.file import BadLines, read_openings
from scheduler.openings.importing import importer
from scheduler.openings.importing.importer import ImportCounts, import_openings
from scheduler.openings.importing.table_sync import RowCounts
from scheduler.openings.places import Place
from scheduler.postgres.database import Database, Role
from scheduler.postgres.due_schedules import register_schedules
from scheduler.postgres.schedules import checkpoints_of, load_schedules, schedule_keys
from support.databases import new_tenant

pytestmark = pytest.mark.database

REGION = Path(__file__).parents[2] / "examples" / "region.jsonl"
TABLES = (
    "facilities",
    "doctors",
    "facility_doctors",
    "availability_rules",
    "availability_exceptions",
    "facility_closures",
)
ANN: dict[str, Any] = {
    "code": "ann",
    "first_name": "Ann",
    "last_name": "Able",
    "weekly": {"monday": [["09:00", "12:00"], ["13:00", "17:00"]]},
    "clinics": [{"code": "group", "day": "tuesday", "opens": "17:00", "closes": "19:00", "capacity": 8}],
    "exceptions": [
        {"type": "blocked", "start": "2027-02-09T17:00", "end": "2027-02-09T19:00", "clinic": "group", "reason": "Away"}
    ],
}
BOB: dict[str, Any] = {
    "code": "bob",
    "first_name": "Bob",
    "last_name": "Best",
    "weekly": {"friday": [["22:00", "06:00"]]},
}
LINE: dict[str, Any] = {
    "code": "Larkspur",
    "name": "Larkspur Lane",
    "timezone": "Europe/London",
    "city": "Wells",
    "location": [1.5, 2],
    "closures": {"2027-03-26": "Good Friday", "2027-03-29": "Easter Monday"},
    "alterations": {"2027-02-01": [["10:00", "11:00"]], "2027-02-02": []},
    "doctors": [ANN, BOB],
}
WRITTEN = (1, 2, 2, 4, 5, 2)
FIRST = ImportCounts(*(RowCounts(created=count) for count in WRITTEN))
AGAIN = ImportCounts(*(RowCounts(unchanged=count) for count in WRITTEN))


def places_of(tmp_path: Path, *lines: dict[str, Any]) -> tuple[Place, ...]:
    path = tmp_path / "openings.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    file = read_openings(path)
    assert file.faults == ()
    return file.places


class Office:
    """The imports of a tenant, and queries of the written rows."""

    def __init__(self, database: Database, tenant_id: UUID, tmp_path: Path) -> None:
        self.database, self.tenant_id, self.tmp_path = database, tenant_id, tmp_path

    def import_lines(self, *lines: dict[str, Any]) -> ImportCounts:
        return self.import_places(places_of(self.tmp_path, *lines))

    def import_places(self, places: tuple[Place, ...]) -> ImportCounts:
        with self.database.unit_of_work(role=Role.APP, tenant_id=self.tenant_id) as session:
            return import_openings(session, places, tenant_id=self.tenant_id)

    def ask(self, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
        with self.database.unit_of_work(role=Role.APP, tenant_id=self.tenant_id) as session:
            result = session.connection().execute(text(sql), parameters)
            return [tuple(row) for row in result] if result.returns_rows else []

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        return {table: self.ask(f"select * from scheduling.{table} order by id") for table in TABLES}


@pytest.fixture
def office(database: Database, tenant_id: UUID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Office:
    """Import each place in a batch of its own, since no rule may depend on the size of a batch."""
    monkeypatch.setattr(importer, "PARTS_PER_BATCH", 1)
    return Office(database, tenant_id, tmp_path)


def changed(**fields: Any) -> dict[str, Any]:
    return copy.deepcopy(LINE) | fields


def test_a_first_import_creates_all_rows_of_the_file(office: Office) -> None:
    assert office.import_lines(LINE) == FIRST
    assert office.ask(
        "select slug, name, timezone, address, meta ->> 'source', meta -> 'further' from scheduling.facilities"
    ) == [("larkspur", "Larkspur Lane", "Europe/London", "Wells", "openings", {"location": [1.5, 2]})]
    assert office.ask("select day, reason from scheduling.facility_closures order by day") == [
        (date(2027, 3, 26), "Good Friday"),
        (date(2027, 3, 29), "Easter Monday"),
    ]
    assert office.ask(
        "select display_name, day_of_week, start_time, end_time, slot_duration_minutes, rule.capacity, active"
        " from scheduling.availability_rules rule join scheduling.doctors doctor on doctor.id = rule.doctor_id"
        " order by display_name, day_of_week, start_time"
    ) == [
        ("Ann Able", 1, time(9), time(12), 20, 1, True),
        ("Ann Able", 1, time(13), time(17), 20, 1, True),
        ("Ann Able", 2, time(17), time(19), 20, 8, True),
        ("Bob Best", 5, time(22), time(6), 20, 1, True),
    ]


def test_a6_an_exception_for_a_clinic_points_to_its_rule(office: Office) -> None:
    office.import_lines(LINE)
    assert office.ask(
        "select exception.reason, exception.start_at, rule.capacity from scheduling.availability_exceptions exception"
        " join scheduling.availability_rules rule on rule.id = exception.availability_rule_id"
    ) == [("Away", datetime(2027, 2, 9, 17, tzinfo=UTC), 8)]


def test_q5_the_release_of_a_file_is_written_followed_and_removed(office: Office) -> None:
    released = (
        "select count(*) from scheduling.availability_rules where release_days_before = {} and release_time = '{}'"
    )
    for days, at in ((7, "08:00"), (2, "09:30")):
        line = changed(release={"days_before": days, "at": at})
        office.import_lines(line)
        assert office.ask(released.format(days, at)) == [(4,)]
        before = office.everything()
        assert office.import_lines(line) == AGAIN
        assert office.everything() == before
    office.import_lines(LINE)
    assert office.ask("select distinct release_days_before, release_time from scheduling.availability_rules") == [
        (None, None)
    ]


def test_importing_again_changes_no_row(office: Office) -> None:
    office.import_lines(LINE)
    before = office.everything()
    assert office.import_lines(LINE) == AGAIN
    assert office.everything() == before


def test_r3_a_changed_rule_keeps_its_id_and_no_other_row_changes(office: Office) -> None:
    office.import_lines(LINE)
    before = office.everything()
    line = changed()
    line["doctors"][0]["weekly"]["monday"][1][1] = "18:30"
    counts = office.import_lines(line)
    assert counts.rules == RowCounts(updated=1, unchanged=3)
    after = office.everything()
    assert [table for table in TABLES if before[table] != after[table]] == ["availability_rules"]
    assert [row[:2] for row in before["availability_rules"]] == [row[:2] for row in after["availability_rules"]]
    assert office.ask("select end_time from scheduling.availability_rules where start_time = '13:00'") == [
        (time(18, 30),)
    ]


def test_rows_that_left_the_file_are_removed(office: Office) -> None:
    office.import_lines(LINE)
    line = changed(closures={"2027-03-26": "Good Friday"}, alterations={"2027-02-02": []})
    line["doctors"][0]["weekly"]["monday"].pop(0)
    counts = office.import_lines(line)
    assert counts.rules == RowCounts(removed=1, unchanged=3)
    assert counts.exceptions == RowCounts(removed=2, unchanged=3)
    assert counts.closures == RowCounts(removed=1, unchanged=1)
    counts_after = {table: len(rows) for table, rows in office.everything().items()}
    tables = ("availability_rules", "availability_exceptions", "facility_closures")
    assert [counts_after[table] for table in tables] == [3, 3, 1]


def test_a_new_zone_moves_the_instants_of_exceptions_and_no_rule(office: Office) -> None:
    office.import_lines(LINE)
    counts = office.import_lines(changed(timezone="America/New_York"))
    assert counts.facilities == RowCounts(updated=1)
    assert counts.rules == RowCounts(unchanged=4)
    assert counts.exceptions == RowCounts(updated=5)


def test_t6_exceptions_keep_the_wall_clock_times_of_the_file(office: Office) -> None:
    office.import_lines(LINE)
    times = "select local_start, local_end from scheduling.availability_exceptions where reason = 'Away'"
    away = [(datetime(2027, 2, 9, 17), datetime(2027, 2, 9, 19))]
    assert office.ask(times) == away
    office.import_lines(changed(timezone="America/New_York"))
    assert office.ask(times) == away


def test_a_doctor_who_left_is_switched_off_and_comes_back(office: Office) -> None:
    office.import_lines(LINE)
    removed = office.import_lines(changed(doctors=[ANN]))
    assert removed.posts == RowCounts(removed=1, unchanged=1)
    assert removed.rules == RowCounts(removed=1, unchanged=3)
    posts = (
        "select display_name, active from scheduling.facility_doctors post"
        " join scheduling.doctors doctor on doctor.id = post.doctor_id order by 1"
    )
    assert office.ask(posts) == [("Ann Able", True), ("Bob Best", False)]
    assert office.import_lines(changed(doctors=[ANN])).posts == RowCounts(unchanged=1)
    back = office.import_lines(LINE)
    assert back.posts == RowCounts(updated=1, unchanged=1)
    assert back.doctors == RowCounts(unchanged=2)
    assert office.ask(posts) == [("Ann Able", True), ("Bob Best", True)]


def test_a_doctor_at_two_places_is_stored_as_one_doctor(office: Office) -> None:
    counts = office.import_lines(LINE, changed(code="b", doctors=[BOB]))
    assert (counts.doctors, counts.posts) == (RowCounts(2), RowCounts(3))


def elsewhere(**fields: Any) -> dict[str, Any]:
    """A second place, where only Bob works."""
    return changed(code="Elsewhere", doctors=[BOB | fields], closures={}, alterations={})


def test_a_doctor_of_two_places_is_stored_as_at_the_first(office: Office) -> None:
    lines = changed(), elsewhere(specialty="Surgery")
    assert office.import_lines(*lines).doctors == RowCounts(created=2)
    again = office.import_lines(*lines)
    assert (again.doctors, again.changes()) == (RowCounts(unchanged=2), 0)
    assert office.ask("select specialty from scheduling.doctors where first_name = 'Bob'") == [(None,)]


def test_a_doctor_is_renamed_at_all_places_of_the_file_or_not_at_all(office: Office) -> None:
    office.import_lines(changed(), elsewhere())
    renamed = changed(doctors=[ANN, BOB | {"last_name": "Better"}])
    before = office.everything()
    with pytest.raises(InvalidInputError, match=r"'bob' is 'Bob Better' in this file, but 'Bob Best' at a place outs"):
        office.import_lines(renamed)
    assert office.everything() == before
    assert office.import_lines(renamed, elsewhere(last_name="Better")).doctors == RowCounts(updated=1, unchanged=1)


def test_r4_a_place_refused_in_the_last_batch_leaves_nothing(office: Office) -> None:
    office.ask(
        "insert into scheduling.facilities (tenant_id, slug, name, timezone)"
        " values ((select identity.current_tenant_id()), 'elsewhere', 'By hand', 'Europe/London')"
    )
    before = office.everything()
    with pytest.raises(InvalidInputError, match="'elsewhere' was not created by an import"):
        office.import_lines(changed(), elsewhere())
    assert office.everything() == before


def test_an_import_writes_a_batch_before_it_takes_the_next_place(office: Office) -> None:
    taken, written = [], []

    def places() -> Iterator[Place]:
        for place in places_of(office.tmp_path, changed(), elsewhere()):
            taken.append(place.slug)
            yield place

    with office.database.unit_of_work(role=Role.APP, tenant_id=office.tenant_id) as session:
        import_openings(
            session, places(), tenant_id=office.tenant_id, progress=lambda *counts: written.append((*counts, *taken))
        )
    assert written == [(1, 16, "larkspur"), (2, 19, "larkspur", "elsewhere")]


def test_progress_is_a_line_of_json_for_each_batch_but_the_last(
    office: Office, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "PLACES_PER_LINE", 1)
    path = office.tmp_path / "openings.jsonl"
    path.write_text("\n".join(map(json.dumps, (changed(), elsewhere()))), encoding="utf-8")
    with command.read_places(path, slot_duration=timedelta(minutes=20), bad_lines=BadLines.REFUSE) as places:
        command.import_places(office.database, places, tenant="progress")
    assert [json.loads(line) for line in capsys.readouterr().err.splitlines()] == [
        {"event": "batch", "places_done": 1, "places": None, "read": 1},
        {"event": "batch", "places_done": 2, "places": None, "read": 2},
        {"event": "batch", "places_done": 1, "places": 2, "changes": 16},
    ]


def test_places_that_the_file_does_not_name_stay(office: Office) -> None:
    office.import_lines(LINE)
    before = Counter({table: len(rows) for table, rows in office.everything().items()})
    office.import_lines(changed(code="b", doctors=[ANN | {"code": "cy", "first_name": "Cy"}]))
    assert office.import_lines(LINE) == AGAIN
    after = Counter({table: len(rows) for table, rows in office.everything().items()})
    assert after > before


BY_HAND = """
with post as (select tenant_id, facility_id, doctor_id from scheduling.availability_rules order by id limit 1),
rule as (
    insert into scheduling.availability_rules
        (tenant_id, facility_id, doctor_id, day_of_week, start_time, end_time, slot_duration_minutes)
    select *, 3, '09:00', '10:00', 15 from post
),
exception as (
    insert into scheduling.availability_exceptions (tenant_id, facility_id, doctor_id, start_at, end_at, type, reason)
    select *, '2027-02-03 09:00Z', '2027-02-03 10:00Z', 'blocked', 'by hand' from post
)
insert into scheduling.facility_closures (tenant_id, facility_id, day, reason)
select tenant_id, facility_id, day, 'by hand' from post, unnest(array['2027-04-01'::date, '2027-04-02']) as day
"""


def test_rows_entered_by_hand_are_neither_changed_nor_removed(office: Office) -> None:
    office.import_lines(LINE)
    office.ask(BY_HAND)
    before = office.everything()
    assert office.import_lines(LINE) == AGAIN
    assert office.everything() == before


def test_a_closure_entered_by_hand_stays(office: Office) -> None:
    office.import_lines(LINE)
    office.ask(BY_HAND)
    both = LINE["closures"] | {"2027-04-01": "from the file"}
    assert office.import_lines(changed(closures=both)).closures == RowCounts(unchanged=2)
    assert office.import_lines(LINE).closures == RowCounts(unchanged=2)
    reasons = "select reason from scheduling.facility_closures where day = '2027-04-01'"
    assert office.ask(reasons) == [("by hand",)]


def test_a_closed_time_is_stored_beside_closures_entered_by_hand(office: Office) -> None:
    closed = {"2027-04-01": {"from": "13:00", "until": "24:00", "reason": "Fair"}}
    office.import_lines(changed(closures={}))
    office.ask(BY_HAND)
    assert office.import_lines(changed(closures=closed)).closures == RowCounts(created=1)
    assert office.import_lines(changed(closures=closed)).closures == RowCounts(unchanged=1)
    rows = "select start_time, end_time, reason from scheduling.facility_closures where day = '2027-04-01' order by 1"
    assert office.ask(rows) == [(time(13), time(0), "Fair"), (None, None, "by hand")]
    closed["2027-04-01"]["reason"] = "Spring fair"
    assert office.import_lines(changed(closures=closed)).closures == RowCounts(updated=1)
    closed["2027-04-01"]["from"] = "12:00"
    assert office.import_lines(changed(closures=closed)).closures == RowCounts(created=1, removed=1)
    assert office.ask(rows) == [(time(12), time(0), "Spring fair"), (None, None, "by hand")]


def test_a2_a_rule_without_a_weekday_is_stored_with_that_of_its_first_day(office: Office) -> None:
    clinic = {
        "opens": "09:00",
        "closes": "12:00",
        "effective_from": "2027-03-07",
        "recurrence": "FREQ=DAILY;INTERVAL=2",
    }
    line = changed(doctors=[BOB | {"clinics": [clinic]}])
    office.import_lines(line)
    assert office.import_lines(line).rules == RowCounts(unchanged=2)
    rows = "select day_of_week, any_weekday from scheduling.availability_rules order by any_weekday"
    assert office.ask(rows) == [(5, False), (0, True)]


def test_a_rule_that_a_person_switched_off_stays_off(office: Office) -> None:
    office.import_lines(LINE)
    office.ask("update scheduling.availability_rules set active = false where start_time = '13:00'")
    line = changed()
    line["doctors"][0]["weekly"]["monday"][1][1] = "18:30"
    office.import_lines(line)
    assert office.ask("select active, end_time from scheduling.availability_rules where start_time = '13:00'") == [
        (False, time(18, 30))
    ]


def test_other_entries_of_meta_stay(office: Office) -> None:
    office.import_lines(LINE)
    office.ask('update scheduling.facilities set meta = meta || \'{"door": "blue"}\'')
    assert office.import_lines(changed(name="Larkspur Road")).facilities == RowCounts(updated=1)
    assert office.ask("select name, meta ->> 'door' from scheduling.facilities") == [("Larkspur Road", "blue")]


def test_a_facility_that_no_import_created_is_refused(office: Office) -> None:
    facility = models.Facility(tenant_id=office.tenant_id, slug="larkspur", name="Mine", timezone="Europe/Paris")
    with office.database.unit_of_work(role=Role.APP, tenant_id=office.tenant_id) as session:
        session.add(facility)
    with pytest.raises(InvalidInputError, match="facility 'larkspur' was not created by an import"):
        office.import_lines(LINE)
    assert office.ask("select name from scheduling.facilities") == [("Mine",)]


def test_a_place_given_twice_is_refused(office: Office) -> None:
    places = places_of(office.tmp_path, LINE)
    with pytest.raises(InvalidInputError, match="a place is given twice"):
        office.import_places(places * 2)


def test_an_import_without_places_changes_nothing(office: Office) -> None:
    assert office.import_places(()) == ImportCounts(*[RowCounts()] * 6)


def test_r4_an_interrupted_import_leaves_nothing(office: Office) -> None:
    def broken_off() -> None:
        with office.database.unit_of_work(role=Role.APP, tenant_id=office.tenant_id) as session:
            import_openings(session, places_of(office.tmp_path, LINE), tenant_id=office.tenant_id)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert office.everything() == {table: [] for table in TABLES}


def test_concurrent_imports_write_each_row_once(office: Office) -> None:
    places = places_of(office.tmp_path, LINE)
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(office.import_places, [places] * 4))
    assert Counter(counts) == {FIRST: 1, AGAIN: 3}


def test_an_import_waits_for_the_run_before_it_removes_rules(office: Office) -> None:
    """The run may then write slots that refer to the rules: neither meets a deadlock."""
    office.import_lines(LINE)
    with office.database.unit_of_work(role=Role.JOB, tenant_id=office.tenant_id) as session:
        register_schedules(session)
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as thread:
        with office.database.unit_of_work(role=Role.JOB, tenant_id=office.tenant_id) as run:
            assert len(checkpoints_of(run, schedule_keys(run), lock=True)) == 2
            imported = thread.submit(office.import_lines, changed(doctors=[ANN, BOB | {"weekly": {}}]))
            with office.database.unit_of_work(role=Role.OWNER, tenant_id=office.tenant_id) as slots:
                while not imported.done() and slots.connection().execute(text(waiting)).scalar_one() == 0:
                    sleep(0.01)
                refers = text("select from scheduling.availability_rules where tenant_id = :id for key share nowait")
                assert slots.connection().execute(refers, {"id": office.tenant_id}).rowcount == 4
        assert imported.result().rules == RowCounts(removed=1, unchanged=3)


def test_tenants_import_the_same_file_side_by_side(office: Office, database: Database, tmp_path: Path) -> None:
    office.import_lines(LINE)
    assert Office(database, new_tenant(database), tmp_path).import_lines(LINE) == FIRST


def test_a1_the_stored_region_offers_the_slots_of_the_file(office: Office) -> None:
    places = read_openings(REGION).places
    office.import_places(places)
    easter = Span(datetime(2027, 3, 25, tzinfo=UTC), datetime(2027, 4, 6, tzinfo=UTC))
    with office.database.unit_of_work(role=Role.APP, tenant_id=office.tenant_id) as session:
        loaded = load_schedules(session, schedule_keys(session), lock=False)
    stored = Counter(offered(row.schedule, easter) for row in loaded if isinstance(row.schedule, Schedule))
    assert stored == Counter(offered(doctor.schedule, easter) for place in places for doctor in place.doctors)
    assert len(stored) > 30


def offered(schedule: Schedule, span: Span) -> tuple[Any, ...]:
    return tuple((slot.start_at, slot.end_at, slot.capacity) for slot in expand(schedule, span))


def test_importing_the_region_again_changes_nothing(office: Office) -> None:
    places = read_openings(REGION).places
    first, again = office.import_places(places), office.import_places(places)
    for name in ("facilities", "doctors", "posts", "rules", "exceptions", "closures"):
        assert getattr(again, name) == RowCounts(unchanged=getattr(first, name).created)
