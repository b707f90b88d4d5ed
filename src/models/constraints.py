"""Constraint declarations: foreign keys, plain indexes and uniqueness, each within a tenant.

Owns: how a reference to another row, an index, and uniqueness among all or live rows are declared. Every reference
carries the tenant, by construction. The names of keys and plain indexes are derived (`registry`).
Must not know: any table.
"""

from typing import Final

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, text

CASCADE: Final = "CASCADE"
RESTRICT: Final = "RESTRICT"
SET_NULL: Final = "SET NULL"


def of_tenant() -> ForeignKeyConstraint:
    """Declare that a row belongs to a tenant, which cannot be deleted before the row."""
    return ForeignKeyConstraint(["tenant_id"], ["identity.tenants.id"], ondelete=RESTRICT)


def key_to(
    table: str, *columns: str, to: tuple[str, ...] = ("id",), ondelete: str | None = None
) -> ForeignKeyConstraint:
    """Declare that columns and the tenant refer to a row of `table`, written with its schema.

    Without `ondelete` the other row can be deleted only in one statement with the rows that refer to it. `SET_NULL`
    empties the columns and keeps the tenant.
    """
    target = [f"{table}.{column}" for column in ("tenant_id", *to)]
    action = f"{SET_NULL} ({', '.join(columns)})" if ondelete == SET_NULL else ondelete
    return ForeignKeyConstraint(["tenant_id", *columns], target, ondelete=action)


def index(*columns: str, where: str | None = None) -> Index:
    """Declare a plain index of the tenant and these columns; its name is derived."""
    return Index(None, "tenant_id", *columns, postgresql_where=None if where is None else text(where))


def unique(name: str, *columns: str, nulls_not_distinct: bool | None = None) -> UniqueConstraint:
    """Declare that columns are unique within a tenant."""
    return UniqueConstraint("tenant_id", *columns, name=name, postgresql_nulls_not_distinct=nulls_not_distinct)


def unique_where(condition: str, name: str, *columns: str, nulls_not_distinct: bool | None = None) -> Index:
    """Declare that columns are unique within a tenant among the rows that meet a condition."""
    return Index(
        name,
        "tenant_id",
        *columns,
        unique=True,
        postgresql_where=text(condition),
        postgresql_nulls_not_distinct=nulls_not_distinct,
    )


def unique_among_live(name: str, *columns: str, also: str = "") -> Index:
    """Declare that columns are unique within a tenant among live rows; `also` is a condition that ends with `and `."""
    return unique_where(f"{also}deleted_at is null", name, *columns)
