"""Query patterns of families: the number of statements of each call, and their plans with 100,000 members.

The statements are those of the repositories; the plans are those with which PostgreSQL ran them, under row security,
for the host itself, a nurse and a parent. They include the statements of policies, functions and triggers. BEGIN and
what opens a unit of work are not counted; a savepoint counts apart, as SAVEPOINT and RELEASE.

An index is searched if a condition names its first column after the tenant. Otherwise the scan reads all of a tenant,
as a sequential scan does.
"""

from collections.abc import Callable, Iterator
from typing import Final
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import create_engine, make_url

from scheduler.core.ids import FamilyId, UserId
from scheduler.families.values import FamilyStatus, MemberRole, Person, PostalAddress
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.postgres.connections import DRIVER
from support.databases import undone
from support.query_plans import Recorded, explain_all, recording
from support.worlds import families as town

pytestmark = pytest.mark.database

PARENT, STUDENT, STRANGER = UserId(town.PARENT), UserId(town.STUDENT), UserId(UUID(int=50_001))
OTHER_PARENT = UserId(town.OTHER_PARENT)
LARGE, SECOND = FamilyId(town.LARGE), FamilyId(town.SECOND)
CALLERS: Final = {"the host": None, "a nurse": UserId(town.NURSE), "a parent": PARENT}

# The look-ups: the number of statements, the number in the answer, and the call.
LOOK_UPS: Final[dict[str, tuple[int, int, Callable[[Work], int]]]] = {
    "all families of a user": (1, 2, lambda work: len(work.families.of_user(PARENT))),
    "all families of a user, from the user": (1, 2, lambda work: len(work.users.families(PARENT))),
    "all users in a family": (2, 4, lambda work: people(work, SECOND)),
    "all users in a family of 50": (2, town.LARGE_SIZE, lambda work: people(work, LARGE)),
    "whether a user belongs to a family": (1, 1, lambda work: LARGE in work.users.get(PARENT).family_ids),
    "whether a user is a guardian": (1, 1, lambda work: work.families.is_guardian_of(PARENT, STUDENT)),
    "all students of a parent": (1, town.LARGE_SIZE + 1, lambda work: len(work.families.children_of(PARENT))),
    "all siblings of a student": (1, town.LARGE_SIZE - 2, lambda work: len(work.families.siblings_of(STUDENT))),
    "a user with details": (2, 2, lambda work: len(work.users.details(PARENT).families)),
    "a user by e-mail address": (1, 1, lambda work: work.users.by_email(town.EMAIL).user_id == PARENT),
    "families by status": (1, 1, lambda work: inactive(work).count(LARGE)),
}

# One plan for a rare status and a frequent one cannot suit both.
PREPARED: Final = sorted(LOOK_UPS.keys() - {"families by status"})

# The writes of an admin: the number of statements, and the call.
WRITES: Final[dict[str, tuple[int, Callable[[Work], object]]]] = {
    "create a family": (6, lambda work: create(work, 1)),
    "create a family of 50": (6, lambda work: create(work, 49)),
    "create a family with an address": (7, lambda work: create(work, 1, address=PostalAddress("1 Mill Lane"))),
    "create a family of users": (
        5,
        lambda work: work.families.create("Users", parents=[PARENT, STRANGER], students=[STUDENT]),
    ),
    "add a member": (3, lambda work: work.families.add_member(SECOND, STRANGER, MemberRole.STUDENT)),
    "remove a student": (2, lambda work: work.families.remove_member(LARGE, STUDENT)),
    "remove one of two parents": (3, lambda work: work.families.remove_member(SECOND, PARENT)),
    "change a member": (2, lambda work: work.families.change_member(LARGE, PARENT, is_primary_contact=True)),
    "change a family": (4, lambda work: work.families.update(LARGE, name="Another name")),
    "change the roles of two members": (10, lambda work: swap(work, 1)),
    "change the roles of 48 members": (10, lambda work: swap(work, town.LARGE_SIZE - 3)),
    "delete a family": (3, lambda work: work.families.delete(LARGE)),
    "delete a family and its memberships": (4, lambda work: work.families.delete(LARGE, clear_members=True)),
    "change a user": (1, lambda work: work.users.change(PARENT, name="Another name")),
    "delete a student": (3, lambda work: work.users.delete(STUDENT)),
    "delete one of two parents": (3, lambda work: work.users.delete(OTHER_PARENT)),
}


def people(work: Work, family: FamilyId) -> int:
    found = work.families.get(family)
    return len(found.parents + found.students)


def inactive(work: Work) -> list[FamilyId]:
    return [FamilyId(family.family_id) for family in work.families.all(status=FamilyStatus.INACTIVE)]


