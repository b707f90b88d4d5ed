"""Policies removed: the tests notice each policy that is dropped or made wider.

A suite that stays green without a policy does not test it. Each policy is dropped, made true for everybody, and made
true for all of the tenant. The tests here observe the outcomes that `test_row_security` expects of roles, `test_people`
and `test_wellbeing_roles` of people: so each of these changes turns one of the three red. A policy that is true for
everybody already (the job's list of tenants) is not made true again.
"""

from collections.abc import Iterator
from typing import NamedTuple
from uuid import uuid4

import psycopg
import pytest

from support.guards import crossing, open_to_anybody, policies, unguarded, unlike_their_tables
from support.observation import ROLES, Observer, Operation, Outcome, Who, join_a_colleague, observe, observers
from support.rows.all_domains import all_rows
from support.worlds.tenants import World, partition_names, read_table, value_of

pytestmark = pytest.mark.database

TABLES = sorted(all_rows(uuid4()))
OF_TENANT = "tenant_id = ( SELECT identity.current_tenant_id() AS current_tenant_id)"
# These depend on every policy; the others are variants, or refused by any policies.
OPERATIONS = (
    Operation.SELECT,
    Operation.INSERT,
    Operation.UPDATE,
    Operation.UPDATE_EVERYTHING,
    Operation.DELETE_EVERYTHING,
    Operation.MOVE_EVERYTHING,
)
# (table, policy) whose breaking nobody may feel, with the reason; `test_guards` notices it all the same.
NOT_FELT: dict[tuple[str, str], str] = {
    ("audit.chain", "a_tenant_sees_its_own_rows"): "no role may write here, so its check is not asked",
    ("audit.system_audit_log", "a_tenant_sees_its_own_rows"): "no role may write here, so its check is not asked",
    ("audit.user_action_audit_log", "a_tenant_sees_its_own_rows"): "no role may write here, so its check is not asked",
    ("identity.users", "a_tenant_sees_its_own_rows"): "the row is an admin's, whom only an admin adds: see test_people",
    ("identity.data_keys", "a_tenant_sees_its_own_rows"): "whom it refuses may not write here in any case",
    ("scheduling.allocations", "a_tenant_sees_its_own_rows"): "no role may write here, so its check is not asked",
    ("scheduling.doctor_figure_sums", "a_tenant_sees_its_own_rows"): "whom it refuses may not write here in any case",
    ("scheduling.event_counters", "a_tenant_sees_its_own_rows"): "no role may write here, so its check is not asked",
    ("scheduling.events", "a_tenant_sees_its_own_rows"): "no role may write here, so its check is not asked",
    ("scheduling.figure_changes", "a_tenant_sees_its_own_rows"): "whom it refuses may not write here in any case",
    ("scheduling.figure_states", "a_tenant_sees_its_own_rows"): "whom it refuses may not write here in any case",
    ("scheduling.generation_runs", "a_tenant_sees_its_own_rows"): "whom it refuses may not write here in any case",
    ("scheduling.resource_figure_sums", "a_tenant_sees_its_own_rows"): "whom it refuses may not write here in any case",
    ("scheduling.schedule_states", "a_tenant_sees_its_own_rows"): "whom it refuses may not write here in any case",
    ("wellbeing.invitations", "a_tenant_sees_its_own_rows"): "an organisation is its tenant: each policy asks for it",
    ("wellbeing.kv_store_a1855b25", "a_tenant_sees_its_own_rows"): "the system's policy asks for it, too",
    ("wellbeing.organisations", "a_tenant_sees_its_own_rows"): "an organisation is its tenant: each policy asks for it",
    ("wellbeing.profiles", "a_tenant_sees_its_own_rows"): "an organisation is its tenant: each policy asks for it",
}
# Policy -> why breaking it is felt by another row than the one that is tried here.
FELT_BY_OTHERS = {"a_booked_slot_is_not_deleted": "test_people has a booked slot, and may not delete all slots"}


# A policy of one command (as `pg_policy` has it) is asked by these alone: UPDATE and DELETE ask those for SELECT, too.
ASKED_BY = {
    "a": {Operation.INSERT},
    "w": {Operation.UPDATE, Operation.UPDATE_EVERYTHING, Operation.MOVE_EVERYTHING},
    "d": {Operation.DELETE_EVERYTHING},
}
CHECKED_BY = {Operation.INSERT, Operation.UPDATE, Operation.UPDATE_EVERYTHING, Operation.MOVE_EVERYTHING}


