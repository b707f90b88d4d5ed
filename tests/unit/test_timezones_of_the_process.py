"""Local zone and hash seed of the process: neither changes a slot (T5)."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import time
from datetime import UTC, date, datetime, timedelta, time as clock
from scheduler.core.expansion import expand
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, Schedule
from scheduler.core.spans import Span

hour = timedelta(hours=1)
for zone in ("Europe/London", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Havana"):
    for day in (datetime(2027, 3, 12, tzinfo=UTC), datetime(2027, 10, 29, tzinfo=UTC)):
        rules = [
            AvailabilityRule(weekday, weekday, clock(22), clock(6), hour / 3, slot_alignment=hour, capacity=2)
            for weekday in range(7)
        ]
        rules.append(AvailabilityRule(9, 0, clock(1), clock(4), hour, recurrence="FREQ=MONTHLY;BYDAY=2SU,-1SU"))
        start = day + 44 * hour
        exceptions = [
            AvailabilityException(1, "override", start, start + 9 * hour, capacity=3),
            AvailabilityException(2, "override", start + hour, start + 10 * hour, capacity=5),
            AvailabilityException(3, "override", start + hour, start + 24 * hour, capacity=7),
            AvailabilityException(4, "blocked", start + 8 * hour, start + 9 * hour),
        ]
        schedule = Schedule("d", "f", zone, rules, exceptions, [Closure(1, day.date())])
        for slot in expand(schedule, Span(day, day + 200 * hour)):
            print(*slot)
print(time.tzname[0])
"""


def slots_of_a_process(**environment: str) -> tuple[list[str], str]:
    """Return the slots that another process computes, and the name of its local zone."""
    completed = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        text=True,
    )
    *slots, local_zone = completed.stdout.splitlines()
    return slots, local_zone


@pytest.fixture(scope="module")
def in_utc() -> list[str]:
    slots, _ = slots_of_a_process(TZ="UTC", PYTHONHASHSEED="0")
    assert len(slots) > 500
    return slots


@pytest.mark.parametrize("zone", ["Pacific/Pago_Pago", "Pacific/Kiritimati"])
def test_t5_the_processs_local_zone_changes_no_slot(zone: str, in_utc: list[str]) -> None:
    slots, local_zone = slots_of_a_process(TZ=zone, PYTHONHASHSEED="0")
    assert local_zone != "UTC"
    assert slots == in_utc


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_t5_the_processs_hash_seed_changes_no_slot(seed: str, in_utc: list[str]) -> None:
    """A fixed bug: of two slots with the same identity and rule, the hash seed chose the capacity."""
    slots, _ = slots_of_a_process(TZ="UTC", PYTHONHASHSEED=seed)
    assert slots == in_utc
