"""Runs in the audit log: that the nightly job began, also when it never ended.

A run is one event in the audit log, written when it ends, with its counts; its slots are not listed one by one. But a
run that is killed does not end, although the batches that it finished stay: nothing in the log said that the job had
been at work. So the log watches the runs themselves: a row when a run begins, one for each batch (24 schedules, some
50,000 slots), and one when it ends. All of a run's columns are days, counts and releases, and are shown.

Slots and schedule states stay unwatched: what a run did to them is its counts.
"""

from alembic import op

revision = "20261121102403"
down_revision = "20261121102402"
branch_labels = None
depends_on = None

SHOWN = (
    "from_day",
    "until_day",
    "trigger",
    "engine_version",
    "tzdata_version",
    "schedules",
    "schedules_failed",
    "slots_created",
    "slots_updated",
    "slots_retired",
    "slots_kept",
    "slots_conflicting",
    "slots_displaced",
)


def upgrade() -> None:
    op.execute(f"call audit.watch('scheduling.generation_runs', array[{', '.join(map(repr, SHOWN))}])")


def downgrade() -> None:
    for kind in ("insert", "update", "delete"):
        op.execute(f"drop trigger {kind}s_are_logged on scheduling.generation_runs")
