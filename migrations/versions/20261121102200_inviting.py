"""Inviting: what a group contact may write into a new invitation.

A trigger keeps an invitation as it was once it is there. It asks nothing of the moment in which one is made, and a
group contact could make one that was accepted before anybody saw it, that somebody else had sent, that began last year
or that never ends. Row security is asked of a new row, so here a policy says what a new one looks like: it is of who
makes it, still open, made now, and over within a week.

The service says when an invitation ends, by its own clock. An hour is left for clocks that differ: without it, one that
is a moment ahead of the database could invite nobody.

The policy is restrictive: that only a group contact invites, into the own organisation, is said by another, and both
are asked. The system is not bound by it; it makes up the past when it seeds.
"""

from alembic import op

revision = "20261121102200"
down_revision = "20261121102000"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    create policy an_invitation_begins_open_and_of_who_makes_it on wellbeing.invitations as restrictive
        for insert to scheduler_app
        with check (invited_by = (select identity.current_user_id())
            and status = 'pending' and accepted_at is null and accepted_by is null
            and created_at = now() and expires_at <= now() + interval '7 days 1 hour');
    """)


def downgrade() -> None:
    op.execute("drop policy an_invitation_begins_open_and_of_who_makes_it on wellbeing.invitations")
