"""Allowed words: a column with a list of allowed words takes each of them.

The constraints come from `schema.txt`, which another test compares with the database. Which words a wrong row may not
have is tested with the constraints.
"""

import re
from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from scheduler.postgres.schema import snapshot
from specification.page import SCHEMA_TEXT
from support.rows import Row, key
from support.rows.all_domains import all_rows, insert_all, insert_instead
from support.rows.placement import CIPHERTEXT

TENANT = uuid4()
AT = "2027-03-01 09:00Z"
CHECK = re.compile(r"CHECK \(\(+(\w+) = ANY \(ARRAY\[(.*?)\]\)")

# (table, word) -> other columns of a row with this word.
BESIDES: dict[tuple[str, str], Row] = {
    ("audit.user_action_audit_log", "event"): {"entity": "list.exported", "entity_key": None},
    ("placement.clients", "discharged"): {"discharged_on": "2027-03-01"},
    ("placement.contributors", "outside"): {"user_id": None, "name": CIPHERTEXT},
    **{("placement.metadata", word): {"submitted_at": AT} for word in ("submitted", "approved", "returned")},
    ("placement.placement_info", "ended"): {"ended_on": "2027-03-01"},
    ("scheduling.availability_slots", "reserved"): {"reserved_until": AT},
    ("scheduling.availability_slots", "booked"): {"booked_count": 1},
    **{
        ("scheduling.generation_runs", word): {"finished_at": "2099-01-01"}
        for word in ("succeeded", "failed", "interrupted")
    },
    **{
        ("scheduling.waitlist_entries", word): {"offered_slot_id": None, "offered_slot_start_at": None}
        for word in ("waiting", "expired", "cancelled")
    },
    ("wellbeing.alerts", "resolved"): {"resolved_by": key(TENANT, "identity.users"), "resolved_at": AT},
    ("wellbeing.invitations", "accepted"): {"accepted_by": key(TENANT, "identity.users"), "accepted_at": AT},
}


def words_of_checks() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the column and the words of each constraint, except those of partitions."""
    schema = snapshot.parse(SCHEMA_TEXT.read_text(encoding="utf-8"))
    return {
        name.removeprefix("constraint "): (match[1], tuple(re.findall(r"'(.*?)'::text", match[2])))
        for name, definition in schema.items()
        if (match := CHECK.match(definition)) and "partition of" not in schema[f"table {table_of(name)}"]
    }


def table_of(constraint: str) -> str:
    return constraint.removeprefix("constraint ").rpartition(".")[0]


WORDS = words_of_checks()
ROWS = [(table_of(name), column, word) for name, (column, words) in WORDS.items() for word in words]


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url) as opened:
        insert_all(opened, TENANT)
        yield opened
        opened.rollback()


@pytest.mark.database
@pytest.mark.parametrize(("table", "column", "word"), ROWS)
def test_a_right_row_has_any_word_that_its_column_takes(
    connection: psycopg.Connection, table: str, column: str, word: str
) -> None:
    with connection.transaction(force_rollback=True):
        insert_instead(connection, table, all_rows(TENANT)[table] | {column: word} | BESIDES.get((table, word), {}))
