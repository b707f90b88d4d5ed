"""Factories: a right row of any table, from a seed.

Owns: what stands in a column that nobody said anything about, and which rows a row needs to stand on.
Must not know: what makes a coherent world (`scheduler.sample_data`).

A factory reads the tables' own description: a column with a default or that may be missing is left alone, a reference
is filled with a row of that table (the last one made, or a new one), and the rest is drawn by the column's name or
type. So a new table has a factory as soon as it has a model. Everything is drawn from one `Faker` with a seed: the same
seed makes the same rows.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from faker import Faker
from sqlalchemy import Column, ForeignKeyConstraint, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlmodel import Session, SQLModel

from scheduler.core.errors import InvalidInputError
from scheduler.models.encrypted import Encrypted
from scheduler.models.registry import model_of, table_of

Row = TypeVar("Row", bound=SQLModel)

BEGIN: Final = datetime(2027, 2, 1, 9, tzinfo=UTC)
_LATER: Final = BEGIN + timedelta(minutes=20)

# What is written where the name of a column says more than its type, or a CHECK asks for one of a few words.
# `table.column` is asked before the column alone.
_BY_NAME: Final[Mapping[str, Callable[[Faker], object]]] = {
    "action": lambda _: "event",
    "activity_type": lambda _: "mood_wheel",
    "alert_type": lambda _: "wellbeing_decline",
    "availability_exceptions.type": lambda _: "blocked",
    "contributors.kind": lambda _: "outside",
    "data_keys.purpose": lambda _: "encryption",
    "digest": lambda fake: fake.random.randbytes(32),
    "display_name": lambda fake: f"Dr {fake.last_name()}",
    "end_at": lambda _: _LATER,
    "end_time": lambda _: time(12),
    "email": lambda fake: f"{fake.unique.user_name()}@example.org".lower(),
    "entity": lambda _: "session.started",
    "family_members.role": lambda _: "parent",
    "family_name": lambda fake: fake.last_name(),
    "first_name": lambda fake: fake.first_name(),
    "invitation_token": lambda fake: fake.sha256(),
    "invitations.role": lambda _: "Practitioner",
    "item_type": lambda _: "flower",
    "last_name": lambda fake: fake.last_name(),
    "line_1": lambda fake: fake.street_address(),
    "log": lambda _: "user_action",
    "name": lambda fake: fake.name(),
    "occupied_until": lambda _: _LATER,
    "organisations.type": lambda _: "school-primary",
    "profiles.role": lambda _: "Practitioner",
    "response_type": lambda _: "scale",
    "row_digest": lambda fake: fake.random.randbytes(32),
    "scheduled_end_at": lambda _: _LATER,
    "session_type": lambda _: "daily_checkin",
    "severity": lambda _: "high",
    "slug": lambda fake: fake.unique.slug(),
    "timezone": lambda _: "Europe/London",
    "title": lambda fake: fake.sentence(4),
    "until_day": lambda _: BEGIN.date() + timedelta(days=1),
}
_BY_TYPE: Final[Mapping[type, Callable[[Faker], object]]] = {
    str: lambda fake: fake.word(),
    int: lambda fake: fake.random_int(1, 5),
    bool: lambda _: True,
    UUID: lambda fake: UUID(bytes=fake.random.randbytes(16), version=4),
    date: lambda _: BEGIN.date(),
    datetime: lambda _: BEGIN,
    time: lambda _: time(9),
    dict: lambda _: {},
    object: lambda _: {},  # what JSON columns that have to be given say of themselves
    list: lambda _: [],
    bytes: lambda fake: fake.random.randbytes(60),
    Encrypted: lambda fake: Encrypted(bytes([1]) + fake.random.randbytes(60)),
}
# Exclusion constraints, which no model declares: at one time a doctor has one appointment.
_EXCLUSIVE: Final = {"appointments": {"doctor_id"}}


class Factory:
    """Make rows for one tenant in one unit of work.

    `fake` is a seeded `Faker`; rows are drawn from it in the order in which they are asked for.
    """

    def __init__(self, session: Session, fake: Faker, tenant_id: UUID) -> None:
        self.fake = fake
        self.tenant_id = tenant_id
        self.session = session
        self._latest: dict[str, SQLModel] = {}

    def build(self, model: type[Row], **given: object) -> Row:
        """Return a row that is right as it stands; the rows that it needs are written, it is not.

        Raises:
            InvalidInputError: the model has no such column.
        """
        table = table_of(model)
        unknown = given.keys() - set(table.columns.keys())
        if unknown:
            raise InvalidInputError(f"{model.__name__} has no column {min(unknown)!r}")
        values = {_column_of_tenant(table): self.tenant_id} | given
        # The widest first: what a reference of three columns says, one of two must not say otherwise.
        for reference in sorted(table.foreign_key_constraints, key=lambda one: (-len(one.columns), str(one.name))):
            values |= self._referred(table, reference, values)
        for column in table.columns:
            if column.name not in values and _is_needed(column):
                values[column.name] = self._drawn(table, column)
        return model(**values)

    def make(self, model: type[Row], **given: object) -> Row:
        """Write a row, and return it with its key."""
        (row,) = self.write([self.build(model, **given)])
        return row

    def write(self, rows: Iterable[Row]) -> list[Row]:
        """Write rows together, and return them with their keys."""
        written = list(rows)
        self.session.add_all(written)
        self.session.flush()
        for row in written[-1:]:
            self._latest[table_of(type(row)).fullname] = row
        return written

    def _referred(
        self, table: Table, reference: ForeignKeyConstraint, values: Mapping[str, object]
    ) -> dict[str, object]:
        """Return the columns of a reference that has to be there and was not given."""
        here = {one.parent.name: one.column.name for one in reference.elements}
        missing = [name for name in here if name not in values and _is_needed(table.columns[name])]
        if not missing:
            return {}
        target = reference.referred_table
        alone = {name for name in here if name != "tenant_id"}
        once = any(alone & key for key in _unique_keys(table)) and not is_one_a_tenant(target)
        parent = None if once else self._latest.get(target.fullname)
        if parent is None:
            parent = self.make(model_of(target))
        return {name: getattr(parent, here[name]) for name in missing}

    def _drawn(self, table: Table, column: Column[Any]) -> object:
        for name in (f"{table.name}.{column.name}", column.name):
            if name in _BY_NAME:
                return _BY_NAME[name](self.fake)
        kind = column.type.python_type
        if kind in _BY_TYPE:
            return _BY_TYPE[kind](self.fake)
        return next(iter(kind.__members__.values()))  # an enumeration


def is_one_a_tenant(table: Table) -> bool:
    """Whether a tenant can have one row of this table at most: its key is the tenant's own."""
    own = {column.name for column in table.primary_key} - {"tenant_id"}
    return _column_of_tenant(table) != "tenant_id" or any(
        own <= {one.parent.name for one in reference.elements} and is_one_a_tenant(reference.referred_table)
        for reference in table.foreign_key_constraints
        if own and reference.referred_table is not table
    )


def _column_of_tenant(table: Table) -> str:
    """Return the column in which a row says whose it is: an organisation's id is its tenant's, a tenant's its own."""
    column = table.columns.get("tenant_id")
    return "id" if column is None or column.computed is not None else "tenant_id"


def _unique_keys(table: Table) -> list[set[str]]:
    unique = [one.columns for one in table.constraints if isinstance(one, PrimaryKeyConstraint | UniqueConstraint)]
    unique += [index.columns for index in table.indexes if index.unique]
    return [*[{column.name for column in columns} for columns in unique], _EXCLUSIVE.get(table.name, set())]


def _is_needed(column: Column[Any]) -> bool:
    """Whether a column has to be given; a uuid key that the database would draw is, since the seed draws it here."""
    if column.nullable or column.identity is not None or column.computed is not None:
        return False
    return column.server_default is None or (column.primary_key and column.type.python_type is UUID)
