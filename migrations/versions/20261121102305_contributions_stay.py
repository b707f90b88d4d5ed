"""Contributions stay: who wrote which field of a placement, and when, is not rewritten.

`form_field_contributions` is a record: its worth is that it says what was, not what somebody later wished it said. So
the application adds to it and reads it, and neither changes nor deletes a row. Who a contributor is belongs to that
record: were a contributor turned into another, all that the one wrote would be the other's. So person, kind, placement
and the (encrypted) name of somebody from outside stay as they were written. A contributor's role may change, an author
may become a reviewer, and a contributor may be deleted softly; what they wrote stays theirs.

Erasing is the system's, as everywhere: of a contributor from outside it may take away name and address, and a
placement that goes takes its contributions along.
"""

from alembic import op

revision = "20261121102305"
down_revision = "20261121102304"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    -- stops another field, writer or time from being put into the record, and a line from being taken out
    revoke update, delete on placement.form_field_contributions from scheduler_app;

    -- stops what one wrote from becoming what another wrote
    create trigger a_contributor_stays_who_it_is before update on placement.contributors
        for each row execute function wellbeing.leave_to_the_system(
            'tenant_id', 'id', 'placement_info_id', 'kind', 'user_id', 'name', 'email', 'created_at');
    """)


def downgrade() -> None:
    op.execute("""
    drop trigger a_contributor_stays_who_it_is on placement.contributors;
    grant update, delete on placement.form_field_contributions to scheduler_app;
    """)
