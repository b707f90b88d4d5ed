"""Column declarations: the few kinds of columns that the tables are made of.

Owns: how a key, a reference, an instant, a day, a text, a number, a JSON object and an encrypted value are declared.
Holds: T1 (every instant is `timestamptz`).
Must not know: any table, or what a reference refers to (`constraints`).

Rows do not validate: the core values and the CHECKs of the migrations decide what is valid. A column with a server
default is left out of an INSERT while its attribute is None.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Date,
    DateTime,
    FetchedValue,
    Identity,
    Integer,
    Interval,
    LargeBinary,
    String,
    Text,
    TextClause,
    Time,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DATEMULTIRANGE, INET, JSONB
from sqlmodel import Field

from scheduler.models.encrypted_column import EncryptedColumn

INSTANT: Final = DateTime(timezone=True)
WALL_TIME: Final = DateTime(timezone=False)
_FILLED_BY_A_TRIGGER: Final = {"server_default": FetchedValue()}


def tenant_key() -> Any:
    """Declare `tenant_id`, the first part of the primary key."""
    return Field(primary_key=True, sa_type=Uuid)


def identity_key() -> Any:
    """Declare a bigint key that the database counts; None until the row is written."""
    return Field(default=None, primary_key=True, nullable=False, sa_type=BigInteger, sa_column_args=[Identity()])


def uuid_key() -> Any:
    """Declare a uuid key; None until the row is written, unless the writer draws the uuid."""
    return Field(
        default=None, primary_key=True, nullable=False, sa_type=Uuid, sa_column_kwargs=_filled("gen_random_uuid()")
    )


def uuid_part_of_key() -> Any:
    """Declare a uuid of another row as part of the primary key."""
    return Field(primary_key=True, sa_type=Uuid)


def part_of_key() -> Any:
    """Declare a given bigint as part of the primary key."""
    return Field(primary_key=True, sa_type=BigInteger)


def day_of_key() -> Any:
    """Declare a date as part of the primary key."""
    return Field(primary_key=True, sa_type=Date)


def word_of_key(length: int) -> Any:
    """Declare a word of at most `length` characters as part of the primary key."""
    return Field(primary_key=True, sa_type=String(length))


def reference() -> Any:
    """Declare the bigint half of a composite key to another table; the other half is `tenant_id`."""
    return Field(sa_type=BigInteger)


def optional_reference() -> Any:
    """Declare an optional bigint reference."""
    return Field(default=None, nullable=True, sa_type=BigInteger)


def uuid_reference() -> Any:
    """Declare the uuid half of a composite key to another table; the other half is `tenant_id`."""
    return Field(sa_type=Uuid)


def optional_uuid_reference() -> Any:
    """Declare an optional uuid reference."""
    return Field(default=None, nullable=True, sa_type=Uuid)


def instant() -> Any:
    """Declare a required instant."""
    return Field(sa_type=INSTANT)


def optional_instant() -> Any:
    """Declare an optional instant."""
    return Field(default=None, nullable=True, sa_type=INSTANT)


def filled_instant(expression: str, *, key: bool = False, nullable: bool = False) -> Any:
    """Declare an instant that the database fills in with the value of an SQL expression."""
    filled = _filled(expression)
    return Field(default=None, primary_key=key, nullable=nullable, sa_type=INSTANT, sa_column_kwargs=filled)


def filled_wall_time() -> Any:
    """Declare a required wall-clock time (naive) that a trigger fills in."""
    return Field(default=None, nullable=False, sa_type=WALL_TIME, sa_column_kwargs=_FILLED_BY_A_TRIGGER)


def optional_wall_time() -> Any:
    """Declare an optional wall-clock time (naive)."""
    return Field(default=None, nullable=True, sa_type=WALL_TIME)


def filled_text() -> Any:
    """Declare a required text that a trigger fills in."""
    return Field(default=None, nullable=False, sa_type=Text, sa_column_kwargs=_FILLED_BY_A_TRIGGER)


def written_at() -> Any:
    """Declare an instant that the database fills in: the beginning of the transaction that writes the row."""
    return filled_instant("now()")


def happened_at(*, key: bool = False) -> Any:
    """Declare an instant that the database fills in: the moment itself, not the beginning of the transaction."""
    return filled_instant("clock_timestamp()", key=key)


def transaction_id() -> Any:
    """Declare the number of the transaction that writes the row; the database fills it in."""
    number_of_transaction = _filled("(pg_current_xact_id()::text)::bigint")
    return Field(default=None, nullable=False, sa_type=BigInteger, sa_column_kwargs=number_of_transaction)


def string(length: int = 255) -> Any:
    """Declare a required text of at most `length` characters."""
    return Field(sa_type=String(length))


def optional_string(length: int = 255) -> Any:
    """Declare an optional text of at most `length` characters."""
    return Field(default=None, nullable=True, sa_type=String(length))


def long_text() -> Any:
    """Declare a required text of any length."""
    return Field(sa_type=Text)


def optional_text() -> Any:
    """Declare an optional text of any length."""
    return Field(default=None, nullable=True, sa_type=Text)


def texts() -> Any:
    """Declare a list of texts that begins empty."""
    return Field(default_factory=list, sa_type=ARRAY(Text), sa_column_kwargs=_filled("'{}'"))


def optional_texts() -> Any:
    """Declare an optional list of texts, which the database fills in as empty."""
    return Field(default=None, nullable=True, sa_type=ARRAY(Text), sa_column_kwargs=_filled("'{}'"))


def choice(default: str) -> Any:
    """Declare a text with a default; a CHECK lists the allowed words."""
    return Field(default=default, sa_type=Text, sa_column_kwargs=_filled(f"'{default}'"))


def optional_choice(default: str) -> Any:
    """Declare an optional text, which the database fills in."""
    return Field(default=None, nullable=True, sa_type=Text, sa_column_kwargs=_filled(f"'{default}'"))


def day() -> Any:
    """Declare a required date."""
    return Field(sa_type=Date)


def optional_day() -> Any:
    """Declare an optional date."""
    return Field(default=None, nullable=True, sa_type=Date)


def optional_clock() -> Any:
    """Declare an optional time of day."""
    return Field(default=None, nullable=True, sa_type=Time)


def days() -> Any:
    """Declare a set of days, as ranges, that begins empty."""
    return Field(default_factory=list, sa_type=DATEMULTIRANGE, sa_column_kwargs=_filled("'{}'"))


def length() -> Any:
    """Declare a required length of time."""
    return Field(sa_type=Interval)


def big_number() -> Any:
    """Declare a required bigint that is no reference."""
    return Field(sa_type=BigInteger)


def optional_number() -> Any:
    """Declare an optional integer."""
    return Field(default=None, nullable=True, sa_type=Integer)


def number(default: int) -> Any:
    """Declare an integer with a default."""
    return Field(default=default, sa_type=Integer, sa_column_kwargs=_filled(str(default)))


def optional_number_from(default: int) -> Any:
    """Declare an optional integer, which the database fills in."""
    return Field(default=None, nullable=True, sa_type=Integer, sa_column_kwargs=_filled(str(default)))


def count() -> Any:
    """Declare a bigint that begins at 0."""
    return Field(default=0, sa_type=BigInteger, sa_column_kwargs=_filled("0"))


def switch(*, on: bool = True) -> Any:
    """Declare a boolean that begins as true, or as false."""
    return Field(default=on, sa_column_kwargs=_filled(str(on).lower()))


def optional_json_object() -> Any:
    """Declare an optional `jsonb` object; None is SQL's null, not JSON's."""
    return Field(default=None, nullable=True, sa_type=JSONB(none_as_null=True))


def json_list() -> Any:
    """Declare a required `jsonb` list."""
    return Field(sa_type=JSONB)


def empty_json_object() -> Any:
    """Declare an optional `jsonb` object, which the database fills in as empty."""
    return Field(default=None, nullable=True, sa_type=JSONB(none_as_null=True), sa_column_kwargs=_filled("'{}'"))


def optional_address() -> Any:
    """Declare an optional IPv4 or IPv6 address."""
    return Field(default=None, nullable=True, sa_type=INET)


def digest() -> Any:
    """Declare a digest: required bytes that are no encrypted value."""
    return Field(sa_type=LargeBinary)


def encrypted() -> Any:
    """Declare an optional encrypted value."""
    return Field(default=None, nullable=True, sa_type=EncryptedColumn)


def blind_index() -> Any:
    """Declare the optional keyed hash by which an encrypted value is found."""
    return Field(default=None, nullable=True, sa_type=LargeBinary)


def _filled(expression: str) -> dict[str, TextClause]:
    """Return the arguments of a column that the database fills in with the value of an SQL expression."""
    return {"server_default": text(expression)}
