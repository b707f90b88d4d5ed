"""Migration from names: families whose members are names, planned with users and memberships.

Owns: the lock of a migration, its plan and its report.
Must not know: the format of the file; the decision which user a name means (`name_resolution`).

The id of a family follows from its `familyId`, so that a second run finds it; ids of users are random.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from sqlmodel import Session

from scheduler.core.json_lines import BrokenLinesError
from scheduler.families.known_people import memberships_of, read_known_people
from scheduler.families.name_resolution import resolve
from scheduler.families.name_values import AmbiguousName, Resolution, SameName
from scheduler.families.names_file import NamesFile, check_names
from scheduler.postgres.database import advisory_lock

if TYPE_CHECKING:
    from scheduler.families.values import MemberRole


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """Counts of a migration, and the names that need an answer. A dry run reports the same counts.

    Attributes:
        written: families written.
        already_there: families left as they are, since an earlier run wrote them.
        ambiguous_families: families that have an ambiguous name, and were not written.
        deleted: families that the file calls deleted, and that were skipped.
        users_made: users made for the written families.
        users_found: existing users who became members of the written families.
        in_both_roles: names of people in the written families who are a parent in one and a student in another family.
        ambiguous: ambiguous names, each once for a role.
        families_of: live families of the users whom ambiguous names may mean.
    """

    written: int
    already_there: int
    ambiguous_families: int
    deleted: int
    users_made: int
    users_found: int
    in_both_roles: tuple[str, ...]
    ambiguous: tuple[AmbiguousName, ...]
    families_of: Mapping[UUID, tuple[UUID, ...]]


class MigrationPlan(NamedTuple):
    """A plan, before anything is written, and its report."""

    resolution: Resolution
    report: MigrationReport


def lock_names(session: Session, tenant_id: UUID) -> None:
    """Let other migrations of the tenant wait until this transaction ends."""
    advisory_lock(session, f"families from names {tenant_id}")


def plan_migration(
    session: Session,
    file: NamesFile,
    *,
    tenant_id: UUID,
    new_id: Callable[[], UUID],
    same_name: SameName = SameName.AMBIGUOUS,
) -> MigrationPlan:
    """Decide which families of a file can be written, and with which users; `new_id` gives the ids of new users.

    Other migrations of the tenant wait until the session's transaction ends. A plan for a file that was migrated
    already has no family to write.

    Raises:
        BrokenLinesError: a line cannot be read, or names a user who does not exist.
        InvalidInputError: there is no family in the file.
    """
    check_names(file)
    lock_names(session, tenant_id)
    known = read_known_people(session, tenant_id, file.families)
    resolution = resolve(file.families, known, same_name=same_name, new_id=new_id)
    if resolution.faults:
        raise BrokenLinesError(resolution.faults)
    return MigrationPlan(resolution, _report(session, tenant_id, file, resolution))


def _report(session: Session, tenant_id: UUID, file: NamesFile, resolution: Resolution) -> MigrationReport:
    """Count the families and people of a plan."""
    members = [
        (member, user)
        for family, users in resolution.families
        for member, user in zip(family.members, users, strict=True)
    ]
    found = {user for _, user in members} - resolution.new_people.keys()
    candidates = {user for name in resolution.ambiguous for user in name.candidates}
    memberships = memberships_of(session, tenant_id, found | candidates)
    roles: dict[UUID, set[MemberRole]] = defaultdict(set)
    for member, user in members:
        roles[user] |= {member.role, *(membership.role for membership in memberships.get(user, ()))}
    names = {user: member.name for member, user in members}
    return MigrationReport(
        written=len(resolution.families),
        already_there=len(file.families) - len(resolution.families) - resolution.unwritten,
        ambiguous_families=resolution.unwritten,
        deleted=file.deleted,
        users_made=len(resolution.new_people),
        users_found=len(found),
        in_both_roles=tuple(names[user] for user in names if len(roles[user]) > 1),
        ambiguous=resolution.ambiguous,
        families_of={user: tuple(family_id for _, family_id in memberships.get(user, ())) for user in candidates},
    )
