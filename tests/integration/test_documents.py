"""Programs of the documents that need a database: their output equals the page, and their commands succeed."""

import inspect
import os
import re
import shlex
from collections.abc import Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from faker import Faker

from scheduler.models import Client, Medication
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption.tenant_keys import TenantKeys
from scheduler.sample_data.factories import Factory
from scheduler.testing import DatabaseTemplate
from support.cli import run as run_command
from support.databases import employ, execute, new_tenant
from support.documents import PAGES, blocks, is_for_pytest, name_of, needs_database, program, promised, run
from support.worlds.encryption import master_keys, written_master_key

pytestmark = pytest.mark.database

PROGRAMS = [page for page in PAGES if needs_database(page) and not is_for_pytest(page)]
WORDS_SHOWN = {"tutorial": "training", "tutorial-visits": "2 booked"}
"""A part of what the commands of a page print."""
SHOW_COMMAND = re.compile(r"^(?:\$ )?scheduler ((?:show|explain|doctors) .*)$", flags=re.MULTILINE)


@pytest.mark.filterwarnings("ignore:Using `httpx` with `starlette.testclient`")  # one of its two clients is enough
@pytest.mark.parametrize("page", PROGRAMS, ids=name_of)
def test_program_of_a_page_prints_its_promised_output(
    page: Path, migrated: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCHEDULER_DATABASE_URL", migrated)
    monkeypatch.setenv("SCHEDULER_MASTER_KEYS", written_master_key("main"))
    if "upgrade(" in program(page):  # which says that it starts from nothing
        run(page)
    else:
        run_for_a_clinic(page, migrated, capsys)
    out = capsys.readouterr().out
    printed = iter(out.splitlines())
    assert [line for line in promised(page) if line not in printed] == []
    for command in SHOW_COMMAND.findall("\n".join([*blocks(page, "console"), out])):
        shown = run_command(migrated, *shlex.split(command))
        assert (shown.code, shown.err) == (0, "")
        assert WORDS_SHOWN[page.stem] in shown.out


def run_for_a_clinic(page: Path, migrated: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Run a page that is part of a host's program, with the names that it takes from there."""
    masters = master_keys("main")
    with Database(migrated) as database:
        tenant_id = new_tenant(database)
        execute(migrated, f"update identity.tenants set slug = 'clinic' where id = '{tenant_id}'")
        user_id = employ(migrated, tenant_id)
        with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
            TenantKeys(tenant_id, masters, os.urandom).ensure(session)
            factory = Factory(session, Faker("en_GB"), tenant_id)
            factory.make(Client, first_name="Mary", last_name="Johnson")
            medication_id = factory.make(Medication).id
        capsys.readouterr()
        run(
            page,
            database=database,
            url=migrated,
            tenant_id=tenant_id,
            user_id=user_id,
            medication_id=medication_id,
        )


def value_of(name: str, names: Mapping[str, Any], made: dict[str, Any], stack: ExitStack) -> Any:
    """Return the value of a fixture or a test, which is made once, after those of its arguments."""
    if name not in made:
        arguments = {part: value_of(part, names, made, stack) for part in inspect.signature(names[name]).parameters}
        block = contextmanager(names[name]) if inspect.isgeneratorfunction(names[name]) else None
        made[name] = stack.enter_context(block(**arguments)) if block else names[name](**arguments)
    return made[name]


def test_tests_of_the_page_about_testing_pass(server: str, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (page,) = [page for page in PAGES if is_for_pytest(page)]
    migrated_already = nullcontext(DatabaseTemplate(server, template))
    with monkeypatch.context() as patched, ExitStack() as stack:
        patched.setattr("scheduler.testing.database_template", lambda _: migrated_already)
        patched.setattr(pytest, "fixture", lambda **_: lambda function: function)
        names = run(page)
        tests = [name for name in names if name.startswith("test_")]
        made: dict[str, Any] = {}
        for name in tests:
            value_of(name, names, made, stack)
    assert len(tests) == 3
    assert {"template", "database_url", "clock", "clinic"} <= set(made)


def test_pages_with_a_database_have_programs() -> None:
    assert {page.stem for page in PROGRAMS} >= {
        "README",
        "audit",
        "check-then-insert",
        "encryption-keys",
        "families",
        "families-api",
        "follow-events",
        "generate-slots",
        "guardians",
        "hold-without-end",
        "host-application",
        "in-fastapi",
        "keys-without-tenant",
        "publishing-held-slots",
        "running-late",
        "sample-data",
        "searching",
        "stale-preview",
        "tutorial",
        "tutorial-visits",
        "what-a-booking-writes",
        "your-tables",
        "zone-data-releases",
    }