class Breaking(NamedTuple):
    """A way to break a policy, or all row security of a table, and the operations that may feel it."""

    table: str
    policy: str
    how: str
    statement: str
    felt_by: frozenset[Operation] = frozenset(OPERATIONS)


def breakings(connection: psycopg.Connection, table: str) -> Iterator[Breaking]:
    yield Breaking(table, "row security", "disabled", f"alter table {table} disable row level security")
    for policy in policies(connection, table):
        name = policy.name
        asked = frozenset(ASKED_BY.get(policy.command, OPERATIONS))
        yield Breaking(table, name, "dropped", f'drop policy "{name}" on {table}', asked)
        for clause, expression in (("using", policy.using), ("with check", policy.check)):
            if expression not in {None, "true"}:
                alter = f'alter policy "{name}" on {table} {clause}'
                felt = asked & CHECKED_BY if clause == "with check" else asked
                yield Breaking(table, name, f"{clause} true", f"{alter} (true)", felt)
                if expression.startswith(f"(({OF_TENANT}) AND "):
                    yield Breaking(table, name, f"{clause} the tenant alone", f"{alter} ({OF_TENANT})", felt)


def unnoticed(connection: psycopg.Connection, world: World, name: str) -> list[Breaking]:
    """Break the row security of a table in each way, and return the ways without a different outcome.

    A way that one operation shows is not tried with the next, and none is tried with operations that cannot feel it.
    """
    table = read_table(connection, name, world)
    every = list(observers(connection, name, world))
    ways = [way for way in breakings(connection, name) if way.policy not in FELT_BY_OTHERS]
    for operation in OPERATIONS:
        if not any(operation in breaking.felt_by for breaking in ways):
            continue
        cells = [(observer, who) for observer in every for who in (Who.OTHER, Who.OWN)]

        def outcome(cell: tuple[Observer, Who], operation: Operation = operation) -> Outcome:
            observer, who = cell
            return observe(connection, table, world, as_whom=observer, who=who, operation=operation)

        before = {cell: outcome(cell) for cell in cells}
        remaining = []
        for breaking in ways:
            if operation not in breaking.felt_by:
                remaining.append(breaking)
                continue
            with connection.transaction(force_rollback=True):
                connection.execute(breaking.statement.encode())
                if all(outcome(cell) == before[cell] for cell in cells):
                    remaining.append(breaking)
        ways = remaining
        if not ways:
            break
    return ways


@pytest.mark.parametrize("name", TABLES)
def test_a_table_without_one_of_its_policies_is_noticed(world: World, name: str) -> None:
    with psycopg.connect(world.url) as connection:
        join_a_colleague(connection, world)
        whole = crossing(connection), open_to_anybody(connection)
        survivors = []
        for breaking in unnoticed(connection, world, name):
            with connection.transaction(force_rollback=True):
                connection.execute(breaking.statement.encode())
                if breaking[:2] not in NOT_FELT or (crossing(connection), open_to_anybody(connection)) == whole:
                    survivors.append(" ".join(breaking[:3]))
        connection.rollback()
    assert not survivors, "\n".join(survivors)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_that_does_not_bind_its_owner_is_noticed(world: World, name: str) -> None:
    with psycopg.connect(world.url) as connection:
        table = read_table(connection, name, world)
        owner = Observer("scheduler_definer")
        connection.execute(f"alter table {name} owner to {owner}".encode())
        connection.execute(f"alter table {name} no force row level security".encode())
        seen = observe(connection, table, world, as_whom=owner, who=Who.OTHER, operation=Operation.SELECT)
        noticed = name in unguarded(connection)
        connection.rollback()
    assert (seen, noticed) == (table.own, True)


def test_a_partition_without_one_of_its_policies_is_noticed(world: World) -> None:
    """Its reachable rows show it, or its policies, which differ from its table's."""
    with psycopg.connect(world.url) as connection:
        join_a_colleague(connection, world)
        for name in partition_names(connection):
            connection.execute(f"grant select, insert, update, delete on {name} to {', '.join(ROLES)}".encode())
            if value_of(connection, f"select count(*) from {name}"):
                assert unnoticed(connection, world, name) == []
            for breaking in list(breakings(connection, name)):
                with connection.transaction(force_rollback=True):
                    connection.execute(breaking.statement.encode())
                    assert name in unguarded(connection) | unlike_their_tables(connection), breaking
        connection.rollback()
