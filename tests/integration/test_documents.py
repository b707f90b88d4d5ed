"""Programs of the documents that need a database: their output equals the page."""

import os
from pathlib import Path
from uuid import UUID

import pytest
from faker import Faker

from scheduler.models import Client, Medication
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption.tenant_keys import TenantKeys
from scheduler.sample_data.factories import Factory
from support.databases import employ, execute
from support.documents import PAGES, name_of, needs_database, promised, run
from support.worlds.encryption import master_keys, written_master_key

pytestmark = pytest.mark.database

PROGRAMS = [page for page in PAGES if needs_database(page)]


@pytest.mark.parametrize("page", PROGRAMS, ids=name_of)
def test_program_of_a_page_prints_its_promised_output(
    page: Path,
    database: Database,
    database_url: str,
    tenant_id: UUID,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SCHEDULER_DATABASE_URL", database_url)
    monkeypatch.setenv("SCHEDULER_MASTER_KEYS", written_master_key("main"))
    execute(
        database_url,
        "update identity.tenants set slug = id::text where slug = 'clinic'",  # the tenant of another page
        f"update identity.tenants set slug = 'clinic' where id = '{tenant_id}'",
    )
    masters = master_keys("main")
    user_id = employ(database_url, tenant_id)
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
        TenantKeys(tenant_id, masters, os.urandom).ensure(session)
        factory = Factory(session, Faker("en_GB"), tenant_id)
        factory.make(Client, first_name="Mary", last_name="Johnson")
        medication_id = factory.make(Medication).id
    run(
        page,
        database=database,
        url=database_url,
        tenant_id=tenant_id,
        user_id=user_id,
        medication_id=medication_id,
    )
    printed = iter(capsys.readouterr().out.splitlines())
    assert [line for line in promised(page) if line not in printed] == []


def test_pages_with_a_database_have_programs() -> None:
    assert {page.stem for page in PROGRAMS} >= {
        "audit",
        "encryption-keys",
        "generate-slots",
        "host-application",
        "sample-data",
        "searching",
        "your-tables",
    }
