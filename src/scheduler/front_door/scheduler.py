"""Scheduler: the database of a host, opened for its tenants.

Owns: how a host's database is opened, how a tenant is found by its slug, and the roles that a login needs.
Must not know: which repositories there are (`work`).

This is a composition root: clock and random source are arguments, with those of the process as defaults.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import partial
from typing import Final, Self, TypeVar
from uuid import UUID

from sqlalchemy import URL, Engine

from scheduler.booking.calendars import KeptCalendars, keep_in
from scheduler.booking.errors import OutcomeUnknownError
from scheduler.booking.events import Event, events_after
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import FacilityId, TenantId, UserId, read_id
from scheduler.core.readers import email as required_email
from scheduler.core.readers import text
from scheduler.core.spans import utc
from scheduler.core.validation import Validator
from scheduler.front_door.context import Clock, Context
from scheduler.front_door.process import random_bytes, utc_now
from scheduler.front_door.users import Users
from scheduler.front_door.work import Work
from scheduler.generation.job import Progress
from scheduler.generation.job import generate as run_job
from scheduler.generation.report import RunResult
from scheduler.generation.request import GenerationRequest, Mode, Scope
from scheduler.models import Facility, UserRole
from scheduler.postgres.acting import Request, Role
from scheduler.postgres.database import Database
from scheduler.postgres.errors import (
    DatabaseUnreachableError,
    DeadlockError,
    DuplicateError,
    RoleRefusedError,
    StatementError,
)
from scheduler.postgres.logins import Purpose, faults
from scheduler.postgres.tenants import make_tenant, tenant_id_of
from scheduler.postgres.translation import NOT_ALLOWED

REMEMBERED: Final = timedelta(minutes=1)
"""How long the id of a tenant is remembered, before its slug is looked up again."""

T = TypeVar("T")
_CHECK: Final = Validator(InvalidInputError)


class Scheduler:
    """Appointment scheduling in a PostgreSQL database, for a host application.

    Give the URL of a migrated database, a `Database`, or an engine of yours, whose connections are left as they were.
    `clock` returns the current instant (aware), `random_bytes` so many random bytes. One `Scheduler` serves one process
    and its threads. Close it, or use it in a `with` statement.

    Raises:
        InvalidInputError: the URL cannot be read, or the engine is not one for psycopg.
    """

    def __init__(
        self,
        database: Database | Engine | URL | str,
        *,
        clock: Clock = utc_now,
        random_bytes: Callable[[int], bytes] = random_bytes,
    ) -> None:
        self._database = _open(database)
        self._clock: Clock = partial(_now, clock)
        self._random_bytes = random_bytes
        self._calendars = KeptCalendars()
        self._tenants: dict[str, tuple[TenantId, datetime]] = {}

    def add_tenant(self, slug: str, *, name: str) -> TenantId:
        """Create a tenant and return its id. Only the owner of the database may do so.

        The slug is any text of 1 to 255 characters without space around it.

        Raises:
            InvalidInputError: the slug or the name cannot be one.
            DuplicateError: another tenant has the slug.
            StoreError: the login is not the owner.
        """
        text("tenant: slug", slug)
        tenant_id, shown = UUID(bytes=self._random_bytes(16), version=4), text("tenant: name", name)
        try:
            with self._database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
                make_tenant(session, slug, tenant_id, name=shown)
        except DuplicateError as error:
            taken = f"another tenant has the slug {slug!r} already"
            raise DuplicateError(taken, sqlstate=error.sqlstate, constraint=error.constraint) from None
        except StatementError as error:
            if error.sqlstate != NOT_ALLOWED:
                raise
            needed = "add_tenant needs the owner of the database: open a Scheduler with the login that migrates it"
            raise StatementError(needed, sqlstate=error.sqlstate) from None
        self._tenants.pop(slug, None)  # the slug may have been another tenant's
        return TenantId(tenant_id)

    def add_admin(self, slug: str, name: str, *, email: str, sign_in: str | None = None) -> UserId:
        """Add an admin of a tenant and return the id. Only the owner of the database may do so.

        The admin adds the other staff, with `work.users.add`. `sign_in` is the id that SuperTokens gave the person.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            DuplicateError: another user of the tenant has the e-mail address, or a user has the sign-in.
            RoleRefusedError: the login is not the owner.
        """
        tenant_id = self._tenant_id(slug)
        with self._database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
            users = Users(Context(session, tenant_id, None, self._clock))
            return users.add(name, role=UserRole.ADMIN, email=required_email("user: email", email), sign_in=sign_in)

    @contextmanager
    def tenant(self, slug: str, *, user: UserId | None = None, request: Request | None = None) -> Iterator[Work]:
        """Run the block as one transaction for a tenant: leaving it commits, an error rolls all of it back.

        With a user, row security shows what this user may see, and the audit log names the user; without one, the work
        is the host's own. `request` says where a request came from, for the audit log.

        Raises:
            NotFoundError: no tenant has this slug.
            InvalidInputError: the slug cannot be one, or the user or request is of another type.
            TenantSuspendedError: the tenant is suspended, closed or deleted.
            OutcomeUnknownError: the connection was lost while bookings were committed.
            StoreError: no connection, or the database refused a statement.
        """
        tenant_id = self._tenant_id(slug)
        bookings: list[str | None] = []
        is_over = False
        try:
            with self._database.unit_of_work(
                role=Role.APP, tenant_id=tenant_id, user_id=user, request=request
            ) as session:
                keep_in(session, self._calendars, tenant_id)
                yield Work(Context(session, tenant_id, user, self._clock, self._random_bytes, bookings))
                is_over = True
        except DatabaseUnreachableError as error:
            if not is_over or not bookings:
                raise
            key = next((key for key in bookings if key is not None), None)
            lost = f"the connection was lost during the commit: {error}; repeat the call with the same key"
            raise OutcomeUnknownError(lost, key) from None

    def run(
        self,
        slug: str,
        call: Callable[[Work], T],
        *,
        user: UserId | None = None,
        request: Request | None = None,
        attempts: int = 5,
    ) -> T:
        """Call a function with a unit of work, and return its result; repeat the whole after a deadlock.

        Each attempt is a transaction of its own, so the function may run several times, of which one counts. Units of
        work that change schedules of several doctors, in different orders, can meet a deadlock; single calls cannot.

        Raises:
            DeadlockError: no attempt succeeded.
        """
        _CHECK.whole("attempts", attempts)
        while True:
            attempts -= 1
            try:
                with self.tenant(slug, user=user, request=request) as work:
                    return call(work)
            except DeadlockError:
                if not attempts:
                    raise

    def generate(  # noqa: PLR0913  # the fields of a request
        self,
        slug: str,
        *,
        from_day: date,
        days: int,
        facility: FacilityId | str | None = None,
        scope: Scope = Scope.CHANGED,
        mode: Mode = Mode.WRITE,
        progress: Progress = lambda *_: None,
    ) -> RunResult:
        """Make the slots of a tenant, or of one facility, for local days from `from_day` on.

        The facility is given by its id or slug. A run without changes since the last one writes nothing. It works in
        batches, each a transaction of its own.

        Raises:
            NotFoundError: no tenant has this slug, or the facility does not exist or has no schedule.
            InvalidInputError: these are no days, or too many.
            StoreError: no connection, the login lacks the role `scheduler_job`, or the database refused a statement.
        """
        try:
            tenant_id = self._tenant_id(slug, role=Role.JOB)
            request = GenerationRequest(
                tenant_id,
                from_day,
                _until(from_day, days),
                now=self._clock(),
                facility_slug=self._slug_of(tenant_id, facility),
                mode=mode,
                scope=scope,
                trigger="host",
            )
            return run_job(self._database, request, progress=progress).result
        except RoleRefusedError as error:
            needed = f"generate needs {Role.JOB}: grant {Role.JOB} to {error.login or 'the login'}"
            raise StatementError(needed, sqlstate=error.sqlstate) from None

    def events(self, slug: str, *, after: int = 0, limit: int = 500) -> list[Event]:
        """Return the events of a tenant's visits after a position, in order; store the last one's for the next call.

        No committed event is missed, and none comes twice. Events are kept for 90 days; 0 is before the oldest of them.

        Raises:
            EventsGoneError: events after the position are deleted already.
            NotFoundError: no tenant has this slug.
            InvalidInputError: the position is negative or beyond the last event, or the limit is below 1.
            TenantSuspendedError: the tenant is suspended, closed or deleted.
            StoreError: no connection, or the database refused a statement.
        """
        with self._database.unit_of_work(role=Role.APP, tenant_id=self._tenant_id(slug)) as session:
            return events_after(session, after, limit=limit)

    def preflight(self, purpose: Purpose = Purpose.WEB) -> list[str]:
        """Return the rights that the login has beyond its purpose, and those that it lacks; none is the answer wanted.

        Raises:
            StoreError: no connection.
        """
        with self._database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
            return list(faults(session.connection(), purpose)[1])

    def close(self) -> None:
        """Close the idle connections; those of an engine of the host stay open."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _tenant_id(self, slug: str, *, role: Role = Role.APP) -> TenantId:
        """Return the id of a tenant. It is looked up again once it has been remembered for `REMEMBERED`."""
        text("tenant: slug", slug)  # refuses what no slug can be
        now = self._clock()
        known = self._tenants.get(slug)
        if known is not None and abs(now - known[1]) < REMEMBERED:
            return known[0]
        tenant_id = TenantId(tenant_id_of(self._database, slug, role=role))
        self._tenants[slug] = tenant_id, now
        return tenant_id

    def _slug_of(self, tenant_id: TenantId, facility: FacilityId | str | None) -> str | None:
        if facility is None or isinstance(facility, str):
            return facility
        id_ = read_id("facility", facility, FacilityId, Facility)
        with self._database.unit_of_work(role=Role.JOB, tenant_id=tenant_id) as session:
            row = session.get(Facility, (tenant_id, int(id_)))
            if row is None:
                raise NotFoundError(f"no facility has the id {int(id_)}")
            return row.slug


def _open(database: Database | Engine | URL | str) -> Database:
    if isinstance(database, Database):
        return database
    if isinstance(database, URL | str):
        return Database(database if isinstance(database, str) else database.render_as_string(hide_password=False))
    return Database.from_engine(database)


def _now(clock: Clock) -> datetime:
    """Return the instant of a host's clock, which must be aware."""
    return utc(clock(), name="clock")


def _until(from_day: date, days: int) -> date:
    _CHECK.day("from_day", from_day)
    _CHECK.whole("days", days)
    try:
        return from_day + timedelta(days=days)
    except OverflowError:
        raise InvalidInputError(f"{days} days from {from_day} on leave the calendar") from None
