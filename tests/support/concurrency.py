"""Calls at the same time: of two units of work, one waits for a lock of the other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from queue import Queue
from time import sleep
from typing import TypeVar

from sqlalchemy import text

from scheduler.front_door.work import Work

T = TypeVar("T")


def after_waiting(
    unit_of_work: Callable[[], AbstractContextManager[Work]],
    first: Callable[[Work], object],
    second: Callable[[Work], T],
    third: Callable[[Work], object] = lambda _: None,
) -> T:
    """Call `second` in a unit of work that waits for a lock of `first`, which then calls `third` and commits."""
    pids: Queue[int] = Queue()

    def call() -> T:
        with unit_of_work() as work:
            pids.put(work.session.connection().execute(text("select pg_backend_pid()")).scalar_one())
            return second(work)

    blocked = text("select cardinality(pg_blocking_pids(:pid)) > 0")
    with ThreadPoolExecutor(1) as thread:
        with unit_of_work() as work:
            first(work)
            result = thread.submit(call)
            given = {"pid": pids.get(timeout=10)}
            while not result.done() and not work.session.connection().execute(blocked, given).scalar_one():
                sleep(0.01)
            third(work)
        return result.result()
