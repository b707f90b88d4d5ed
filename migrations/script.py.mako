"""${message}.

The purpose, the rules that the tables and functions hold, and the reasons for what the revision leaves out.
"""

from alembic import op

revision = "${up_revision}"
down_revision = "${down_revision}"


def upgrade() -> None:
    op.execute("""
    """)


def downgrade() -> None:
    op.execute("""
    """)
