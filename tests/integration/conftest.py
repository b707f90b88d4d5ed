from database_fixtures import database, database_url, empty_database_url, server, template, tenant_id

__all__ = ["database", "database_url", "empty_database_url", "server", "template", "tenant_id"]
