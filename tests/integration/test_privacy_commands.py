"""`scheduler export` and `scheduler erase`: output, files and exit codes."""

import json
import stat
from datetime import date
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from rich.console import Console

from scheduler.cli.seed import make_if_missing
from scheduler.postgres.database import Database
from scheduler.sample_data.scales import Scale, Seed
from support.cli import CommandResult, run
from support.worlds.encryption import master_keys, written_master_key

pytestmark = pytest.mark.database

NOBODY = "00000000-0000-4000-8000-000000000000"


class Office(NamedTuple):
    """The command line on a database with a made-up tenant."""

    url: str
    slug: str

    def run(self, *arguments: str, keys: str = written_master_key("main")) -> CommandResult:
        return run(self.url, *arguments, "--tenant", self.slug, SCHEDULER_MASTER_KEYS=keys)

    def scalar(self, question: str) -> str:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return str(row[0])

    def exports(self) -> int:
        return int(self.scalar("select count(*) from audit.system_audit_log where event = 'person.exported'"))


@pytest.fixture(scope="module")
def office(database: Database, database_url: str) -> Office:
    seed = Seed(7, 1, Scale.SMALL, date(2027, 2, 1))
    make_if_missing(database, seed, master_keys("main"), Console(quiet=True))
    return Office(database_url, seed.slug)


@pytest.fixture(scope="module")
def child(office: Office) -> str:
    return office.scalar("select min(cast(id as text)) from wellbeing.children")


@pytest.fixture(scope="module")
def client(office: Office) -> str:
    return office.scalar("select min(cast(id as text)) from placement.clients")


def test_a_person_is_written_as_json_to_standard_output(office: Office, child: str) -> None:
    result = office.run("export", "person", "--user", child)
    written = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert [row["id"] for row in written["wellbeing.children"]] == [child]
    assert len(written["wellbeing.wellbeing_sessions"]) == 3


def test_export_of_a_guardian_names_the_patients_that_it_leaves_out(office: Office) -> None:
    of_tenant = f"from identity.tenants where slug = '{office.slug}' returning"
    user = office.scalar(
        f"insert into identity.users (tenant_id, name, role) select id, 'Ann', 'parent' {of_tenant} users.id"
    )
    patient = office.scalar(
        "insert into scheduling.patients (tenant_id, user_id, first_name, last_name, email)"
        f" select id, '{user}', 'Bo', 'Adams', 'bo@example.org' {of_tenant} patients.id"
    )
    result = office.run("export", "person", "--user", user)
    assert result.lines == [
        f"left out: patient {patient}, for whom this person signs in (--known-as patient:{patient} exports it)"
    ]
    assert set(json.loads(result.out)) == {"identity.users"}
    erased = office.run("erase", "--user", user, "--yes")
    assert (erased.code, f"it signs in for others (patient {patient})" in erased.err) == (4, True)
    assert (
        office.run("erase", "--known-as", f"patient:{patient}", "--yes").out == "scheduling.patients: 1 rows deleted\n"
    )
    assert office.run("erase", "--user", user, "--yes").out == "identity.users: 1 rows deleted\n"


def test_a_suspended_tenant_is_exported_but_gets_no_slots(office: Office, child: str) -> None:
    change = f"where slug = '{office.slug}' returning status"
    office.scalar(f"update identity.tenants set status = 'suspended' {change}")
    try:
        refused, exported = office.run("generate"), office.run("export", "person", "--user", child)
    finally:
        office.scalar(f"update identity.tenants set status = 'active' {change}")
    assert (refused.code, exported.code) == (4, 0)
    assert refused.err.startswith(f"error: the tenant '{office.slug}' is suspended: only scheduler_system works for it")


def test_export_without_encrypted_values_needs_no_master_key(office: Office, child: str) -> None:
    assert office.run("export", "person", "--user", child, keys="").code == 0


def test_export_file_is_new_and_for_its_owner_only(office: Office, client: str, tmp_path: Path) -> None:
    out = tmp_path / "client.json"
    result = office.run("export", "person", "--known-as", f"client:{client}", "--out", str(out))
    assert (result.code, result.out, stat.S_IMODE(out.stat().st_mode)) == (0, "", 0o600)
    assert json.loads(out.read_text())["placement.placement_info"][0]["diagnosis"]


