"""Command line: output of each command, and one line and an exit code for each mistake."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import date
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psycopg
import pytest
import typer
from rich.table import Table

from scheduler.cli.app import COMMANDS as TABLE
from scheduler.cli.app import EXIT_CODES, load
from scheduler.cli.demo_visit import demo_visit
from scheduler.cli.errors import NightAtRiskError
from scheduler.core.zones import _load
from scheduler.generation.errors import WorkersLostError
from scheduler.generation.job import generate
from scheduler.postgres.database import Database
from scheduler.postgres.errors import DatabaseUnreachableError, StoreError, UnfitLoginError
from support.cli import CommandResult, run
from support.databases import execute

pytestmark = pytest.mark.database

REGION = Path(__file__).parents[2] / "examples" / "region.jsonl"
CLOSED_PORT = "postgresql://me:hunter2@127.0.0.1:1/clinic"
COMMANDS = (
    "",
    "demo",
    "seed",
    "migrate",
    "stamp",
    "preflight",
    "with-server",
    "schema",
    "schema check",
    "schema grants",
    "schema picture",
    "import",
    "import openings",
    "families",
    "families migrate",
    "generate",
    "retire",
    "status",
    "show",
    "week",
    "explain",
    "doctors",
    "find",
    "book",
    "cancel",
    "day",
    "events",
    "report",
    "report visits",
    "keys",
    "keys new-master",
    "keys rotate",
    "keys rewrap",
    "keys status",
    "audit",
    "audit seal",
    "audit verify",
    "audit retire",
    "audit show",
    "export",
    "export person",
    "export tenant",
    "erase",
)


def process(*arguments: str, stdout: int = subprocess.PIPE, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a command as a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from scheduler.cli import main; main()", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
        | {"COLUMNS": "120"}
        | environment,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def region(database_url: str) -> str:
    """A database with the shipped region, generated for two months; nobody writes to it."""
    for arguments in (
        ("import", "openings", str(REGION)),
        ("generate", "--from", "2027-02-01", "--days", "60"),
    ):
        assert run(database_url, *arguments).code == 0
    return database_url


def written(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "openings.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def place(code: str, **fields: Any) -> dict[str, Any]:
    return {
        "code": code,
        "name": "A place",
        "timezone": "Europe/London",
        "weekly": {"monday": [["09:00", "12:00"]]},
    } | fields


# Help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_shows_its_usage(command: str) -> None:
    result = run(CLOSED_PORT, *command.split(), "--help")
    assert (result.code, result.err) == (0, "")
    assert f"Usage: scheduler {command}".strip() in result.out


def test_help_shows_the_default_written_in_a_text() -> None:
    assert "[default: today]" in run(CLOSED_PORT, "generate", "--help").out


def test_the_help_of_preflight_names_its_exit_code() -> None:
    shown = " ".join(run(CLOSED_PORT, "preflight", "--help").out.split())
    assert all(f"Exit code {EXIT_CODES[error]} " in shown for error in (UnfitLoginError, NightAtRiskError))


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command and group but the root, each with its words."""
    for name in TABLE:
        command = load(name)
        yield name, command
        yield from ((f"{name} {part}", inner) for part, inner in getattr(command, "commands", {}).items())


def test_every_command_and_option_has_help() -> None:
    silent = [
        f"{name} {getattr(part, 'name', '')}"
        for name, command in commands()
        for part in (command, *command.params)
        if not part.help
    ]
    assert silent == []


def test_help_tests_know_every_command() -> None:
    assert sorted(["", *(name for name, _ in commands())]) == sorted(COMMANDS)


@pytest.mark.parametrize("name", TABLE)
def test_placeholder_of_a_command_has_its_help(name: str) -> None:
    assert TABLE[name].help == load(name).help.partition("\n\n")[0]


def test_version_is_printed() -> None:
    assert run(CLOSED_PORT, "--version").out.startswith("slotsmith ")


@pytest.mark.parametrize("arguments", ["nonsense", "generate --nonsense", "generate extra", "import", "show", ""])
def test_unknown_command_shows_usage_and_exits_with_2(arguments: str) -> None:
    result = run(CLOSED_PORT, *arguments.split())
    assert result.code == 2
    assert "Usage:" in result.out + result.err


