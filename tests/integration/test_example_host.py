"""Example host `examples/fastapi_host`: its tables beside ours, its endpoints, as the login of a web application.

It runs in a process of its own, since its package `models` and its tables must not reach other tests.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.postgres.schema.migrations import differences
from support.databases import execute
from support.documents import ROOT

pytestmark = pytest.mark.database

HOST = ROOT / "examples" / "fastapi_host"
# A client sends each request, in order, and prints the answers. Errors of the application reach it as status 500.
CLIENT = """
import asyncio, json, os, sys
from datetime import date

from alembic import command
from alembic.config import Config
from httpx import ASGITransport, AsyncClient

from prepare import migrate, open_clinic

owner, web, day, requests = sys.argv[1:]
os.environ["SCHEDULER_DATABASE_URL"] = owner
migrate(owner)
command.check(Config("alembic.ini"))
offering = open_clinic(owner, from_day=date.fromisoformat(day))

import app, scheduler.models
import models
assert models.__file__.startswith(os.getcwd()) and scheduler.models.Patient is not models.Patient

def client():
    transport = ASGITransport(app.app, raise_app_exceptions=False)
    return AsyncClient(transport=transport, base_url="http://host/bayside")

async def send(client, method, path, body=None, key=None):
    headers = {} if key is None else {"Idempotency-Key": key}
    answer = await client.request(method, path, json=body, headers=headers)
    return answer.status_code, answer.json() if "json" in answer.headers["content-type"] else answer.text

async def answers(ada):
    for method, path, body in json.loads(requests):
        path = "http://host" + path.format(offering=offering, day=day)
        yield await send(ada, method, path, body)

async def visits(ada, bob):
    await send(bob, "POST", "/patients", {"email": "bob@example.org", "first_name": "Bob", "last_name": "Lee"})
    search = f"/offers?service=1&start={day}T00:00:00Z"
    yield "found", (found := await send(ada, "GET", search))
    first, second, third, fourth = found[1][:4]
    both = [send(one, "POST", "/visits", {"place": first, "patient": n}) for n, one in enumerate((ada, bob), 1)]
    yield "two for one place", sorted(await asyncio.gather(*both))
    _, hold = await send(ada, "POST", "/holds", {"offer": second})
    yield "held by another", await send(bob, "POST", "/visits", {"place": second, "patient": 2})
    booking = {"place": hold["token"], "patient": 1}
    yield "confirmed", (confirmed := await send(ada, "POST", "/visits", booking, "form 1"))
    yield "repeated", await send(ada, "POST", "/visits", booking, "form 1")
    yield "reused key", await send(ada, "POST", "/visits", booking | {"patient": 2}, "form 1")
    yield "used token", await send(ada, "POST", "/visits", booking)
    visit = f"/visits/{confirmed[1]['id']}"
    yield "moved", await send(ada, "PUT", visit, {"place": third})
    yield "free again", await send(bob, "POST", "/visits", {"place": second, "patient": 2})
    yield "cancelled", await send(ada, "DELETE", visit + "?reason=cold")
    yield "cancelled twice", await send(ada, "DELETE", visit + "?reason=cold")
    noon = {"start_at": f"{day}T13:00:00Z", "end_at": f"{day}T13:20:00Z"}
    forged = fourth | {"slot": fourth["slot"] | noon, "steps": [fourth["steps"][0] | noon]}
    yield "forged", await send(bob, "POST", "/visits", {"place": forged, "patient": 2})
    yield "malformed", await send(bob, "POST", "/holds", {"offer": {"offering_id": "1"}})
    yield "unknown visit", await send(bob, "PUT", "/visits/99", {"place": fourth})
    yield "unknown patient", await send(bob, "POST", "/visits", {"place": fourth, "patient": 99})

async def main():
    os.environ["SCHEDULER_DATABASE_URL"] = web
    async with app.lifespan(app.app), client() as ada, client() as bob:
        answered = [answer async for answer in answers(ada)]
        print(json.dumps([answered, {name: answer async for name, answer in visits(ada, bob)}]))

