"""Alembic of the portal. The library has a history of its own, which `upgrade` runs first."""

import os

from alembic import context
from sqlalchemy import NullPool, create_engine, make_url
from sqlmodel import SQLModel

import models  # noqa: F401  # fills SQLModel.metadata
from scheduler import alembic_include_name

url = make_url(os.environ["SCHEDULER_DATABASE_URL"]).set(drivername="postgresql+psycopg")
with create_engine(url, poolclass=NullPool).connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        include_schemas=True,
        include_name=alembic_include_name,
    )
    with context.begin_transaction():
        context.run_migrations()
