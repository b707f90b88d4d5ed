"""`scheduler export` and `scheduler erase`: what they say, what they write, and how they end."""

import json
import stat
from datetime import date
from pathlib import Path
from typing import NamedTuple

import psycopg
import pytest
from rich.console import Console

from commands import Said, run
from phi_world import master_keys, written_master_key
from scheduler.cli.seeding import make_if_missing
from scheduler.services.seeding.scales import Scale, Seed
from scheduler.store.database import Database

pytestmark = pytest.mark.database

NOBODY = "00000000-0000-4000-8000-000000000000"


class Desk(NamedTuple):
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
def desk(database: Database, database_url: str) -> Desk:
    seed = Seed(7, 1, Scale.SMALL, date(2027, 2, 1))
    make_if_missing(database, seed, master_keys("main"), Console(quiet=True))
    return Desk(database_url, seed.slug)


@pytest.fixture(scope="module")
def child(desk: Desk) -> str:
    return desk.one("select min(cast(id as text)) from wellbeing.children")


@pytest.fixture(scope="module")
def client(desk: Desk) -> str:
    return desk.one("select min(cast(id as text)) from placement.clients")


def test_a_person_is_written_as_json_to_standard_output(desk: Desk, child: str) -> None:
    said = desk.run("export", "person", "--user", child)
    written = json.loads(said.out)
    assert (said.code, said.err) == (0, "")
    assert [row["id"] for row in written["wellbeing.children"]] == [child]
    assert len(written["wellbeing.wellbeing_sessions"]) == 3


def test_nothing_encrypted_needs_no_master_key(desk: Desk, child: str) -> None:
    assert desk.run("export", "person", "--user", child, keys="").code == 0


def test_a_file_is_new_and_for_its_owner_only(desk: Desk, client: str, tmp_path: Path) -> None:
    out = tmp_path / "client.json"
    said = desk.run("export", "person", "--known-as", f"client:{client}", "--out", str(out))
    assert (said.code, said.out, stat.S_IMODE(out.stat().st_mode)) == (0, "", 0o600)
    assert json.loads(out.read_text())["placement.placement_info"][0]["diagnosis"]


def test_a_file_that_is_there_is_left_as_it_is(desk: Desk, child: str, tmp_path: Path) -> None:
    out = tmp_path / "there.json"
    out.write_text("mine")
    said = desk.run("export", "person", "--user", child, "--out", str(out))
    assert (said.code, said.lines, out.read_text()) == (
        2,
        [f"error: {out} is there already: choose another file"],
        "mine",
    )


def test_what_fails_leaves_no_file_and_no_event(desk: Desk, client: str, tmp_path: Path) -> None:
    out, before = tmp_path / "client.json", desk.exports()
    asked = ("export", "person", "--known-as", f"client:{client}", "--out", str(out))
    assert desk.run(*asked, keys=written_master_key("another")).code == 7
    assert (out.exists(), desk.exports()) == (False, before)


def test_what_the_audit_log_does_not_know_is_not_handed_out(
    desk: Desk, child: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The words come after the commit."""
    before, seen = desk.exports(), []
    monkeypatch.setattr("scheduler.cli.personal.typer.echo", lambda *_, **__: seen.append(desk.exports()))
    desk.run("export", "person", "--user", child)
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
def test_who_is_not_said_or_no_id_is_refused_in_one_line(desk: Desk, who: tuple[str, ...]) -> None:
    said = desk.run("export", "person", *who)
    assert (said.code, said.out, len(said.lines)) == (2, "", 1)


@pytest.mark.parametrize("command", [("export", "person"), ("erase", "--yes")])
def test_somebody_who_is_not_there_is_code_3(desk: Desk, command: tuple[str, ...]) -> None:
    said = desk.run(*command, "--user", NOBODY)
    assert (said.code, said.lines) == (3, [f"error: no user {NOBODY}"])


def test_a_tenant_is_written_whole(desk: Desk, tmp_path: Path) -> None:
    out = tmp_path / "tenant.json"
    assert desk.run("export", "tenant", "--out", str(out)).code == 0
    written = json.loads(out.read_text())
    assert [row["slug"] for row in written["identity.tenants"]] == [desk.slug]
    assert len(written["scheduling.patients"]) == 12


def test_to_erase_is_done_with_a_yes_where_nobody_can_be_asked(desk: Desk, child: str) -> None:
    said = desk.run("erase", "--user", child)
    assert (said.code, "--yes says to go on" in said.err) == (2, True)


def test_to_erase_says_what_went(desk: Desk) -> None:
    patient = desk.one("select max(id) from scheduling.patients")
    said = desk.run("erase", "--known-as", f"patient:{patient}", "--yes")
    assert (said.code, "scheduling.patients: 1 rows deleted" in said.out.splitlines()) == (0, True)
    assert desk.run("export", "person", "--known-as", f"patient:{patient}").code == 3


def test_one_whom_others_need_is_not_erased_and_why_is_one_line(desk: Desk) -> None:
    doctor = desk.one("select min(doctor_id) from scheduling.appointments")
    said = desk.run("erase", "--known-as", f"doctor:{doctor}", "--yes")
    assert (said.code, len(said.lines), "appointments_doctor_id_fkey" in said.err) == (4, 1, True)
