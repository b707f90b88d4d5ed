"""Run history: the runs of the nightly job, and the counts of each.

Owns: the rows of `generation_runs`, and the audit log's entry about each run. Their times are the database's.
Must not know: schedules and slots.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import func, text
from sqlmodel import Session, col, select

from scheduler.models.scheduling.generation import RUN_COUNTS, GenerationRun
from scheduler.postgres.audit.log import record_system

_BEGIN: Final = text("""
insert into scheduling.generation_runs
    (tenant_id, from_day, until_day, trigger, engine_version, tzdata_version)
values ((select identity.current_tenant_id()), :from_day, :until_day, :trigger, :engine, :tzdata)
returning id
""")
_ADD: Final = text(
    # A run that was taken for interrupted, and was only slow, runs again.
    "update scheduling.generation_runs set status = 'running', finished_at = null, "  # noqa: S608  # columns of the model
    + ", ".join(f"{name} = {name} + :{name}" for name in RUN_COUNTS)
    + " where tenant_id = (select identity.current_tenant_id()) and id = :run_id"
)
_FINISH: Final = text(
    "update scheduling.generation_runs set finished_at = clock_timestamp(), status = :status"  # noqa: S608  # as above
    " where tenant_id = (select identity.current_tenant_id()) and id = :run_id"
    f" returning id as run_id, status, from_day, until_day, trigger, {', '.join(RUN_COUNTS)}"
)


_INTERRUPT_SILENT: Final = text("""
update scheduling.generation_runs set status = 'interrupted', finished_at = updated_at
where tenant_id = (select identity.current_tenant_id()) and status = 'running' and updated_at < now() - :silence
""")
SILENCE: Final = timedelta(minutes=15)
"""A run that has written no batch for so long is no longer alive: it was killed, or lost its connection."""


class RunStatus(StrEnum):
    """The states of a run in `generation_runs`."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """A schedule failed."""
    INTERRUPTED = "interrupted"
    """The run ended before it was done. The next run does the rest."""


def begin_run(session: Session, *, days: tuple[date, date], trigger: str, versions: tuple[str, str]) -> int:
    """Record the start of a run and return its id. `days` are half-open, `versions` are of engine and time zones.

    Runs that are silent are recorded as interrupted.
    """
    session.connection().execute(_INTERRUPT_SILENT, {"silence": SILENCE})
    values = {"from_day": days[0], "until_day": days[1], "trigger": trigger}
    versioned = values | {"engine": versions[0], "tzdata": versions[1]}
    return int(session.connection().execute(_BEGIN, versioned).scalar_one())


def add_to_run(session: Session, run_id: int, counts: Mapping[str, int]) -> None:
    """Add the counts of one batch, all of `RUN_COUNTS`, in the batch's own transaction."""
    session.connection().execute(_ADD, {**counts, "run_id": run_id})


def finish_run(session: Session, run_id: int, status: RunStatus) -> None:
    """Record the end of a run and its status, also in the audit log, which does not list its slots."""
    run = session.connection().execute(_FINISH, {"status": status.value, "run_id": run_id}).mappings().one()
    details = {name: value.isoformat() if isinstance(value, date) else value for name, value in run.items()}
    severity = {RunStatus.SUCCEEDED: "info", RunStatus.INTERRUPTED: "warning"}.get(status, "error")
    record_system(session, "generation.finished", details, severity=severity)


def latest_runs(session: Session, *, most: int) -> list[GenerationRun]:
    """Return the latest runs, newest first; a silent one as interrupted, which the database may not know yet."""
    silent = col(GenerationRun.updated_at) < func.now() - SILENCE
    runs = []
    for run, is_silent in session.exec(
        select(GenerationRun, silent).order_by(col(GenerationRun.id).desc()).limit(most)
    ):
        session.expunge(run)
        if is_silent and run.status == RunStatus.RUNNING:
            run.status, run.finished_at = RunStatus.INTERRUPTED.value, run.updated_at
        runs.append(run)
    return runs
