"""Disturbed nights: after any fault, the night ends as an undisturbed one, and no slot in use is touched (R4, R2)."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from scheduler.postgres.database import Database
from support.night_jobs import Setup, as_it_is, checkpoints_first, counts_first, forgets_bookings
from support.nights import POINTS, Night, Outcome, gate_at, undisturbed_night

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def new_night(
    database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Night]:
    files: Path = tmp_path_factory.mktemp("jobs")
    return lambda: Night(database, database_url, files)


@pytest.fixture
def night(new_night: Callable[[], Night]) -> Night:
    return new_night()


@pytest.fixture(scope="module")
def undisturbed(new_night: Callable[[], Night]) -> Outcome:
    return undisturbed_night(new_night())


def kill_at(
    night: Night, undisturbed: Outcome, point: str, passage: int = 1, *more: str, setup: Setup = as_it_is
) -> None:
    with gate_at(night.url, point, passage=passage) as gate:
        job = night.start(*more, setup=setup)
        gate.wait(job)
        job.kill()
    night.finish(undisturbed)


@pytest.mark.parametrize("point", POINTS)
def test_r4_after_a_kill_at_a_point_the_next_run_does_the_rest(night: Night, undisturbed: Outcome, point: str) -> None:
    kill_at(night, undisturbed, point)
