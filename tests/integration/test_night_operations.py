"""Operation of the nightly job: retries, parked schedules, time limits, and what logs, spans and metrics tell."""

import json
import logging
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from scheduler.cli.job_retries import JobRetries
from scheduler.generation import observing
from scheduler.generation.batches import Batch
from scheduler.generation.job import generate
from scheduler.generation.report import Report
from scheduler.generation.request import GenerationRequest, Mode, Scope
from scheduler.generation.retrying import Retry, once
from scheduler.models.scheduling.generation import RUN_COUNTS
from scheduler.postgres.acting import Timeouts
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import DatabaseUnreachableError, StatementError
from scheduler.postgres.schedules import ScheduleKey, save_failure
from support.cli import run as run_command
from support.databases import execute
from support.worlds.generation import MONDAY, NOW, World, expected, weekly

pytestmark = pytest.mark.database

TWICE = JobRetries(attempts=2, first_pause=timedelta(0))
FOUR_TIMES = JobRetries(attempts=4, first_pause=timedelta(0))
REQUEST = GenerationRequest(UUID(int=1), MONDAY, MONDAY + timedelta(days=14), now=NOW)
BREAK_RULE = "update scheduling.availability_rules set recurrence = {value} where tenant_id = :tenant_id and id = {id}"


@pytest.fixture
def world(database: Database, tenant_id: UUID) -> World:
    return World(database, tenant_id)


@pytest.fixture
def events(caplog: pytest.LogCaptureFixture) -> Callable[[], list[dict[str, Any]]]:
    """The events that the job has logged, each with its fields."""
    caplog.set_level(logging.INFO, logger="scheduler.generation")

    def read() -> list[dict[str, Any]]:
        found = [record for record in caplog.records if hasattr(record, observing.EVENT)]
        return [{"event": getattr(one, observing.EVENT)} | getattr(one, observing.FIELDS) for one in found]

    return read


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans of the test, as an SDK of a host would get them."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(observing, "_tracer", provider.get_tracer("scheduler"))
    return exporter


def night(world: World, *, retry: Retry = once, **given: Any) -> Report:
    request: dict[str, Any] = {"now": NOW, "tzdata_version": "2026a"} | given
    until = MONDAY + timedelta(days=14)
    return generate(world.database, GenerationRequest(world.tenant_id, MONDAY, until, **request), retry=retry)


def break_rule(world: World, doctor_id: int = 2) -> None:
    world.sql(BREAK_RULE.format(value="'FREQ=NONSENSE'", id=doctor_id * 100 + 1))


def mend_rule(world: World, doctor_id: int = 2) -> None:
    world.sql(BREAK_RULE.format(value="null", id=doctor_id * 100 + 1))


LOSE_CONNECTION = "perform pg_terminate_backend(pg_backend_pid())"


@contextmanager
def faults(url: str, fault: str, *, at: Iterable[int] = (1,)) -> Iterator[Callable[[], int]]:
    """Let some writes of checkpoints fail, by their numbers from 1 on; yield a function that counts the writes."""
    execute(
        url,
        "create sequence public.writes",
        f"""create function public.fail() returns trigger language plpgsql security definer as $$ begin
            if nextval('public.writes') = any('{set(at)}') then {fault}; end if;
            return null;
        end $$""",
        "create trigger fail after update on scheduling.schedule_states execute function public.fail()",
    )

    def count() -> int:
        with Database(url) as database:
            rows = World(database, UUID(int=0)).sql("select last_value from public.writes")
        return int(rows[0][0])

    try:
        yield count
    finally:
        execute(url, "drop function public.fail cascade", "drop sequence public.writes")


def error_of(code: str) -> str:
    return f"raise exception 'a fault of the test' using errcode = '{code}'"


TRANSIENT = ("08006", "40001", "40P01", "53100", "53200", "53300", "55P03", "57P01", "57P02", "57P03")