# Bad input


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("generate --from garbage", "'garbage' is not a day"),
        ("generate --from 2027-02-30", "'2027-02-30' is not a day"),
        ("generate --from 2027-03-28T10:00", "is not a day"),
        ("generate --until 2027", "'2027' is not a day"),
        ("generate --from 2027-03-02 --until 2027-03-01", "no day to work on"),
        ("generate --days 3 --until 2027-03-01", "give one of them"),
        ("generate --from 0001-01-01 --days 9", "leaves the calendar"),
        ("generate --from 9999-12-20 --days 9", "leaves the calendar"),
        ("generate --from 9999-12-31", "leave the calendar"),
        ("generate --days 100000", "100000 days are too many"),
        ("generate --max-duration 2", "'2' is not a duration: 2h, 90m, 1h30m or 45s are"),
        ("generate --max-duration 0m", "'0m' is not a duration"),
        ("generate --max-duration 30m1h", "'30m1h' is not a duration"),
        ("generate --address tcp://127.0.0.1:1", "give --executor dask too"),
        ("generate --executor dask", "--executor dask needs --address"),
        ("generate --executor dask --address tcp://127.0.0.1:1 --workers 2", "exclude each other"),
        ("generate --executor dask --address nonsense://x", "--address nonsense://x"),
        ("generate --all-tenants --facility gb-larkspur", "a facility belongs to one tenant"),
        ("generate --tenant \udcff", "not a line of text"),
        ("generate --facility \udcff", "not a line of text"),
        ("doctors --facility \udcff", "not a line of text"),
        ("show gb-larkspur --week 2027-03-01 --svg /", "/ cannot be written: Is a directory"),
        ("show gb-larkspur --week 2027-03-01 --json --html /nowhere/x", "/nowhere/x cannot be written: No such file"),
        ("explain gb-larkspur 2027-03-01 --svg /nowhere/x", "/nowhere/x cannot be written: No such file"),
        ("show \udcff", "not a line of text"),
        ("show gb-larkspur --week garbage", "'garbage' is not a day"),
        ("show gb-larkspur --week 0001-01-01", "leaves the calendar"),
        ("show gb-larkspur --week 9999-12-31", "leaves the calendar"),
        ("explain gb-larkspur garbage", "'garbage' is neither a day"),
        ("explain gb-larkspur now", "'now' is neither a day"),
        ("explain gb-larkspur 2027-W13", "'2027-W13' is neither a day"),
        ("explain gb-larkspur 10:20", "'10:20' is neither a day"),
        ("explain gb-larkspur \udcff", "not a line of text"),
        ("explain gb-larkspur 0001-01-01", "leaves the calendar"),
        ("explain gb-larkspur 9999-12-30", "leaves the calendar"),
        ("explain gb-larkspur 0001-01-01T00:00Z", "leaves the calendar"),
        ("explain gb-larkspur 9999-12-31T23:59-12:00", "leaves the calendar"),
        ("migrate --down nonsense", "'nonsense'"),
        ("migrate --down base --sql", "give one of them"),
    ],
)
def test_invalid_argument_is_one_line_and_exit_code_2(region: str, arguments: str, why: str) -> None:
    result = run(region, *arguments.split())
    assert (result.code, len(result.lines), result.out) == (2, 1, "")
    assert result.lines[0].startswith("error: ")
    assert why in result.lines[0]


@pytest.mark.parametrize(
    "arguments", ["generate --days 0", "generate --days -3", "generate --days many", "demo --days 0"]
)
def test_number_of_days_below_one_is_refused(region: str, arguments: str) -> None:
    result = run(region, *arguments.split())
    assert result.code == 2
    assert "--days" in result.err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ("generate --facility nowhere", "no facility 'nowhere'"),
        ("generate --tenant nobody", "no tenant 'nobody'"),
        ("status --tenant nobody", "no tenant 'nobody'"),
        ("show nowhere", "no facility 'nowhere'"),
        ("explain nowhere 2027-03-26", "no facility 'nowhere'"),
        ("show gb-larkspur --doctor 99999999999999999999", "doctor 99999999999999999999 has no schedule"),
        ("explain gb-larkspur 2027-03-26 --doctor 0", "doctor 0 has no schedule"),
        ("show gb-larkspur --doctor 0", "`scheduler doctors --facility gb-larkspur` lists those who work there"),
        ("doctors --facility nowhere", "no facility 'nowhere'"),
        ("doctors --tenant nobody", "no tenant 'nobody'"),
        ("import openings /nowhere.jsonl", "no file '/nowhere.jsonl'"),
        ("demo /nowhere.jsonl", "no file '/nowhere.jsonl'"),
    ],
)
def test_unknown_name_is_one_line_and_exit_code_3(region: str, arguments: str, why: str) -> None:
    result = run(region, *arguments.split())
    assert (result.code, len(result.lines)) == (3, 1)
    assert why in result.lines[0]


def test_unknown_facility_error_names_similar_slugs(region: str) -> None:
    assert "gb-larkspur" in run(region, "show", "gb-lark").err


def test_show_of_a_facility_without_doctors_exits_with_3(migrated: str, tmp_path: Path) -> None:
    run(migrated, "import", "openings", str(written(tmp_path, place("p1", weekly={}))))
    result = run(migrated, "show", "p1")
    assert (result.code, result.lines) == (3, ["error: nobody has a schedule at 'p1', or a slot at this time"])


BAD_LINES = (
    place("good"),
    place("zone", timezone="Mars/Olympus"),
    place("weekday", weekly={"mittwoch": [["09:00", "12:00"]]}),
    "{no json",
    place("time", weekly={"monday": [["09:00", "25:00"]]}),
    place("good"),
    place("fine"),
)
FAULTS = ((2, "Mars/Olympus"), (3, "mittwoch"), (4, "JSON"), (5, "25:00"), (6, "also that of line 1"))


