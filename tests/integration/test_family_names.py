"""`scheduler families migrate`: families from names are written once, whole, and without a guess."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from time import sleep
from typing import Any
from uuid import UUID, uuid4, uuid5

import psycopg
import pytest
from sqlalchemy import event
from sqlmodel import Session

from scheduler.families import name_writing
from scheduler.families.name_migration import MigrationPlan, MigrationReport, plan_migration
from scheduler.families.name_writing import write_families
from scheduler.families.names_file import read_names
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import DuplicateError
from support.cli import CommandResult, run
from support.databases import new_tenant

pytestmark = pytest.mark.database

TABLES = ("identity.users", "identity.addresses", "identity.families", "identity.family_members")
JOHNSONS: dict[str, Any] = {
    "familyId": "johnsons",
    "familyName": "Johnson Family",
    "parents": ["Sarah Johnson", "Abel Johnson"],
    "students": ["Emma Johnson"],
    "address": {"line1": "1 High Street", "city": "Wells", "country": "GB"},
    "preferredPrograms": ["choir", "art, \u201cfine\u201d"],
    "status": "inactive",
}
SMITHS: dict[str, Any] = {"familyId": "smiths", "familyName": "Smith Family", "parents": ["John Smith"]}
JONES: dict[str, Any] = {"familyId": "jones", "familyName": "Jones Family", "parents": ["John Smith", "Eve Jones"]}
REMEDY = (
    "2 names may mean several people, so 3 families are not written: give each such name a userId, an email or a person"
    " in the file, and run the command again"
)
GONE: dict[str, Any] = {"familyId": "gone", "softDelete": True}


class School:
    """A tenant, its command line, and queries of its rows."""

    def __init__(self, database: Database, url: str, folder: Path) -> None:
        self.database, self.url, self.path = database, url, folder / "families.jsonl"
        self.tenant_id = new_tenant(database)

    def unit_of_work(self) -> AbstractContextManager[Session]:
        return self.database.unit_of_work(role=Role.APP, tenant_id=self.tenant_id)

    def migrate(self, *lines: dict[str, Any] | str, options: tuple[str, ...] = ()) -> CommandResult:
        if lines:
            text = (line if isinstance(line, str) else json.dumps(line) for line in lines)
            self.path.write_text("\n".join(text), encoding="utf-8")
        return run(self.url, "families", "migrate", str(self.path), "--tenant", str(self.tenant_id), *options)

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a statement as a superuser; the first value is the tenant's id."""
        with psycopg.connect(self.url) as connection:
            result = connection.execute(query.encode(), (self.tenant_id, *values))
            return result.fetchall() if result.description else []

    def rows(self) -> dict[str, list[tuple[Any, ...]]]:
        """Return all rows of the tenant, those of the audit log as well."""
        tables = (*TABLES, "audit.system_audit_log")
        return {table: self.ask(f"select * from {table} where tenant_id = %s order by 1, 2, 3") for table in tables}

    def add_user(self, name: str, *, role: str = "parent", email: str | None = None, deleted: bool = False) -> UUID:
        values = (name, role, email, deleted)
        ((id_,),) = self.ask(
            "insert into identity.users (tenant_id, name, role, email, deleted_at)"
            " values (%s, %s, %s, %s, case when %s then now() end) returning id",
            *values,
        )
        assert isinstance(id_, UUID)
        return id_

    def members(self, source_id: str) -> list[tuple[str, str]]:
        return self.ask(
            "select name, member.role from identity.family_members as member join identity.users on users.id = user_id"
            " where member.tenant_id = %s and family_id = %s order by member.created_at",
            self.id_of(source_id),
        )

    def id_of(self, source_id: str) -> UUID:
        return uuid5(self.tenant_id, source_id)


@pytest.fixture
def school(database: Database, database_url: str, tmp_path: Path) -> School:
    return School(database, database_url, tmp_path)