@pytest.mark.parametrize("fault", [*map(error_of, TRANSIENT), LOSE_CONNECTION], ids=[*TRANSIENT, "terminated"])
def test_r4_a_batch_is_repeated_after_a_transient_error(
    world: World, database_url: str, events: Callable[[], list[dict[str, Any]]], fault: str
) -> None:
    world.write(weekly(1), weekly(2))
    with faults(database_url, fault, at=(1, 2)):
        report = night(world, retry=FOUR_TIMES)
    assert report.result.schedules_failed == ()
    assert world.slots() == expected([weekly(1), weekly(2)], MONDAY, 14)
    names = [event["event"] for event in events()]
    assert names == ["run begun", "batch failed", "batch failed", "batch done", "run ended"]
    counts = world.sql("select schedules, slots_created from scheduling.generation_runs where tenant_id = :tenant_id")
    assert counts == [(2, 120)]


@pytest.mark.parametrize("code", ["23514", "57014", "XX000"])
def test_another_error_is_not_repeated_but_done_schedule_by_schedule(
    world: World, database_url: str, code: str
) -> None:
    world.write(weekly(1), weekly(2))
    with faults(database_url, error_of(code)) as writes:
        report = night(world, retry=FOUR_TIMES)
        assert writes() == 3  # of the batch, and of each schedule; a repeated batch would be one more
    assert report.result.schedules_failed == ()
    assert world.slots() == expected([weekly(1), weekly(2)], MONDAY, 14)


@pytest.mark.parametrize("fault", [LOSE_CONNECTION, error_of("53100"), error_of("57P03")])
def test_r4_a_fault_of_the_server_ends_the_run_after_the_last_attempt(
    world: World, database_url: str, fault: str
) -> None:
    """Otherwise each schedule would be reported as failed, after as many attempts."""
    world.write(weekly(1), weekly(2))
    with faults(database_url, fault, at=range(1, 100)) as writes:
        with pytest.raises((DatabaseUnreachableError, StatementError)):
            night(world, retry=FOUR_TIMES)
        assert writes() == 4
    assert world.slots() == set()
    assert world.sql("select last_error from scheduling.schedule_states where tenant_id = :tenant_id") == [(None,)] * 2
    assert night(world).result.slots_created == 120


def test_r4_a_batch_that_is_repeated_in_vain_tries_each_schedule_once(world: World, database_url: str) -> None:
    world.write(weekly(1), weekly(2))
    # Two attempts of the batch, then one of each schedule; the second failure is recorded at the second attempt.
    with faults(database_url, error_of("40P01"), at=(1, 2, 3, 5, 6)) as writes:
        report = night(world, retry=TWICE)
        assert writes() == 7
    assert len(report.result.schedules_failed) == 2
    failures = world.sql("select failures_in_a_row from scheduling.schedule_states where tenant_id = :tenant_id")
    assert failures == [(0,), (0,)]  # a collision says nothing about a schedule


def parked(report: Report) -> tuple[ScheduleKey, ...]:
    return report.result.schedules_parked


def test_r4_a_schedule_that_fails_three_runs_in_a_row_is_parked(world: World) -> None:
    world.write(weekly(1), weekly(2))
    break_rule(world)
    failed = [(len(report.result.schedules_failed), parked(report)) for report in (night(world) for _ in range(4))]
    assert failed == [(1, ()), (1, ()), (1, ()), (0, (ScheduleKey(2, 1),))]
    assert world.slots() == expected([weekly(1)], MONDAY, 14)
    statuses = world.sql("select status from scheduling.generation_runs where tenant_id = :tenant_id order by id")
    assert statuses == [("failed",)] * 4  # its days are missing


@pytest.mark.parametrize(
    "asked",
    [{"scope": Scope.ALL}, {"facility_slug": "place-1"}, {"tzdata_version": "2026b"}],
    ids=["all", "facility", "other time zone data"],
)
def test_a_parked_schedule_is_tried_when_a_run_asks_for_it(world: World, asked: dict[str, Any]) -> None:
    world.write(weekly(1), weekly(2))
    break_rule(world)
    for _ in range(3):
        night(world)
    report = night(world, **asked)
    assert (len(report.result.schedules_failed), parked(report)) == (1, ())


