"""Metrics of the nightly job: a text file for the textfile collector of the Prometheus node exporter.

Owns: the names of the metrics, and the file.
Must not know: the job; where the file is read.

All metrics are gauges of the last run, without timestamps: such a file has one meaning in OpenMetrics and in the older
text format, which the node exporter reads. It replaces the file of the run before in one step, so that no reader sees
a part of it.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from scheduler.cli.errors import OutputLostError
from scheduler.core.errors import InvalidInputError
from scheduler.core.extras import extra_needed
from scheduler.generation.report import Report

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_PREFIX: Final = "scheduler_generation"
_SLOTS: Final = ("created", "updated", "retired", "kept", "conflicting", "displaced")


class LastRun(NamedTuple):
    """The last run for a tenant, by the tenant's slug; without a report it ended by an error."""

    tenant: str
    begun_at: datetime
    ended_at: datetime
    report: Report | None

    @property
    def succeeded(self) -> bool:
        """Tell whether the run has done everything."""
        if self.report is None or self.report.schedules_left:
            return False
        result = self.report.result
        return not (result.schedules_failed or result.schedules_parked or result.schedules_locked)


def check_metrics_file(path: Path, *, dry: bool) -> None:
    """Find out before the run whether its metrics can be written.

    Raises:
        InvalidInputError: the run is dry, or the folder of the file is missing, or not writable.
        MissingExtraError: the package prometheus_client is not installed.
    """
    with extra_needed("--metrics", "telemetry"):
        import prometheus_client  # noqa: F401, PLC0415  # of an extra
    if dry:
        raise InvalidInputError("--metrics are of a run that writes: leave out --dry-run or --metrics")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise InvalidInputError(f"--metrics: no file can be written at {path}")


class JobMetrics:
    """The metrics of the runs of one command."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self.runs: dict[str, LastRun] = {}

    def leave(self, tenants: Iterable[str]) -> None:
        """Record that no run began for these tenants, since the time was up."""
        at = self._clock()
        self.runs.update({tenant: LastRun(tenant, at, at, None) for tenant in tenants})

    @contextmanager
    def run_for(self, tenant: str) -> Iterator[Callable[[Report], None]]:
        """Measure the run in the block, also if it ends by an error; the block gives its report."""
        begun_at = self._clock()
        reports: list[Report] = []
        try:
            yield reports.append
        finally:
            self.runs[tenant] = LastRun(tenant, begun_at, self._clock(), reports[-1] if reports else None)


@contextmanager
def written_metrics(path: Path | None, clock: Callable[[], datetime], *, tenant: str | None) -> Iterator[JobMetrics]:
    """Write the metrics of the block's runs to a file, if one is given, also after an error.

    A tenant is given if the block works for one only: if its run does not even begin, it has failed.

    Raises:
        OutputLostError: the runs are done, and the file cannot be written.
    """
    metrics, begun_at = JobMetrics(clock), clock()
    try:
        yield metrics
    except BaseException:
        if tenant is not None:
            metrics.runs.setdefault(tenant, LastRun(tenant, begun_at, clock(), None))
        if path is not None and metrics.runs:
            with suppress(OSError):  # the error of the run matters more
                write_metrics(path, metrics.runs.values())
        raise
    if path is not None and metrics.runs:
        try:
            write_metrics(path, metrics.runs.values())
        except OSError as error:
            lost = f"all is done, but the metrics could not be written to {path}: {error.strerror}"
            raise OutputLostError(lost) from None


def write_metrics(path: Path, runs: Iterable[LastRun]) -> None:
    """Write the metrics of the last run of each tenant, in the place of the file there.

    Raises:
        OSError: the file cannot be written; the file of the run before stays.
    """
    from prometheus_client.openmetrics.exposition import generate_latest  # noqa: PLC0415  # of an extra

    content = generate_latest(_registry(runs))  # type: ignore[no-untyped-call]  # of the library
    beside = path.with_name(f".{path.name}.{os.getpid()}")  # the collector reads *.prom alone
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(0o644)
        beside.replace(path)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def _registry(runs: Iterable[LastRun]) -> "CollectorRegistry":
    from prometheus_client import CollectorRegistry, Gauge  # noqa: PLC0415  # of an extra

    registry = CollectorRegistry()

    def gauge(name: str, help_: str, by: str | None = None) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", help_, ["tenant", *([by] if by else [])], registry=registry)

    succeeded = gauge("succeeded", "1 if the last run did all schedules: none failed, is parked or was locked; else 0.")
    begun = gauge("begun_timestamp_seconds", "When the last run began.")
    ended = gauge("ended_timestamp_seconds", "When the last run ended.")
    duration = gauge("duration_seconds", "How long the last run took.")
    slots = gauge("slots", "Slots of the last run, by what it did with them.", "change")
    schedules = gauge("schedules", "Schedules of the last run, by what became of them.", "state")
    promises = gauge("broken_promises", "Bookings that would begin at another time than the patient was told.")
    for run in runs:
        succeeded.labels(run.tenant).set(run.succeeded)
        begun.labels(run.tenant).set(run.begun_at.timestamp())
        ended.labels(run.tenant).set(run.ended_at.timestamp())
        duration.labels(run.tenant).set((run.ended_at - run.begun_at).total_seconds())
        if run.report is not None:
            counts = run.report.result.counts()
            for change in _SLOTS:
                slots.labels(run.tenant, change).set(counts[f"slots_{change}"])
            for state, count in _states(run.report).items():
                schedules.labels(run.tenant, state).set(count)
            promises.labels(run.tenant).set(len(run.report.result.broken_promises))
    return registry


def _states(report: Report) -> Mapping[str, int]:
    """Count the schedules of a run by what became of them."""
    result = report.result
    failed, unchanged = len(result.schedules_failed), result.schedules_unchanged
    return {
        "generated": result.schedules - failed - unchanged,
        "unchanged": unchanged,
        "failed": failed,
        "parked": len(result.schedules_parked),
        "locked": len(result.schedules_locked),
        "left": report.schedules_left,
    }
