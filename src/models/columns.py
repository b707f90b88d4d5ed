"""Column and constraint declarations: the few kinds of columns, keys and indexes that the tables are made of.

Owns: how a key, a reference, an instant, a day, a text, a number, a JSON object and an encrypted value are declared,
and uniqueness among live rows.
Holds: T1 (every instant is `timestamptz`); every reference carries the tenant, by construction.
Must not know: any table.

Rows do not validate: the core values and the CHECKs of the migrations decide what is valid. A column with a server
default is left out of an INSERT while its attribute is None.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB
from sqlmodel import Field

from scheduler.models.encrypted_column import EncryptedColumn

INSTANT: Final = DateTime(timezone=True)
CASCADE: Final = "CASCADE"
RESTRICT: Final = "RESTRICT"
SET_NULL: Final = "SET NULL"


def of_tenant() -> ForeignKeyConstraint:
    """Declare that a row belongs to a tenant; the tenant cannot be deleted before the row."""
    return ForeignKeyConstraint(["tenant_id"], ["identity.tenants.id"], ondelete=RESTRICT)


def key_to(
    table: str, *columns: str, to: tuple[str, ...] = ("id",), ondelete: str | None = None
) -> ForeignKeyConstraint:
    """Declare that columns and the tenant refer to a row of `table`, written with its schema.

    Without `ondelete` a row that is referred to cannot be deleted alone, but in one statement with the rows that refer
    to it. `SET_NULL` keeps the tenant: only `columns` become null.
    """
    target = [f"{table}.{column}" for column in ("tenant_id", *to)]
    action = f"{SET_NULL} ({', '.join(columns)})" if ondelete == SET_NULL else ondelete
    return ForeignKeyConstraint(["tenant_id", *columns], target, ondelete=action)


def index(*columns: str, where: str | None = None) -> Index:
    """Declare a plain index of these columns within a tenant; its name is derived."""
    return Index(None, "tenant_id", *columns, postgresql_where=None if where is None else text(where))


def unique(name: str, *columns: str, **options: Any) -> UniqueConstraint:
    """Declare that columns are unique within a tenant; `options` are those of the dialect."""
    return UniqueConstraint("tenant_id", *columns, name=name, **options)


def unique_among_live(name: str, *columns: str, also: str = "") -> Index:
    """Declare that columns are unique within a tenant among live rows; `also` is a condition that ends with `and `."""
    return unique_where(f"{also}deleted_at is null", name, *columns)


def unique_where(condition: str, name: str, *columns: str, **options: Any) -> Index:
    """Declare that columns are unique within a tenant among the rows that meet a condition."""
    return Index(name, "tenant_id", *columns, unique=True, postgresql_where=text(condition), **options)


def tenant_key() -> Any:
    """Declare `tenant_id`, the first part of the primary key."""
    return Field(primary_key=True, sa_type=Uuid)


def identity_key() -> Any:
    """Declare a bigint key that the database counts; None until the row is written."""
    return Field(default=None, primary_key=True, nullable=False, sa_type=BigInteger, sa_column_args=[Identity()])


def uuid_key() -> Any:
    """Declare a uuid key; None until the row is written, unless the writer draws it."""
    drawn = {"server_default": text("gen_random_uuid()")}
    return Field(default=None, primary_key=True, nullable=False, sa_type=Uuid, sa_column_kwargs=drawn)


def uuid_part_of_key() -> Any:
    """Declare a uuid that is part of the primary key and comes from elsewhere."""
    return Field(primary_key=True, sa_type=Uuid)


def part_of_key() -> Any:
    """Declare a bigint that is part of the primary key and comes from elsewhere."""
    return Field(primary_key=True, sa_type=BigInteger)


def reference() -> Any:
    """Declare the bigint half of a composite key to another table; the other half is `tenant_id`."""
    return Field(sa_type=BigInteger)


def optional_reference() -> Any:
    """Declare a reference that may be missing."""
    return Field(default=None, nullable=True, sa_type=BigInteger)


def uuid_reference() -> Any:
    """Declare the uuid half of a composite key to another table; the other half is `tenant_id`."""
    return Field(sa_type=Uuid)


def optional_uuid_reference() -> Any:
    """Declare a uuid reference that may be missing."""
    return Field(default=None, nullable=True, sa_type=Uuid)


def instant() -> Any:
    """Declare an instant that has to be given."""
    return Field(sa_type=INSTANT)


def optional_instant() -> Any:
    """Declare an instant that may be missing."""
    return Field(default=None, nullable=True, sa_type=INSTANT)


def written_at() -> Any:
    """Declare an instant that the database fills in: when the row was written."""
    return Field(default=None, nullable=False, sa_type=INSTANT, sa_column_kwargs={"server_default": text("now()")})


def happened_at(*, key: bool = False) -> Any:
    """Declare an instant that the database fills in: the moment itself, not the beginning of the transaction."""
    moment = {"server_default": text("clock_timestamp()")}
    return Field(default=None, primary_key=key, nullable=False, sa_type=INSTANT, sa_column_kwargs=moment)


def transaction_id() -> Any:
    """Declare the number of the transaction that writes the row; the database fills it in."""
    here = {"server_default": text("(pg_current_xact_id()::text)::bigint")}
    return Field(default=None, nullable=False, sa_type=BigInteger, sa_column_kwargs=here)


def string(length: int = 255) -> Any:
    """Declare a text of at most so many characters that has to be given."""
    return Field(sa_type=String(length))


def optional_string(length: int = 255) -> Any:
    """Declare a text of at most so many characters that may be missing."""
    return Field(default=None, nullable=True, sa_type=String(length))


def long_text() -> Any:
    """Declare a text of any length that has to be given."""
    return Field(sa_type=Text)


def optional_text() -> Any:
    """Declare a text of any length that may be missing."""
    return Field(default=None, nullable=True, sa_type=Text)


def texts() -> Any:
    """Declare a list of texts that begins empty."""
    return Field(default_factory=list, sa_type=ARRAY(Text), sa_column_kwargs={"server_default": text("'{}'")})


def choice(default: str) -> Any:
    """Declare a text that is one of those that a CHECK names, with a default."""
    return Field(default=default, sa_type=Text, sa_column_kwargs={"server_default": text(f"'{default}'")})


def optional_choice(default: str) -> Any:
    """Declare a text that may be missing in a row, and that the database fills in where none is given."""
    return Field(default=None, nullable=True, sa_type=Text, sa_column_kwargs={"server_default": text(f"'{default}'")})


def optional_texts() -> Any:
    """Declare an array of texts that may be missing in a row, and is empty where none is given."""
    return Field(default=None, nullable=True, sa_type=ARRAY(Text), sa_column_kwargs={"server_default": text("'{}'")})


def day() -> Any:
    """Declare a date that has to be given."""
    return Field(sa_type=Date)


def optional_day() -> Any:
    """Declare a date that may be missing."""
    return Field(default=None, nullable=True, sa_type=Date)


def optional_number() -> Any:
    """Declare an integer that may be missing."""
    return Field(default=None, nullable=True, sa_type=Integer)


def number(default: int) -> Any:
    """Declare an integer with a default."""
    return Field(default=default, sa_type=Integer, sa_column_kwargs={"server_default": text(str(default))})


def optional_number_from(default: int) -> Any:
    """Declare an integer that may be missing in a row, and that the database fills in where none is given."""
    filled = {"server_default": text(str(default))}
    return Field(default=None, nullable=True, sa_type=Integer, sa_column_kwargs=filled)


def count() -> Any:
    """Declare a bigint that begins at 0."""
    return Field(default=0, sa_type=BigInteger, sa_column_kwargs={"server_default": text("0")})


def switch(*, on: bool = True) -> Any:
    """Declare a boolean that begins as true, or as false."""
    return Field(default=on, sa_column_kwargs={"server_default": text(str(on).lower())})


def optional_json_object() -> Any:
    """Declare a `jsonb` object that may be missing; None is SQL's null, not JSON's."""
    return Field(default=None, nullable=True, sa_type=JSONB(none_as_null=True))


def empty_json_object() -> Any:
    """Declare a `jsonb` object that may be missing in a row, and is empty where none is given."""
    empty = {"server_default": text("'{}'")}
    return Field(default=None, nullable=True, sa_type=JSONB(none_as_null=True), sa_column_kwargs=empty)


def optional_address() -> Any:
    """Declare an IPv4 or IPv6 address that may be missing."""
    return Field(default=None, nullable=True, sa_type=INET)


def digest() -> Any:
    """Declare a digest: bytes that have to be given, and are no encrypted value."""
    return Field(sa_type=LargeBinary)


def encrypted() -> Any:
    """Declare an encrypted value that may be missing."""
    return Field(default=None, nullable=True, sa_type=EncryptedColumn)


def blind_index() -> Any:
    """Declare the keyed hash by which an encrypted value is found; it may be missing."""
    return Field(default=None, nullable=True, sa_type=LargeBinary)