def slugs(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        return [slug for (slug,) in connection.execute("select slug from scheduling.facilities order by slug")]


def assert_faults(result: CommandResult, path: Path) -> None:
    for line, (number, reason) in zip(result.lines, FAULTS, strict=False):
        assert line.startswith(f"{path}:{number}: ")
        assert reason in line


def test_broken_lines_are_named_and_nothing_is_imported(migrated: str, tmp_path: Path) -> None:
    path = written(tmp_path, *BAD_LINES)
    result = run(migrated, "import", "openings", str(path))
    assert (result.code, result.out, slugs(migrated)) == (2, "", [])
    assert_faults(result, path)
    assert result.lines[len(FAULTS) :] == [
        f"error: 5 lines are broken, first line 2: {result.lines[0].partition(':2: ')[2]}"
    ]
    assert run(migrated, "status").code == 3  # not even the tenant is there


def test_skip_bad_imports_the_good_lines(migrated: str, tmp_path: Path) -> None:
    path = written(tmp_path, *BAD_LINES)
    result = run(migrated, "import", "openings", str(path), "--skip-bad")
    assert (result.code, slugs(migrated)) == (0, ["fine", "good"])
    assert result.lines[len(FAULTS) :] == ["created the tenant 'default', which did not exist"]
    assert_faults(result, path)


def test_many_broken_lines_are_named_up_to_20_then_counted(migrated: str, tmp_path: Path) -> None:
    result = run(migrated, "import", "openings", str(written(tmp_path, *["{"] * 30)))
    assert len(result.lines) == 22
    assert result.lines[20].endswith("and 10 more broken lines")


def test_file_that_is_not_utf_8_is_broken(migrated: str, tmp_path: Path) -> None:
    path = tmp_path / "openings.jsonl"
    path.write_bytes(b"\xff\xfe\x00\n")
    result = run(migrated, "import", "openings", str(path))
    assert (result.code, result.lines[0]) == (2, f"{path}:1: byte 1 is not UTF-8")


@pytest.mark.parametrize("command", ["import openings", "demo"])
def test_folder_instead_of_a_file_cannot_be_read(region: str, tmp_path: Path, command: str) -> None:
    result = run(region, *command.split(), str(tmp_path))
    assert result.code == 2
    assert "cannot be read" in result.err


def test_a_second_demo_creates_nothing(migrated: str, tmp_path: Path) -> None:
    command = "demo", str(written(tmp_path, place("p1"))), "--from", "2027-03-01", "--days", "7"
    first, second = (run(migrated, *command, "--database-url", migrated) for _ in range(2))
    assert (first.code, "Nothing was created" in first.out) == (0, False)
    assert (second.code, "Nothing was created" in second.out) == (0, True)
    created = [
        run["slots_created"]
        for run in json.loads(run(migrated, "status", "--tenant", "demo-openings", "--json").out)["runs"]
    ]
    assert created[0] == 0 < created[1]


def test_demo_refuses_a_schema_of_an_earlier_development_state(migrated: str) -> None:
    """Migrations are edited in place before the first release, so the revision alone does not tell."""
    execute(migrated, "alter table scheduling.booking_caps rename column period to former_period")
    try:
        result = run(migrated, "demo", "--days", "1", "--database-url", migrated)
    finally:
        execute(migrated, "alter table scheduling.booking_caps rename column former_period to period")
    assert (result.code, result.out, len(result.lines)) == (6, "", 1)
    assert re.search(r"\d+ things in the database .* differ from the schema of this release, such as: ", result.err)
    assert result.err.endswith("lists them; for a new database, give another --database-url\n")


def test_demo_without_a_master_key_skips_the_sample_tenant(
    migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(migrated, "demo", "--days", "7", "--database-url", migrated)
    assert (result.code, result.lines) == (0, [])
    assert "skipped the sample tenant: no master key" in result.out
    visit = [
        "Mon 01 Feb 07:45-07:50  reception",
        "Mon 01 Feb 07:50-08:00  vitals        nurse Nora",
        "Mon 01 Feb 08:00-08:20  consultation  Bridget Oakes, room 1",
        "Mon 01 Feb 08:20-08:30  blood sample  nurse Nora, room 1",
    ]
    lines = [line.rstrip() for line in result.out.splitlines()]
    assert [line for line in lines if line in visit] == visit
    # At 08:15 the nurse would be with the patient of the hold.
    assert "Bob Lee wants it, too: it is held, and the next start is Mon 08:45." in lines
    with Database(migrated) as database:
        (again, *_), seen = demo_visit(database, "gb-larkspur", date(2027, 2, 1), date(2027, 2, 2), tenant="demo")
    assert isinstance(again, Table)
    assert list(again.columns[0].cells) == [line[:22] for line in visit]
    assert seen is not None
    show = f"show gb-larkspur --week {seen.local_start.date()} --tenant demo"
    (week,) = [line for line in lines if line.endswith(show)]
    assert "1 booked" in run(migrated, *week.split()[1:]).out
    with psycopg.connect(migrated) as connection:
        assert connection.execute("select count(*) from scheduling.appointments").fetchall() == [(1,)]
    # The commands for a desk run as they are printed: the last offer that is found is booked.
    monkeypatch.chdir(tmp_path)
    printed = [shlex.split(line)[1:] for line in lines[lines.index("The database stays. Look around:") + 1 :]]
    at_the_desk = [words for words in printed if words[0] in {"day", "explain", "report", "find", "book", "cancel"}]
    results = []
    for words in at_the_desk:
        command, output = (words[:-2], words[-1]) if ">" in words else (words, "printed")
        results.append(run(migrated, *command))
        Path(output).write_text(results[-1].out)
    assert [(result.code, result.err) for result in results] == [(0, "")] * len(results)
    assert [result.out.split(",")[-1] for result in results[-2:]] == [" scheduled\n", " cancelled\n"]


@pytest.mark.parametrize(("command", "lines"), [("demo", []), ("import openings", []), ("import openings", ["", " "])])
def test_an_empty_file_is_refused(region: str, tmp_path: Path, command: str, lines: list[str]) -> None:
    result = run(region, *command.split(), str(written(tmp_path, *lines)))
    assert (result.code, result.lines) == (2, ["error: there is no place in the file: nothing to import"])


def test_import_says_that_the_tenant_is_new(migrated: str, tmp_path: Path) -> None:
    command = "import", "openings", str(written(tmp_path, place("p1"))), "--tenant", "clinc"
    assert run(migrated, *command).lines == ["created the tenant 'clinc', which did not exist"]
    assert run(migrated, *command).lines == []


def rules(url: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute("select count(*) from scheduling.availability_rules").fetchone()
    assert row is not None
    return int(row[0])


def test_an_import_that_removes_a_tenth_of_all_rules_asks_first(
    migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Standard input is no terminal here; on one, the answer decides."""

    def imported(count: int, *options: str, minute: int = 0, closed: str = "2999-12-25") -> CommandResult:
        hours = [[f"{hour:02}:{minute:02}", f"{hour:02}:30"] for hour in range(count)]
        monday = place("p1", weekly={"monday": hours}, closures={closed: None} if closed else {})
        file = written(tmp_path, monday, place("p2", weekly={"friday": [["09:00", "10:00"]]}))
        return run(migrated, "import", "openings", str(file), *options)

    assert imported(19, closed="2020-12-25").code == 0
    assert imported(19, minute=1).code == 0  # replaced, and the past closure is over
    assert imported(19, closed="").lines == [
        "error: the import removes 1 of 1 closures: confirm with --yes, since standard input is no terminal"
    ]
    assert (imported(17).code, rules(migrated)) == (0, 18)  # two of twenty: a tenth
    refused = imported(15)
    assert (refused.code, rules(migrated)) == (2, 18)
    assert refused.lines == [
        "error: the import removes 2 of 18 rules: confirm with --yes, since standard input is no terminal"
    ]
    asked: list[str] = []
    monkeypatch.setattr("scheduler.cli.confirm.sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("scheduler.cli.confirm.typer.confirm", lambda text, **_: asked.append(text))
    assert (imported(15).code, rules(migrated)) == (0, 16)
    assert asked == ["the import removes 2 of 18 rules. Go on?"]
    assert imported(0).code == 0
    assert asked[1:] == ["the import removes 15 of 16 rules, all rules of 'p1'. Go on?"]
    assert imported(15).code == 0
    monkeypatch.setattr("scheduler.cli.confirm.typer.confirm", _no)
    assert (imported(1).code, rules(migrated)) == (1, 16)
    assert (imported(1, "--yes").code, rules(migrated)) == (0, 2)


def _no(*_: object, **__: object) -> None:
    raise typer.Abort


@pytest.mark.parametrize("change", [{"Weekly": {}}, {"openingHours": {}}, {}])
def test_misspelt_hours_do_not_erase_the_rules(migrated: str, tmp_path: Path, change: dict[str, Any]) -> None:
    run(migrated, "import", "openings", str(written(tmp_path, place("p1"))))
    line = {name: value for name, value in place("p1", **change).items() if name != "weekly"}
    result = run(migrated, "import", "openings", str(written(tmp_path, line)))
    assert (result.code, rules(migrated)) == (2, 1)


@pytest.mark.parametrize("slug", ["", " ", "x" * 256, " praxis"])
def test_blank_or_long_tenant_slug_is_refused(migrated: str, tmp_path: Path, slug: str) -> None:
    result = run(migrated, "import", "openings", str(written(tmp_path, place("p1"))), "--tenant", slug)
    assert (result.code, len(result.lines)) == (2, 1)


def test_zone_without_a_place_is_a_fault_of_its_line(migrated: str, tmp_path: Path) -> None:
    result = run(
        migrated, "import", "openings", str(written(tmp_path, place("p1", timezone="Factory"))), "--tenant", "no"
    )
    assert result.code == 2
    assert "unknown time zone 'Factory'" in result.err


def test_r4_an_import_that_fails_leaves_no_tenant(
    migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A zone that this PostgreSQL does not know, as an older one may not know a new zone."""
    monkeypatch.setattr("scheduler.core.zones._NOT_PLACES", frozenset())
    _load.cache_clear()
    result = run(
        migrated, "import", "openings", str(written(tmp_path, place("p1", timezone="Factory"))), "--tenant", "half"
    )
    _load.cache_clear()
    assert (result.code, result.lines) == (
        2,
        ["error: this PostgreSQL does not know one of the file's time zones: Factory"],
    )
    assert run(migrated, "status", "--tenant", "half").code == 3


def test_doctor_code_of_another_person_is_refused(migrated: str, tmp_path: Path) -> None:
    def at(code: str, name: str) -> dict[str, Any]:
        doctor = {"code": "x", "first_name": name, "last_name": "One", "weekly": {"monday": [["09:00", "12:00"]]}}
        return {"code": code, "name": "A place", "timezone": "Europe/London", "doctors": [doctor]}

    for code, name, expected in (("p1", "Ann", 0), ("p2", "Bob", 2), ("p1", "Anne", 0)):
        result = run(migrated, "import", "openings", str(written(tmp_path, at(code, name))), "--tenant", "names")
        assert result.code == expected, result.err


# The database


@pytest.mark.parametrize(
    "arguments",
    [
        "status",
        "generate",
        "migrate",
        "show x",
        "explain x 2027-03-26",
        "doctors",
        f"demo --database-url {CLOSED_PORT}",
    ],
)
def test_unreachable_database_is_one_line_without_the_password(arguments: str) -> None:
    result = run(CLOSED_PORT, *arguments.split())
    assert (result.code, len(result.lines)) == (5, 1)
    assert "127.0.0.1:1/clinic" in result.err
    assert "hunter2" not in result.err + result.out


@pytest.mark.parametrize(
    "url", ["hunter2", "mysql://me:hunter2@host/x", "postgresql://me:hunter2@host:port/x", "\udcff"]
)
def test_invalid_url_is_one_line_without_the_password(url: str) -> None:
    result = run(CLOSED_PORT, "status", "--database-url", url)
    assert (result.code, len(result.lines)) == (2, 1)
    assert "hunter2" not in result.err


@pytest.mark.parametrize(
    "arguments", ["status", "generate", f"import openings {REGION}", "show x", "explain x 2027-03-26", "doctors"]
)
def test_unmigrated_database_error_names_the_command_to_run(empty_database_url: str, arguments: str) -> None:
    result = run(empty_database_url, *arguments.split())
    assert (result.code, len(result.lines)) == (6, 1)
    assert "run `scheduler migrate`" in result.err


@pytest.mark.parametrize(
    "arguments", ["status", "generate", "migrate", "migrate --down base", f"import openings {REGION}"]
)
def test_newer_database_is_left_alone(migrated: str, arguments: str) -> None:
    execute(migrated, "update scheduler.revision set version_num = '99991231235959'")
    result = run(migrated, *arguments.split())
    assert (result.code, len(result.lines)) == (6, 1)
    assert "newer than this code" in result.err


def test_migrate_goes_up_stays_goes_down_and_up_again(empty_database_url: str) -> None:
    steps = ((), (), ("--down", "base"), ())
    results = [run(empty_database_url, "migrate", *step) for step in steps]
    assert [run.code for run in results] == [0, 0, 0, 0]
    up = results[0].out
    assert up.startswith("migrated from nothing to 2")
    head = up.split()[-1]
    assert [run.out.strip() for run in results[1:]] == [
        f"already at {head}",
        f"migrated from {head} to nothing",
        up.strip(),
    ]


def test_sql_of_migrate_equals_the_migration(empty_database_url: str) -> None:
    script = run(CLOSED_PORT, "migrate", "--sql").out
    execute(empty_database_url, script)
    assert run(empty_database_url, "migrate").out.startswith("already at ")


# Looking at the shipped region


def test_status_shows_totals_days_and_runs(region: str) -> None:
    result = run(region, "status")
    assert result.code == 0
    words = result.out.split()
    assert words[words.index("facilities") + 1] == "41"
    assert "2027-02-01 to before 2027-04-02" in result.out
    assert "succeeded" in result.out


def test_status_as_json(region: str) -> None:
    figures = json.loads(run(region, "status", "--json").out)
    assert (figures["facilities"], figures["failing"], figures["from_day"]) == (41, 0, "2027-02-01")
    assert figures["slots"] == sum(run["slots_created"] for run in figures["runs"])


def test_show_has_the_closed_day_and_the_clock_change(region: str) -> None:
    result = run(region, "show", "gb-larkspur", "--week", "2027-03-26")
    assert result.code == 0
    for part in ("Larkspur Lane Surgery", "Good Friday", "22 Mar", "goes forward"):
        assert part in result.out


def test_show_of_one_doctor_is_shorter(region: str) -> None:
    with psycopg.connect(region) as connection:
        row = connection.execute("select id from scheduling.doctors where display_name = 'Tobias Marlowe'").fetchone()
    assert row is not None
    whole, part = (
        run(region, "show", "gb-larkspur", "--week", "2027-03-01", *more) for more in ((), ("--doctor", str(row[0])))
    )
    assert part.code == 0
    assert len(part.out) < len(whole.out)


@pytest.mark.parametrize(
    ("when", "parts"),
    [
        ("2027-03-26", ("closure", "Fri 26 Mar", "nearest offered")),
        ("2027-03-26T10:20", ("closure", "nearest offered")),
        ("2027-03-26 10:20", ("closure", "nearest offered")),
        ("2027-03-26T10:20Z", ("closure",)),
        ("2027-03-26T15:50:00+05:30", ("closure", "Fri 26 Mar 10:20")),
        ("2027-03-25T08:30", ("Nothing is in the way", "offered: 1 slot starts Thu 25 Mar 08:30")),
        ("2027-03-25T08:33", ("off grid",)),
        ("2027-03-28T01:30", ("outside rules", "Sun 28 Mar 02:00")),
        ("2027-02-09T10:00", ("blocked",)),
    ],
)
def test_a_day_or_a_time_is_explained(region: str, when: str, parts: Iterable[str]) -> None:
    result = run(region, "explain", "gb-larkspur", when)
    assert (result.code, result.err) == (0, "")
    assert [part for part in parts if part not in result.out] == []


def test_show_marks_the_leave_of_one_doctor_beside_open_slots(region: str) -> None:
    result = run(region, "show", "gb-larkspur", "--week", "2027-02-09")
    assert re.search(r"^ 09:00  ○3 ░A +○1 ░A +○3 ░A ", result.out, re.MULTILINE)
    assert re.search(r"^ A Imogen Fairweather ░+ ░+", result.out, re.MULTILINE)
    assert re.search(r"^ B Tobias Marlowe +○16 ", result.out, re.MULTILINE)
    assert "A Imogen Fairweather: Annual leave" in result.out


def test_doctors_lists_the_ids_that_other_commands_take(region: str) -> None:
    result = run(region, "doctors")
    shown = json.loads(run(region, "doctors", "--json").out)["doctors"]
    assert (result.code, len(shown)) == (0, 58)
    assert [doctor["id"] for doctor in shown] == sorted(doctor["id"] for doctor in shown)
    there = json.loads(run(region, "doctors", "--facility", "gb-larkspur", "--json").out)["doctors"]
    assert there == [doctor for doctor in shown if "gb-larkspur" in doctor["facilities"]]
    imogen = {"name": "Imogen Fairweather", "specialty": "General practice"}
    assert there[0] == imogen | {"id": there[0]["id"], "facilities": ["gb-bramble", "gb-larkspur"]}
    table = run(region, "doctors", "--facility", "gb-larkspur").out.splitlines()
    assert table[3].split() == f"{there[0]['id']} Imogen Fairweather General practice gb-bramble, gb-larkspur".split()
    week = run(region, "show", "gb-larkspur", "--week", "2027-02-09", "--doctor", str(there[0]["id"]), "--json")
    shown_week = json.loads(week.out)
    assert [doctor["name"] for doctor in shown_week["doctors"]] == ["Imogen Fairweather"]
    assert (shown_week["slots"], len(shown_week["exceptions"])) == ([], 1)


def test_doctors_are_listed_where_they_work_until_deleted(migrated: str, tmp_path: Path) -> None:
    run(migrated, "import", "openings", str(written(tmp_path, place("p1", weekly={}), place("p2"))))
    facilities = []
    for change in ("analyze", "update scheduling.facility_doctors set active = false"):
        execute(migrated, change)
        shown = json.loads(run(migrated, "doctors", "--json").out)["doctors"]
        facilities.append([doctor["facilities"] for doctor in shown])
    assert facilities == [[["p1"], ["p2"]], [[], ["p2"]]]  # the rules of the second one stay
    execute(migrated, "update scheduling.doctors set deleted_at = now()")
    assert run(migrated, "doctors").out == "no doctors\n"
    assert json.loads(run(migrated, "doctors", "--json").out) == {"doctors": []}


def test_show_as_json_has_the_slots_of_the_week(region: str) -> None:
    week = json.loads(run(region, "show", "gb-larkspur", "--week", "2027-03-26", "--json").out)
    assert (week["facility"]["zone"], week["first_day"], week["last_day"]) == (
        "Europe/London",
        "2027-03-22",
        "2027-03-28",
    )
    assert [closure["reason"] for closure in week["closures"]] == ["Good Friday"]
    (slots,) = {frozenset(slot) for slot in week["slots"]}
    assert slots == {"id", "doctor_id", "service_offering_id", "start_at", "end_at", "status"}
    assert {slot["status"] for slot in week["slots"]} == {"open"}


def test_explain_as_json_has_the_reasons_of_each_doctor(region: str) -> None:
    given = json.loads(run(region, "explain", "gb-larkspur", "2027-02-09T10:00", "--json").out)
    assert (given["facility"]["slug"], given["asked"]) == ("gb-larkspur", "2027-02-09T10:00")
    imogen, tobias, bridget = given["answers"]
    (blocked,) = imogen["reasons"]
    ten = "2027-02-09T10:00:00+00:00"
    assert (blocked["code"], blocked["comment"], blocked["starts"]) == ("blocked", "Annual leave", [ten])
    assert (tobias["offered"], tobias["nearest"]["start_at"]) == ([], "2027-02-08T12:45:00+00:00")
    assert (bridget["reasons"], bridget["offered"]) == ([], [bridget["nearest"]])
    assert {frozenset(answer) for answer in given["answers"]} == {
        frozenset({"doctor", "fault", "reasons", "offered", "nearest"})
    }


@pytest.mark.parametrize("command", ["show gb-larkspur --week 2027-02-09", "explain gb-larkspur 2027-02-09"])
def test_a_picture_is_written_instead_of_printed(region: str, tmp_path: Path, command: str) -> None:
    svg, html = tmp_path / "a.svg", tmp_path / "a.html"
    result = run(region, *command.split(), "--svg", str(svg), "--html", str(html))
    assert (result.code, result.out, result.err) == (0, "", "")
    assert all("Fairweather" in path.read_text(encoding="utf-8") for path in (svg, html))


def test_generate_as_json_with_a_log_of_batches(region: str) -> None:
    result = run(region, "generate", "--from", "2027-02-01", "--days", "60", "--dry-run", "--json")
    figures = json.loads(result.out)
    assert (
        result.code,
        figures["slots_created"],
        figures["facilities"],
        figures["schedules"],
        figures["schedules_unchanged"],
    ) == (
        0,
        0,
        41,
        62,
        62,
    )
    assert (figures["dry"], figures["run_id"], figures["failures"]) == (True, None, [])
    assert figures["peak_memory"] > 10_000_000
    assert result.err == ""  # no schedule is due
    again = run(region, "generate", "--from", "2027-02-01", "--days", "60", "--dry-run", "--json", "--all")
    log = [json.loads(line) for line in again.err.splitlines()]
    assert [line["schedules_done"] for line in log] == [36, 62]


def test_a_tenant_that_fails_stops_no_other(migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for slug in ("anna", "bert", "cleo", "dora"):
        assert run(migrated, "import", "openings", str(written(tmp_path, place("p1"))), "--tenant", slug).code == 0
    execute(
        migrated,
        "update identity.tenants set status = 'suspended' where slug = 'cleo'",
        "update scheduling.availability_rules set recurrence = 'FREQ=NONSENSE'"
        " where tenant_id = (select id from identity.tenants where slug = 'bert')",
    )
    seen: list[str] = []

    def refusing(database: Database, request: Any, **options: Any) -> Any:
        seen.append(str(request.tenant_id))
        if len(seen) == 1:
            raise StoreError("refused")
        return generate(database, request, **options)

    monkeypatch.setattr("scheduler.cli.generate.generate", refusing)
    result = run(migrated, "generate", "--all-tenants", "--from", "2027-03-01", "--days", "7", "--json")
    reports = [json.loads(line) for line in result.out.splitlines()]
    assert result.code == 1
    assert [(report["tenant"], report["slots_created"]) for report in reports] == [("bert", 0), ("dora", 9)]
    assert result.lines == [
        "error: tenant anna: refused",
        "error: tenant bert: 1 of 1 schedules failed",
        "error: 2 of 3 tenants failed: anna, bert",
    ]
    monkeypatch.setattr("scheduler.cli.generate.generate", generate)
    shown = run(migrated, "generate", "--all-tenants", "--from", "2027-03-01", "--days", "7")
    assert [line for line in shown.out.splitlines() if line.startswith("tenant ")] == [
        "tenant anna",
        "tenant bert",
        "tenant dora",
    ]


def test_time_that_is_up_leaves_the_next_tenants_to_the_next_run(
    migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slug in ("anna", "bert"):
        run(migrated, "import", "openings", str(written(tmp_path, place("p1"))), "--tenant", slug)
    monkeypatch.setattr("scheduler.cli.ending.monotonic", partial(next, count(0, 1800)))
    metrics = tmp_path / "night.prom"
    arguments = ("generate", "--all-tenants", "--days", "7", "--max-duration", "90m", "--json")
    result = run(migrated, *arguments, "--metrics", str(metrics))
    assert (result.code, len(result.out.splitlines())) == (13, 1)
    assert result.lines == ["error: the time is up: 1 of 2 tenants are left to the next run"]
    succeeded = [line for line in metrics.read_text().splitlines() if line.startswith("scheduler_generation_succeeded")]
    assert [line.split("tenant=")[1] for line in succeeded] == ['"anna"} 1.0', '"bert"} 0.0']


def test_a_failure_counts_more_than_the_time_that_is_up(
    migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slug in ("anna", "bert"):
        run(migrated, "import", "openings", str(written(tmp_path, place("p1"))), "--tenant", slug)
    execute(migrated, "update scheduling.availability_rules set recurrence = 'FREQ=NONSENSE'")
    monkeypatch.setattr("scheduler.cli.ending.monotonic", partial(next, count(0, 1800)))
    result = run(migrated, "generate", "--all-tenants", "--days", "7", "--max-duration", "90m", "--json")
    assert result.code == 1
    assert result.lines[-1] == (
        "error: 1 of 2 tenants failed: anna; the time is up: 1 of 2 tenants are left to the next run"
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (StoreError("no room", sqlstate="53100"), 5),
        (DatabaseUnreachableError("the connection is lost"), 5),
        (WorkersLostError("the workers died"), 14),
    ],
)
def test_an_error_that_every_tenant_would_meet_ends_the_night(
    migrated: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int
) -> None:
    for slug in ("anna", "bert"):
        run(migrated, "import", "openings", str(written(tmp_path, place("p1"))), "--tenant", slug)
    calls: list[object] = []

    def refusing(*given: object, **options: object) -> Any:
        calls.append((given, options))
        raise error

    monkeypatch.setattr("scheduler.cli.generate.generate", refusing)
    result = run(migrated, "generate", "--all-tenants", "--days", "7", "--json")
    assert result.code == code
    assert len(calls) == (2 if code == 14 else 1)  # new workers are tried once


def test_until_is_the_last_generated_day(region: str) -> None:
    command = ("generate", "--from", "2027-05-03", "--dry-run", "--json", "--facility", "gb-larkspur")
    by_number, by_day = (
        json.loads(run(region, *command, *more).out) for more in (("--days", "2"), ("--until", "2027-05-04"))
    )
    assert by_number["slots_created"] == by_day["slots_created"] > 0


def test_tenant_is_read_from_the_environment(region: str) -> None:
    assert "no tenant 'elsewhere'" in run(region, "status", SCHEDULER_TENANT="elsewhere").err


def failing(url: str, folder: Path) -> None:
    run(url, "import", "openings", str(written(folder, place("p1"), place("p2"))))
    execute(
        url,
        "update scheduling.availability_rules set recurrence = 'FREQ=NONSENSE'"
        " where facility_id = (select id from scheduling.facilities where slug = 'p1')",
    )


def test_failed_schedule_exits_with_1_and_the_others_are_done(migrated: str, tmp_path: Path) -> None:
    failing(migrated, tmp_path)
    result = run(migrated, "generate", "--from", "2027-03-01", "--days", "7")
    assert result.code == 1
    assert result.lines[-1] == "error: 1 of 2 schedules failed"
    assert "FREQ=NONSENSE" in result.lines[0]
    status = run(migrated, "status")
    assert "2, 1 failing" in status.out
    assert re.search(r"failing: A place \(doctor \d+\) at p1: rule \d+: recurrence 'FREQ=NONSENSE'", status.out)
    figures = json.loads(run(migrated, "status", "--json").out)
    (schedule,) = figures["failing_schedules"]
    assert (figures["slots"], schedule["facility"], schedule["doctor"]) == (9, "p1", "A place")


def test_c1_explain_of_a_failing_schedule_exits_with_1(migrated: str, tmp_path: Path) -> None:
    failing(migrated, tmp_path)
    result = run(migrated, "explain", "p1", "2027-03-01")
    assert result.code == 1
    assert "is invalid: rule" in result.out
    assert result.lines == ["error: 1 of 1 schedules at 'p1' cannot be explained"]
    (answer,) = json.loads(run(migrated, "explain", "p1", "2027-03-01", "--json").out)["answers"]
    assert answer["fault"].startswith("rule ")
    assert (answer["reasons"], answer["offered"], answer["nearest"]) == ([], [], None)


def test_failed_schedule_is_in_the_json(migrated: str, tmp_path: Path) -> None:
    failing(migrated, tmp_path)
    result = run(migrated, "generate", "--from", "2027-03-01", "--days", "7", "--json")
    (failure,) = json.loads(result.out)["failures"]
    assert (result.code, set(failure)) == (1, {"doctor_id", "facility_id", "reason"})


def test_booking_without_a_schedule_is_named(migrated: str, tmp_path: Path) -> None:
    run(migrated, "import", "openings", str(written(tmp_path, place("p1"))))
    command = ("generate", "--from", "2027-03-01", "--days", "7")
    run(migrated, *command)
    execute(
        migrated,
        "update scheduling.availability_slots set status = 'booked', booked_count = 1",
        "delete from scheduling.availability_rules",
    )
    result = run(migrated, *command)
    assert result.code == 0
    assert result.out.count("booked or held, but no longer in the schedule: slot ") == 9
    assert "2027-03-01 09:00 UTC" in result.out
    assert len(json.loads(run(migrated, *command, "--json").out)["conflicts"]) == 9


# As a process of its own


def test_demo_needs_nothing_and_its_database_stays() -> None:
    with TemporaryDirectory(prefix="slotsmith-") as home:
        demo = process("demo", "--days", "1", HOME=home)
        status = process("status", "--tenant", "demo", "--json", HOME=home)
    assert (demo.returncode, demo.stderr.count("Traceback")) == (0, 0)
    assert "Nothing was created" not in demo.stdout
    figures = json.loads(status.stdout)
    assert [run["slots_created"] for run in figures["runs"]] == [figures["slots"]] != [0]


def test_terminal_without_unicode_gets_question_marks(region: str) -> None:
    week = ("show", "gb-larkspur", "--week", "2027-03-22")
    result = process(*week, SCHEDULER_DATABASE_URL=region, PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, "")


@pytest.mark.parametrize("arguments", ["status", "migrate --sql"])
def test_closed_pipe_is_no_traceback(region: str, arguments: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    result = process(*arguments.split(), stdout=writer, SCHEDULER_DATABASE_URL=region)
    os.close(writer)
    assert (result.returncode, result.stderr) == (9, "")


@pytest.mark.parametrize(
    ("program", "code", "err"),
    [
        ((sys.executable, "-c", f"import os; assert os.environ['SCHEDULER_DATABASE_URL'] == '{CLOSED_PORT}'"), 0, ""),
        ((sys.executable, "-c", "raise SystemExit(7)"), 7, ""),
        ((sys.executable, "-c", "import os; os.abort()"), 134, ""),
        (("no-such-program",), 3, "error: cannot run 'no-such-program': No such file or directory\n"),
    ],
    ids=["finds the address", "its exit code", "its signal", "no such program"],
)
def test_with_server_runs_a_program_and_exits_as_it_does(program: tuple[str, ...], code: int, err: str) -> None:
    result = run(CLOSED_PORT, "with-server", "--", *program)
    assert (result.code, result.err) == (code, err)


def test_with_server_fresh_gives_an_empty_database_and_drops_it(migrated: str, tmp_path: Path) -> None:
    """A program that creates a tenant of a fixed name runs again and again."""
    program = tmp_path / "program.py"
    program.write_text(
        "import os, psycopg\n"
        "with psycopg.connect(os.environ['SCHEDULER_DATABASE_URL']) as connection:\n"
        "    connection.execute('create table naive_visits ()')\n"
    )
    with psycopg.connect(migrated) as connection:
        before = connection.execute("select count(*) from pg_database").fetchone()
    results = [run(migrated, "with-server", "--fresh", "--", sys.executable, str(program)) for _ in range(2)]
    assert [(result.code, result.err) for result in results] == [(0, "")] * 2
    with psycopg.connect(migrated) as connection:
        assert connection.execute("select count(*) from pg_database").fetchone() == before
        assert connection.execute("select to_regclass('naive_visits')").fetchone() == (None,)
