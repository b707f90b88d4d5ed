"""Sample tenants: coherent, equal for equal seeds, and usable by the generation job."""

import sys
from collections.abc import Iterable
from datetime import UTC, date, datetime
from io import StringIO
from uuid import UUID

import psycopg
import pytest
from rich.console import Console
from rich.table import Table
from sqlalchemy import text

from scheduler.cli.demo_world import world_pictures
from scheduler.cli.seed import counts_table, make_if_missing
from scheduler.cli.settings import random_bytes
from scheduler.core.errors import MissingExtraError
from scheduler.generation.job import generate
from scheduler.generation.request import GenerationRequest
from scheduler.models.encrypted_column import EncryptedColumn
from scheduler.models.registry import METADATA
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption.master_keys import MasterKeys, new_master_key, read_master_keys
from scheduler.postgres.fresh_databases import fresh_database
from scheduler.sample_data.scales import Scale, Seed

pytestmark = pytest.mark.database

BEGIN = date(2027, 2, 1)
ONE = Seed(1, 1, Scale.SMALL, BEGIN)
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def masters() -> MasterKeys:
    return read_master_keys(new_master_key("test", random_bytes=random_bytes), random_bytes=random_bytes)


@pytest.fixture(scope="module")
def world(database: Database, masters: MasterKeys) -> Seed:
    assert make_if_missing(database, ONE, masters, QUIET)
    return ONE


def differs_each_time(column: str) -> bool:
    return column in {"created_at", "updated_at", "wrapped_key", "insurance_member_id_index"}


def contents(database: Database, tenant_id: UUID) -> dict[str, list[dict[str, object]]]:
    """Return the tenant's rows without the columns that differ each time: timestamps, keys, ciphertext."""
    rows_by_table = {}
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
        for name, table in METADATA.tables.items():
            if name.startswith("audit.") or name == "identity.data_keys":
                continue
            columns = [
                column
                for column in table.columns
                if not differs_each_time(column.name) and not isinstance(column.type, EncryptedColumn)
            ]
            rows = session.connection().execute(table.select().with_only_columns(*columns))
            rows_by_table[name] = sorted((dict(row) for row in rows.mappings()), key=repr)
    return rows_by_table


def query(database: Database, seed: Seed, statement: str) -> list[tuple[object, ...]]:
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=seed.tenant_id) as session:
        return [tuple(row) for row in session.connection().execute(text(statement))]


def test_the_same_seed_makes_the_same_tenant(
    database: Database, world: Seed, server: str, template: str, masters: MasterKeys
) -> None:
    first = contents(database, world.tenant_id)
    with fresh_database(server, template=template) as url, Database(url) as elsewhere:
        make_if_missing(elsewhere, world, masters, QUIET)
        assert contents(elsewhere, world.tenant_id) == first
    assert sum(map(len, first.values())) > 300


def cells(picture: object) -> list[tuple[str, ...]]:
    """Return the rows of a table."""
    assert isinstance(picture, Table)
    return list(zip(*(map(str, column.cells) for column in picture.columns), strict=True))


def listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def test_demo_shows_a_family_from_both_sides(database: Database, world: Seed, masters: MasterKeys) -> None:
    families, members, *_ = map(cells, world_pictures(database, world, masters))
    names_in = """array(
        select name from identity.family_members as member join identity.users as person on person.id = member.user_id
        where member.family_id = family.id and member.role = '{}'
    )"""
    parents, students = names_in.format("parent"), names_in.format("student")
    stored = query(database, world, f"select family_name, {parents}, {students} from identity.families as family")
    expected = {str(name): (list(parents), list(students)) for name, parents, students in stored}  # type: ignore[call-overload]
    assert sorted(families) == sorted(
        (name, listed(parents), listed(students)) for name, (parents, students) in expected.items()
    )
    for member, *shown in members:
        as_parent = [name for name, (parents, _) in expected.items() if member in parents]
        as_student = [name for name, (_, students) in expected.items() if member in students]
        children = {child for name in as_parent for child in expected[name][1]}
        siblings = {child for name in as_student for child in expected[name][1]} - {member}
        assert shown == [listed(as_parent + as_student), listed(children), listed(siblings)]
    assert any(", " in names for _, names, *_ in members), "no member of two families"
    assert {member for member, *_ in members} in [{*parents, *students} for parents, students in expected.values()]


def test_another_seed_makes_another_tenant(database: Database, world: Seed, masters: MasterKeys) -> None:
    other = Seed(2, 1, Scale.SMALL, BEGIN)
    make_if_missing(database, other, masters, QUIET)
    names = "select display_name from scheduling.doctors order by id"
    assert query(database, world, names) != query(database, other, names)


def test_an_existing_tenant_is_not_changed(database: Database, world: Seed, masters: MasterKeys) -> None:
    before = contents(database, world.tenant_id)
    assert not make_if_missing(database, world, masters, QUIET)
    assert contents(database, world.tenant_id) == before


