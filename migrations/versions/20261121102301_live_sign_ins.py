"""Live sign-ins: who left may come back, and need not be who they were.

Two rules counted deleted rows. `a_sign_in_is_one_user` held the SuperTokens id of a user who was deleted softly, so
that whoever left and came back could not be made anew; `a_user_is_one_doctor` held the user of a deleted doctor. Both
become what the e-mail address of a user and the user of a client are already: unique among live rows. What a deleted
row has is given back, and a row whose name is taken by now cannot be restored.

A sign-in is still one live user, across tenants: it is looked up before the tenant is known. Whoever looks it up names
live rows (`deleted_at is null`), which is what leads into the index.

The index of a doctor's user is a second one, over all rows: deleting a user for good asks which doctors refer to it,
deleted ones included.

Going down is refused where two rows, one of them deleted, have one sign-in or user: no row is thrown away for a rule.
"""

from alembic import op

revision = "20261121102301"
down_revision = "20261121102300"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    -- stops one sign-in from being two live people, also across tenants; a deleted user gives it back
    create unique index live_users_have_their_own_sign_in
        on identity.users (supertokens_user_id) where deleted_at is null;
    alter table identity.users drop constraint a_sign_in_is_one_user;

    -- stops one user from being two live doctors; a deleted doctor gives the user back
    create unique index live_doctors_have_their_own_user
        on scheduling.doctors (tenant_id, user_id) where deleted_at is null;
    create index doctors_are_found_by_user on scheduling.doctors (tenant_id, user_id);
    alter table scheduling.doctors drop constraint a_user_is_one_doctor;
    """)


def downgrade() -> None:
    op.execute("""
    alter table scheduling.doctors add constraint a_user_is_one_doctor unique (tenant_id, user_id);
    drop index scheduling.doctors_are_found_by_user;
    drop index scheduling.live_doctors_have_their_own_user;
    alter table identity.users add constraint a_sign_in_is_one_user unique (supertokens_user_id);
    drop index identity.live_users_have_their_own_sign_in;
    """)