asyncio.run(main())
"""
LONDON = ZoneInfo("Europe/London")
TODAY = datetime.now(UTC).date()
MONDAY = TODAY + timedelta(days=7 - TODAY.weekday())
ADA = {"email": "ada@example.org", "first_name": "Ada", "last_name": "Poe"}
REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/bayside/slots?offering={offering}&day={day}", None),
    ("GET", "/bayside/slots?offering=999&day={day}", None),
    ("GET", "/bayside/slots?offering=99999999999999999999&day={day}", None),
    ("GET", "/bayside/slots?offering={offering}&day=9999-12-31", None),
    ("GET", "/bayside/slots?offering={offering}&day=0001-01-01", None),
    ("GET", "/hillside/slots?offering={offering}&day={day}", None),
    ("GET", "/hill%00side/slots?offering={offering}&day={day}", None),
    ("POST", "/bayside/patients", ADA | {"last_name": " "}),
    ("POST", "/bayside/patients", ADA),
    ("POST", "/bayside/patients", ADA | {"first_name": "Eve"}),
    ("GET", "/bayside/patients", None),
]


@pytest.fixture(scope="module")
def application(database_url: str) -> Iterator[list[Any]]:
    """The answers to `REQUESTS` and those to visits, each with its status, of a login of the web."""
    name, password = f"slotsmith_web_{uuid4().hex[:12]}", uuid4().hex
    execute(database_url, f"create role {name} login password '{password}' in role scheduler_app, scheduler_desk")
    web = make_url(database_url).set(username=name, password=password).render_as_string(hide_password=False)
    path = os.pathsep.join([str(HOST), str(ROOT / "src")])
    try:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", CLIENT, database_url, web, str(MONDAY), json.dumps(REQUESTS)],
            cwd=HOST,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONTZPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        yield json.loads(done.stdout.splitlines()[-1])
    finally:
        execute(database_url, f"drop role {name}")


@pytest.fixture(scope="module")
def answers(application: list[Any]) -> list[Any]:
    """The answers to `REQUESTS`, in order."""
    requests: list[Any] = application[0]
    return requests


@pytest.fixture(scope="module")
def visits(application: list[Any]) -> dict[str, Any]:
    """The answers to two clients who find, hold, book, move and cancel visits."""
    named: dict[str, Any] = application[1]
    return named


def count(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        return int(connection.execute(f"select count(*) from {table}".encode()).fetchall()[0][0])


def test_open_slots_of_a_day_are_json_objects(answers: list[Any]) -> None:
    status, slots = answers[0]
    assert (status, {frozenset(slot) for slot in slots}) == (200, {frozenset({"start_at", "end_at", "doctor_id"})})
    starts = [datetime.fromisoformat(slot["start_at"]).astimezone(LONDON) for slot in slots]
    assert starts == [datetime.combine(MONDAY, time(9), LONDON) + timedelta(minutes=20 * n) for n in range(9)]


def test_errors_have_the_status_of_their_kind(answers: list[Any]) -> None:
    assert [status for status, _ in answers] == [200, 404, 422, 422, 422, 404, 422, 422, 201, 409, 200], answers
    assert answers[7][1] == {"detail": "patient: last_name must not be blank"}


def test_rows_of_host_and_library_are_written_together_or_not_at_all(answers: list[Any], database_url: str) -> None:
    _, patients = answers[-1]
    assert [(patient["user"], patient["name"]) for patient in patients] == [("ada@example.org", "Ada Poe")]
    tables = ("public.user", "public.patient", "scheduling.patients")
    assert [count(database_url, table) for table in tables] == [2, 2, 2]  # with Bob, who books visits


def test_the_tables_of_the_host_change_nothing_of_ours(answers: list[Any], database_url: str) -> None:
    assert answers
    assert differences(database_url) == ()


def starts(visits: dict[str, Any]) -> list[str]:
    """Return the starts of the offers that were found."""
    return [offer["steps"][0]["start_at"] for offer in visits["found"][1]]


def test_two_clients_for_one_place_get_one_visit(visits: dict[str, Any]) -> None:
    (_, visit), (refused, facts) = visits["two for one place"]
    found = starts(visits)
    assert (visit["status"], datetime.fromisoformat(visit["start_at"])) == (
        "scheduled",
        datetime.fromisoformat(found[0]),
    )
    assert visit["local_start"] == f"{MONDAY}T09:00:00"
    assert (refused, facts["next_start_at"]) == (409, found[1])


def test_a_hold_keeps_others_out_and_its_token_books_once(visits: dict[str, Any]) -> None:
    status, facts = visits["held by another"]
    assert (status, facts["next_start_at"]) == (409, starts(visits)[2])
    assert visits["confirmed"][0] == 201
    assert visits["repeated"] == visits["confirmed"]
    assert [visits[name][0] for name in ("reused key", "used token")] == [422, 404]


def test_a_visit_is_moved_and_cancelled_and_its_place_is_free_again(visits: dict[str, Any]) -> None:
    (status, moved), confirmed = visits["moved"], visits["confirmed"][1]
    assert (status, moved["id"], moved["local_start"]) == (200, confirmed["id"], f"{MONDAY}T09:40:00")
    assert visits["free again"][0] == 201
    assert (visits["cancelled"][0], visits["cancelled"][1]["status"]) == (200, "cancelled")
    assert visits["cancelled twice"][0] == 409


def test_a_changed_offer_is_refused_with_reasons(visits: dict[str, Any]) -> None:
    status, facts = visits["forged"]
    assert (status, [reason["code"] for reason in facts["reasons"]]) == (409, ["outside_rules"])
    assert facts["next_start_at"] > f"{MONDAY}"
    assert [visits[name][0] for name in ("malformed", "unknown visit", "unknown patient")] == [422, 404, 404]


def test_the_example_stays_short() -> None:
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in HOST.rglob("*.py"))
    assert lines <= 460, lines
