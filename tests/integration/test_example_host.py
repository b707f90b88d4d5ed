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

async def client():
    os.environ["SCHEDULER_DATABASE_URL"] = web
    transport = ASGITransport(app.app, raise_app_exceptions=False)
    async with app.lifespan(app.app), AsyncClient(transport=transport, base_url="http://host") as client:
        for method, path, body in json.loads(requests):
            answer = await client.request(method, path.format(offering=offering, day=day), json=body)
            yield answer.status_code, answer.json() if "json" in answer.headers["content-type"] else answer.text

async def main():
    print(json.dumps([answer async for answer in client()]))

asyncio.run(main())
"""
LONDON = ZoneInfo("Europe/London")
TODAY = datetime.now(UTC).date()
MONDAY = TODAY + timedelta(days=7 - TODAY.weekday())
ADA = {"email": "ada@example.org", "first_name": "Ada", "last_name": "Poe"}
REQUESTS: list[tuple[str, str, Any]] = [
    ("GET", "/riverside/slots?offering={offering}&day={day}", None),
    ("GET", "/riverside/slots?offering=999&day={day}", None),
    ("GET", "/riverside/slots?offering=99999999999999999999&day={day}", None),
    ("GET", "/riverside/slots?offering={offering}&day=9999-12-31", None),
    ("GET", "/riverside/slots?offering={offering}&day=0001-01-01", None),
    ("GET", "/hillside/slots?offering={offering}&day={day}", None),
    ("GET", "/hill%00side/slots?offering={offering}&day={day}", None),
    ("POST", "/riverside/patients", ADA | {"last_name": " "}),
    ("POST", "/riverside/patients", ADA),
    ("POST", "/riverside/patients", ADA | {"first_name": "Eve"}),
    ("GET", "/riverside/patients", None),
]


@pytest.fixture(scope="module")
def answers(database_url: str) -> Iterator[list[Any]]:
    """The answers to `REQUESTS`, each as its status and content, of an application with the rights of the web."""
    name, password = f"slotsmith_web_{uuid4().hex[:12]}", uuid4().hex
    execute(database_url, f"create role {name} login password '{password}' in role scheduler_app")
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
    assert [count(database_url, table) for table in tables] == [1, 1, 1]


def test_the_tables_of_the_host_change_nothing_of_ours(answers: list[Any], database_url: str) -> None:
    assert answers
    assert differences(database_url) == ()


def test_the_example_stays_short() -> None:
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in HOST.rglob("*.py"))
    assert lines <= 300, lines