@pytest.mark.parametrize(
    "change",
    [
        BREAK_RULE.format(value="null", id=201),
        "delete from scheduling.availability_rules where tenant_id = :tenant_id and id = 201",
        "update scheduling.facilities set timezone = 'Europe/Paris' where tenant_id = :tenant_id",
        "insert into scheduling.facility_closures (tenant_id, facility_id, day) values (:tenant_id, 1, '2027-03-22')",
    ],
    ids=["mended", "deleted", "another zone", "a closure"],
)
def test_a_parked_schedule_is_tried_again_after_a_change(world: World, change: str) -> None:
    world.write(weekly(1), weekly(2))
    night(world)
    break_rule(world)  # so the schedule is stale already when it changes once more
    for _ in range(3):
        night(world)
    world.sql(change)
    assert parked(night(world)) == ()


def test_a_transient_failure_of_a_parked_schedule_is_not_its_last_run(world: World) -> None:
    """A deadlock under other time zone data would else park it again, untried."""
    world.write(weekly(2))
    break_rule(world)
    runs = [night(world).run_id for _ in range(3)]
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        save_failure(session, ScheduleKey(2, 1), reason="a deadlock", run_id=runs[0] or 0, counts=False)
    assert world.sql("select last_run_id from scheduling.schedule_states where tenant_id = :tenant_id") == [(runs[2],)]


def test_a_run_that_may_not_analyze_tables_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, events: Callable[[], list[dict[str, Any]]]
) -> None:
    def refused(_session: Any) -> None:
        raise StatementError("permission denied", sqlstate="42501")

    monkeypatch.setattr("scheduler.generation.job.analyze_grown_tables", refused)
    world.write(weekly(1))
    assert night(world).result.slots_created == 60
    told = events()[0]
    assert (told["event"], told["sqlstate"]) == ("tables not analyzed", "42501")


def test_a_schedule_that_succeeds_starts_to_count_again(world: World) -> None:
    world.write(weekly(1), weekly(2))
    for _ in range(2):
        break_rule(world)
        night(world)
        night(world)
        mend_rule(world)
        assert night(world).result.schedules_failed == ()
    assert world.sql("select max(failures_in_a_row) from scheduling.schedule_states where tenant_id = :tenant_id") == [
        (0,)
    ]


def test_a_schedule_that_succeeds_without_a_change_is_no_longer_counted(world: World, database_url: str) -> None:
    world.write(weekly(1))
    counts = "select failures_in_a_row from scheduling.schedule_states where tenant_id = :tenant_id"
    with faults(database_url, error_of("23514")):
        night(world)
    assert world.sql(counts) == [(1,)]
    assert night(world).result.schedules_failed == ()
    assert world.sql(counts) == [(0,)]


def named(given: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name.removeprefix("scheduler."): value for name, value in (given or {}).items()}


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return named(span.attributes)


def counted(facts: dict[str, Any]) -> dict[str, int]:
    return {name: facts[name] for name in RUN_COUNTS}


def test_spans_form_a_tree_and_count_as_the_row_of_the_run(
    world: World, spans: InMemorySpanExporter, events: Callable[[], list[dict[str, Any]]]
) -> None:
    world.write(weekly(1), weekly(2), weekly(3))
    night(world)
    break_rule(world)
    world.sql(BREAK_RULE.format(value="'FREQ=WEEKLY;INTERVAL=2', effective_from = '2027-03-01'", id=101))
    spans.clear()
    report = night(world)
    finished = spans.get_finished_spans()
    by_id = {span.context.span_id: span for span in finished}
    tree = {(span.name, span.parent and by_id[span.parent.span_id].name) for span in finished}
    phases = {(f"scheduler.{phase}", "scheduler.batch") for phase in ("load", "expand", "compare", "write")}
    assert tree == {("scheduler.run", None), ("scheduler.batch", "scheduler.run")} | phases
    (of_run,) = [span for span in finished if span.name == "scheduler.run"]
    batches = [span for span in finished if span.name == "scheduler.batch"]
    columns = world.sql(f"select {', '.join(RUN_COUNTS)} from scheduling.generation_runs where id = {report.run_id}")
    stored = dict(zip(RUN_COUNTS, columns[0], strict=True))
    sums = {name: sum(attributes(span)[name] for span in batches) for name in RUN_COUNTS}
    sums["schedules"] += 1  # the third one is not due, and in no batch
    assert counted(attributes(of_run)) == sums == stored == report.result.counts()
    assert min(stored["slots_retired"], stored["schedules_failed"]) > 0
    assert attributes(of_run)["status"] == "failed"
    assert counted(events()[-1]) == stored


