"""`scheduler audit`: output and exit codes of its commands."""

import json
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import text

from scheduler.postgres.audit.log import record_event, record_system
from scheduler.postgres.database import Database, Role
from support.cli import CommandResult, run
from support.databases import employ, execute
from support.worlds.generation import World, weekly

pytestmark = pytest.mark.database

USER = UUID(int=7)


class Office(NamedTuple):
    """A tenant, and the command line on its database."""

    database: Database
    url: str
    tenant: UUID

    def run(self, *arguments: str, tenant: bool = True) -> CommandResult:
        whose = ["--tenant", str(self.tenant)] if tenant else []
        return run(self.url, "audit", *arguments, *whose, COLUMNS="200")

    def admit(self, name: str) -> None:
        with self.database.unit_of_work(role=Role.APP, tenant_id=self.tenant, user_id=USER) as session:
            session.execute(
                text(
                    "insert into scheduling.doctors (tenant_id, first_name, last_name, display_name, specialty)"
                    " values (:tenant, :name, 'B', 'C', 'surgery')"
                ),
                {"tenant": self.tenant, "name": name},
            )

    def tamper(self, statement: str) -> None:
        """Go round the triggers as a superuser."""
        whole = f"{statement} where tenant_id = '{self.tenant}'"
        execute(self.url, "set session_replication_role = replica", whole)


@pytest.fixture
def office(database: Database, database_url: str, tenant_id: UUID) -> Office:
    office = Office(database, database_url, tenant_id)
    employ(database_url, tenant_id, USER)
    office.admit("Ann")
    office.admit("Bob")
    return office


def heads(result: CommandResult) -> list[str]:
    return [line.removeprefix("head ") for line in result.out.splitlines() if line.startswith("head ")]


def test_seal_prints_how_many_rows_and_the_heads(office: Office) -> None:
    result = office.run("seal")
    assert (result.code, result.out.splitlines()[0]) == (0, "user_action: 2 rows sealed")
    assert [head.split(":")[:2] for head in heads(result)] == [["user_action", "2"], ["system", "1"]]


def test_seal_as_json_has_the_same_heads(office: Office) -> None:
    result = json.loads(office.run("seal", "--json").out)
    assert result["user_action"]["sealed"] == 2
    assert result["user_action"]["head"] in heads(office.run("seal"))


def test_verify_of_an_untouched_log_exits_with_0(office: Office) -> None:
    printed = heads(office.run("seal"))
    result = office.run("verify", *(word for head in printed for word in ("--head", head)))
    assert (result.code, result.out) == (
        0,
        "user_action: 2 rows as they were sealed\nsystem: 1 rows as they were sealed\n",
    )


def test_verify_of_a_changed_log_names_the_row_and_exits_with_8(office: Office) -> None:
    office.run("seal")
    office.tamper("update audit.user_action_audit_log set after = null")
    result = office.run("verify")
    assert result.code == 8
    assert "position 1, row " in result.out
    assert "was changed after it was sealed" in result.out
    assert "system: 1 rows as they were sealed" in result.out


def test_verify_as_json_names_the_row(office: Office) -> None:
    office.run("seal")
    office.tamper("delete from audit.user_action_audit_log")
    result = office.run("verify", "--json")
    assert (result.code, "is missing" in json.loads(result.out)[0]["broken"]) == (8, True)


def test_verify_with_a_head_finds_a_cut_tail(office: Office) -> None:
    printed = heads(office.run("seal"))[0]
    office.tamper("delete from audit.user_action_audit_log")
    office.tamper("delete from audit.chain")
    assert office.run("verify").code == 0
    assert office.run("verify", "--head", printed).code == 8


@pytest.mark.parametrize("head", ["12", "diary:1:00", "user_action:1:zz", f"user_action:x:{'0' * 64}", ""])
def test_malformed_head_is_refused_in_one_line(office: Office, head: str) -> None:
    result = office.run("verify", "--head", head)
    assert (result.code, result.err.count("\n")) == (2, 1)


def test_retire_without_old_months_drops_nothing(office: Office) -> None:
    result = office.run("retire", "--yes", tenant=False)
    assert (result.code, result.out) == (0, "0 months dropped\n")