def create(work: Work, students: int, *, address: PostalAddress | None = None) -> None:
    parents = [Person("Sarah Johnson", email="sarah@example.com")]
    work.families.create("Johnson family", parents=parents, students=[Person("A child")] * students, address=address)


def swap(work: Work, parents: int) -> None:
    """Make students parents and the parent a student, and let a student go; the first statement reads the students."""
    students = work.families.of_user(STUDENT)[0].student_ids
    new = [UserId(student) for student in students[1 : parents + 1]]
    work.families.update(LARGE, parents=new, students=[PARENT, *map(UserId, students[parents + 1 :])])


@pytest.fixture(scope="module")
def loaded(database_url: str) -> str:
    town.load(database_url)
    explain_all(database_url)
    return database_url


@pytest.fixture(scope="module")
def scheduler(loaded: str) -> Iterator[Scheduler]:
    with Scheduler(loaded) as opened:
        yield opened


@pytest.fixture(scope="module")
def host(loaded: str) -> Iterator[Scheduler]:
    """A host whose engine prepares its statements, so that one plan serves all values."""
    url = make_url(loaded).set(drivername=DRIVER)
    generic = {"prepare_threshold": 0, "options": "-c plan_cache_mode=force_generic_plan"}
    engine = create_engine(url, connect_args=generic)
    with Scheduler(engine) as opened:
        yield opened
    engine.dispose()


@pytest.fixture(scope="module")
def first_columns(loaded: str) -> dict[str, str]:
    """The first column after the tenant of each index of the tables of families."""
    with psycopg.connect(loaded) as connection:
        rows = connection.execute(
            "select distinct on (relname) relname, attname from pg_index join pg_class on pg_class.oid = indexrelid"
            " join pg_attribute on attrelid = indrelid and attnum = any(indkey)"
            " where indrelid = any(%s::regclass[]) and attname <> 'tenant_id'"
            " order by relname, array_position(indkey::int2[], attnum)",
            ([f"identity.{table}" for table in town.TABLES],),
        ).fetchall()
    return dict(rows)


@pytest.fixture(params=CALLERS)
def work(scheduler: Scheduler, request: pytest.FixtureRequest) -> Iterator[Work]:
    with scheduler.tenant(town.SLUG, user=CALLERS[request.param]) as opened:
        yield opened


def read_whole(recorded: Recorded, first_columns: dict[str, str]) -> set[str]:
    """Return the tables of families, and their indexes, of which a statement read all rows of the tenant."""
    assert {name for name, _ in recorded.scans} & first_columns.keys() != set()
    return {
        name
        for name, searched in recorded.scans
        if name in town.TABLES or (name in first_columns and first_columns[name] not in searched)
    }


@pytest.mark.parametrize("pattern", LOOK_UPS)
def test_a_look_up_of_families_is_few_statements_with_an_index(
    work: Work, first_columns: dict[str, str], pattern: str
) -> None:
    statements, size, call = LOOK_UPS[pattern]
    with recording(work.session) as recorded:
        answer = call(work)
    assert answer == size
    assert (len(recorded.statements), recorded.savepoints) == (statements, [])
    assert read_whole(recorded, first_columns) == set()


@pytest.mark.parametrize("pattern", PREPARED)
def test_a_look_up_of_families_has_an_index_when_it_is_prepared(
    host: Scheduler, first_columns: dict[str, str], pattern: str
) -> None:
    _, size, call = LOOK_UPS[pattern]
    with host.tenant(town.SLUG, user=UserId(town.NURSE)) as work, recording(work.session) as recorded:
        assert call(work) == size
    assert read_whole(recorded, first_columns) == set()


def test_the_families_in_a_program_are_two_statements(work: Work, first_columns: dict[str, str]) -> None:
    """The first reads the families of the tenant, as the operators of arrays are not leakproof; the rest is indexed."""
    with recording(work.session) as recorded:
        families = work.families.in_program(town.PROGRAM)
    members = sum(len(family.parents + family.students) for family in families)
    others = 0 if work.user_id == PARENT else town.FAMILIES_IN_PROGRAM - 1
    assert (len(families), members) == (1 + others, town.LARGE_SIZE + 3 * others)
    assert (len(recorded.statements), recorded.savepoints) == (2, [])
    assert read_whole(recorded, first_columns) == {"families"}


@pytest.mark.parametrize("write", WRITES)
def test_a_write_of_families_is_few_statements_with_an_index(
    scheduler: Scheduler, first_columns: dict[str, str], write: str
) -> None:
    statements, call = WRITES[write]
    with undone(scheduler.tenant(town.SLUG, user=UserId(town.ADMIN))) as work, recording(work.session) as recorded:
        call(work)
    assert read_whole(recorded, first_columns) == set()
    assert (len(recorded.statements), len(recorded.savepoints)) == (statements, 2)
