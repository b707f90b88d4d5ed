"""Query plans: the indexes that a query uses, and the tables that it scans.

The plans are those of `scheduler_app` for a tenant: row security forbids some indexes (a condition that may leak values
is checked after the policy), so a plan of a superuser proves nothing.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import psycopg
from sqlalchemy import event
from sqlmodel import Session


class Plan(NamedTuple):
    """The used indexes, and the scanned tables."""

    indexes: set[str]
    scanned: set[str]


class IndexScan(NamedTuple):
    """A scan of an index, and its condition, empty for a scan of the whole index."""

    name: str
    condition: str


# These emit the plans of executed statements as notices, also of those within functions and triggers.
_EXPLAINING: Final = {
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_format": "json",
    "auto_explain.log_level": "notice",
}
# A column at the left of an operator, as in ((tenant_id = $1) AND (email = ANY ($2))).
_SEARCHED: Final = re.compile(r"\((\w+) [=<>]")
_SAVEPOINT: Final = re.compile("savepoint|release|rollback to", re.IGNORECASE)


@dataclass
class Recorded:
    """The statements of a block, those of its savepoints apart, and the scans of all their plans.

    `scans` has pairs of a table or index and the columns of the condition that searches it: none for a sequential scan.
    """

    statements: list[str] = field(default_factory=list)
    savepoints: list[str] = field(default_factory=list)
    scans: set[tuple[str, frozenset[str]]] = field(default_factory=set)


def plan_of(connection: psycopg.Connection, query: str, *values: object) -> Plan:
    """Return the plan of a query for the connection's current role."""
    explained = connection.execute(f"explain (format json) {query}".encode(), values).fetchone()
    assert explained is not None
    nodes = list(_nodes(explained[0][0]["Plan"]))
    return Plan(
        {node["Index Name"] for node in nodes if "Index Name" in node},
        {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"},
    )


@contextmanager
def index_scans(connection: psycopg.Connection) -> Iterator[list[IndexScan]]:
    """Collect the index scans of all statements in the block, also within functions; for a superuser's login.

    Call it before taking on another role: only a superuser may ask for plans.
    """
    scans: list[IndexScan] = []
    connection.execute(b"load 'auto_explain'")
    for name, value in _EXPLAINING.items():
        connection.execute("select set_config(%s, %s, false)", (name, value))

    def note_scan(node: dict[str, Any]) -> None:
        if "Index Name" in node:
            scans.append(IndexScan(node["Index Name"], node.get("Index Cond", "")))

    with _plans(connection, note_scan):
        yield scans


def explain_all(url: str) -> None:
    """Let the new connections of a database tell their plans, also to roles that may not ask for plans."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name, value in {"session_preload_libraries": "auto_explain", **_EXPLAINING}.items():
            connection.execute(f"alter database {connection.info.dbname} set {name} = '{value}'".encode())


@contextmanager
def recording(session: Session) -> Iterator[Recorded]:
    """Record the statements of the block in a unit of work, and their plans; for a database of `explain_all`."""
    recorded, connection = Recorded(), session.connection()
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)

    def note_statement(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        (recorded.savepoints if _SAVEPOINT.match(statement) else recorded.statements).append(statement)

    def note_scan(node: dict[str, Any]) -> None:
        if "Index Name" in node:
            recorded.scans.add((node["Index Name"], frozenset(_SEARCHED.findall(node.get("Index Cond", "")))))
        elif node["Node Type"] == "Seq Scan":
            recorded.scans.add((node["Relation Name"], frozenset()))

    event.listen(connection, "before_cursor_execute", note_statement)
    try:
        with _plans(driver, note_scan):
            yield recorded
            driver.execute(b"select")  # a statement with parameters ends, and tells its plan, when the next one begins
    finally:
        event.remove(connection, "before_cursor_execute", note_statement)


@contextmanager
def _plans(connection: psycopg.Connection, note: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """Call a function with each node of the plans that the connection tells in the block."""

    def read(diagnosis: psycopg.errors.Diagnostic) -> None:
        _, _, plan = (diagnosis.message_primary or "").partition("plan:\n")
        for node in _nodes(json.loads(plan)["Plan"]) if plan else ():
            note(node)

    connection.add_notice_handler(read)
    try:
        yield
    finally:
        connection.remove_notice_handler(read)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