def test_families_of_names_are_written_with_users_and_memberships(school: School) -> None:
    result = school.migrate(JOHNSONS, SMITHS, GONE)
    assert (result.code, result.lines) == (0, [])
    assert result.out == (
        "families: 2 written, 0 already there, 0 with ambiguous names, 1 deleted and skipped;"
        " users: 4 made, 0 found, 0 in both roles\n"
    )
    assert school.members("johnsons") == [
        ("Sarah Johnson", "parent"),
        ("Abel Johnson", "parent"),
        ("Emma Johnson", "student"),
    ]
    assert school.ask(
        "select families.id, family_name, line_1, city, country, preferred_programs, status from identity.families"
        " left join identity.addresses on addresses.id = address_id where families.tenant_id = %s order by family_name"
    ) == [
        (
            *(school.id_of("johnsons"), "Johnson Family", "1 High Street", "Wells", "GB"),
            *(["choir", "art, \u201cfine\u201d"], "inactive"),
        ),
        (school.id_of("smiths"), "Smith Family", None, None, None, [], "active"),
    ]
    assert school.ask(
        "select name, role::text, email from identity.users where tenant_id = %s and role = 'student'"
    ) == [("Emma Johnson", "student", None)]
    assert school.ask(
        "select cardinality(family_ids) from identity.user_directory where tenant_id = %s and name = 'John Smith'"
    ) == [(1,)]


def test_a_second_run_changes_no_row_and_logs_nothing(school: School) -> None:
    lines = JOHNSONS, SMITHS | {"parents": [{"name": "John Smith", "person": "1"}]}, GONE
    school.migrate(*lines)
    before = school.rows()
    result = school.migrate(*lines)
    assert (result.code, "0 written, 2 already there" in result.out, school.rows() == before) == (0, True, True)


def test_ambiguous_names_are_reported_and_never_guessed(school: School) -> None:
    users = sorted(school.add_user("EMMA  johnson", role="student") for _ in range(2))
    result = school.migrate(JOHNSONS, SMITHS, JONES, SMITHS | {"familyId": "kims", "parents": ["Kim Lee"]})
    assert (result.code, "1 written, 0 already there, 3 with ambiguous names" in result.out) == (1, True)
    assert result.lines == [
        "ambiguous: student 'Emma Johnson' (several users have this name): lines 1; users: "
        + ", ".join(f"{user} (in no family)" for user in users),
        "ambiguous: parent 'John Smith' (other families of the file have this name): lines 2, 3; users: none",
        f"error: {REMEDY}",
    ]
    assert school.ask("select name from identity.users where tenant_id = %s and role = 'parent'") == [("Kim Lee",)]
    resolved = (
        JOHNSONS | {"students": [{"name": "Emma Johnson", "userId": str(users[1])}]},
        SMITHS | {"parents": [{"name": "John Smith", "person": "1"}]},
        JONES | {"parents": [{"name": "John Smith", "person": "2"}]},
    )
    assert (school.migrate(*resolved).code, len(school.rows()["identity.users"])) == (0, 7)
    assert (users[1],) in school.ask(
        "select user_id from identity.family_members where tenant_id = %s and family_id = %s", school.id_of("johnsons")
    )


def test_a_key_finds_the_member_of_an_earlier_run(school: School) -> None:
    john = {"name": "John Smith", "person": "the-elder"}
    lines = (
        SMITHS | {"parents": [john, {"name": "John Smith", "person": "2"}]},
        JONES | {"parents": ["Eve Jones", john]},
    )
    school.migrate(*lines)
    later = {"familyId": "later", "familyName": "Later", "parents": [john], "students": ["Kim"]}
    assert "1 written, 2 already there" in school.migrate(*lines, later).out
    shared = school.ask(
        "select family_id from identity.family_members where tenant_id = %s and user_id ="
        " (select user_id from identity.family_members where family_id = %s and role = 'parent')",
        school.id_of("later"),
    )
    assert {family for (family,) in shared} == {school.id_of(name) for name in ("smiths", "jones", "later")}


def test_json_reports_all_ambiguous_names_with_users_and_families(school: School) -> None:
    school.migrate(SMITHS, JOHNSONS | {"students": []})
    (john,) = school.ask("select id from identity.users where tenant_id = %s and name = 'John Smith'")
    other = school.add_user("John Smith")
    report = json.loads(school.migrate(SMITHS, JONES, options=("--json",)).out)
    assert report["families"] == {"written": 0, "already_there": 1, "ambiguous": 1, "deleted": 0}
    (name,) = report["ambiguous"]
    assert (name["name"], name["role"], name["reason"]) == ("John Smith", "parent", "several_users")
    assert name["families"] == [{"family_id": "smiths", "line": 1}, {"family_id": "jones", "line": 2}]
    assert sorted(name["users"], key=lambda user: len(user["families"])) == [
        {"user_id": str(other), "families": []},
        {"user_id": str(john[0]), "families": [str(school.id_of("smiths"))]},
    ]


def test_one_person_per_name_makes_one_user_for_a_name_and_role(school: School) -> None:
    assert school.migrate(SMITHS, JONES, options=("--one-person-per-name",)).code == 0
    assert school.ask(
        "select cardinality(family_ids) from identity.user_directory where tenant_id = %s and name = 'John Smith'"
    ) == [(2,)]