def test_an_attempt_that_fails_is_an_event_of_the_batchs_span(
    world: World, database_url: str, spans: InMemorySpanExporter
) -> None:
    world.write(weekly(1))
    with faults(database_url, error_of("40P01")):
        report = night(world, retry=TWICE)
    (batch,) = [span for span in spans.get_finished_spans() if span.name == "scheduler.batch"]
    (event,) = batch.events
    facts = {"run_id": report.run_id, "schedules": 1, "error": "DeadlockError", "sqlstate": "40P01"}
    assert (event.name, named(event.attributes)) == ("batch failed", facts)
    assert batch.status.status_code is StatusCode.UNSET


def test_a_run_that_ends_by_an_error_has_its_class_and_code_alone(
    world: World, database_url: str, spans: InMemorySpanExporter
) -> None:
    world.write(weekly(1))
    with faults(database_url, error_of("53100")), pytest.raises(StatementError):
        night(world)
    run = spans.get_finished_spans()[-1]
    facts = {"tenant_id": str(world.tenant_id), "error": "StatementError", "sqlstate": "53100"}
    assert (run.name, attributes(run)) == ("scheduler.run", facts)
    assert (run.status.status_code, run.status.description) == (StatusCode.ERROR, None)


def test_spans_of_another_process_belong_to_the_run(spans: InMemorySpanExporter) -> None:
    with observing.traced("run"):
        batch = Batch(REQUEST, 1, (ScheduleKey(1, 1),), JobRetries(), observing.trace_context())
    sent = pickle.loads(pickle.dumps(batch))  # noqa: S301  # made here
    with observing.within(sent.trace), observing.traced("batch"):
        assert sent.retry(lambda: 3) == 3
    run, done = spans.get_finished_spans()
    assert done.parent is not None
    assert (done.parent.trace_id, done.parent.span_id) == (run.context.trace_id, run.context.span_id)


def test_without_the_api_of_opentelemetry_the_job_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "_tracer", None)
    world.write(weekly(1))
    assert night(world).result.slots_created == 60


def test_each_event_of_a_run_is_logged_with_ids_and_counts(
    world: World, events: Callable[[], list[dict[str, Any]]]
) -> None:
    world.write(weekly(1), weekly(2))
    break_rule(world)
    report = night(world)
    begun, _, refused, done, failed, ended = events()
    assert begun == {
        "event": "run begun",
        "run_id": report.run_id,
        "tenant_id": str(world.tenant_id),
        "from_day": "2027-03-22",
        "until_day": "2027-04-05",
        "mode": "write",
        "schedules": 2,
        "schedules_due": 2,
        "schedules_parked": 0,
    }
    error = {"error": "InvalidRecurrenceError"}
    assert refused == {"event": "batch failed", "run_id": report.run_id, "schedules": 1} | error
    assert (done["event"], done["schedules"], done["slots_created"]) == ("batch done", 2, 60)
    assert failed == {"event": "schedule failed", "run_id": report.run_id, "doctor_id": 2, "facility_id": 1} | error
    assert ended["status"] == "failed"


def test_a_dry_run_has_no_run_id_and_writes_no_failure(
    world: World, events: Callable[[], list[dict[str, Any]]]
) -> None:
    world.write(weekly(1))
    night(world, mode=Mode.DRY)
    assert {"run_id" in event for event in events()} == {False}


OTHER_LIMITS = """
if (current_setting('lock_timeout'), current_setting('statement_timeout')) is distinct from ('3s', '7s') then
    raise exception 'other limits' using errcode = '53100'; end if
"""


def test_time_limits_of_a_run_hold_in_its_transactions_and_end_with_them(world: World, database_url: str) -> None:
    world.write(weekly(1))
    limits = Timeouts(lock=timedelta(seconds=3), statement=timedelta(seconds=7))
    with faults(database_url, OTHER_LIMITS, at=range(1, 9)):
        assert night(world, timeouts=limits).result.slots_created == 60
    assert world.sql("select current_setting('statement_timeout'), current_setting('lock_timeout')") == [("0", "10s")]


def as_command(url: str, world: World, *arguments: str) -> Any:
    return run_command(
        url, "generate", "--tenant", str(world.tenant_id), "--from", str(MONDAY), "--days", "14", *arguments
    )


