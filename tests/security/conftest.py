import pytest

from database_fixtures import database, database_url, empty_database_url, server, template, tenant_id
from phi_world import make_tables
from security.worlds import world

__all__ = ["database", "database_url", "empty_database_url", "phi_tables", "server", "template", "tenant_id", "world"]


@pytest.fixture(scope="module")
def phi_tables(database_url: str) -> str:
    """The URL of a migrated database that has the encrypted tables of the tests."""
    make_tables(database_url)
    return database_url
