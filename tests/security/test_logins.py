"""Logins: the three of the guide pass the preflight, and each right beyond a purpose is named."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.postgres.database import Database, Role
from scheduler.postgres.logins import Purpose, faults
from scheduler.postgres.schema import migrations
from support.cli import run
from support.databases import driver_url, execute

pytestmark = pytest.mark.database

GUIDE = Path(__file__).parents[2] / "docs" / "logins.md"


def statements() -> list[list[str]]:
    """Return the blocks of SQL of the guide, each as a list of statements."""
    blocks = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    return [[line for line in block.splitlines() if line] for block in blocks]


def release(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.info.server_version // 10_000


@pytest.fixture(scope="module")
def clinic(server: str, template: str) -> Iterator[dict[str, str]]:
    """The URL of each login of the guide, under names of their own, and of a superuser."""
    assert template  # another database of the server has the roles of the library
    name = f"slotsmith_test_{uuid4().hex[:8]}"
    create, share, others = ([line.replace("clinic", name) for line in block] for block in statements())
    urls = {"superuser": driver_url(server, name)}
    for purpose, password in (("owner", "secret-1"), ("job", "secret-2"), ("web", "secret-3")):
        url = make_url(urls["superuser"]).set(username=f"{name}_{purpose}", password=password)
        urls[purpose] = url.render_as_string(hide_password=False)
    try:
        execute(server, *create, *(share if release(server) >= 16 else share[:1]))
        migrations.upgrade(urls["owner"])
        execute(urls["owner"], *others)
        yield urls
    finally:
        execute(server, f"drop database if exists {name} with (force)")
        for purpose in ("web", "job"):
            execute(server, f"drop role if exists {name}_{purpose}")
        execute(server, f"drop owned by {name}_owner cascade", f"drop role if exists {name}_owner")


def faults_of(url: str, purpose: Purpose) -> tuple[str, ...]:
    with Database(url) as database, database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        return faults(session.connection(), purpose)[1]


@pytest.mark.parametrize("purpose", Purpose)
def test_the_logins_of_the_guide_pass_the_preflight(clinic: dict[str, str], purpose: Purpose) -> None:
    result = run(clinic[purpose], "preflight", "--as", purpose)
    assert (result.code, result.err) == (0, ""), result.out
    assert result.out.endswith(f" has the rights of {purpose}, and no others\n")


@pytest.mark.parametrize(
    ("login", "purpose", "fault"),
    [
        ("owner", Purpose.WEB, "owns [0-9]+ of [0-9]+ tables"),
        ("owner", Purpose.JOB, "has CREATEROLE"),
        ("job", Purpose.WEB, "is a member of scheduler_job$"),
        ("job", Purpose.WEB, "is no member of scheduler_app, which it needs"),
        ("web", Purpose.JOB, "is a member of scheduler_app$"),
        ("web", Purpose.OWNER, "owns 0 of [0-9]+ tables and views: it cannot migrate them"),
    ],
)
def test_a_login_of_another_purpose_is_named(clinic: dict[str, str], login: str, purpose: Purpose, fault: str) -> None:
    assert [found for found in faults_of(clinic[login], purpose) if re.match(fault, found)]


@pytest.mark.parametrize(
    ("statement", "undo", "fault"),
    [
        ("alter role {web} superuser", "alter role {web} nosuperuser", "is a superuser: row security does not bind it"),
        ("alter role {web} bypassrls", "alter role {web} nobypassrls", "has BYPASSRLS: row security does not bind it"),
        ("alter role {web} replication", "alter role {web} noreplication", "has REPLICATION: it may copy the whole se"),
        ("alter role {web} createrole", "alter role {web} nocreaterole", "has CREATEROLE: it may give its rights"),
        ("alter role {web} createdb", "alter role {web} nocreatedb", "has CREATEDB: it may create databases"),
        ("grant pg_read_all_data to {web}", "revoke pg_read_all_data from {web}", "is a member of pg_read_all_data"),
        (
            "grant scheduler_system to {web}; alter role {web} noinherit",
            "revoke scheduler_system from {web}; alter role {web} inherit",
            "is a member of scheduler_system",
        ),
        (
            "grant select on identity.users to {web}",
            "revoke select on identity.users from {web}",
            "has rights of its own on 1 tables and views",
        ),
        (
            "alter table scheduling.doctors owner to {web}",
            "alter table scheduling.doctors owner to {owner}",
            "owns 1 of",
        ),
    ],
)
def test_a_right_beyond_the_purpose_is_named(clinic: dict[str, str], statement: str, undo: str, fault: str) -> None:
    names = {purpose.value: str(make_url(clinic[purpose]).username) for purpose in Purpose}
    execute(clinic["superuser"], *statement.format_map(names).split("; "))
    try:
        result = run(clinic["web"], "preflight", "--as", "web", "--json")
    finally:
        execute(clinic["superuser"], *undo.format_map(names).split("; "))
    written = json.loads(result.out)
    assert (result.code, written["login"], written["as"]) == (10, names["web"], "web")
    assert [found for found in written["faults"] if found.startswith(fault.format_map(names))], written
    assert faults_of(clinic["web"], Purpose.WEB) == ()
