"""Tables about a sample tenant: families from both sides, children, encrypted values."""

from collections.abc import Iterable, Iterator

from rich.console import RenderableType
from rich.table import Table
from sqlmodel import Session, col, select

from scheduler.cli.rendering import titled_table
from scheduler.cli.settings import random_bytes
from scheduler.families.shapes import FamilyDetails, UserSummary
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.models import Medication
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption import phi
from scheduler.postgres.encryption.master_keys import MasterKeys
from scheduler.postgres.encryption.tenant_keys import TenantKeys
from scheduler.sample_data.scales import Seed
from scheduler.sample_data.showcase import progress_of_children

_MAX_FAMILIES = 5
_MAX_MEDICATIONS = 3


def world_pictures(database: Database, seed: Seed, masters: MasterKeys) -> Iterator[RenderableType]:
    """Yield tables about a sample tenant; its audit log records the decryption."""
    with Scheduler(database).tenant(seed.slug) as work:
        yield from _families(work)
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=seed.tenant_id, phi=True) as session:
        columns = ("child", "check-ins", "mood", "stickers", "urgent alerts")
        yield titled_table("Children who check in", columns, progress_of_children(session))
        yield _encrypted(session, TenantKeys(seed.tenant_id, masters, random_bytes))


def _families(work: Work) -> Iterator[Table]:
    """Yield families with their members, then the members of one family with their families."""
    families = [work.families.get(family) for family in work.families.all()[:_MAX_FAMILIES]]
    rows = [(family.family_name, _names(family.parents), _names(family.students)) for family in families]
    yield titled_table("Families", ("family", "parents", "students"), rows)
    for family in sorted(families, key=_memberships)[-1:]:
        members = [
            (
                member.name,
                sorted(own.family_name for own in work.families.of_user(member)),
                _names(work.families.children_of(member)),
                _names(work.families.siblings_of(member)),
            )
            for member in (*family.parents, *family.students)
        ]
        title = f"{family.family_name}, from the side of its members"
        yield titled_table(title, ("member", "families", "children", "siblings"), members)


def _memberships(family: FamilyDetails) -> int:
    """Return in how many families the members of a family are, counted with each member."""
    return sum(len(member.family_ids) for member in (*family.parents, *family.students))


def _names(users: Iterable[UserSummary]) -> list[str]:
    return sorted(user.name for user in users)


def _encrypted(session: Session, keys: TenantKeys) -> Table:
    rows = session.exec(select(Medication).order_by(col(Medication.id)).limit(_MAX_MEDICATIONS)).all()
    plaintexts = phi.read(session, keys.load_ring(session), rows, ["name", "dosage"], reason="the demo shows it")
    lines = [
        (f"...{bytes(row.name or b'').hex()[-32:]}", f"{plaintext['name']} {plaintext['dosage']}")
        for row, plaintext in zip(rows, plaintexts, strict=True)
    ]
    return titled_table("Medications", ("as the database has them", "as those with the key read them"), lines)
