"""PostgreSQL: units of work, bulk writing, keys and encryption, audit, privacy, schema, and the embedded server."""
