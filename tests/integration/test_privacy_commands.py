"""`scheduler export` and `scheduler erase`: what they say, what they write, and how they end."""

import json
import stat
from datetime import date
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from rich.console import Console

from scheduler.cli.seed import make_if_missing
from scheduler.postgres.database import Database
from scheduler.sample_data.scales import Scale, Seed
from support.cli import Said, run
from support.worlds.encryption import master_keys, written_master_key

pytestmark = pytest.mark.database

NOBODY = "00000000-0000-4000-8000-000000000000"


class Office(NamedTuple):
    """The command line on a database with a made-up tenant."""

    url: str
    slug: str

    def run(self, *arguments: str, keys: str = written_master_key("main")) -> Said:
        return run(self.url, *arguments, "--tenant", self.slug, SCHEDULER_MASTER_KEYS=keys)

    def one(self, question: str) -> str:
        with psycopg.connect(self.url) as connection:
            found = connection.execute(question.encode()).fetchone()
        assert found is not None
        return str(found[0])

    def exports(self) -> int:
        return int(self.one("select count(*) from audit.system_audit_log where event = 'person.exported'"))


@pytest.fixture(scope="module")
def office(database: Database, database_url: str) -> Office:
    seed = Seed(7, 1, Scale.SMALL, date(2027, 2, 1))
    make_if_missing(database, seed, master_keys("main"), Console(quiet=True))
    return Office(database_url, seed.slug)


@pytest.fixture(scope="module")
def child(office: Office) -> str:
    return office.one("select min(cast(id as text)) from wellbeing.children")


@pytest.fixture(scope="module")
def client(office: Office) -> str:
    return office.one("select min(cast(id as text)) from placement.clients")


def test_a_person_is_written_as_json_to_standard_output(office: Office, child: str) -> None:
    said = office.run("export", "person", "--user", child)
    written = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert [row["id"] for row in written["wellbeing.children"]] == [child]
    assert len(written["wellbeing.wellbeing_sessions"]) == 3


def test_nothing_encrypted_needs_no_master_key(office: Office, child: str) -> None:
    assert office.run("export", "person", "--user", child, keys="").code == 0


def test_a_file_is_new_and_for_its_owner_only(office: Office, client: str, tmp_path: Path) -> None:
    out = tmp_path / "client.json"
    said = office.run("export", "person", "--known-as", f"client:{client}", "--out", str(out))
    assert (said.code, said.out, stat.S_IMODE(out.stat().st_mode)) == (0, "", 0o600)
    assert json.loads(out.read_text())["placement.placement_info"][0]["diagnosis"]


def test_a_file_that_is_there_is_left_as_it_is(office: Office, child: str, tmp_path: Path) -> None:
    out = tmp_path / "there.json"
    out.write_text("mine")
    said = office.run("export", "person", "--user", child, "--out", str(out))
    assert (said.code, said.lines, out.read_text()) == (
        2,
        [f"error: {out} exists already: choose another file"],
        "mine",
    )


def test_what_fails_leaves_no_file_and_no_event(office: Office, client: str, tmp_path: Path) -> None:
    out, before = tmp_path / "client.json", office.exports()
    asked = ("export", "person", "--known-as", f"client:{client}", "--out", str(out))
    assert office.run(*asked, keys=written_master_key("another")).code == 7
    assert (out.exists(), office.exports()) == (False, before)


def test_what_the_audit_log_does_not_know_is_not_handed_out(
    office: Office, child: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words come after the commit."""
    before, seen = office.exports(), []
    monkeypatch.setattr("scheduler.cli.privacy.typer.echo", lambda *_, **__: seen.append(office.exports()))
    office.run("export", "person", "--user", child)
    assert seen == [before + 1]


@pytest.mark.parametrize(
    "who",
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
def test_who_is_not_said_or_no_id_is_refused_in_one_line(office: Office, who: tuple[str, ...]) -> None:
    said = office.run("export", "person", *who)
    assert (said.code, said.out, len(said.lines)) == (2, "", 1)


@pytest.mark.parametrize("command", [("export", "person"), ("erase", "--yes")])
def test_somebody_who_is_not_there_is_code_3(office: Office, command: tuple[str, ...]) -> None:
    said = office.run(*command, "--user", NOBODY)
    assert (said.code, said.lines) == (3, [f"error: no user {NOBODY}"])


def test_a_tenant_is_written_whole(office: Office, tmp_path: Path) -> None:
    out = tmp_path / "tenant.json"
    assert office.run("export", "tenant", "--out", str(out)).code == 0
    written = json.loads(out.read_text())
    assert [row["slug"] for row in written["identity.tenants"]] == [office.slug]
    assert len(written["scheduling.patients"]) == 12


def test_to_erase_is_done_with_a_yes_where_nobody_can_be_asked(office: Office, child: str) -> None:
    said = office.run("erase", "--user", child)
    assert (said.code, "confirm with --yes" in said.err) == (2, True)


def test_to_erase_says_what_went(office: Office) -> None:
    patient = office.one("select max(id) from scheduling.patients")
    said = office.run("erase", "--known-as", f"patient:{patient}", "--yes")
    assert (said.code, "scheduling.patients: 1 rows deleted" in said.out.splitlines()) == (0, True)
    assert office.run("export", "person", "--known-as", f"patient:{patient}").code == 3


def test_one_whom_others_need_is_not_erased_and_why_is_one_line(office: Office) -> None:
    doctor = office.one("select min(doctor_id) from scheduling.appointments")
    said = office.run("erase", "--known-as", f"doctor:{doctor}", "--yes")
    assert (said.code, len(said.lines), "appointments_doctor_id_fkey" in said.err) == (4, 1, True)
