"""Host application: its foreign keys to our tables, its Alembic beside ours, and grants for its own tables.

Owns: a foreign key from a table of the host to one of ours, the filter that hides our tables from the host's Alembic,
and the statements that let a unit of work use tables of the host.
Must not know: the tables of a host, how our own migrations run.

Our tables are in a `MetaData` of their own. A foreign key that names its target as a text is looked up in the host's
`MetaData`, and not found there. So a foreign key holds the columns themselves.
"""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import Connection, ForeignKeyConstraint, inspect, text
from sqlmodel import SQLModel

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.models.constraints import SET_NULL
from scheduler.models.registry import METADATA, table_of

if TYPE_CHECKING:
    from alembic.runtime.environment import NameFilterParentNames, NameFilterType

# The months of slots and of the audit log, and the partition of the log for rows without a month.
_PARTITION: Final = re.compile(r"_(\d{4}_\d{2}|rest)$")
_OURS: Final = frozenset({"scheduler.revision", *METADATA.tables})

# A sequence that a column owns (`serial`) has rights of its own; that of an identity column has not.
_TABLES: Final = text("""
    select nspname || '.' || relname as name, nspname, relname, quote_ident(nspname) as quoted_schema,
        format('%I.%I', nspname, relname) as quoted,
        array(
            select format('%I.%I', space.nspname, sequence.relname)
            from pg_depend join pg_class as sequence on sequence.oid = objid
            join pg_namespace as space on space.oid = sequence.relnamespace
            where refobjid = pg_class.oid and classid = 'pg_class'::regclass and deptype = 'a'
                and sequence.relkind = 'S' order by 1
        ) as sequences
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where nspname || '.' || relname = any(:names) and relkind in ('r', 'p', 'v', 'm', 'f')
    order by array_position(:names, nspname || '.' || relname)
""")


def references(
    model: type[SQLModel],
    *columns: str,
    ondelete: Literal["CASCADE", "RESTRICT", "SET NULL"] | None = None,
    name: str | None = None,
    tenant: str = "tenant_id",
) -> ForeignKeyConstraint:
    """Return a foreign key from columns of a host's table to a table of `scheduler.models`, for its `__table_args__`.

    The tenant is part of the key: the host's table has it in the column `tenant`, beside `columns` (mostly one, of
    PostgreSQL's type `bigint`). `SET NULL` empties `columns` and keeps the tenant. A row that is deleted softly stays a
    row, so `ondelete` concerns rows that are deleted for good.

    Raises:
        InvalidInputError: the model is not of `scheduler.models`, or its key has another number of columns.

    >>> from sqlalchemy import BigInteger, Column, MetaData, Table, Uuid
    >>> from scheduler import models
    >>> orders = Table(
    ...     "orders",
    ...     MetaData(),
    ...     Column("tenant_id", Uuid),
    ...     Column("patient_id", BigInteger),
    ...     references(models.Patient, "patient_id", ondelete="CASCADE"),
    ... )
    >>> [key.target_fullname for key in sorted(orders.foreign_keys, key=str)]
    ['scheduling.patients.id', 'scheduling.patients.tenant_id']
    """
    mapper = inspect(model, raiseerr=False)
    if mapper is None or mapper.local_table.metadata is not METADATA:
        raise InvalidInputError(f"cannot refer to {model.__name__}: it is not a table of scheduler.models")
    table = table_of(model)
    key = list(table.primary_key)
    own = [tenant, *columns] if "tenant_id" in table.primary_key.columns else list(columns)
    if len(own) != len(key):
        wanted = [column.name for column in key if column.name != "tenant_id"]
        raise InvalidInputError(f"cannot refer to {table}: its key needs a column for each of {', '.join(wanted)}")
    action = f"{SET_NULL} ({', '.join(columns)})" if ondelete == SET_NULL else ondelete
    return ForeignKeyConstraint(own, key, name=name, ondelete=action)


def alembic_include_name(name: str | None, kind: "NameFilterType", parents: "NameFilterParentNames") -> bool:
    """Hide our tables from a host's autogenerate: the `include_name` of Alembic's `context.configure`.

    It hides each table of the library with its partitions, and nothing else: a schema may also have tables of a host.

    >>> alembic_include_name("patients", "table", {"schema_name": "scheduling"})
    False
    >>> alembic_include_name("patients", "table", {"schema_name": None})
    True
    """
    return kind != "table" or not is_ours(parents.get("schema_name") or "", name or "")


def is_ours(schema: str, table: str) -> bool:
    """Tell whether a table is one of the library, or a partition of one."""
    return f"{schema}.{_PARTITION.sub('', table)}" in _OURS or f"{schema}.{table}" in _OURS


def grants_on(connection: Connection, tables: Sequence[str], role: str = "scheduler_app") -> tuple[str, ...]:
    """Return the statements that let a role read and write tables of a host, each named with its schema.

    Raises:
        NotFoundError: there is no such table.
        InvalidInputError: the table is one of the library, whose migrations grant its rights.
    """
    found = connection.execute(_TABLES, {"names": list(tables)}).all()
    for missing in sorted(set(tables) - {table.name for table in found}):
        raise NotFoundError(f"no table {missing!r}: write it with its schema, such as public.orders")
    for table in found:
        if is_ours(table.nspname, table.relname):
            raise InvalidInputError(f"{table.name} is a table of the library: its migrations grant its rights")
    if not found:
        return ()
    schemas = ", ".join(dict.fromkeys(table.quoted_schema for table in found))
    sequences = ", ".join(sequence for table in found for sequence in table.sequences)
    return (
        f"grant usage on schema {schemas} to {role};",
        f"grant select, insert, update, delete on {', '.join(table.quoted for table in found)} to {role};",
        *([f"grant usage on sequence {sequences} to {role};"] if sequences else []),
    )
