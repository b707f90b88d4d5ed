"""Front door: units of work of a tenant, found by its slug, in the roles of a login."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import make_url

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import DoctorId, UserId
from scheduler.front_door.scheduler import REMEMBERED, Scheduler
from scheduler.front_door.work import Work
from scheduler.postgres.acting import Request
from scheduler.postgres.errors import DeadlockError, DuplicateError, StatementError, TenantSuspendedError
from scheduler.postgres.logins import Purpose
from support.databases import employ, execute

pytestmark = pytest.mark.database


class SetClock:
    """A clock that shows the time that it was set to."""

    def __init__(self) -> None:
        self.now = datetime(2027, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def clinic(database_url: str, clock: SetClock) -> Iterator[Scheduler]:
    with Scheduler(database_url, clock=clock) as scheduler:
        yield scheduler


@pytest.fixture
def slug(clinic: Scheduler) -> str:
    name = f"tenant-{uuid4()}"
    clinic.add_tenant(name, name="A tenant")
    return name


def test_a_tenant_is_added_once_and_found_by_its_slug(clinic: Scheduler, slug: str) -> None:
    with clinic.tenant(slug) as work:
        assert work.facilities.all() == []
    with pytest.raises(DuplicateError, match=f"^another tenant has the slug '{slug}' already$") as caught:
        clinic.add_tenant(slug, name="The same again")
    assert caught.value.constraint == "live_tenants_have_their_own_slug"
    with pytest.raises(NotFoundError, match="no tenant 'nobody'"), clinic.tenant("nobody"):
        pass
    for wrong in (" x", "x" * 256):
        with pytest.raises(InvalidInputError, match="cannot be a tenant's slug"):
            clinic.add_tenant(wrong, name="A tenant")
    odd: Any
    for odd in ("", "no\0body", ["x"], None):
        with pytest.raises(InvalidInputError, match="tenant: slug must"):
            clinic.add_tenant(odd, name="A tenant")
        with pytest.raises(InvalidInputError, match="tenant: slug must"), clinic.tenant(odd):
            pass
    with pytest.raises(InvalidInputError, match="tenant: name must not be blank"):
        clinic.add_tenant("another", name=" ")


def test_the_random_source_of_the_host_draws_the_id_of_a_tenant(database_url: str) -> None:
    with Scheduler(database_url, random_bytes=lambda count: b"\7" * count) as clinic:
        assert clinic.add_tenant(f"drawn-{uuid4()}", name="A tenant").hex == "07070707070747078707070707070707"


def test_a_tenant_is_looked_up_again_after_a_minute(
    clinic: Scheduler, slug: str, clock: SetClock, database_url: str
) -> None:
    with clinic.tenant(slug):
        pass
    execute(database_url, f"update identity.tenants set status = 'suspended' where slug = '{slug}'")
    with clinic.tenant(slug) as work:  # remembered, and row security shows nothing
        assert work.facilities.all() == []
    clock.now += REMEMBERED
    with pytest.raises(TenantSuspendedError), clinic.tenant(slug):
        pass


def test_row_security_knows_the_user_of_the_work(clinic: Scheduler, slug: str, database_url: str) -> None:
    with clinic.tenant(slug) as work:
        work.facilities.add("main", name="Main", zone="Europe/London")
        tenant_id = work.tenant_id
    with clinic.tenant(slug, user=UserId(uuid4())) as stranger:
        assert stranger.facilities.all() == []
        with pytest.raises(NotFoundError):
            stranger.facilities.by_slug("main")
    nurse = UserId(employ(database_url, tenant_id))
    with clinic.tenant(slug, user=nurse) as work:
        assert work.user_id == nurse
        work.facilities.change(work.facilities.by_slug("main"), name="Main Street")
        assert [row.name for row in work.facilities.all()] == ["Main Street"]


def failing(times: int, calls: list[Work]) -> Callable[[Work], int]:
    """Return a call that meets a deadlock so many times, after it has written."""

    def call(work: Work) -> int:
        calls.append(work)
        work.facilities.add(f"place-{len(calls)}", name="A place", zone="Europe/London")
        if len(calls) <= times:
            raise DeadlockError("a deadlock", sqlstate="40P01")
        return len(calls)

    return call


def test_r4_a_call_is_repeated_as_a_whole_after_a_deadlock(clinic: Scheduler, slug: str) -> None:
    calls: list[Work] = []
    assert clinic.run(slug, failing(2, calls)) == 3
    with clinic.tenant(slug) as work:
        assert [row.slug for row in work.facilities.all()] == ["place-3"]
    with pytest.raises(DeadlockError):
        clinic.run(slug, failing(9, []), attempts=2)
    with pytest.raises(InvalidInputError, match="attempts must be a whole number from 1"):
        clinic.run(slug, failing(0, []), attempts=0)


def test_a_login_of_the_web_may_serve_users_and_nothing_else(slug: str, database_url: str) -> None:
    name = f"web_{uuid4().hex}"
    execute(database_url, f"create role {name} login password '{name}' in role scheduler_app, scheduler_desk")
    url = make_url(database_url).set(username=name, password=name)
    with Scheduler(url) as web:
        with web.tenant(slug) as work:
            place = work.facilities.add("main", name="Main", zone="Europe/London")
            assert work.facilities.get(place).slug == "main"
        with pytest.raises(StatementError, match="generate needs scheduler_job: grant scheduler_job to web_"):
            web.generate(slug, from_day=date(2027, 3, 1), days=7)
        with pytest.raises(StatementError, match="add_tenant needs the owner of the database"):
            web.add_tenant("another", name="Another")
        assert web.preflight() == []
        assert web.preflight(Purpose.JOB) != []
    execute(database_url, f"drop role {name}")


def test_generate_takes_a_facility_by_id_or_slug_and_refuses_odd_days(clinic: Scheduler, slug: str) -> None:
    with clinic.tenant(slug) as work:
        place = work.facilities.add("main", name="Main", zone="Europe/London")
    for facility in (place, "main"):
        with pytest.raises(NotFoundError, match="no facility 'main' with a schedule"):
            clinic.generate(slug, from_day=date(2027, 3, 1), days=7, facility=facility)
    for days in (0, -1, 10**9, 99_999):
        with pytest.raises(InvalidInputError):
            clinic.generate(slug, from_day=date(2027, 3, 1), days=days)
    with pytest.raises(InvalidInputError, match="from_day must be a date"):
        clinic.generate(slug, from_day=datetime(2027, 3, 1, tzinfo=UTC), days=7)
    assert clinic.generate(slug, from_day=date(2027, 3, 1), days=7).schedules == 0


@pytest.mark.parametrize("user", ["", " ", "someone", 5, str(UUID(int=1))], ids=repr)
def test_a_user_is_a_uuid_and_no_empty_text_acts_for_the_host(clinic: Scheduler, slug: str, user: Any) -> None:
    with pytest.raises(InvalidInputError, match="user must be a UUID"), clinic.tenant(slug, user=user):
        pass


def test_a_request_is_one_or_none_and_its_fields_are_texts(clinic: Scheduler, slug: str) -> None:
    with clinic.tenant(slug, request=None) as work:
        assert work.facilities.all() == []
    wrong: Any
    for wrong in ("req-7", {"id": "req-7"}):
        with pytest.raises(InvalidInputError, match="request must be a Request or None"):
            clinic.run(slug, lambda work: work.facilities.all(), request=wrong)
    for wrong in (Request(id=uuid4()), Request(client_address=b"192.0.2.7")):  # type: ignore[arg-type]
        with pytest.raises(InvalidInputError, match=r"request: (id|client_address) must be a text"):
            clinic.run(slug, lambda work: work.facilities.all(), request=wrong)


def test_a_unit_of_work_does_no_call_after_its_block(clinic: Scheduler, slug: str) -> None:
    with clinic.tenant(slug) as work:
        place = work.facilities.add("main", name="Main", zone="Europe/London")
    calls: list[Callable[[], object]] = [
        work.facilities.all,
        lambda: work.facilities.get(place),
        lambda: work.facilities.add("annex", name="Annex", zone="Europe/London"),
        lambda: work.insurance.accepted(place),
        lambda: work.slots.open(DoctorId(1), day=date(2027, 3, 1)),
        work.session.connection,
    ]
    for call in calls * 2:
        with pytest.raises(InvalidInputError, match="no call after its block"):
            call()


@pytest.mark.parametrize("now", [datetime(2027, 3, 1), 5, None], ids=repr)  # naive
def test_t1_a_clock_that_gives_no_aware_instant_is_refused(slug: str, database_url: str, now: Any) -> None:
    with (
        Scheduler(database_url, clock=lambda: now) as wrong,
        pytest.raises(InvalidInputError, match="clock"),
        wrong.tenant(slug),
    ):
        pass
