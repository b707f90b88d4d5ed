"""Columns: the few kinds of column that the tables are made of.

Owns: how a key, an instant, a text with a limit, a number with a default and a JSON object are declared.
Holds: T1 (every instant is `timestamptz`); one place says so, and no table can forget it.
Must not know: any table.

Rows carry no behaviour and do not validate: what is valid is said by the core values and by the CHECKs of the
migrations. A column with a server default is left out of an INSERT while its attribute is None.
"""

from typing import Any, Final

from sqlalchemy import BigInteger, DateTime, Identity, Integer, String, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

INSTANT: Final = DateTime(timezone=True)
CASCADE: Final = "CASCADE"


def tenant_key() -> Any:  # noqa: ANN401  # what SQLModel's own Field returns
    """Declare `tenant_id`, the first part of the primary key."""
    return Field(primary_key=True, sa_type=Uuid)


def identity_key() -> Any:  # noqa: ANN401
    """Declare a bigint key that the database counts; None until the row is written."""
    return Field(default=None, primary_key=True, nullable=False, sa_type=BigInteger, sa_column_args=[Identity()])


def part_of_key() -> Any:  # noqa: ANN401
    """Declare a bigint that is part of the primary key and comes from elsewhere."""
    return Field(primary_key=True, sa_type=BigInteger)


def reference() -> Any:  # noqa: ANN401
    """Declare the bigint half of a composite key to another table; the other half is `tenant_id`."""
    return Field(sa_type=BigInteger)


def optional_reference() -> Any:  # noqa: ANN401
    """Declare a reference that may be missing."""
    return Field(default=None, nullable=True, sa_type=BigInteger)


def instant() -> Any:  # noqa: ANN401
    """Declare an instant that has to be given."""
    return Field(sa_type=INSTANT)


def optional_instant() -> Any:  # noqa: ANN401
    """Declare an instant that may be missing."""
    return Field(default=None, nullable=True, sa_type=INSTANT)


def written_at() -> Any:  # noqa: ANN401
    """Declare an instant that the database fills in: when the row was written."""
    return Field(default=None, nullable=False, sa_type=INSTANT, sa_column_kwargs={"server_default": text("now()")})


def string(length: int = 255) -> Any:  # noqa: ANN401
    """Declare a text of at most so many characters that has to be given."""
    return Field(sa_type=String(length))


def optional_string(length: int = 255) -> Any:  # noqa: ANN401
    """Declare a text of at most so many characters that may be missing."""
    return Field(default=None, nullable=True, sa_type=String(length))


def number(default: int) -> Any:  # noqa: ANN401
    """Declare an integer with a default."""
    return Field(default=default, sa_type=Integer, sa_column_kwargs={"server_default": text(str(default))})


def count() -> Any:  # noqa: ANN401
    """Declare a bigint that begins at 0."""
    return Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})


def switch() -> Any:  # noqa: ANN401
    """Declare a boolean that begins as true."""
    return Field(default=True, sa_column_kwargs={"server_default": text("true")})


def json_object() -> Any:  # noqa: ANN401
    """Declare a `jsonb` object that may be missing; None is SQL's null, not JSON's."""
    return Field(default=None, nullable=True, sa_type=JSONB(none_as_null=True))
