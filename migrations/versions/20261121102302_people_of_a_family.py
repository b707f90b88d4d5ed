"""People of a family: a student without an address, and two parents who are called first.

The families specification makes users out of names: `find_or_create_user_by_name(student_name, role='student')`. A
child at school has no e-mail address, and a made-up one would be a lie that some day is written to. So a user need not
have one. Whoever signs in has: without an address nobody could be invited, reminded or told apart at the door.

It also says of each user, and of nobody as the only one, whether they are the primary contact. A rule that a family
has one at most was ours. It was wrong: two parents may both be called first, and the rule counted memberships of users
who were deleted, so that a family whose primary contact had left could name no other. The index behind it goes; who
the contacts of a family are is found by the key of its members.

Going down is refused where a user has no address, or a family two primary contacts: neither can be made up.
"""

from alembic import op

revision = "20261121102302"
down_revision = "20261121102301"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    alter table identity.users
        alter column email drop not null,
        -- stops a sign-in that nobody can be reached by
        add constraint who_signs_in_has_an_email check (supertokens_user_id is null or email is not null);
    drop index identity.a_family_has_one_primary_contact;
    comment on table identity.users is 'A person: who signs in, and who is only spoken of, such as a child at school.';
    """)


def downgrade() -> None:
    op.execute("""
    comment on table identity.users is 'A person who signs in.';
    -- stops two from being called first
    create unique index a_family_has_one_primary_contact
        on identity.family_members (tenant_id, family_id) where is_primary_contact;
    alter table identity.users
        drop constraint who_signs_in_has_an_email,
        alter column email set not null;
    """)
