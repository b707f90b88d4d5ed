"""${message}.

Why it is there, what it promises, what it leaves out.

Revision: ${up_revision}
Revises: ${down_revision}
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    op.execute("""
    """)


def downgrade() -> None:
    op.execute("""
    """)
