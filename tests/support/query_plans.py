"""Query plans: the indexes that a query uses, and the tables that it scans.

The plans are those of `scheduler_app` for a tenant: row security forbids some indexes (a condition that may leak values
is checked after the policy), so a plan of a superuser proves nothing.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import psycopg


class Plan(NamedTuple):
    """The used indexes, and the scanned tables."""

    indexes: set[str]
    scanned: set[str]


class IndexScan(NamedTuple):
    """A scan of an index, and its condition, empty for a scan of the whole index."""

    name: str
    condition: str


# Emits the plans of executed statements as notices, also of those within functions.
_EXPLAINING: Final = """
    load 'auto_explain';
    set auto_explain.log_min_duration = 0;
    set auto_explain.log_nested_statements = on;
    set auto_explain.log_format = json;
    set auto_explain.log_level = notice
"""


def plan_of(connection: psycopg.Connection, query: str, *values: object) -> Plan:
    """Return the plan of a query for the connection's current role."""
    explained = connection.execute(f"explain (format json) {query}".encode(), values).fetchone()
    assert explained is not None
    nodes = list(_nodes(explained[0][0]["Plan"]))
    return Plan(
        {node["Index Name"] for node in nodes if "Index Name" in node},
        {node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"},
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


@contextmanager
def index_scans(connection: psycopg.Connection) -> Iterator[list[IndexScan]]:
    """Collect the index scans of all statements in the block, also within functions; for a superuser's login.

    Call it before taking on another role: only a superuser may ask for plans.
    """
    scans: list[IndexScan] = []

    def note(diagnosis: psycopg.errors.Diagnostic) -> None:
        _, _, plan = (diagnosis.message_primary or "").partition("plan:\n")
        if plan:
            nodes = _nodes(json.loads(plan)["Plan"])
            scans.extend(
                IndexScan(node["Index Name"], node.get("Index Cond", "")) for node in nodes if "Index Name" in node
            )

    connection.execute(_EXPLAINING.encode())
    connection.add_notice_handler(note)
    try:
        yield scans
    finally:
        connection.remove_notice_handler(note)
