"""Create the users and patients of the portal, and let a unit of work use them within its tenant."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# As `scheduler schema grants public.user public.patient` prints them.
GRANTS = """
    grant usage on schema public to scheduler_app;
    grant select, insert, update, delete on public."user", public.patient to scheduler_app;
    grant usage on sequence public.user_id_seq, public.patient_id_seq to scheduler_app;
"""
POLICY = """
    alter table public.{table} enable row level security;
    create policy a_tenant_has_its_own_rows on public.{table} to scheduler_app
        using (tenant_id = (select identity.current_tenant_id()));
"""


def upgrade() -> None:
    op.create_table(
        "user",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.String(), nullable=False),
        sa.UniqueConstraint("tenant_id", "email", name="a_user_has_an_email_address_alone"),
    )
    op.create_table(
        "patient",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("chart_id", sa.BigInteger(), nullable=False),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("user.id"), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "chart_id"],
            ["scheduling.patients.tenant_id", "scheduling.patients.id"],
            name="a_patient_has_a_chart",
            ondelete="CASCADE",
        ),
    )
    op.execute(GRANTS)
    for table in ('"user"', "patient"):
        op.execute(POLICY.format(table=table))


def downgrade() -> None:
    op.drop_table("patient")
    op.drop_table("user")