def test_the_command_writes_its_log_as_lines_of_json(world: World, database_url: str) -> None:
    world.write(weekly(1), weekly(2))
    break_rule(world)
    result = as_command(database_url, world, "--log", "json", "--json")
    lines = [json.loads(line) for line in result.err.splitlines() if line.startswith("{")]
    assert [line["event"] for line in lines][0::5] == ["run begun", "run ended"]
    assert {tuple(line)[:3] for line in lines} == {("at", "level", "event")}
    assert lines[-1]["run_id"] == json.loads(result.out)["run_id"]
    assert result.lines[-1] == "error: 1 of 2 schedules failed"


def test_the_command_tells_of_parked_schedules(world: World, database_url: str) -> None:
    world.write(weekly(1), weekly(2))
    break_rule(world)
    for _ in range(3):
        as_command(database_url, world)
    result = as_command(database_url, world)
    line = "error: 1 schedule is parked after 3 failed runs (`scheduler status` names them)"
    assert (result.code, result.lines[-1]) == (1, line)
    status = run_command(database_url, "status", "--tenant", str(world.tenant_id))
    assert "2, 1 failing, 1 of them parked" in status.out
    assert "parked: Doctor 2 (doctor 2) at place-1: rule 201" in status.out


def metrics_in(path: Path) -> dict[str, dict[str, float]]:
    """Return the values of a metrics file by name and by the label beside the tenant."""
    values: dict[str, dict[str, float]] = {}
    families = text_string_to_metric_families(path.read_text(encoding="utf-8"))  # type: ignore[no-untyped-call]
    for family in families:
        assert family.type == "gauge"
        for sample in family.samples:
            rest = [value for name, value in sample.labels.items() if name != "tenant"]
            values.setdefault(sample.name.removeprefix("scheduler_generation_"), {})["".join(rest)] = sample.value
    return values


def test_the_metrics_of_a_run_are_an_openmetrics_file(world: World, database_url: str, tmp_path: Path) -> None:
    world.write(weekly(1), weekly(2))
    break_rule(world)
    path = tmp_path / "slots.prom"
    path.write_text("of the run before")
    result = as_command(database_url, world, "--metrics", str(path), "--json")
    metrics, figures = metrics_in(path), json.loads(result.out)
    assert metrics["slots"] == {
        change: figures[f"slots_{change}"]
        for change in ("created", "updated", "retired", "kept", "conflicting", "displaced")
    }
    assert metrics["schedules"] == {"generated": 1, "unchanged": 0, "failed": 1, "parked": 0, "locked": 0, "left": 0}
    assert (metrics["succeeded"], metrics["broken_promises"]) == ({"": 0}, {"": 0})
    length = metrics["ended_timestamp_seconds"][""] - metrics["begun_timestamp_seconds"][""]
    assert metrics["duration_seconds"][""] == pytest.approx(length, abs=0.01)
    assert list(tmp_path.iterdir()) == [path]
    mend_rule(world)
    as_command(database_url, world, "--metrics", str(path))
    assert metrics_in(path)["succeeded"] == {"": 1}


def test_the_metrics_of_a_run_that_ends_by_an_error_say_so(world: World, database_url: str, tmp_path: Path) -> None:
    path = tmp_path / "slots.prom"
    result = as_command(database_url, world, "--metrics", str(path), "--facility", "nowhere")
    assert result.code == 3
    metrics = metrics_in(path)
    assert metrics["succeeded"] == {"": 0}
    assert "slots" not in metrics


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--metrics", "/nowhere/slots.prom"), "no file can be written at /nowhere/slots.prom"),
        (("--metrics", "/tmp/slots.prom", "--dry-run"), "leave out --dry-run or --metrics"),  # noqa: S108  # not made
        (("--lock-timeout", "-1"), "a time-out must be from 1 ms"),
        (("--lock-timeout", "nan"), "no number of seconds"),
        (("--statement-timeout", "1e300"), "no number of seconds"),
        (("--statement-timeout", "1e9"), "a time-out must be from 1 ms"),
    ],
)
def test_a_value_that_the_job_cannot_use_is_refused(
    world: World, database_url: str, arguments: tuple[str, ...], message: str
) -> None:
    result = as_command(database_url, world, *arguments)
    assert result.code == 2
    assert message in result.err