def test_a_dry_run_reports_the_same_and_writes_nothing(school: School) -> None:
    before = school.rows()
    dry = school.migrate(JOHNSONS, SMITHS, JONES, options=("--dry-run",))
    assert (dry.code, school.rows() == before) == (1, True)
    real = school.migrate()
    assert (dry.out, dry.lines) == (f"dry run, nothing is written: {real.out}", real.lines)


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (json.dumps(JONES)[:40], "the line is not JSON"),
        (JONES | {"parents": []}, "parents must have at least one parent"),
        (JONES | {"parents": [{"name": "Eve", "userId": str(uuid4())}]}, "parents: number 1: no user has the id"),
    ],
    ids=["half a line", "no parent", "unknown user"],
)
def test_a_broken_line_is_named_and_nothing_is_written(school: School, line: Any, fault: str) -> None:
    before = school.rows()
    result = school.migrate(JOHNSONS, line)
    assert (result.code, len(result.lines), result.out) == (2, 2, "")
    assert result.lines[0].startswith(f"{school.path}:2: {fault}")
    assert result.lines[1].startswith("error: 1 line is broken, first line 2: ")
    assert school.rows() == before


def test_only_live_users_of_the_tenant_with_the_role_are_found(school: School, tmp_path: Path) -> None:
    elsewhere = School(school.database, school.url, tmp_path)
    elsewhere.add_user("John Smith", email="john@example.org")
    school.add_user("John Smith", deleted=True)
    school.add_user("John Smith", role="student")
    ann = school.add_user("Ann", role="staff", email="ann@example.org")
    school.migrate(SMITHS | {"familyId": "ann", "parents": [{"name": "Ann Lee", "email": "ANN@example.org"}]})
    assert school.ask("select user_id from identity.family_members where tenant_id = %s") == [(ann,)]
    result = school.migrate(
        SMITHS | {"parents": ["john smith", "Ann"]},  # Ann is staff, but a parent of a family
        JONES | {"parents": [{"name": "John", "email": "john@example.org"}]},
    )
    assert (result.code, "users: 2 made, 1 found" in result.out) == (0, True)
    assert school.members("smiths") == [("john smith", "parent"), ("Ann", "parent")]
    taken = school.migrate(
        JONES | {"familyId": "x", "parents": [{"name": "J", "userId": str(elsewhere.add_user("J"))}]}
    )
    assert (taken.code, "no user has the id" in taken.err) == (2, True)


def test_a_parent_who_is_a_student_elsewhere_is_allowed_and_said(school: School) -> None:
    grandmother = SMITHS | {"familyId": "old", "parents": ["Gran"], "students": [{"name": "Ann", "person": "ann"}]}
    result = school.migrate(grandmother, SMITHS | {"parents": [{"name": "Ann", "person": "ann"}]})
    assert (result.code, "users: 2 made, 0 found, 1 in both roles" in result.out) == (0, True)
    again = school.migrate(
        SMITHS | {"familyId": "new", "parents": ["New"], "students": [{"name": "Ann", "email": "a@example.org"}]}
    )
    assert "0 in both roles" in again.out
    report = json.loads(
        school.migrate(
            SMITHS | {"familyId": "third", "parents": [{"name": "Ann", "email": "a@example.org"}]}, options=("--json",)
        ).out
    )
    assert report["users"] == {"made": 0, "found": 1, "in_both_roles": ["Ann"]}


def test_a_deleted_family_stays_deleted_and_names_nobody(school: School) -> None:
    ann = school.add_user("Ann", role="staff", email="ann@example.org")
    line = SMITHS | {"parents": [{"name": "Ann", "email": "ann@example.org"}]}
    school.migrate(line)
    school.ask("update identity.families set deleted_at = now() where tenant_id = %s")
    assert "0 written, 1 already there" in school.migrate().out
    assert "users: 1 made, 0 found" in school.migrate(JONES | {"parents": ["Ann"]}).out
    assert (ann,) not in school.ask(
        "select user_id from identity.family_members where tenant_id = %s and family_id = %s", school.id_of("jones")
    )


def test_a_key_whose_user_was_deleted_is_ambiguous(school: School) -> None:
    line = SMITHS | {"parents": ["Eve", {"name": "John Smith", "person": "1"}]}
    school.migrate(line)
    school.ask("update identity.users set deleted_at = now() where tenant_id = %s and name = 'John Smith'")
    result = school.migrate(line, JONES | {"parents": [{"name": "John Smith", "person": "1"}]})
    assert (result.code, "do not share one member of this name): lines 1, 2; users: none" in result.err) == (1, True)


