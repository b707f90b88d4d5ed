"""Tables about a sample tenant: families, children, a visit with its steps, encrypted values."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from sqlmodel import Session, col, select

from scheduler.cli.settings import random_bytes
from scheduler.cli.terminal import printable
from scheduler.models import Medication
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption import phi
from scheduler.postgres.encryption.master_keys import MasterKeys
from scheduler.postgres.encryption.tenant_keys import TenantKeys
from scheduler.sample_data.scales import Seed
from scheduler.sample_data.showcase import families, longest_visit, progress_of_children

_MAX_MEDICATIONS = 3


def world_pictures(database: Database, seed: Seed, masters: MasterKeys) -> Iterator[RenderableType]:
    """Yield tables about a sample tenant; its audit log records the decryption."""
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=seed.tenant_id, phi=True) as session:
        yield _table("Families", ("family", "parents", "students"), families(session))
        columns = ("child", "check-ins", "mood", "stickers", "urgent alerts")
        yield _table("Children who check in", columns, progress_of_children(session))
        visit = longest_visit(session)
        patient, doctor, place, workflow = visit[0][:4]
        title = f"A visit: {patient} with {doctor}, {place} ({workflow})"
        yield _table(title, ("when", "step", "where"), [row[4:] for row in visit])
        yield _encrypted(session, TenantKeys(seed.tenant_id, masters, random_bytes))


def _encrypted(session: Session, keys: TenantKeys) -> Table:
    rows = session.exec(select(Medication).order_by(col(Medication.id)).limit(_MAX_MEDICATIONS)).all()
    plaintexts = phi.read(session, keys.load_ring(session), rows, ["name", "dosage"], reason="the demo shows it")
    lines = [
        (f"...{bytes(row.name or b'').hex()[-32:]}", f"{plaintext['name']} {plaintext['dosage']}")
        for row, plaintext in zip(rows, plaintexts, strict=True)
    ]
    return _table("Medications", ("as the database has them", "as those with the key read them"), lines)


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    table = Table(title=printable(title), title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*[printable(", ".join(cell) if isinstance(cell, list) else str(cell)) for cell in row])
    return table
