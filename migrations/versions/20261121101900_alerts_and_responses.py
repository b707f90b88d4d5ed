"""An alert is about the child whose answer raised it.

An alert says that a child may need somebody, and may name the session and the response that it came of. The key to the
session carries the child, so that the session cannot be another child's. The key to the response did not: an alert
about Ann could show what Bob had written, to whoever works on alerts about Ann and perhaps on none about Bob. No
policy looks at that, since a policy asks who reads a row and not what the row points to.

So the key to the response carries the child as well. For that a response has to be found by its key and its child
together: a unique constraint that refuses nothing new, since the key alone is unique. An alert without a response is
not asked (a key with a null in it is not compared).

An alert that does point to another child's response stops this migration by the name of the constraint: which of the
two is wrong, somebody who knows the children has to say.
"""

from alembic import op

revision = "20261121101900"
down_revision = "20261121101800"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    alter table wellbeing.wellbeing_responses
        -- what comes of a response points here, and so cannot be about another child
        add constraint a_response_is_of_one_child unique (tenant_id, id, child_id);

    alter table wellbeing.alerts
        drop constraint an_alert_may_come_of_a_response,
        -- stops an alert that shows another child's answer, and deleting what raised it
        add constraint an_alert_may_come_of_a_response_of_its_child foreign key (tenant_id, response_id, child_id)
            references wellbeing.wellbeing_responses (tenant_id, id, child_id);

    drop index wellbeing.alerts_are_found_by_response;
    create index alerts_are_found_by_response on wellbeing.alerts (tenant_id, response_id, child_id);
    """)


def downgrade() -> None:
    op.execute("""
    drop index wellbeing.alerts_are_found_by_response;
    create index alerts_are_found_by_response on wellbeing.alerts (tenant_id, response_id);

    alter table wellbeing.alerts
        drop constraint an_alert_may_come_of_a_response_of_its_child,
        -- stops an alert that points elsewhere, and deleting what raised it
        add constraint an_alert_may_come_of_a_response foreign key (tenant_id, response_id)
            references wellbeing.wellbeing_responses (tenant_id, id);

    alter table wellbeing.wellbeing_responses drop constraint a_response_is_of_one_child;
    """)
