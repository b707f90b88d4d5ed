"""Asynchronous front door: the methods of the synchronous one, cancelled tasks, several tasks, errors."""

import asyncio
import inspect
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, event, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel import select

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.front_door.async_scheduler import AsyncScheduler
from scheduler.front_door.async_work import AsyncWork
from scheduler.front_door.awaiting import AsyncTwin, Turn
from scheduler.front_door.context import Context
from scheduler.front_door.ids import DoctorId, FacilityId, TenantId
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.postgres.connections import DRIVER
from scheduler.postgres.errors import DeadlockError, DuplicateError, StatementError
from support.databases import execute

NOW = datetime(2027, 2, 28, tzinfo=UTC)
MONDAY = date(2027, 3, 1)
LONDON = "Europe/London"
TWENTY_MINUTES = timedelta(minutes=20)


def public(kind: type) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}


def signature_of(method: Any) -> list[tuple[str, object, object]]:
    return [(name, each.kind, each.default) for name, each in inspect.signature(method).parameters.items()]


def repositories(work: object) -> Iterator[tuple[str, object]]:
    """The repositories of a unit of work, with those within others, and their names."""
    for name, value in vars(work).items():
        if not name.startswith("_"):
            yield name, value
            yield from ((f"{name}.{inner}", repository) for inner, repository in repositories(value))


def compared(sync: type, twin: type) -> None:
    theirs, ours = public(sync), public(twin)
    assert ours.keys() == theirs.keys()
    for name, method in theirs.items():
        if inspect.isfunction(method):
            assert signature_of(ours[name]) == signature_of(method), name
            assert inspect.getdoc(ours[name]), name
        else:
            assert isinstance(ours[name], property), name


def test_each_method_has_an_awaited_twin_with_the_same_arguments() -> None:
    session: Any = None
    work = Work(Context(session, TenantId(uuid4()), None, lambda: NOW))
    sync = dict(repositories(work))
    twins = dict(repositories(AsyncWork(work, Turn())))
    assert twins.keys() == sync.keys()
    for name, repository in sync.items():
        compared(type(repository), type(twins[name]))
        assert vars(twins[name])["_sync"] is repository
    compared(Work, AsyncWork)
    compared(Scheduler, AsyncScheduler)


