"""Row factory: a valid row of any table, from a seed.

Owns: values for columns that the caller leaves out, and the rows that a row refers to.
Must not know: what makes a tenant coherent (the other modules of `scheduler.sample_data`).

The factory reads the tables' metadata. It skips a column that is nullable or has a default, fills a foreign key with
the last written row of that table (or a new one), and draws any other value by the column's name or type. So a new
table needs no factory of its own. All values come from one seeded `Faker`: the same seed makes the same rows.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Any, Final, TypeVar
from uuid import UUID

from faker import Faker
from sqlalchemy import Column, ForeignKeyConstraint, PrimaryKeyConstraint, Table, UniqueConstraint
from sqlmodel import Session, SQLModel

from scheduler.core.errors import InvalidInputError
from scheduler.models.registry import model_of, table_of

Row = TypeVar("Row", bound=SQLModel)

_START_AT: Final = datetime(2027, 2, 1, 9, tzinfo=UTC)
_END_AT: Final = _START_AT + timedelta(minutes=20)

# Values for columns whose name says more than the type, or whose CHECK allows only a few words. `table.column` has
# precedence over the column alone.
_BY_NAME: Final[Mapping[str, Callable[[Faker], object]]] = {
    "action": lambda _: "event",
    "activity_type": lambda _: "mood_wheel",
    "alert_type": lambda _: "wellbeing_decline",
    "availability_exceptions.type": lambda _: "blocked",
    "resource_exceptions.type": lambda _: "blocked",
    "chain.position": lambda fake: fake.unique.random_int(),
    "channel": lambda _: "desk",
    "contributors.kind": lambda _: "outside",
    "data_keys.purpose": lambda _: "encryption",
    "digest": lambda fake: fake.random.randbytes(32),
    "display_name": lambda fake: f"Dr {fake.last_name()}",
    "end_at": lambda _: _END_AT,
    "end_time": lambda _: time(12),
    "email": lambda fake: f"{fake.unique.user_name()}@example.org".lower(),
    "entity": lambda _: "session.started",
    "family_members.role": lambda _: "parent",
    "family_name": lambda fake: fake.last_name(),
    "first_name": lambda fake: fake.first_name(),
    "holds.steps": lambda _: [],
    "invitation_token": lambda fake: fake.sha256(),
    "invitations.role": lambda _: "Practitioner",
    "item_type": lambda _: "flower",
    "last_name": lambda fake: fake.last_name(),
    "line_1": lambda fake: fake.street_address(),
    "log": lambda _: "user_action",
    "name": lambda fake: fake.name(),
    "booking_caps.period": lambda _: "day",
    "organisations.type": lambda _: "school-primary",
    "profiles.role": lambda _: "Practitioner",
    "response_type": lambda _: "scale",
    "row_digest": lambda fake: fake.random.randbytes(32),
    "row_id": lambda fake: fake.unique.random_int(),
    "scheduled_end_at": lambda _: _END_AT,
    "session_type": lambda _: "daily_checkin",
    "severity": lambda _: "high",
    "slug": lambda fake: fake.unique.slug(),
    "timezone": lambda _: "Europe/London",
    "title": lambda fake: fake.sentence(4),
    "token_digest": lambda fake: fake.random.randbytes(32),
    "until_day": lambda _: _START_AT.date() + timedelta(days=1),
}
_BY_TYPE: Final[Mapping[type, Callable[[Faker], object]]] = {
    str: lambda fake: fake.word(),
    int: lambda fake: fake.random_int(1, 5),
    UUID: lambda fake: UUID(bytes=fake.random.randbytes(16), version=4),
    date: lambda _: _START_AT.date(),
    datetime: lambda _: _START_AT,
    time: lambda _: time(9),
    object: lambda _: {},  # the Python type of required JSON columns
    bytes: lambda fake: fake.random.randbytes(60),
}
# Columns that may be empty, of which a CHECK wants one.
_ONE_OF: Final = frozenset({"booking_caps.doctor_id"})
# Exclusion constraints, which no model declares: a doctor and a patient have one appointment or hold at a time.
_EXCLUSIVE: Final = {"appointments": {"doctor_id", "patient_id"}, "holds": {"doctor_id"}}


class Factory:
    """Factory of rows for one tenant in one unit of work; `fake` is a seeded `Faker`."""

    def __init__(self, session: Session, fake: Faker, tenant_id: UUID) -> None:
        self.fake = fake
        self.tenant_id = tenant_id
        self.session = session
        self._latest: dict[str, SQLModel] = {}

    def build(self, model: type[Row], **given: object) -> Row:
        """Build a valid row without writing it; the rows that it refers to are written.

        Raises:
            InvalidInputError: the model has no such column.
        """
        table = table_of(model)
        unknown = given.keys() - set(table.columns.keys())
        if unknown:
            raise InvalidInputError(f"{model.__name__} has no column {min(unknown)!r}")
        values = {_column_of_tenant(table): self.tenant_id} | given
        # The widest first: a foreign key of two columns must agree with one of three.
        for key in sorted(table.foreign_key_constraints, key=lambda key: (-len(key.columns), str(key.name))):
            values |= self._foreign_key_values(table, key, values)
        for column in table.columns:
            if column.name not in values and _is_needed(column):
                values[column.name] = self._value(table, column)
        return model(**values)

    def make(self, model: type[Row], **given: object) -> Row:
        """Build a row, write it, and return it with its key."""
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

    def _foreign_key_values(
        self, table: Table, key: ForeignKeyConstraint, values: Mapping[str, object]
    ) -> dict[str, object]:
        """Return values for the required columns of a foreign key that were not given."""
        targets = {element.parent.name: element.column.name for element in key.elements}
        missing = [name for name in targets if name not in values and _is_needed(table.columns[name])]
        if not missing:
            return {}
        parent_table = key.referred_table
        is_unique = any((targets.keys() - {"tenant_id"}) & columns for columns in _unique_keys(table))
        needs_own_parent = is_unique and not is_one_a_tenant(parent_table)
        parent = None if needs_own_parent else self._latest.get(parent_table.fullname)
        if parent is None:
            parent = self.make(model_of(parent_table))
        return {name: getattr(parent, targets[name]) for name in missing}

    def _value(self, table: Table, column: Column[Any]) -> object:
        for name in (f"{table.name}.{column.name}", column.name):
            if name in _BY_NAME:
                return _BY_NAME[name](self.fake)
        python_type = column.type.python_type
        if python_type in _BY_TYPE:
            return _BY_TYPE[python_type](self.fake)
        if issubclass(python_type, Enum):
            return next(iter(python_type))
        raise InvalidInputError(f"no sample value for {table.name}.{column.name}: give one, or add it to the factory")


def is_one_a_tenant(table: Table) -> bool:
    """Tell whether a tenant can have at most one row of this table, since its key is the tenant's id."""
    own = {column.name for column in table.primary_key} - {"tenant_id"}
    return _column_of_tenant(table) != "tenant_id" or any(
        own <= {element.parent.name for element in key.elements} and is_one_a_tenant(key.referred_table)
        for key in table.foreign_key_constraints
        if own and key.referred_table is not table
    )


def _column_of_tenant(table: Table) -> str:
    """Return the column with the tenant's id: `id` for a tenant and its organisation."""
    column = table.columns.get("tenant_id")
    return "id" if column is None or column.computed is not None else "tenant_id"


def _unique_keys(table: Table) -> list[set[str]]:
    keys = [key.columns for key in table.constraints if isinstance(key, PrimaryKeyConstraint | UniqueConstraint)]
    keys += [index.columns for index in table.indexes if index.unique]
    return [*({column.name for column in columns} for columns in keys), _EXCLUSIVE.get(table.name, set())]


def _is_needed(column: Column[Any]) -> bool:
    """Tell whether a column needs a value. A uuid key does, so that it follows from the seed."""
    if f"{column.table.name}.{column.name}" in _ONE_OF:
        return True
    if column.nullable or column.identity is not None or column.computed is not None:
        return False
    return column.server_default is None or (column.primary_key and column.type.python_type is UUID)
