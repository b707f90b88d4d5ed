"""Soft delete, and nothing else: what keeps its deleted rows is not deleted for good by the application.

A table with `deleted_at` keeps what was deleted, so that an audit finds what its log speaks of, and so that a mistake
can be undone. That holds only as long as nobody can go round it: a right to delete for good, which the application
never needed (it updates `deleted_at`, `scheduler.store.live`), would make one careless statement a loss. And a cascade
asks no policy: with a family go its memberships, with a facility its closures.

So `scheduler_app` loses that right on each such table. `scheduler_system` keeps it: it erases what has to be erased,
for a tenant and for no user. A table without `deleted_at` is another matter: a membership, a rule or a closure is not
a record by itself, and leaving it is to delete its row.

A table made later is granted by `identity.guard`, delete included. If it has `deleted_at`, its migration revokes that;
a test goes by the catalogue.
"""

from alembic import op

revision = "20261121102300"
down_revision = "20261121102230"
branch_labels = None
depends_on = None

# Those on which the application had the right; on users, profiles and children it had none, tenants are the owner's.
TABLES = (
    "identity.addresses",
    "identity.families",
    "scheduling.facilities",
    "scheduling.doctors",
    "scheduling.services",
    "scheduling.patients",
    "placement.clients",
    "placement.facility_staff",
    "placement.specialists",
    "placement.medications",
    "placement.placement_info",
    "placement.metadata",
    "placement.contributors",
    "wellbeing.organisations",
)


def upgrade() -> None:
    for table in TABLES:
        op.execute(f"revoke delete on {table} from scheduler_app")


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"grant delete on {table} to scheduler_app")
