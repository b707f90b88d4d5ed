"""Observation: the real outcome of an operation on a row as a role or person; nothing is kept.

Owns: the observers, and the operations that they try on any table. Must not know: the right outcome (the tests do), or
any table by name but that of people's roles.

Each try is aimed at the row of `ours`; the observer is of that tenant, of the other, or of none. A setting that was
made once in a session is '' after its transaction and never unset again: so tries without a tenant come first on a
connection.
"""

import json
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID, uuid5

import psycopg

from support.worlds.tenants import Table, World, read_table, remove, value_of, without_triggers

ROLES: Final = ("scheduler_app", "scheduler_job", "scheduler_system", "scheduler_desk")
FOR_NO_USER: Final = "scheduler_job"
DESK: Final = "scheduler_desk"
PEOPLE: Final = "wellbeing.profiles"
ROLES_OF_PEOPLE: Final = ("Account", "GroupContact", "Practitioner", "Child")
AT_WORK_OR_NOT: Final = ("Practitioner", "Child")

Outcome = int | str | None
"""How many rows were seen or changed, or the SQLSTATE of the refusal."""


class Who(StrEnum):
    """The tenant of a session; the order is that of observing."""

    UNSET = "no tenant"
    EMPTY = "an empty tenant"
    GARBAGE = "garbage"
    OTHER = "the other tenant"
    OWN = "its own tenant"


class Observer(NamedTuple):
    """A database role, and possibly a person with a role among the people at that moment."""

    role: str
    user_id: UUID | None = None
    role_of_person: str | None = None

    def __str__(self) -> str:
        return f"{self.role} ({self.role_of_person})" if self.role_of_person else self.role


class Operation(StrEnum):
    """An operation tried on the row of `ours`.

    With `everything` no condition narrows it down. An update of everything reads no column: then PostgreSQL asks the
    policies for UPDATE alone, which those for SELECT help otherwise.
    """

    SELECT = "select"
    SELECT_EVERYTHING = "select everything"
    COPY_TO = "copy to"
    INSERT = "insert"
    UPDATE = "update"
    UPDATE_EVERYTHING = "update everything"
    DELETE = "delete"
    DELETE_EVERYTHING = "delete everything"
    MOVE = "move to the other tenant"
    MOVE_EVERYTHING = "move everything to a stranger"
    UPSERT = "insert on conflict do update"
    INSERT_IF_MISSING = "insert on conflict do nothing"
    COPY_FROM = "copy from"
    TRUNCATE = "truncate"


Trial = Callable[[psycopg.Connection, Table, World], int]


def observers(connection: psycopg.Connection, table: str, world: World) -> list[Observer]:
    """Return the observers: the roles, those that policies name, and our people in each of their roles.

    Where only working here matters, a role of each kind is enough.
    """
    named = connection.execute(
        """select distinct rolname::text from pg_policy join pg_roles on pg_roles.oid = any(polroles)
        where polrelid = %s::regclass and rolname <> all(%s)""",
        (table, list(ROLES)),
    )
    roles = [*ROLES, *(role for (role,) in named)]
    expressions = str(
        value_of(
            connection,
            """select string_agg(concat(pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid)), ' ')
            from pg_policy where polrelid = %s::regclass""",
            (table,),
        )
    )
    if "has_tenant_access" in expressions:
        kinds = [(role, of_person) for role in ROLES[:1] for of_person in AT_WORK_OR_NOT]
    elif re.search(r"current_(?!tenant_id)", expressions):
        kinds = [(role, of_person) for role in roles if role != FOR_NO_USER for of_person in ROLES_OF_PEOPLE]
    else:
        kinds = []
    people = our_people(connection, world) if kinds else []
    # No user of a tenant: the desk reaches a tenant for an active user of any role.
    strangers = [Observer(DESK, UUID(int=1))] if "has_tenant_access" in expressions else []
    return [*map(Observer, roles), *strangers] + [
        Observer(role, person, of_person) for person in people for role, of_person in kinds
    ]


def our_people(connection: psycopg.Connection, world: World) -> list[UUID]:
    """Return the people of `ours` with a role."""
    if value_of(connection, "select to_regclass(%s)::text", (PEOPLE,)) is None:
        return []
    rows = connection.execute(f"select id from {PEOPLE} where tenant_id = %s order by 1".encode(), (world.ours,))
    return [person for (person,) in rows]


def join_a_colleague(connection: psycopg.Connection, world: World) -> None:
    """Add a person to `ours` for the transaction, so that not every row is about the observer."""
    for person in our_people(connection, world)[:1]:
        table = read_table(connection, PEOPLE, world)
        colleague = json.loads(table.row) | {"id": str(uuid5(person, "a colleague"))}
        columns = ", ".join(table.columns)
        with without_triggers(connection):
            connection.execute(
                f"insert into {PEOPLE} ({columns}) select {columns}"
                f" from jsonb_populate_record(null::{PEOPLE}, %s)".encode(),
                (json.dumps(colleague),),
            )


