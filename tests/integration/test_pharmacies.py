"""Real opening times, end to end: the stored slots are exactly the slots of the file.

SCHEDULER_TEST_OPENINGS names a file of opening times (weekly hours and alterations, `docs/openings.md`). The real
commands import and generate the file, and an oracle that reads the file itself gives the expected slots.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from oracles.minutes import expand_by_minutes
from oracles.openings import slots_of_line
from scheduler.core.spans import Span
from scheduler.core.zones import local_days
from scheduler.openings.format.file import read_openings

FIRST = date(2016, 12, 23)  # most alterations in the file are of the ten days after it
DAYS = 12  # with an ordinary day before the alterations, and one after them
MEGABYTE = 1_000_000

pytestmark = [
    pytest.mark.database,
    pytest.mark.skipif(
        "SCHEDULER_TEST_OPENINGS" not in os.environ,
        reason="SCHEDULER_TEST_OPENINGS does not name a file of opening times",
    ),
]

SLOTS = """
select extract(epoch from start_at)::bigint, extract(epoch from end_at)::bigint
from scheduling.availability_slots
where (tenant_id, facility_id) = (select tenant_id, id from scheduling.facilities where slug = %s)
order by 1, 2
"""


def command(url: str, *arguments: str) -> str:
    """Run a real command for the tenant of this module."""
    process = subprocess.run(
        [sys.executable, "-c", "from scheduler.cli import main; main()", *arguments],
        env=os.environ | {"SCHEDULER_DATABASE_URL": url, "SCHEDULER_TENANT": "pharmacies"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return process.stdout


def generate(url: str, days: int, *more: str) -> dict[str, Any]:
    arguments = ("generate", "--from", str(FIRST), "--days", str(days), "--json", *more)
    summary: dict[str, Any] = json.loads(command(url, *arguments))
    return summary


@pytest.fixture(scope="module")
def days(request: pytest.FixtureRequest) -> int:
    """The days around Christmas; a quarter of a year with --deep."""
    return 90 if request.config.getoption("--deep") else DAYS


@pytest.fixture(scope="module")
def openings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every third place of the file; the whole file with --deep."""
    whole = Path(os.environ["SCHEDULER_TEST_OPENINGS"])
    if request.config.getoption("--deep"):
        return whole
    part = tmp_path_factory.mktemp("openings") / whole.name
    part.write_text("".join(whole.read_text(encoding="utf-8").splitlines(keepends=True)[::3]), encoding="utf-8")
    return part


@pytest.fixture(scope="module")
def generated(database_url: str, openings: Path, days: int) -> dict[str, Any]:
    """The summary of the first run."""
    command(database_url, "import", "openings", str(openings))
    return generate(database_url, days)


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url) as connected:
        yield connected


def test_the_stored_slots_are_exactly_those_of_the_file(
    generated: dict[str, Any], connection: psycopg.Connection, openings: Path, days: int
) -> None:
    total = 0
    with openings.open(encoding="utf-8") as lines:
        for line in lines:
            slug, wanted = slots_of_line(line, FIRST, days)
            stored = connection.execute(SLOTS, (slug,)).fetchall()
            assert stored == wanted, slug
            total += len(wanted)
    assert (generated["slots_created"], generated["schedules_failed"]) == (total, 0)
    assert connection.execute("select count(*) from scheduling.availability_slots").fetchone() == (total,)


def test_the_slots_are_open_and_for_one_person_each(generated: dict[str, Any], connection: psycopg.Connection) -> None:
    assert generated
    rows = connection.execute(
        "select distinct status, capacity, booked_count, service_offering_id from scheduling.availability_slots"
    )
    assert rows.fetchall() == [("open", 1, 0, None)]


@pytest.mark.deep
def test_memory_does_not_grow_with_the_number_of_slots(generated: dict[str, Any]) -> None:
    assert generated["peak_memory"] < 300 * MEGABYTE


def test_r1_a_second_run_creates_nothing(generated: dict[str, Any], database_url: str, days: int) -> None:
    again = generate(database_url, days)
    assert {
        name: again[name]
        for name in ("slots_created", "slots_updated", "slots_retired", "slots_kept", "schedules_unchanged")
    } == {
        "slots_created": 0,
        "slots_updated": 0,
        "slots_retired": 0,
        "slots_kept": 0,  # the run finds that nothing changed, so it examines none
        "schedules_unchanged": generated["schedules"],
    }


def test_r1_a_run_that_examines_all_slots_keeps_them(generated: dict[str, Any], database_url: str, days: int) -> None:
    again = generate(database_url, days, "--all")
    changed = again["slots_created"], again["slots_updated"], again["slots_retired"]
    assert (changed, again["slots_kept"]) == ((0, 0, 0), generated["slots_created"])


def test_s5_a_sample_agrees_with_the_oracle_of_minutes(
    generated: dict[str, Any], connection: psycopg.Connection, openings: Path, days: int
) -> None:
    assert generated
    for place in read_openings(openings).places[::50]:
        begin, end = local_days(place.zone, FIRST, FIRST + timedelta(days))
        by_oracle = [
            (slot.start_at, slot.end_at)
            for doctor in place.doctors
            for slot in expand_by_minutes(doctor.schedule, Span(begin, end))
        ]
        stored = [
            (datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(stop, UTC))
            for start, stop in connection.execute(SLOTS, (place.slug,))
            if begin.timestamp() <= start < end.timestamp()
        ]
        assert stored == by_oracle, place.slug