def test_seeding_without_faker_names_the_extra(
    database: Database, masters: MasterKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "scheduler.sample_data.worlds", raising=False)
    monkeypatch.setitem(sys.modules, "faker", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'slotsmith\[seed\]'"):
        make_if_missing(database, Seed(3, 1, Scale.SMALL, BEGIN), masters, QUIET)


def test_the_table_of_counts_fits_80_columns(database: Database, world: Seed) -> None:
    console = Console(width=80, file=StringIO())
    with console.capture() as printed:
        console.print(counts_table(database, world))
    assert " placement_info_specialists=3 " in printed.get()


def test_every_table_that_people_fill_has_rows(database: Database, world: Seed) -> None:
    rows_by_table = contents(database, world.tenant_id)
    by_the_job = {"scheduling.generation_runs", "scheduling.schedule_states"}
    by_the_job |= {f"scheduling.{table}" for table in ("figure_states", "doctor_figure_sums", "resource_figure_sums")}
    for_a_while = {
        "scheduling.figure_changes",
        "scheduling.holds",
        "scheduling.booking_requests",
        "scheduling.event_counters",
    }
    assert {name for name, rows in rows_by_table.items() if not rows} == by_the_job | for_a_while


@pytest.mark.parametrize(
    "statement",
    [
        "select 1 where (select count(distinct timezone) from scheduling.facilities) > 1",
        "select doctor_id from scheduling.facility_doctors group by 1 having count(*) = 2",
        """select doctor_id from scheduling.availability_rules where day_of_week = 1
           group by 1 having max(start_time) > min(end_time)""",
        "select 1 from scheduling.availability_rules where recurrence like '%INTERVAL=2%'",
        "select service_offering_id from scheduling.service_workflows group by 1 having count(insurance_plan_id) = 1",
        "select family_id from identity.family_members where role = 'parent' group by 1 having count(*) = 2",
        "select user_id from identity.family_members where role = 'student' group by 1 having count(*) = 2",
        "select 1 from wellbeing.alerts where severity in ('high', 'urgent')",
        "select child_id from wellbeing.wellbeing_sessions group by 1 having count(*) = 3",
        "select 1 from wellbeing.profiles join scheduling.doctors on doctors.user_id = profiles.id",
        "select client_id from placement.medications group by 1 having count(*) = 2",
        "select 1 from scheduling.appointment_step_resources",
    ],
    ids=[
        "facilities in several zones",
        "a doctor at two places",
        "a lunch break",
        "a fortnightly evening",
        "a workflow for one plan",
        "two guardians",
        "a student of two families",
        "an alert",
        "sessions",
        "a practitioner who is a doctor",
        "medications",
        "a room that is used",
    ],
)
def test_the_sample_tenant_has(database: Database, world: Seed, statement: str) -> None:
    assert query(database, world, statement)


def test_every_visit_has_steps_that_fill_it(database: Database, world: Seed) -> None:
    unfilled = query(
        database,
        world,
        """
        select a.id from scheduling.appointments a left join scheduling.appointment_steps s
            on s.tenant_id = a.tenant_id and s.appointment_id = a.id
        group by a.tenant_id, a.id
        having min(s.scheduled_start_at) is distinct from a.start_at or max(s.scheduled_end_at) <> a.end_at
        """,
    )
    assert unfilled == []


def test_the_nightly_job_keeps_booked_slots_and_adds_open_ones(database: Database, masters: MasterKeys) -> None:
    seed = Seed(3, 1, Scale.SMALL, BEGIN)
    make_if_missing(database, seed, masters, QUIET)
    booked = "select id from scheduling.availability_slots where status = 'booked' order by id"
    before = query(database, seed, booked)
    request = GenerationRequest(
        seed.tenant_id,
        BEGIN,
        date(2027, 3, 1),
        now=datetime(2027, 1, 31, 2, tzinfo=UTC),
        tzdata_version="test",
        trigger="test",
    )
    result = generate(database, request).result
    assert query(database, seed, booked) == before
    assert (result.slots_conflicting, result.slots_displaced, result.schedules_failed) == ((), (), ())
    assert result.slots_created > 100


def test_the_nightly_job_applies_leave_an_extra_day_and_illness(database: Database, masters: MasterKeys) -> None:
    seed = Seed(5, 1, Scale.SMALL, BEGIN)
    make_if_missing(database, seed, masters, QUIET)
    begin, end = BEGIN, date(2027, 2, 15)
    generate(
        database,
        GenerationRequest(
            seed.tenant_id, begin, end, now=datetime(2027, 1, 31, 2, tzinfo=UTC), tzdata_version="x", trigger="x"
        ),
    )
    hours_offered = """
        select e.type, x.day, array_agg(distinct extract(hour from x.wall)::int) filter (where x.open) as hours
        from scheduling.availability_exceptions e
        join scheduling.facilities f on f.tenant_id = e.tenant_id and f.id = e.facility_id
        cross join generate_series(date '2027-02-01', date '2027-02-07', interval '1 day') as days (day)
        cross join lateral (
            select days.day::date, s.start_at at time zone f.timezone as wall, s.status = 'open' as open
            from scheduling.availability_slots s
            where s.tenant_id = e.tenant_id and s.doctor_id = e.doctor_id and s.facility_id = e.facility_id
                and (s.start_at at time zone f.timezone)::date = days.day) as x
        group by 1, 2"""
    offered = {(kind, day): hours for kind, day, hours in query(database, seed, hours_offered)}
    assert not {day for kind, day in offered if kind == "blocked"}
    assert offered["override", date(2027, 2, 6)] == [9, 10, 11, 12]
    assert max(offered["emergency", date(2027, 2, 2)]) < 14 <= max(offered["emergency", date(2027, 2, 3)])  # type: ignore[call-overload]


@pytest.mark.deep
@pytest.mark.parametrize("scale", [Scale.CLINIC, Scale.REGION])
def test_larger_tenants_are_made(database: Database, masters: MasterKeys, scale: Scale) -> None:
    assert make_if_missing(database, Seed(4, 1 + list(Scale).index(scale), scale, BEGIN), masters, QUIET)


def test_encrypted_values_are_not_stored_as_plaintext(database_url: str, world: Seed) -> None:
    assert world
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select string_agg(m::text, ' ') from placement.medications m").fetchone()
    assert row is not None
    assert b"salbutamol".hex() not in str(row[0])
    assert "salbutamol" not in str(row[0])