def test_retire_drops_months_that_are_old_by_the_clock(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.cli.audit.now", lambda: datetime(2030, 1, 1, tzinfo=UTC))
    execute(
        office.url,
        "call audit.create_partition('system_audit_log', 'system_audit_log_2019_05')",
        "alter table audit.system_audit_log attach partition audit.system_audit_log_2019_05"
        " for values from ('2019-05-01Z') to ('2019-06-01Z')",
    )
    result = office.run("retire", "--yes", "--keep-years", "10", tenant=False)
    assert result.out == "dropped audit.system_audit_log_2019_05: 0 rows\n1 months dropped\n"


def test_retire_without_a_terminal_needs_yes(office: Office) -> None:
    result = office.run("retire", tenant=False)
    assert (result.code, "confirm with --yes" in result.err) == (2, True)


def test_retire_within_the_retention_period_is_refused(office: Office) -> None:
    assert office.run("retire", "--yes", "--keep-years", "5", tenant=False).code == 2


def test_show_lists_the_latest_first_with_harmless_values_only(office: Office) -> None:
    result = office.run("show", "--entity", "scheduling.doctors", "--json")
    shown = [json.loads(line) for line in result.out.splitlines()]
    assert [entry["after"]["first_name"] for entry in shown] == ["(set)", "(set)"]
    assert shown[0]["occurred_at"] > shown[1]["occurred_at"]
    assert "Ann" not in result.out


def test_show_narrows_by_row_user_and_day(office: Office) -> None:
    lines = office.run("show", "--json", "--entity", "scheduling.doctors").out.splitlines()
    key = json.loads(lines[0])["key"]
    assert len(office.run("show", "--json", "--key", key).out.splitlines()) == 1
    assert len(office.run("show", "--json", "--user", str(USER)).out.splitlines()) == 2
    assert len(office.run("show", "--json", "--user", str(UUID(int=8))).out.splitlines()) == 0
    assert len(office.run("show", "--json", "--since", "tomorrow").out.splitlines()) == 0
    assert len(office.run("show", "--json", "--until", "yesterday").out.splitlines()) == 0
    assert len(office.run("show", "--json", "--until", "9999-12-31", "--user", str(USER)).out.splitlines()) == 2
    assert len(office.run("show", "--json", "--most", "1").out.splitlines()) == 1


def test_show_finds_an_event_among_many_others_by_its_name(office: Office) -> None:
    """A user can record more events than `--most` allows, and none of the library's own."""
    with office.database.unit_of_work(role=Role.SYSTEM, tenant_id=office.tenant) as session:
        record_system(session, "person.exported", {})
    with office.database.unit_of_work(role=Role.APP, tenant_id=office.tenant, user_id=USER) as session:
        record_event(session, "list.exported", {"rows": 1})
        record_event(session, "list.exported", {"rows": 2})
    for event, count in (("person.exported", 1), ("list.exported", 2), ("update", 0)):
        assert len(office.run("show", "--json", "--event", event).out.splitlines()) == count


def test_show_prints_actor_action_and_change(office: Office) -> None:
    result = office.run("show", "--user", str(USER), "--most", "1")
    action, *change = result.out.splitlines()
    assert f"{USER}: insert" in action
    assert "specialty: surgery" in " ".join(line.strip() for line in change)


def test_show_without_entries_prints_a_line(office: Office) -> None:
    assert office.run("show", "--user", str(UUID(int=8))).out == "no such entries\n"


def test_show_with_a_malformed_user_id_is_refused(office: Office) -> None:
    assert office.run("show", "--user", "ann").code == 2


def test_generation_run_is_one_event_with_its_counts(database: Database, tenant_id: UUID) -> None:
    world = World(database, tenant_id)
    world.write(weekly(1))
    report = world.run(count=7)
    rows = world.sql(
        "select db_role, severity, details from audit.system_audit_log"
        " where tenant_id = :tenant_id and event = 'generation.finished'"
    )
    ((role, severity, details),) = rows
    assert (role, severity, details["run_id"]) == ("scheduler_job", "info", report.run_id)
    assert (details["status"], details["slots_created"]) == ("succeeded", report.result.slots_created)
    slots = world.sql(
        "select count(*) from audit.system_audit_log"
        " where tenant_id = :tenant_id and entity = 'scheduling.availability_slots'"
    )
    assert (slots, report.result.slots_created > 0) == ([(0,)], True)
