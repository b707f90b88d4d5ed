"""Record: the revision that a database says it is at, in the table `scheduler.revision`.

Owns: reading the record, and the rights of the roles on it.
Must not know: which revisions there are, who writes the record (Alembic).
"""

from typing import Final

from sqlalchemy import Connection, text

VERSION_TABLE: Final = "scheduler.revision"

GRANTS: Final = text(f"""
    grant usage on schema scheduler to scheduler_app, scheduler_job, scheduler_system, scheduler_desk;
    grant select on {VERSION_TABLE} to scheduler_app, scheduler_job, scheduler_system, scheduler_desk
""")
"""The rights that the first revision grants, for a record that is written anew."""

# `to_regclass` would need the right to use the schema. The transaction may not have the settings of the library yet.
_HAS_RECORD: Final = text("""
    select exists (
        select from pg_catalog.pg_class join pg_catalog.pg_namespace
            on pg_namespace.oid operator(pg_catalog.=) relnamespace
        where nspname operator(pg_catalog.=) 'scheduler' and relname operator(pg_catalog.=) 'revision'
    )
""")


def recorded(connection: Connection) -> str | None:
    """Return the revision of a database; None before the first migration, and where the record is lost."""
    if not connection.scalar(_HAS_RECORD):
        return None
    revision: str | None = connection.scalar(text(f"select version_num from {VERSION_TABLE}"))  # noqa: S608
    return revision
