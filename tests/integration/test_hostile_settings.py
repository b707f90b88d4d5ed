"""Commands on a database whose settings change how values are read, and whose search path shadows common names."""

import json
from pathlib import Path

import pytest

from support.cli import run
from support.hostile import make_hostile
from support.worlds.encryption import written_master_key

pytestmark = pytest.mark.database

COMMANDS = (
    "migrate",
    "seed",
    "import openings {openings}",
    "generate --from 2027-02-01 --days 3",
    "generate --from 2027-02-01 --days 3 --all",
    "status --json",
    "show {facility} --week 2027-02-01 --json",
    "show {facility} --week 2027-02-01 --svg {folder}/week.svg",
    "explain {facility} 2027-02-01 --json",
    "explain {facility} 2027-02-01",
    "doctors --facility {facility}",
    "keys rotate",
    "keys status",
    "audit seal",
    "audit verify",
    "audit show",
    "export tenant --out {folder}/export",
    "schema check",
    "schema picture identity",
)


def test_every_command_works_under_hostile_settings(empty_database_url: str, tmp_path: Path) -> None:
    openings = tmp_path / "openings.jsonl"
    weekly = {"monday": [["09:00", "12:00"]], "tuesday": [["22:00", "02:00"]]}
    openings.write_text(json.dumps({"code": "here", "name": "Here", "timezone": "Europe/London", "weekly": weekly}))
    make_hostile(empty_database_url)
    names = {"openings": openings, "folder": tmp_path, "facility": "here"}
    for command in COMMANDS:
        words = [word.format_map(names) for word in command.split()]
        result = run(
            empty_database_url,
            *words,
            SCHEDULER_TENANT="seed-1-1",
            SCHEDULER_MASTER_KEYS=written_master_key("main"),
        )
        assert (result.code, result.lines) == (0, []), command
    exported = json.loads((tmp_path / "export").read_text())
    assert {"scheduling.availability_slots", "wellbeing.children"} <= exported.keys()