def test_more_than_twenty_ambiguous_names_are_shown_in_json_only(school: School) -> None:
    names = [f"John {number}" for number in range(22)]
    result = school.migrate(SMITHS | {"parents": names}, JONES | {"parents": names}, options=("--json",))
    assert (result.code, len(json.loads(result.out)["ambiguous"])) == (1, 22)
    assert len(result.lines) == 22
    assert result.lines[20] == "and 2 more ambiguous names (--json has all)"


def many(count: int) -> Iterator[dict[str, Any]]:
    key = {"name": "Key", "person": "key"}
    for number in range(count):
        yield JOHNSONS | {"familyId": str(number), "parents": [f"Ann {number}", key], "students": [f"Bo {number}"]}


def written(school: School, count: int) -> None:
    school.path.write_text("\n".join(map(json.dumps, many(count))), encoding="utf-8")


def planned(school: School, session: Session) -> MigrationPlan:
    return plan_migration(session, read_names(school.path), tenant_id=school.tenant_id, new_id=uuid4)


def write(
    school: School, session: Session, plan: MigrationPlan, progress: Callable[..., None] = lambda *_: None
) -> None:
    write_families(session, plan.resolution, tenant_id=school.tenant_id, new_id=uuid4, progress=progress)


def migrated(school: School) -> MigrationReport:
    """Plan and write the school's file in one unit of work, as the command does."""
    with school.unit_of_work() as session:
        plan = planned(school, session)
        write(school, session, plan)
        return plan.report


def statements(school: School) -> list[str]:
    """Return the statements of a migration."""
    sent: list[str] = []
    with school.unit_of_work() as session:
        event.listen(session.connection(), "before_cursor_execute", lambda *call: sent.append(call[2]))
        write(school, session, planned(school, session))
    return sent


def test_a_larger_file_needs_no_more_statements(database: Database, database_url: str, tmp_path: Path) -> None:
    counts = []
    for size in (2, 40):
        school = School(database, database_url, tmp_path)
        written(school, size)
        counts.append(len(statements(school)))
    assert counts[0] == counts[1] <= 8


def test_r4_an_interrupted_migration_leaves_nothing(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_writing, "_FAMILIES_PER_BATCH", 2)
    written(school, 5)
    before = school.rows()

    def interrupt(done: int, of: int, users: int) -> None:
        assert (done, of, users) == (2, 5, 5)
        raise KeyboardInterrupt

    def interrupted() -> None:
        with school.unit_of_work() as session:
            write(school, session, planned(school, session), interrupt)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert school.rows() == before
    assert migrated(school).written == 5
    assert [len(school.members(str(number))) for number in range(5)] == [3] * 5


def test_a_user_made_meanwhile_is_an_error_and_nothing_is_written(school: School) -> None:
    lines = (JONES | {"parents": [{"name": "Bo", "email": f"{name}@example.org"}]} for name in ("bo", "al"))
    school.path.write_text("\n".join(json.dumps(line | {"familyId": str(n)}) for n, line in enumerate(lines)))

    def overtaken() -> None:
        with school.unit_of_work() as session:
            plan = planned(school, session)
            school.add_user("Bo", email="bo@example.org")
            write(school, session, plan)

    with pytest.raises(DuplicateError, match="live_users_have_their_own_email"):
        overtaken()
    assert school.ask("select name from identity.users where tenant_id = %s") == [("Bo",)]
    assert "users: 1 made, 1 found" in school.migrate().out


def test_users_with_addresses_are_made_first_in_the_order_of_addresses(school: School) -> None:
    people = [{"name": name, "email": f"{name}@example.org"} for name in ("cy", "bo", "al")]
    assert school.migrate(SMITHS, JONES | {"parents": people}).code == 0
    assert school.ask("select name from identity.users where tenant_id = %s order by ctid") == [
        ("al",),
        ("bo",),
        ("cy",),
        ("John Smith",),
    ]


def test_a_migration_waits_for_another_and_then_writes_nothing(school: School) -> None:
    written(school, 3)
    waiting = "select count(*) from pg_locks where %s is not null and not granted"
    with ThreadPoolExecutor(1) as pool:
        with school.unit_of_work() as session:
            plan = planned(school, session)
            second = pool.submit(migrated, school)
            while school.ask(waiting) == [(0,)] and not second.done():
                sleep(0.01)
            write(school, session, plan)
        report = second.result(timeout=10)
    assert (report.written, report.already_there) == (0, 3)
