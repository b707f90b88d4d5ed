"""Plans of bookings: planning a booking does not take longer with each month of slots."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import event

from scheduler.front_door.work import Work
from support.desks import MINUTE, Desk, on, open_desk

pytestmark = pytest.mark.database

MONTH = re.compile(r"availability_slots_\w+")


@pytest.fixture
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened, psycopg.connect(database_url) as connection:
        connection.execute("select scheduling.ensure_slot_partitions(now(), now() + interval '2 years')")
        connection.commit()
        yield opened


@contextmanager
def months_planned(work: Work) -> Iterator[dict[str, set[str]]]:
    """Collect by statement the months of slots in its plan."""
    found: dict[str, set[str]] = {}

    def explained(connection: Any, _: object, statement: str, parameters: Any, *__: object) -> None:
        if statement.lstrip().lower().startswith(("select", "with", "insert", "update", "delete")):
            plan = connection.connection.driver_connection.execute(f"explain {statement}".encode(), parameters)
            found[statement] = {name for (line,) in plan for name in MONTH.findall(line)}

    connection = work.session.connection()
    event.listen(connection, "before_cursor_execute", explained)
    yield found
    event.remove(connection, "before_cursor_execute", explained)


def test_a_booking_is_planned_for_the_months_around_it(desk: Desk) -> None:
    nine = on(desk.day(), 9)
    with desk.tried() as work:
        patient = desk.patient(work)
        offer, later = (desk.offer(work, on(desk.day(), 9) - 10 * MINUTE, desk.with_cara) for _ in range(2))
        with months_planned(work) as found:
            hold = work.visits.hold(offer)
            visit = work.visits.confirm(hold, patient=patient)
            work.visits.reschedule(visit.id, to=later)
            work.visits.cancel(visit.id, reason="a cold")
            work.visits.book(desk.offer(work, nine), patient=patient)
    assert len(found) > 10
    assert any(found.values())
    assert {statement: months for statement, months in found.items() if len(months) > 2} == {}
