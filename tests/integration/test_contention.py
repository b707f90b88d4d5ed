"""Contention: sixteen workers want the same places at once, and what they were answered has an order (B1-B4).

The checker finds planted faults before it is believed (`tests/unit/test_planted_faults.py`, and the last test here).
With `--deep`, rounds of a tenant each follow one another for `--minutes`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from time import monotonic

import pytest

from scheduler.front_door.scheduler import Scheduler
from support.contention.components import assert_linearizable, verdicts
from support.contention.disturbing import killed_now_and_then
from support.contention.history import Event, Type
from support.contention.hot_clinic import NOW, HotClinic, hot_clinic
from support.contention.plans import burst, mixture
from support.contention.ports import CheckThenInsertPort, Port, SqlPort
from support.contention.workers import WORKERS, contend

pytestmark = pytest.mark.database

Make = Callable[[HotClinic], Port]


@pytest.fixture(scope="module")
def scheduler(database_url: str) -> Iterator[Scheduler]:
    with Scheduler(database_url, clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def make(database_url: str) -> Make:
    return partial(SqlPort, database_url)


def outcomes(events: list[Event]) -> Counter[str]:
    """Count the answers by operation, and by type or reason of refusal."""
    answers = [event for event in events if event.type is not Type.INVOKE]
    return Counter(f"{event.f} {event.value.get('error', event.type.value)}" for event in answers)


def test_b1_the_places_of_a_hot_slot_are_booked_once(scheduler: Scheduler, make: Make, tmp_path: Path) -> None:
    clinic = hot_clinic(scheduler)
    events = contend(partial(make, clinic), burst(clinic), [*clinic.openings()], seed=1).events
    assert_linearizable(events, tmp_path)
    places = sum(slot.capacity for slot in clinic.slots.values())
    assert outcomes(events)["book ok"] == places
    assert outcomes(events)["book taken"] == WORKERS * len(clinic.slots) - places


def test_b1_a_mixture_of_requests_has_an_order(
    scheduler: Scheduler, make: Make, database_url: str, tmp_path: Path
) -> None:
    """Now and then a connection breaks: that request takes effect, or it does not."""
    clinic = hot_clinic(scheduler)
    broken = killed_now_and_then(database_url, pause=0.1)
    plan, openings = mixture(clinic, 15), [*clinic.openings()]
    events = contend(partial(make, clinic), plan, openings, seed=2, meanwhile=broken).events
    assert_linearizable(events, tmp_path)
    expected = {f"{f} {outcome}" for f in ("book", "reschedule") for outcome in ("ok", "taken")}
    assert expected | {"cancel ok", "cancel gone", "reschedule gone"} <= {*outcomes(events)}


@pytest.mark.deep
def test_b1_mixtures_have_an_order_for_minutes(
    scheduler: Scheduler, make: Make, database_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    until = monotonic() + 60 * request.config.getoption("--minutes")
    total, seed = Counter[str](), 0
    while monotonic() < until:
        seed += 1
        for planned in (burst, partial(mixture, requests=60)):
            clinic = hot_clinic(scheduler)
            broken = killed_now_and_then(database_url, pause=0.2) if seed % 2 else None
            plan, openings = planned(clinic), [*clinic.openings()]
            events = contend(partial(make, clinic), plan, openings, seed=seed, meanwhile=broken).events
            assert_linearizable(events, tmp_path)
            total += outcomes(events)
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(f"{total.total():,} answers in {seed} rounds: {dict(total.most_common())}")


def test_b1_check_then_insert_is_found_in_the_database(scheduler: Scheduler, database_url: str) -> None:
    """A negative control: this harness finds a wrong desk."""
    clinic = hot_clinic(scheduler)
    make = partial(CheckThenInsertPort, database_url, clinic)
    events = contend(make, burst(clinic), [*clinic.openings()], seed=3).events
    assert not all(verdict.is_linearizable for verdict in verdicts(events))
