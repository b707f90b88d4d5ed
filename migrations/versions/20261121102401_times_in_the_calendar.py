"""Times in the calendar: no column takes an instant or a day that a program cannot read.

PostgreSQL knows `infinity`, `-infinity` and years up to 294276; Python's calendar ends with the year 9999, and the
driver raises an error at such a value. It does so for whoever reads the row, not for whoever wrote it: one hold
`until infinity` was enough to have the nightly job fail at that doctor every night. `expires_at = 'infinity'` would be
an invitation for ever, `deleted_at = '-infinity'` a row that nobody can list.

The columns that decide slots have had a check of their own since they were made. Here all others get theirs, one check
a table. Nothing is meant by such a time that null does not say better. The ends are a few days inside Python's, since
an instant is also read in other zones than UTC.

A table that comes later brings its own check; a test goes through the catalogue and names the column that has none.
What is in the way of this revision is a row that could not be read: put its time right, then migrate.
"""

from alembic import op

revision = "20261121102401"
down_revision = "20261121102400"
branch_labels = None
depends_on = None

DAYS = {"date_of_birth", "from_day", "until_day", "generated_from", "generated_until"}
# Beside created_at and updated_at, which all of them have.
COLUMNS = {
    "identity.addresses": "deleted_at",
    "identity.data_keys": "superseded_at retired_at",
    "identity.families": "deleted_at",
    "identity.family_members": "",
    "identity.tenants": "deleted_at",
    "identity.users": "deleted_at",
    "placement.clients": "deleted_at",
    "placement.contributors": "deleted_at",
    "placement.facility_staff": "deleted_at",
    "placement.form_field_contributions": "contributed_at",
    "placement.medications": "deleted_at",
    "placement.metadata": "submitted_at deleted_at",
    "placement.placement_info": "deleted_at",
    "placement.placement_info_specialists": "",
    "placement.specialists": "deleted_at",
    "scheduling.appointment_steps": "",
    "scheduling.appointments": "",
    "scheduling.availability_exceptions": "",
    "scheduling.availability_rules": "",
    "scheduling.availability_slots": "reserved_until",
    "scheduling.doctors": "deleted_at",
    "scheduling.facilities": "deleted_at",
    "scheduling.facility_closures": "",
    "scheduling.facility_doctors": "",
    "scheduling.facility_insurance_plans": "",
    "scheduling.generation_runs": "started_at finished_at from_day until_day",
    "scheduling.insurance_plans": "",
    "scheduling.insurance_providers": "",
    "scheduling.patients": "deleted_at",
    "scheduling.resources": "",
    "scheduling.schedule_states": "generated_from generated_until generated_at",
    "scheduling.service_offerings": "",
    "scheduling.service_workflows": "",
    "scheduling.services": "deleted_at",
    "scheduling.step_templates": "",
    "scheduling.waitlist_entries": "offered_slot_start_at",
    "scheduling.workflow_steps": "",
    "wellbeing.alerts": "acknowledged_at resolved_at",
    "wellbeing.child_display_counters": "",
    "wellbeing.children": "date_of_birth consent_date deleted_at",
    "wellbeing.garden_items": "earned_at placed_at",
    "wellbeing.invitations": "expires_at accepted_at",
    "wellbeing.kv_store_a1855b25": "",
    "wellbeing.organisations": "deleted_at",
    "wellbeing.profiles": "deleted_at",
    "wellbeing.stickers_earned": "earned_at",
    "wellbeing.wellbeing_responses": "",
    "wellbeing.wellbeing_sessions": "started_at completed_at",
}


def in_the_calendar(column: str) -> str:
    """Return the condition that a column is within Python's calendar."""
    if column in DAYS:
        return f"{column} between '0001-01-01' and '9999-12-31'"
    return f"{column} >= '0001-01-03 00:00+00' and {column} < '9999-12-29 00:00+00'"


def upgrade() -> None:
    for table, columns in COLUMNS.items():
        held = " and ".join(map(in_the_calendar, [*columns.split(), "created_at", "updated_at"]))
        # stops 'infinity' and the year 10000, which the driver cannot read
        op.execute(f"alter table {table} add constraint its_times_are_in_the_calendar check ({held})")


def downgrade() -> None:
    for table in reversed(COLUMNS):
        op.execute(f"alter table {table} drop constraint its_times_are_in_the_calendar")