def test_existing_file_is_left_as_it_is(office: Office, child: str, tmp_path: Path) -> None:
    out = tmp_path / "there.json"
    out.write_text("mine")
    result = office.run("export", "person", "--user", child, "--out", str(out))
    assert (result.code, result.lines, out.read_text()) == (
        2,
        [f"error: {out} exists already: choose another file"],
        "mine",
    )


def test_failed_export_leaves_no_file_and_no_event(office: Office, client: str, tmp_path: Path) -> None:
    out, before = tmp_path / "client.json", office.exports()
    command = ("export", "person", "--known-as", f"client:{client}", "--out", str(out))
    assert office.run(*command, keys=written_master_key("another")).code == 7
    assert (out.exists(), office.exports()) == (False, before)


def test_export_missing_from_the_audit_log_is_not_handed_out(
    office: Office, child: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words come after the commit."""
    before, seen = office.exports(), []
    monkeypatch.setattr("scheduler.cli.privacy.typer.echo", lambda *_, **__: seen.append(office.exports()))
    office.run("export", "person", "--user", child)
    assert seen == [before + 1]


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--user", NOBODY, "--known-as", f"user:{NOBODY}"),
        ("--user", "ann"),
        ("--known-as", "client"),
        ("--known-as", f"friend:{NOBODY}"),
        ("--known-as", f"patient:{NOBODY}"),
        ("--known-as", "patient:0"),
        ("--known-as", f"doctor:{2**63}"),
        ("--user", NOBODY, "--out", "/nowhere/at/all.json"),
    ],
)
def test_missing_or_malformed_person_is_refused_in_one_line(office: Office, options: tuple[str, ...]) -> None:
    result = office.run("export", "person", *options)
    assert (result.code, result.out, len(result.lines)) == (2, "", 1)


@pytest.mark.parametrize("command", [("export", "person"), ("erase", "--yes")])
def test_unknown_person_exits_with_3(office: Office, command: tuple[str, ...]) -> None:
    result = office.run(*command, "--user", NOBODY)
    assert (result.code, result.lines) == (3, [f"error: no user {NOBODY}"])


def test_a_tenant_is_written_whole(office: Office, tmp_path: Path) -> None:
    out = tmp_path / "tenant.json"
    assert office.run("export", "tenant", "--out", str(out)).code == 0
    written = json.loads(out.read_text())
    assert [row["slug"] for row in written["identity.tenants"]] == [office.slug]
    assert len(written["scheduling.patients"]) == 12


def test_erase_without_a_terminal_needs_yes_and_leaves_the_rows(office: Office, child: str) -> None:
    before = office.run("export", "person", "--user", child).out
    result = office.run("erase", "--user", child)
    assert (result.code, result.out, "confirm with --yes" in result.err) == (2, "", True)
    assert office.run("export", "person", "--user", child).out == before


@pytest.mark.parametrize(("answer", "children_left"), [("n\n", 1), ("", 1), ("y\n", 0)])
def test_erase_at_a_terminal_asks_before_it_deletes(
    office: Office, monkeypatch: pytest.MonkeyPatch, answer: str, children_left: int
) -> None:
    child = office.scalar("select max(cast(id as text)) from wellbeing.children")
    keyboard = StringIO(answer)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    result = office.run("erase", "--user", child)
    assert f"everything about user {child} is deleted permanently. Go on?" in result.err
    assert (result.code == 0) == (children_left == 0)
    assert office.scalar(f"select count(*) from wellbeing.children where id = '{child}'") == str(children_left)


def test_erase_prints_the_deleted_rows(office: Office) -> None:
    patient = office.scalar("select max(id) from scheduling.patients")
    result = office.run("erase", "--known-as", f"patient:{patient}", "--yes")
    assert (result.code, "scheduling.patients: 1 rows deleted" in result.out.splitlines()) == (0, True)
    assert office.run("export", "person", "--known-as", f"patient:{patient}").code == 3


def test_person_needed_by_others_is_not_erased(office: Office) -> None:
    doctor = office.scalar("select min(doctor_id) from scheduling.appointments")
    result = office.run("erase", "--known-as", f"doctor:{doctor}", "--yes")
    assert (result.code, len(result.lines), "appointments_doctor_id_fkey" in result.err) == (4, 1, True)
