"""Families in one call, against a query for each member and each family (N+1).

Both sides ask in one unit of work, as a nurse under row security, with the library's own statements for one row and for
many. The server is on the same machine: over a network, each further statement costs more.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import UUID

import psycopg
from rich.table import Table

from measuring import best_times
from scheduler.core.ids import FamilyId, UserId
from scheduler.families import reading
from scheduler.families.shapes import FamilySummary, UserSummary
from scheduler.families.values import Person
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.models import UserRole
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations

SLUG: Final = "riverside"
LARGE_SIZE: Final = 50
FAMILIES_OF_PARENT: Final = 3
CHILDREN_PER_FAMILY: Final = 4

Answer = Sequence[FamilySummary | UserSummary]


def check(expected: Answer, answer: Answer) -> None:
    """Stop unless both sides return the same values, in any order, at least one."""
    if not expected or sorted(answer, key=repr) != sorted(expected, key=repr):
        raise SystemExit(f"{len(answer)} values in one call, {len(expected)} one by one: nothing to compare")


def load(clinic: Scheduler, *, families: int) -> tuple[UserId, UserId, FamilyId]:
    """Write the families, and return a nurse, a parent in three of them, and a family of 50."""
    clinic.add_tenant(SLUG, name="Riverside Clinics")
    with clinic.tenant(SLUG, user=clinic.add_admin(SLUG, "The head", email="head@example.org")) as work:
        nurse = work.users.add("A nurse", role=UserRole.STAFF, email="nurse@example.org")
    with clinic.tenant(SLUG) as work:
        for number in range(families):
            create(work, f"parent-{number}@example.org", students=2)
        large = create(work, "large@example.org", students=LARGE_SIZE - 1)
        for _ in range(FAMILIES_OF_PARENT):
            own = create(work, "parent@example.org", students=CHILDREN_PER_FAMILY)
    return nurse, UserId(own.parent_ids[0]), FamilyId(large.family_id)


def create(work: Work, email: str, *, students: int) -> FamilySummary:
    """Create a family of a parent and some students."""
    return work.families.create(
        "A family", parents=[Person("A parent", email=email)], students=[Person("A student")] * students
    )


class OneByOne:
    """Reading of families with a statement for each user and each family."""

    def __init__(self, work: Work) -> None:
        self._session, self._tenant_id = work.session, work.tenant_id

    def members(self, family_id: UUID) -> Answer:
        """Return the members of a family."""
        family = self._family(family_id)
        return [self._user(member) for member in family.parent_ids + family.student_ids]

    def children(self, parent: UUID) -> Answer:
        """Return the students of the families of a parent."""
        students = [student for family in self.families(parent) for student in family.student_ids]
        return [self._user(student) for student in dict.fromkeys(students)]

    def families(self, user: UUID) -> Sequence[FamilySummary]:
        """Return the families of a user."""
        return [self._family(family) for family in self._user(user).family_ids]

    def _user(self, user: UUID) -> UserSummary:
        return reading.user_summary(self._session, self._tenant_id, user_id=user)

    def _family(self, family: UUID) -> FamilySummary:
        return reading.family_summary(self._session, self._tenant_id, family)


def members(work: Work, family: FamilyId) -> Answer:
    """Return the members of a family, in one call."""
    details = work.families.get(family)
    return details.parents + details.students


def against_one_by_one(*, rounds: int, families: int = 1000) -> Table:
    """Ask for families and their members, one by one and in one call."""
    title = f"families, {families:,} beside those that are read; best of {rounds} rounds"
    table = Table(title=title, title_justify="left")
    for heading in ("", "one by one, ms", "in one call, ms", "times as long"):
        table.add_column(heading, justify="right" if heading else "left")
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        with Scheduler(url) as clinic:
            nurse, parent, large = load(clinic, families=families)
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("analyze identity.users, identity.families, identity.family_members")
            with clinic.tenant(SLUG, user=nurse) as work:
                peer = OneByOne(work)
                pairs: dict[str, tuple[Callable[[], Answer], Callable[[], Answer]]] = {
                    f"a family of {LARGE_SIZE} with details": (
                        lambda: peer.members(large),
                        lambda: members(work, large),
                    ),
                    f"the {FAMILIES_OF_PARENT * CHILDREN_PER_FAMILY} children of a parent": (
                        lambda: peer.children(parent),
                        lambda: work.families.children_of(parent),
                    ),
                    f"the {FAMILIES_OF_PARENT} families of a user": (
                        lambda: peer.families(parent),
                        lambda: work.families.of_user(parent),
                    ),
                }
                for name, (one_by_one, in_one_call) in pairs.items():
                    check(one_by_one(), in_one_call())
                    best = best_times({"one by one": one_by_one, "in one call": in_one_call}, rounds=rounds)
                    milliseconds = (f"{seconds * 1000:.1f}" for seconds in best.values())
                    table.add_row(name, *milliseconds, f"{best['one by one'] / best['in one call']:.1f}")
    return table
