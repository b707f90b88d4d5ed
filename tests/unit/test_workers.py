"""Workers of `scheduler generate`: their options, and new workers in the place of dead ones."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from scheduler.cli.ending import read_duration
from scheduler.cli.workers import Opened, Workers
from scheduler.generation.errors import WorkersLostError


class Crews:
    """Workers of which some die, and a count of those that are there."""

    def __init__(self, *, dying: int) -> None:
        self.dying, self.opened, self.there = dying, 0, 0

    @contextmanager
    def open(self) -> Iterator[Opened]:
        self.opened += 1
        self.there += 1
        try:
            yield Opened(None, self.opened)
        finally:
            self.there -= 1

    def work(self, opened: Opened) -> int:
        assert self.there == 1
        if opened.in_flight <= self.dying:
            raise WorkersLostError("the workers are lost")
        return opened.in_flight

    def workers(self) -> Workers:
        workers = Workers.of(None, None, None)
        workers.open = self.open
        return workers


def test_workers_are_opened_once_and_closed_with_the_command() -> None:
    crews = Crews(dying=0)
    with crews.workers() as workers:
        assert crews.opened == 0
        assert [workers.call(crews.work) for _ in range(3)] == [1, 1, 1]
    assert (crews.opened, crews.there) == (1, 0)


def test_dead_workers_are_replaced_once(capsys: pytest.CaptureFixture[str]) -> None:
    crews = Crews(dying=1)
    with crews.workers() as workers:
        assert [workers.call(crews.work) for _ in range(2)] == [2, 2]
    assert (crews.opened, crews.there) == (2, 0)
    assert capsys.readouterr().err == "the workers are lost; beginning again with new workers\n"


def test_workers_that_die_twice_end_the_work_and_the_next_has_new_ones() -> None:
    crews = Crews(dying=2)
    with crews.workers() as workers:
        with pytest.raises(WorkersLostError):
            workers.call(crews.work)
        assert workers.call(crews.work) == 3
    assert crews.there == 0


@pytest.mark.parametrize(
    ("text", "seconds"), [("2h", 7200), ("90m", 5400), ("1h30m", 5400), ("45s", 45), ("1h1m1s", 3661)]
)
def test_a_duration_is_read_in_hours_minutes_and_seconds(text: str, seconds: int) -> None:
    duration = read_duration(text)
    assert duration is not None
    assert duration.total_seconds() == seconds
