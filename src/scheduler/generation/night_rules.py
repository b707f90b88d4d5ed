"""Rules of the checks before the night: what would go wrong, and what to do about it, from plain facts.

Owns: the value of a check, and one function for each check.
Must not know: the database, the clock, the file system.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

from scheduler.core.errors import WallClockError
from scheduler.core.zones import zone_of
from scheduler.models.scheduling.generation import GenerationRun
from scheduler.postgres.night_facts import BookedAhead
from scheduler.postgres.run_history import RunStatus

MAX_MONTHS: Final = 600
"""As in `scheduling.ensure_slot_partitions`."""
A_NIGHT: Final = timedelta(hours=26)
"""The longest time between two nightly runs: a day of 25 hours, and a run that lasts longer than the one before."""
SLOTS_PER_DAY: Final = 24
BYTES_PER_SLOT: Final = 500
"""The row, its five index entries and both in the write-ahead log."""
RESERVE: Final = 256 * 2**20
"""Disk space in bytes that stays free beside the new slots."""
_RELEASE: Final = re.compile(r"[0-9]{4}[a-z]+")
_MAX_REASON: Final = 100


class Outcome(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """This login or host cannot tell. It is no fault."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its name, its outcome, the facts in one line, and what to do if they are a fault."""

    name: str
    outcome: Outcome
    found: str
    remedy: str = ""


def check_horizon(ahead: Iterable[BookedAhead], *, today: date, until_day: date) -> Check:
    """Check that the days up to `until_day` and those generated already reach to the latest visits."""
    beyond = []
    for row in ahead:
        day = _local_day(row)
        if day >= max(until_day, row.generated_until or until_day):
            beyond.append(day)
    if not beyond:
        return Check("horizon", Outcome.OK, "no visit lies beyond the generated days")
    latest = max(beyond)
    return Check(
        "horizon",
        Outcome.WRONG,
        f"{_count(len(beyond), 'schedule has', 'schedules have')} visits beyond the generated days, the latest on"
        f" {latest}",
        f"generate with --days {(latest - today).days + 1} or more",
    )


def check_months(tables: Mapping[date, bool], *, first: date, until: date) -> Check:
    """Check that each month of the half-open days exists, or can be created."""
    needed = _months(first - timedelta(days=1), until)
    in_the_way = [month for month in needed if tables.get(month) is False]
    if in_the_way:
        name = f"scheduling.availability_slots_{in_the_way[0]:%Y_%m}"
        found = f"{name} exists but is not attached as a month of slots"
        return Check("months", Outcome.WRONG, found, f"attach {name}, or drop it")
    missing = [month for month in needed if month not in tables]
    count = sum(tables.values()) + len(missing)
    if count > MAX_MONTHS:
        found = f"{count} months of slots would exceed {MAX_MONTHS}"
        return Check("months", Outcome.WRONG, found, "retire old months (scheduler retire), or generate fewer days")
    if missing:
        return Check("months", Outcome.OK, f"{len(missing)} of {len(needed)} months are missing: the run creates them")
    return Check("months", Outcome.OK, f"all {len(needed)} months exist")


def check_zones(unknown: Mapping[str, str]) -> Check:
    """Check that the time zone data know each zone; `unknown` has the others, with a facility each."""
    if not unknown:
        return Check("zones", Outcome.OK, "all time zones of the facilities are known")
    zone, slug = next(iter(unknown.items()))
    found = f"{_count(len(unknown), 'time zone is', 'time zones are')} unknown: {zone!r} of facility {slug!r}"
    return Check("zones", Outcome.WRONG, found, "update the package tzdata, or correct the facility's time zone")


def check_time_zone_data(used: Collection[str], *, stored: Collection[str], on_host: Collection[str]) -> Check:
    """Compare the releases in use with those of the latest run, and with all that this host has.

    Releases are those of `time_zone_release`; a digest has no order.
    """
    name = "time zone data"
    ours = ", ".join(sorted(used)) or "none"
    oldest = min(_dated(used), default=None)
    newer = {release for release in _dated(stored) if oldest is not None and oldest < release}
    if newer:
        found = f"{ours}: older than {max(newer)}, with which the latest run made the slots"
        return Check(name, Outcome.WRONG, found, "update the time zone data of this host, or the package tzdata")
    newer = {release for release in _dated(on_host) if oldest is not None and oldest < release}
    if newer:
        found = f"{ours}: older than {max(newer)}, which this host has, too"
        return Check(name, Outcome.WRONG, found, "update the older of the system's data and the package tzdata")
    changed = used and stored and set(used) != set(stored)
    return Check(name, Outcome.OK, f"{ours}: new since the latest run, which is repeated" if changed else ours)


