"""Names say something: a family, a user or a client is not called nothing.

`not null` stops a name that was forgotten, and lets pass what a form sends for an empty field: a text of no letters,
or of spaces. Such a row is found by no search and told apart from no other in a list. So the names by which people
and families are known have a sign in them that is no space. What else a name may be is nobody's business here.

Going up is refused where there is a row without a name: it has to be given one by somebody who knows.
"""

from alembic import op

revision = "20261121102303"
down_revision = "20261121102302"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(r"""
    -- these three stop an empty field of a form, and one of spaces
    alter table identity.families
        add constraint a_family_has_a_name check (family_name ~ '\S');
    alter table identity.users
        add constraint a_user_has_a_name check (name ~ '\S');
    alter table placement.clients
        add constraint a_client_has_a_first_and_a_last_name
            check (first_name ~ '\S' and last_name ~ '\S');
    """)


def downgrade() -> None:
    op.execute("""
    alter table placement.clients drop constraint a_client_has_a_first_and_a_last_name;
    alter table identity.users drop constraint a_user_has_a_name;
    alter table identity.families drop constraint a_family_has_a_name;
    """)
