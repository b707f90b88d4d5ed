"""Row factory: a valid row of every table from a seed, with the rows that it refers to."""

from uuid import UUID

import pytest
from faker import Faker
from sqlalchemy import text
from sqlmodel import SQLModel

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.models.registry import METADATA, Table
from scheduler.postgres.database import Database, Role
from scheduler.sample_data.factories import Factory, is_one_a_tenant

pytestmark = pytest.mark.database

OF_THE_DATABASE = {
    models.Tenant,
    *(models.Allocation, models.Event, models.EventCounter),  # triggers write them
    *(models.FigureState, models.DoctorFigureSum, models.ResourceFigureSum),  # one statement sums them
}
MODELS = sorted(
    {mapper.class_ for mapper in Table._sa_registry.mappers} - OF_THE_DATABASE,
    key=lambda model: model.__name__,
)
"""All tables but the tenant, under whom the rows are, and those that the database writes."""
ANOTHER: dict[type[SQLModel], dict[str, object]] = {
    models.BookingPolicy: {"channel": "web"},
    models.DataKey: {"purpose": "index"},
}
MONTHS = text("select scheduling.ensure_slot_partitions('2027-02-01', '2027-03-01')")


def name_of(model: type[SQLModel]) -> str:
    return str(model.metadata.tables and model.__table__.fullname)  # type: ignore[attr-defined]


def seeded(seed: int) -> Faker:
    fake = Faker("en_GB")
    fake.seed_instance(seed)
    return fake


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_table_has_a_factory(database: Database, tenant_id: UUID, model: type[SQLModel]) -> None:
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        session.execute(MONTHS)
        factory = Factory(session, seeded(MODELS.index(model)), tenant_id)  # some keys are unique across tenants
        factory.make(model)
        if not is_one_a_tenant(METADATA.tables[name_of(model)]):
            factory.make(model, **ANOTHER.get(model, {}))


def test_the_same_seed_builds_the_same_row(database: Database, tenant_id: UUID) -> None:
    def drawn(seed: int) -> dict[str, object]:
        with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
            return Factory(session, seeded(seed), tenant_id).build(models.Doctor).model_dump()

    assert drawn(1) == drawn(1) != drawn(2)


def test_given_values_are_used(database: Database, tenant_id: UUID) -> None:
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        row = Factory(session, seeded(1), tenant_id).make(models.Facility, name="The Elms", timezone="Asia/Tokyo")
        assert (row.name, row.timezone) == ("The Elms", "Asia/Tokyo")


def test_an_unknown_column_is_named(database: Database, tenant_id: UUID) -> None:
    with (
        database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session,
        pytest.raises(InvalidInputError, match=r"^Doctor has no column 'colour'$"),
    ):
        Factory(session, seeded(1), tenant_id).build(models.Doctor, colour="red")
