"""Contention: sixteen workers want the same places at once, and what they were answered has an order (B1-B4, Q4).

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
from support.contention.cap_bounds import faults
from support.contention.capped_clinic import beyond_caps, capped_clinic, exceeded
from support.contention.clocks import FastClock, run_fast
from support.contention.components import assert_linearizable, verdicts
from support.contention.disturbing import killed_now_and_then
from support.contention.front_door_port import FrontDoorPort, offers_of
from support.contention.history import Event, Type, operations
from support.contention.hot_clinic import GROUP, NOW, HotClinic, hot_clinic
from support.contention.plans import AT_THE_DESK, BY_SQL, burst, confirm_against_block, mixture
from support.contention.ports import CheckThenInsertPort, Port, SqlPort
from support.contention.workers import WORKERS, Plan, contend

pytestmark = pytest.mark.database

Ports = Callable[[HotClinic], Callable[[], Port]]
"""Returns, for a clinic, what opens a port for each worker."""
ALONE, GROUP_OF_BEN, IN_THE_ROOM = "slot 1", "slot 5", "slot 7"
CLOCKS_DIFFER_BY = 0.01


@pytest.fixture(scope="module")
def scheduler(database_url: str) -> Iterator[Scheduler]:
    with Scheduler(database_url, clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture(scope="module")
def fast_clock(database_url: str) -> FastClock:
    return run_fast(database_url)


@pytest.fixture
def by_sql(database_url: str) -> Ports:
    return lambda clinic: partial(SqlPort, database_url, clinic)


@pytest.fixture
def at_the_desk(scheduler: Scheduler, database_url: str, fast_clock: FastClock) -> Ports:
    return lambda clinic: partial(FrontDoorPort, database_url, clinic, offers_of(scheduler, clinic), fast_clock)


@pytest.fixture
def judged(scheduler: Scheduler, database_url: str, tmp_path: Path) -> Callable[..., Counter[str]]:
    """Let workers carry out a plan in a clinic of their own, judge the history, and count its outcomes."""

    def judge(
        ports: Ports,
        planned: Callable[[HotClinic], Plan],
        *,
        seed: int,
        broken: bool = False,
        is_capped: bool = False,
    ) -> Counter[str]:
        clinic = hot_clinic(scheduler, is_capped=is_capped)
        meanwhile = killed_now_and_then(database_url, pause=0.2) if broken else None
        recorder = contend(ports(clinic), planned(clinic), [*clinic.openings()], seed=seed, meanwhile=meanwhile)
        assert_linearizable(recorder.events, tmp_path, clocks_differ_by=CLOCKS_DIFFER_BY)
        return outcomes(recorder.events)

    return judge


def outcomes(events: list[Event]) -> Counter[str]:
    """Count the answers by operation, and by type or reason of refusal."""
    answers = [event for event in events if event.type is not Type.INVOKE]
    return Counter(f"{event.f} {event.value.get('error', event.type.value)}" for event in answers)


@pytest.mark.parametrize("ports", ["by_sql", "at_the_desk"])
def test_b1_each_place_of_a_hot_slot_is_booked_once(
    judged: Callable[..., Counter[str]], request: pytest.FixtureRequest, ports: str
) -> None:
    names = (ALONE, GROUP_OF_BEN)
    found = judged(request.getfixturevalue(ports), partial(burst, names=names), seed=1)
    assert found["book ok"] == 1 + GROUP
    assert found["book taken"] == 2 * WORKERS - 1 - GROUP


def test_b1_a_mixture_of_statements_has_an_order(judged: Callable[..., Counter[str]], by_sql: Ports) -> None:
    """Now and then a connection breaks: that request takes effect, or it does not."""
    found = judged(by_sql, partial(mixture, requests=12, operations=BY_SQL), seed=2, broken=True)
    assert {"book ok", "book taken", "cancel ok", "reschedule ok"} <= {*found}


def test_b2_a_mixture_of_calls_has_an_order(judged: Callable[..., Counter[str]], at_the_desk: Ports) -> None:
    """Holds end while they are confirmed, visits move and are cancelled, keys are repeated, caps are reached."""
    found = judged(at_the_desk, partial(mixture, requests=6, operations=AT_THE_DESK), seed=3, is_capped=True)
    assert {"hold ok", "book ok", "book capped"} <= {*found}  # the others are a matter of time


def test_b2_a_hold_is_confirmed_before_an_emergency_or_not(
    judged: Callable[..., Counter[str]], at_the_desk: Ports
) -> None:
    names = (GROUP_OF_BEN,)
    found = judged(at_the_desk, partial(confirm_against_block, names=names), seed=4)
    assert found["block ok"] == len(names)
    assert found["hold ok"] == GROUP


@pytest.fixture
def beyond(scheduler: Scheduler, at_the_desk: Ports) -> Callable[..., Counter[str]]:
    """Let workers ask for more than caps allow in a clinic of its own, and count the outcomes."""

    def ask(requests: int, days: int, *, seed: int) -> Counter[str]:
        capped = capped_clinic(scheduler)
        plan = beyond_caps(capped, requests, [*capped.by_day][:days])
        events = contend(at_the_desk(capped.clinic), plan, [], seed=seed).events
        assert faults(operations(events), capped.clinic.caps) == []
        assert [*exceeded(capped, events[-1].value["visits"])] == []
        return outcomes(events)

    return ask


def test_q4_no_cap_is_exceeded_and_none_refuses_early(beyond: Callable[..., Counter[str]]) -> None:
    found = beyond(5, 1, seed=6)
    assert {"book ok", "book capped"} <= {*found}


@pytest.mark.deep
def test_q4_workers_contend_for_caps_for_minutes(
    beyond: Callable[..., Counter[str]], request: pytest.FixtureRequest
) -> None:
    begin, total, seed = monotonic(), Counter[str](), 0
    while monotonic() < begin + 60 * request.config.getoption("--minutes"):
        seed += 1
        total += beyond(20, 8, seed=seed)
    rate = total.total() / (monotonic() - begin)
    report(request, f"{total.total():,} answers, {rate:.0f} in a second: {dict(total.most_common())}")


@pytest.mark.deep
def test_b1_workers_contend_for_minutes(
    judged: Callable[..., Counter[str]], by_sql: Ports, at_the_desk: Ports, request: pytest.FixtureRequest
) -> None:
    until = monotonic() + 60 * request.config.getoption("--minutes")
    total, seed = Counter[str](), 0
    while monotonic() < until:
        seed += 1
        broken = seed % 2 == 0
        total += judged(by_sql, burst, seed=seed, broken=broken)
        total += judged(by_sql, partial(mixture, requests=60, operations=BY_SQL), seed=seed, broken=broken)
        total += judged(at_the_desk, burst, seed=seed, broken=broken)
        plan = partial(mixture, requests=40, operations=AT_THE_DESK)
        total += judged(at_the_desk, plan, seed=seed, broken=broken, is_capped=broken)
        total += judged(at_the_desk, confirm_against_block, seed=seed)
    report(request, f"{total.total():,} answers in {seed} rounds: {dict(total.most_common())}")


def report(request: pytest.FixtureRequest, line: str) -> None:
    reporter = request.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(line)


def test_b1_check_then_insert_is_found_in_the_database(scheduler: Scheduler, database_url: str) -> None:
    """A negative control: this harness finds a wrong desk."""
    clinic = hot_clinic(scheduler)
    make = partial(CheckThenInsertPort, database_url, clinic)
    events = contend(make, burst(clinic, [ALONE, IN_THE_ROOM]), [*clinic.openings()], seed=5).events
    assert not all(verdict.is_linearizable for verdict in verdicts(events))
