from uuid import UUID

import pytest

from database_fixtures import database, database_url, empty_database_url, server, template, tenant_id
from phi_world import make_keys, make_tables
from scheduler.postgres.database import Database
from security.worlds import world

__all__ = [
    "database",
    "database_url",
    "empty_database_url",
    "ours",
    "phi_tables",
    "server",
    "template",
    "tenant_id",
    "world",
]


@pytest.fixture(scope="module")
def phi_tables(database_url: str) -> str:
    """The URL of a migrated database that has the encrypted tables of the tests."""
    make_tables(database_url)
    return database_url


@pytest.fixture
def ours(database: Database, tenant_id: UUID) -> UUID:
    """A tenant with keys."""
    make_keys(database, tenant_id)
    return tenant_id
