from uuid import UUID

import pytest

from scheduler.postgres.database import Database
from support.databases import database, database_url, empty_database_url, server, template, tenant_id
from support.worlds.encryption import make_keys, make_tables
from support.worlds.tenants import world

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
    """The URL of a migrated database with the encrypted tables of the tests."""
    make_tables(database_url)
    return database_url


@pytest.fixture
def ours(database: Database, tenant_id: UUID) -> UUID:
    """A tenant with keys."""
    make_keys(database, tenant_id)
    return tenant_id
