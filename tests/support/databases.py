"""Databases for tests: a server for the session, a fresh migrated database for each module.

The server is an embedded one for each worker of pytest-xdist, or that of SCHEDULER_TEST_DATABASE_URL (its user must be
a superuser). Each worker migrates one template; a fresh database is a copy of it.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.models import Tenant
from scheduler.postgres.database import Database, Role
from scheduler.postgres.fresh_databases import fresh_database
from scheduler.testing.databases import database_server, database_template

Opened = TypeVar("Opened")
"""A session, or a unit of work of the front door."""


def driver_url(url: str, name: str | None = None) -> str:
    """Return the URL of another database of the same server."""
    parsed = make_url(url)
    return parsed.set(database=name or parsed.database, drivername="postgresql").render_as_string(hide_password=False)


def execute(url: str, *statements: str) -> None:
    """Run each statement on its own, as the role of the URL."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


class _UndoneError(Exception):
    """The block of a test has come to its end."""


@contextmanager
def undone(unit_of_work: AbstractContextManager[Opened]) -> Iterator[Opened]:
    """Run the block in a unit of work that rolls back at its end."""
    with suppress(_UndoneError), unit_of_work as opened:
        yield opened
        raise _UndoneError


def new_tenant(database: Database) -> UUID:
    """Create a tenant without any rows."""
    tenant_id = uuid4()
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        session.add(Tenant(id=tenant_id, slug=str(tenant_id), name="A tenant of one test"))
    return tenant_id


@contextmanager
def database_of_an_owner(server: str) -> Iterator[tuple[str, str]]:
    """Create a database whose owner may create roles only; yield the URLs of a superuser and the owner.

    The roles of the library have to exist, whoever created them.
    """
    owner, password = f"slotsmith_owner_{uuid4().hex[:12]}", uuid4().hex
    with fresh_database(server) as url:
        execute(
            url,
            f"create role {owner} login createrole password '{password}'",
            f"grant scheduler_app, scheduler_job, scheduler_system, scheduler_desk to {owner} with admin option",
            # From 16 on, the creator of a role is only its administrator; before, a role creator may grant any role.
            f"""do $$ begin if current_setting('server_version_num')::int >= 160000 then
                execute 'grant scheduler_definer to {owner} with admin true, inherit false, set false';
            end if; end $$""",
            f"alter database {make_url(url).database} owner to {owner}",
        )
        try:
            yield url, make_url(url).set(username=owner, password=password).render_as_string(hide_password=False)
        finally:
            execute(url, f"reassign owned by {owner} to current_user", f"drop owned by {owner}", f"drop role {owner}")


def as_login(url: str, name: str) -> str:
    """Return a URL for another login of the same server, without a password."""
    return make_url(url).set(username=name, password=None).render_as_string(hide_password=False)


def employ(url: str, tenant_id: UUID, user_id: UUID | None = None) -> UUID:
    """Create a user who works for a tenant, without an entry in the audit log.

    A given id leaves the tenant of the test before, since an id is one person in one tenant.
    """
    employee_id = user_id or uuid4()
    with psycopg.connect(url) as connection:
        connection.execute("set local session_replication_role = replica")
        connection.execute("delete from identity.users where id = %s", (employee_id,))
        connection.execute(
            "insert into identity.users (tenant_id, id, email, name, role) values (%s, %s, %s, 'A nurse', 'staff')",
            (tenant_id, employee_id, f"{employee_id}@example.org"),
        )
    return employee_id


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """A PostgreSQL server: the URL of a database on it, as a superuser."""
    if given := os.environ.get("SCHEDULER_TEST_DATABASE_URL"):
        yield driver_url(given)
        return
    with database_server() as url:
        yield url


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """The name of a migrated database to copy."""
    with database_template(server) as made:
        yield made.name


@pytest.fixture
def empty_database_url(server: str) -> Iterator[str]:
    """An empty database for one test."""
    with fresh_database(server) as url:
        yield url


@pytest.fixture
def migrated(server: str, template: str) -> Iterator[str]:
    """A migrated database for one test, as a superuser."""
    with fresh_database(server, template=template) as url:
        yield url


@pytest.fixture(scope="module")
def database_url(server: str, template: str) -> Iterator[str]:
    """A migrated database for one module, as a superuser."""
    with fresh_database(server, template=template) as url:
        yield url


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    """A migrated database for one module."""
    with Database(database_url) as opened:
        yield opened


@pytest.fixture
def tenant_id(database: Database) -> UUID:
    """A tenant of one test's own."""
    return new_tenant(database)