def observe(
    connection: psycopg.Connection, table: Table, world: World, *, as_whom: Observer, who: Who, operation: Operation
) -> Outcome:
    """Try an operation inside a savepoint that is rolled back, and return the outcome."""
    try:
        with connection.transaction(force_rollback=True):
            if as_whom.role_of_person:
                with without_triggers(connection):
                    changed = f"update {PEOPLE} set role = %s where id = %s"
                    connection.execute(changed.encode(), (as_whom.role_of_person, as_whom.user_id))
            if operation is Operation.INSERT:
                remove(connection, table.name, table.key, table.row)
            _become(connection, world, as_whom, who, triggers=operation not in _WITHOUT_TRIGGERS)
            return _TRIALS[operation](connection, table, world)
    except psycopg.Error as refused:
        return refused.sqlstate


def _become(connection: psycopg.Connection, world: World, as_whom: Observer, who: Who, *, triggers: bool) -> None:
    """Take on a tenant, a user and, last, the role."""
    settings = {} if triggers else {"session_replication_role": "replica"}
    if who is not Who.UNSET:
        tenants = {Who.EMPTY: "", Who.GARBAGE: "garbage", Who.OTHER: str(world.theirs), Who.OWN: str(world.ours)}
        settings["app.tenant_id"] = tenants[who]
    elif value_of(connection, "select current_setting('app.tenant_id', true)") is not None:
        raise AssertionError("this connection has named a tenant before: it cannot show what a new one sees")
    if as_whom.user_id:
        settings["app.user_id"] = str(as_whom.user_id)
    settings["role"] = as_whom.role
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    connection.execute(f"select {calls}".encode(), [part for pair in settings.items() for part in pair])


def _counted(query: str) -> Trial:
    def trial(connection: psycopg.Connection, table: Table, world: World) -> int:
        count = value_of(connection, query.format(t=table), (world.ours,) if "%s" in query else ())
        assert isinstance(count, int)
        return count

    return trial


def _changed(statement: str) -> Trial:
    def trial(connection: psycopg.Connection, table: Table, world: World) -> int:
        values = {"ours": world.ours, "theirs": world.theirs, "row": table.row}
        columns, key = ", ".join(table.columns), ", ".join(table.key)
        written = statement.format(t=table, columns=columns, key=key, row=_ROW.format(t=table))
        return connection.execute(written.encode(), values).rowcount

    return trial


def _copied_out(connection: psycopg.Connection, table: Table, world: World) -> int:
    statement = f"copy (select {table.tenant}::text from {table.name}) to stdout"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        return sum(line == (str(world.ours),) for line in copy.rows())


def _copied_in(connection: psycopg.Connection, table: Table, world: World) -> int:  # noqa: ARG001
    with connection.cursor() as cursor, cursor.copy(f"copy {table.name} from stdin".encode()):
        return 0


_ROW: Final = "jsonb_populate_record(null::{t.name}, %(row)s)"
_OURS: Final = "where {t.tenant} = %(ours)s"
_INSERT: Final = "insert into {t.name} ({columns}) overriding system value select {columns} from {row}"
_TRIALS: Final[dict[Operation, Trial]] = {
    Operation.SELECT: _counted("select count(*) from {t.name} where {t.tenant} = %s"),
    Operation.SELECT_EVERYTHING: _counted("select count(*) from {t.name}"),
    Operation.COPY_TO: _copied_out,
    Operation.INSERT: _changed(_INSERT),
    Operation.UPDATE: _changed(f"update {{t.name}} set {{t.touched}} = {{t.touched}} {_OURS}"),
    Operation.UPDATE_EVERYTHING: _changed("update {t.name} set {t.touched} = ({row}).{t.touched}"),
    Operation.DELETE: _changed(f"delete from {{t.name}} {_OURS}"),
    Operation.DELETE_EVERYTHING: _changed("delete from {t.name}"),
    Operation.MOVE: _changed(f"update {{t.name}} set {{t.tenant}} = %(theirs)s {_OURS}"),
    Operation.MOVE_EVERYTHING: _changed(f"update {{t.name}} set {{t.tenant}} = '{UUID(int=0)}'"),
    Operation.UPSERT: _changed(f"{_INSERT} on conflict ({{key}}) do update set {{t.touched}} = excluded.{{t.touched}}"),
    Operation.INSERT_IF_MISSING: _changed(f"{_INSERT} on conflict do nothing"),
    Operation.COPY_FROM: _copied_in,
    Operation.TRUNCATE: _changed("truncate {t.name}"),
}
# Foreign keys refuse these, too, and would hide rows that the policies let through.
_WITHOUT_TRIGGERS: Final = {
    Operation.DELETE,
    Operation.DELETE_EVERYTHING,
    Operation.MOVE,
    Operation.MOVE_EVERYTHING,
}
