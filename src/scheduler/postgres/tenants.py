"""Tenants: finding a tenant by its slug, listing them, and creating one.

Owns: the refusal of work for a tenant that is suspended, closed or deleted, before row security shows it empty.
Must not know: the data of a tenant.
"""

from textwrap import shorten
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import TenantSuspendedError

_MAX_SLUG_CHARACTERS: Final = 255
_FIND = text("select id, status, deleted_at from identity.tenant_by_slug(:slug)")
_ALL = text("""
select id, slug, status = 'active' and deleted_at is null as is_active from identity.tenants order by slug, id
""")
_INSERT = text("insert into identity.tenants (id, slug, name) values (:id, :slug, :name)")


class Tenant(NamedTuple):
    """A tenant of the database; one that is not active is suspended, closed or deleted."""

    id: UUID
    slug: str
    is_active: bool


def tenant_id_of(database: Database, slug: str, *, role: Role = Role.APP) -> UUID:
    """Return the id of the tenant with this slug, for work as `role`.

    A live tenant comes before deleted ones, and of these the one that was deleted last.

    Raises:
        NotFoundError: no tenant has this slug.
        TenantSuspendedError: the tenant is suspended, closed or deleted, and the role is not `Role.SYSTEM`.
    """
    with database.unit_of_work(role=role, tenant_id=None) as session:
        tenant = session.connection().execute(_FIND, {"slug": slug}).one_or_none()
    if tenant is None:
        raise NotFoundError(
            f"no tenant {slug!r}: `Scheduler.add_tenant` creates it, and so does"
            f" `scheduler import openings FILE --tenant {slug}`; `scheduler seed` creates sample tenants"
        )
    state = "deleted" if tenant.deleted_at is not None else tenant.status
    if state != "active" and role is not Role.SYSTEM:
        raise TenantSuspendedError(
            f"the tenant {slug!r} is {state}: only {Role.SYSTEM} works for it, to export, erase, verify and"
            " rotate keys, until it is active and not deleted"
        )
    tenant_id: UUID = tenant.id
    return tenant_id


def active_tenants(database: Database) -> list[tuple[str, UUID]]:
    """Return the slug and the id of each tenant that is active and not deleted, by slug."""
    with database.unit_of_work(role=Role.JOB, tenant_id=None) as session:
        return [(tenant.slug, tenant.id) for tenant in all_tenants(session) if tenant.is_active]


def all_tenants(session: Session) -> list[Tenant]:
    """Return the tenants of the database, also suspended and deleted ones, as the job sees them."""
    return [Tenant(*row) for row in session.connection().execute(_ALL)]


def make_tenant(session: Session, slug: str, tenant_id: UUID, *, name: str | None = None) -> None:
    """Create a tenant with this slug and id. Without a name it is the slug, until it gets a better one.

    Raises:
        InvalidInputError: the slug is blank, longer than 255 characters, or has space around it.
    """
    if slug != slug.strip() or not 1 <= len(slug) <= _MAX_SLUG_CHARACTERS:
        wanted = f"1 to {_MAX_SLUG_CHARACTERS} characters without space around them are needed"
        raise InvalidInputError(f"{shorten(slug, 60)!r} cannot be a tenant's slug: {wanted}")
    session.connection().execute(_INSERT, {"id": tenant_id, "slug": slug, "name": name or slug})
