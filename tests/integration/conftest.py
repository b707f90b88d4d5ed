from support.databases import database, database_url, empty_database_url, migrated, server, template, tenant_id

__all__ = ["database", "database_url", "empty_database_url", "migrated", "server", "template", "tenant_id"]
