"""Indexes of references: deleting or moving a row asks who refers to it.

PostgreSQL makes no index for a foreign key. Without one, deleting a doctor, a rule or a run reads every row of every
table that could refer to it, while it holds locks. The tables of booking, placement and wellbeing have theirs from the
beginning; these are the ones that the first tables lacked.

The slots are the exception: an index more on the one big table is paid for with every slot of every night, and what it
would serve (deleting a rule or an offering that has slots) is rare and may take its time.
"""

from alembic import op

revision = "20261121101800"
down_revision = "20261121101700"
branch_labels = None
depends_on = None

INDEXES = {
    "offerings_are_found_by_doctor": "service_offerings (tenant_id, doctor_id)",
    "rules_are_found_by_facility": "availability_rules (tenant_id, facility_id)",
    "rules_are_found_by_offering": "availability_rules (tenant_id, service_offering_id)",
    "exceptions_are_found_by_facility": "availability_exceptions (tenant_id, facility_id)",
    "exceptions_are_found_by_rule": "availability_exceptions (tenant_id, availability_rule_id)",
    "states_are_found_by_facility": "schedule_states (tenant_id, facility_id)",
    "states_are_found_by_run": "schedule_states (tenant_id, last_run_id)",
}


def upgrade() -> None:
    for name, what in INDEXES.items():
        op.execute(f"create index {name} on scheduling.{what}")


def downgrade() -> None:
    for name in reversed(INDEXES):
        op.execute(f"drop index scheduling.{name}")
