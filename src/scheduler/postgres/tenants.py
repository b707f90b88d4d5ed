"""Tenants: whose data it is.

Owns: finding a tenant by its slug, and making one.
Must not know: what a tenant has.
"""

from textwrap import shorten
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.postgres.database import Database, Role

_LONGEST: Final = 255
_FIND = text("select id from identity.tenants where slug = :slug and deleted_at is null")
_MAKE = text("insert into identity.tenants (id, slug, name) values (:id, :slug, :name)")


def tenant_id_of(database: Database, slug: str) -> UUID:
    """Return the id of the tenant with this slug.

    Raises:
        NotFoundError: there is none.
    """
    with database.unit_of_work(role=Role.JOB, tenant_id=None) as session:
        found: UUID | None = session.connection().execute(_FIND, {"slug": slug}).scalar_one_or_none()
    if found is None:
        raise NotFoundError(
            f"no tenant {slug!r}: `scheduler import openings FILE --tenant {slug}` makes it,"
            " `scheduler seed` makes some up"
        )
    return found


def make_tenant(session: Session, slug: str, tenant_id: UUID) -> None:
    """Make a tenant with this slug and id; the slug is its name, too, until it is given a better one.

    Raises:
        InvalidInputError: the slug is blank, longer than 255 characters, or has space around it.
    """
    if slug != slug.strip() or not 1 <= len(slug) <= _LONGEST:
        raise InvalidInputError(f"{shorten(slug, 60)!r} cannot name a tenant: 1 to {_LONGEST} characters can")
    session.connection().execute(_MAKE, {"id": tenant_id, "slug": slug, "name": slug})