def check_privileges(lacking: Sequence[str], fault: str | None) -> Check:
    """Check that the job has its privileges, and that a rehearsal of its statements had no fault."""
    if lacking:
        found = f"scheduler_job lacks {', '.join(lacking)}"
        return Check("privileges", Outcome.WRONG, found, "run scheduler schema check, and grant what it names")
    if fault is not None:
        return Check("privileges", Outcome.WRONG, f"a rehearsal failed: {fault}", "correct the named fault")
    return Check("privileges", Outcome.OK, "a rehearsal of the run had no fault, and was rolled back")


def check_disk(*, free: int | None, database: int, new_days: int) -> Check:
    """Compare the free bytes of the disk with those that the new days of all schedules need."""
    needed = new_days * SLOTS_PER_DAY * BYTES_PER_SLOT
    night = f"the database has {_size(database)}, and the night adds up to {_size(needed)}"
    if free is None:
        return Check("disk", Outcome.UNKNOWN, f"{night}; the free space of the server is not known")
    if free < needed + RESERVE:
        found = f"{night}, but {_size(free)} are free"
        return Check("disk", Outcome.WRONG, found, "free disk space, retire old slots, or generate fewer days")
    return Check("disk", Outcome.OK, f"{night}; {_size(free)} are free")


def check_schedules(failed: int, reason: str | None) -> Check:
    """Check that no schedule failed when it was last generated; one that was parked failed, too."""
    if not failed:
        return Check("schedules", Outcome.OK, "no schedule failed")
    found = (
        f"{_count(failed, 'schedule failed or is parked', 'schedules failed or are parked')}: {_short(reason or '')}"
    )
    return Check("schedules", Outcome.WRONG, found, "correct the rows of each schedule that scheduler status names")


def check_runs(runs: Sequence[GenerationRun], *, now: datetime) -> Check:
    """Check that the latest run (the first one) ended, and that no night was missed since."""
    if not runs:
        return Check("runs", Outcome.OK, "no run yet")
    latest = runs[0]
    if latest.status == RunStatus.INTERRUPTED:
        found = f"the latest run was interrupted on {_instant(latest.finished_at)}"
        return Check("runs", Outcome.WRONG, found, "run scheduler generate: it does the rest")
    ended_at = next((run.finished_at for run in runs if run.finished_at is not None), None)
    if ended_at is not None and now - ended_at > A_NIGHT and latest.status != RunStatus.RUNNING:
        found = f"the latest run ended on {_instant(ended_at)}: a night was missed"
        return Check("runs", Outcome.WRONG, found, "look why the job did not start; the next run fills missed nights")
    if latest.status == RunStatus.RUNNING:
        return Check("runs", Outcome.OK, f"a run is under way since {_instant(latest.started_at)}")
    return Check("runs", Outcome.OK, f"the latest run ended on {_instant(ended_at)}")


def _local_day(row: BookedAhead) -> date:
    try:
        return row.latest_start.astimezone(zone_of(row.zone)).date()
    except WallClockError:  # `check_zones` names it
        return row.latest_start.astimezone(UTC).date()


def _months(first: date, last: date) -> list[date]:
    """Return the first days of the months of two days and between them."""
    count = (last.year - first.year) * 12 + last.month - first.month + 1
    numbers = (first.year * 12 + first.month - 1 + number for number in range(count))
    return [date(number // 12, number % 12 + 1, 1) for number in numbers]


def _dated(releases: Iterable[str]) -> set[str]:
    return {release for release in releases if _RELEASE.fullmatch(release)}


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _short(reason: str) -> str:
    line = " ".join(reason.split())
    return line if len(line) <= _MAX_REASON else f"{line[: _MAX_REASON - 3]}..."


def _instant(at: datetime | None) -> str:
    return "an unknown day" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"
