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
from scheduler.postgres.tenants import tenant_id_of
from support.cli import run
from support.databases import driver_url, execute, new_tenant

pytestmark = pytest.mark.database

REGION = Path(__file__).parents[2] / "examples" / "region.jsonl"
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
        ("owner", Purpose.WEB, "owns [0-9]+ tables, such as audit[.]chain: it may change what it owns"),
        ("owner", Purpose.WEB, "owns the database "),
        ("owner", Purpose.JOB, "is an admin of scheduler_app: it may make itself and others members"),
        ("owner", Purpose.JOB, "has CREATEROLE"),
        ("job", Purpose.WEB, "is a member of scheduler_job$"),
        ("job", Purpose.WEB, "is no member of scheduler_app, which it needs"),
        ("web", Purpose.JOB, "is a member of scheduler_app$"),
        ("web", Purpose.OWNER, "does not own [0-9]+ tables and views: it cannot migrate them"),
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
            "grant scheduler_app to {web} with admin option",
            "revoke admin option for scheduler_app from {web}",
            "is an admin of scheduler_app: it may make itself and others members",
        ),
        (
            "grant scheduler_system to {web}; alter role {web} noinherit",
            "revoke scheduler_system from {web}; alter role {web} inherit",
            "is a member of scheduler_system",
        ),
        (
            "grant select on identity.users to {web}",
            "revoke select on identity.users from {web}",
            "has a right of its own, select, on the table identity.users",
        ),
        (
            "grant update (last_name) on placement.clients to {web}",
            "revoke update (last_name) on placement.clients from {web}",
            "has a right of its own, update, on the column placement.clients.last_name",
        ),
        (
            "grant execute on function audit.seal to {web}",
            "revoke execute on function audit.seal from {web}",
            "has a right of its own, execute, on the function audit.seal(text)",
        ),
        (
            "grant create on schema wellbeing to {web}",
            "revoke create on schema wellbeing from {web}",
            "has a right of its own, create, on the schema wellbeing",
        ),
        (
            "grant create on database {database} to {web}",
            "revoke create on database {database} from {web}",
            "has a right of its own, create, on the database {database}",
        ),
        (
            "grant select on identity.users, identity.families to public",
            "revoke select on identity.users, identity.families from public",
            "has, as everybody (PUBLIC), the right select on 2 tables, such as identity.families",
        ),
        (
            "grant execute on function audit.seal to public",
            "revoke execute on function audit.seal from public",
            "has, as everybody (PUBLIC), the right execute on the function audit.seal(text)",
        ),
        (
            "alter table scheduling.doctors owner to {web}",
            "alter table scheduling.doctors owner to {owner}",
            "owns the table scheduling.doctors: it may",
        ),
        ("alter schema scheduling owner to {web}", "alter schema scheduling owner to {owner}", "owns the schema sched"),
        ("alter database {database} owner to {web}", "alter database {database} owner to {owner}", "owns the database"),
        (
            "alter function identity.has_tenant_access() owner to {web}",
            "alter function identity.has_tenant_access() owner to {owner}",
            "owns the function identity.has_tenant_access()",
        ),
    ],
)
def test_a_right_beyond_the_purpose_is_named(clinic: dict[str, str], statement: str, undo: str, fault: str) -> None:
    names = {purpose.value: str(make_url(clinic[purpose]).username) for purpose in Purpose}
    names["database"] = str(make_url(clinic["superuser"]).database)
    execute(clinic["superuser"], *statement.format_map(names).split("; "))
    try:
        result = run(clinic["web"], "preflight", "--as", "web", "--json")
    finally:
        execute(clinic["superuser"], *undo.format_map(names).split("; "))
    written = json.loads(result.out)
    assert (result.code, written["login"], written["as"]) == (10, names["web"], "web")
    assert [found for found in written["faults"] if found.startswith(fault.format_map(names))], written
    assert faults_of(clinic["web"], Purpose.WEB) == ()


def test_an_admin_of_a_role_is_named_though_it_is_no_member(clinic: dict[str, str]) -> None:
    """It can make itself a member."""
    if release(clinic["superuser"]) < 16:
        pytest.skip("an admin of a role is its member before PostgreSQL 16")
    web = str(make_url(clinic["web"]).username)
    execute(clinic["superuser"], f"grant scheduler_system to {web} with admin true, inherit false, set false")
    try:
        found = faults_of(clinic["web"], Purpose.WEB)
    finally:
        execute(clinic["superuser"], f"revoke scheduler_system from {web}")
    assert found == ("is an admin of scheduler_system: it may make itself and others members",)


def test_a_login_whose_name_needs_quotes_is_checked(clinic: dict[str, str]) -> None:
    name = f"{make_url(clinic['web']).username}-A"
    execute(
        clinic["superuser"], f"create role \"{name}\" login password 'secret-4' in role scheduler_app, scheduler_desk"
    )
    try:
        url = make_url(clinic["web"]).set(username=name, password="secret-4")  # noqa: S106  # a login of this test
        assert faults_of(url.render_as_string(hide_password=False), Purpose.WEB) == ()
    finally:
        execute(clinic["superuser"], f'drop role "{name}"')


def test_each_login_finds_the_tenant_for_which_it_works(clinic: dict[str, str]) -> None:
    with Database(clinic["owner"]) as database:
        tenant_id = new_tenant(database)
        slug = str(tenant_id)
    for purpose, role in ((Purpose.WEB, Role.APP), (Purpose.JOB, Role.JOB), (Purpose.JOB, Role.SYSTEM)):
        with Database(clinic[purpose]) as database:
            assert tenant_id_of(database, slug, role=role) == tenant_id


def test_the_commands_of_the_guide_run_with_their_logins(clinic: dict[str, str]) -> None:
    tenant = ("--tenant", "imported")
    commands = [
        ("owner", "import", "openings", str(REGION), *tenant),
        ("web", "import", "openings", str(REGION), *tenant),
        ("job", "generate", "--days", "1", *tenant),
        ("job", "audit", "seal", *tenant),
    ]
    results = [run(clinic[login], *command) for login, *command in commands]
    assert [result.code for result in results] == [0] * len(commands), results
