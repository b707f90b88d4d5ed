"""Families: both directions agree, and no list multiplies another.

Code and tables also agree on e-mail addresses.
"""

from collections.abc import Iterator
from random import Random
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.core.email_address import EmailAddress
from scheduler.core.errors import InvalidInputError
from scheduler.postgres.database import Role
from support.roles import become
from support.strategies import emails

pytestmark = pytest.mark.database


# "Show me all my children": those of the families in which the user is a parent, and each once.
CHILDREN = """
    select distinct unnest(student_ids) from identity.family_directory
    where family_id in (select unnest(family_ids) from identity.user_directory where user_id = %(parent)s)
        and %(parent)s = any(parent_ids)
"""


class Town:
    """The families of one tenant, written within a transaction that is rolled back."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.tenant = uuid4()
        connection.execute(
            "insert into identity.tenants (id, slug, name) values (%s, %s, 'A town')", (self.tenant, str(self.tenant))
        )

    def user(self) -> UUID:
        user = uuid4()
        self.connection.execute(
            "insert into identity.users (tenant_id, id, email, name, role) values (%s, %s, %s, 'Ann', 'parent')",
            (self.tenant, user, f"{user}@example.org"),
        )
        return user

    def family(self) -> UUID:
        family = uuid4()
        self.connection.execute(
            "insert into identity.families (tenant_id, id, family_name) values (%s, %s, 'Adams')", (self.tenant, family)
        )
        return family

    def join(
        self, family: UUID, user: UUID, role: str = "parent", *, primary: bool = False, emergency: bool = False
    ) -> UUID:
        self.connection.execute(
            "insert into identity.family_members"
            " (tenant_id, family_id, user_id, role, is_primary_contact, is_emergency_contact)"
            " values (%s, %s, %s, %s, %s, %s)",
            (self.tenant, family, user, role, primary, emergency),
        )
        return user

    def delete(self, table: str, row: UUID) -> None:
        self.connection.execute(f"update identity.{table} set deleted_at = now() where id = %s".encode(), (row,))

    def lists_of(self, family: UUID) -> list[tuple[set[UUID], set[UUID]]]:
        """Return the parents and the students of a family, once for each of its rows in the directory."""
        rows = self.connection.execute(
            "select parent_ids, student_ids from identity.family_directory where family_id = %s", (family,)
        ).fetchall()
        assert all(len({*parents, *students}) == len(parents) + len(students) for parents, students in rows)
        return [(set(parents), set(students)) for parents, students in rows]

    def families_of(self, user: UUID) -> list[list[UUID]]:
        """Return the families of a user, once for each row of the user in the directory."""
        rows = self.connection.execute("select family_ids from identity.user_directory where user_id = %s", (user,))
        return [sorted(families) for (families,) in rows]

    def contact(self, user: UUID) -> tuple[bool, bool] | None:
        return self.connection.execute(
            "select is_primary_contact, is_emergency_contact from identity.user_directory where user_id = %s", (user,)
        ).fetchone()


@pytest.fixture
def town(database_url: str) -> Iterator[Town]:
    with psycopg.connect(database_url) as connection:
        yield Town(connection)
        connection.rollback()


def test_a_family_with_two_parents_and_three_students_is_one_row(town: Town) -> None:
    family = town.family()
    parents = {town.join(family, town.user()) for _ in range(2)}
    students = {town.join(family, town.user(), "student") for _ in range(3)}
    assert town.lists_of(family) == [(parents, students)]


def test_a_user_in_two_families_is_one_row(town: Town) -> None:
    user, families = town.user(), sorted(town.family() for _ in range(2))
    for family in families:
        town.join(family, user)
        town.join(family, town.user(), "student")
    assert town.families_of(user) == [families]


def test_a_family_without_members_has_two_empty_lists(town: Town) -> None:
    assert town.lists_of(town.family()) == [(set(), set())]


def test_a_user_of_no_family_has_an_empty_list_and_is_no_contact(town: Town) -> None:
    user = town.user()
    assert (town.families_of(user), town.contact(user)) == ([[]], (False, False))


def test_a_user_may_be_a_parent_in_one_family_and_a_student_in_another(town: Town) -> None:
    user, first, second = town.user(), town.family(), town.family()
    town.join(first, user)
    town.join(second, user, "student")
    assert (town.lists_of(first), town.lists_of(second)) == ([({user}, set())], [(set(), {user})])


def test_a_list_is_in_the_order_in_which_its_members_joined(town: Town) -> None:
    family, users = town.family(), [town.user() for _ in range(5)]
    for place, user in enumerate(users):
        town.join(family, user)
        town.connection.execute(
            "update identity.family_members set created_at = now() + make_interval(mins => %s) where user_id = %s",
            (place, user),
        )
    rows = town.connection.execute("select parent_ids from identity.family_directory").fetchone()
    assert rows == (users,)


def test_both_directions_agree_after_any_deletion(town: Town) -> None:
    random = Random(1)  # noqa: S311  # a fixed world, not a secret
    users, families = [town.user() for _ in range(12)], [town.family() for _ in range(8)]
    for family in families:
        for user in random.sample(users, random.randrange(len(users))):
            town.join(family, user, random.choice(("parent", "student")))
    for user in users[:3]:
        town.delete("users", user)
    for family in families[:2]:
        town.delete("families", family)
    from_families = set(
        town.connection.execute("select family_id, unnest(parent_ids || student_ids) from identity.family_directory")
    )
    from_users = set(
        town.connection.execute("select unnest(family_ids), user_id from identity.user_directory").fetchall()
    )
    assert len(from_families) > len(families)
    assert from_families == from_users
    assert {family for family, _ in from_families} <= set(families[2:])
    assert {user for _, user in from_families} <= set(users[3:])


def test_a_deleted_family_is_in_neither_view(town: Town) -> None:
    family = town.family()
    user = town.join(family, town.user(), primary=True, emergency=True)
    town.delete("families", family)
    assert (town.lists_of(family), town.families_of(user), town.contact(user)) == ([], [[]], (False, False))


def test_a_deleted_user_is_in_neither_view(town: Town) -> None:
    family = town.family()
    user = town.join(family, town.user())
    town.delete("users", user)
    assert (town.lists_of(family), town.families_of(user)) == ([(set(), set())], [])


def test_a_restored_family_has_its_members_back(town: Town) -> None:
    family = town.family()
    user = town.join(family, town.user())
    town.delete("families", family)
    town.connection.execute("update identity.families set deleted_at = null")
    assert (town.lists_of(family), town.families_of(user)) == ([({user}, set())], [[family]])


def test_a_contact_of_one_family_need_not_be_one_of_another(town: Town) -> None:
    user = town.user()
    town.join(town.family(), user, primary=True)
    town.join(town.family(), user)
    assert town.contact(user) == (True, False)


def test_the_children_of_a_parent_are_found_through_both_views_each_once(town: Town) -> None:
    parent, child, other = town.user(), town.user(), town.user()
    for family in (town.family(), town.family()):
        town.join(family, parent)
        town.join(family, child, "student")
    town.join(town.family(), other, "student")
    assert town.connection.execute(CHILDREN, {"parent": parent}).fetchall() == [(child,)]


def test_a_parent_who_is_a_student_elsewhere_has_only_own_children(town: Town) -> None:
    """The students of the other family, the user among them, are not the user's children."""
    both, child, own, other = town.user(), town.user(), town.family(), town.family()
    town.join(own, both)
    town.join(own, child, "student")
    town.join(other, town.user())
    for student in (both, town.user()):
        town.join(other, student, "student")
    assert town.connection.execute(CHILDREN, {"parent": both}).fetchall() == [(child,)]


def test_a_family_may_have_two_primary_contacts(town: Town) -> None:
    family = town.family()
    contacts = [town.join(family, town.user(), primary=True) for _ in range(2)]
    assert [town.contact(contact) for contact in contacts] == [(True, False)] * 2


@pytest.mark.parametrize("deleted", ["families", "users"])
def test_a_member_cannot_join_if_family_or_user_is_deleted(town: Town, deleted: str) -> None:
    family, user = town.family(), town.user()
    town.delete(deleted, family if deleted == "families" else user)
    rule = "a_member_joins_a_live_family" if deleted == "families" else "a_member_is_a_live_user"
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        town.join(family, user)
    assert refused.value.diag.constraint_name == rule


def test_a_member_does_not_move_to_a_deleted_family(town: Town) -> None:
    own, deleted, user = town.family(), town.family(), town.user()
    town.join(own, user)
    town.delete("families", deleted)
    with pytest.raises(psycopg.errors.CheckViolation, match="references a deleted row"):
        town.connection.execute("update identity.family_members set family_id = %s", (deleted,))


def test_a_membership_of_a_deleted_family_may_be_changed_and_ended(town: Town) -> None:
    family, user = town.family(), town.user()
    town.join(family, user)
    town.delete("families", family)
    town.delete("users", user)
    assert town.connection.execute("update identity.family_members set is_emergency_contact = true").rowcount == 1
    assert town.connection.execute("delete from identity.family_members").rowcount == 1


def test_a_member_who_joins_during_the_deletion_of_a_family_waits(database_url: str) -> None:
    """Without a lock on the row, the family would be live for the joiner and empty for the deleter."""
    with psycopg.connect(database_url) as deleting, psycopg.connect(database_url) as joining:
        town = Town(deleting)
        family, user = town.family(), town.user()
        deleting.commit()
        try:
            town.delete("families", family)
            joining.execute("set local lock_timeout = '50ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                joining.execute(
                    "insert into identity.family_members (tenant_id, family_id, user_id, role)"
                    " values (%s, %s, %s, 'student')",
                    (town.tenant, family, user),
                )
        finally:
            joining.rollback()
            deleting.rollback()
            for table in ("families", "users"):
                deleting.execute(f"delete from identity.{table} where tenant_id = %s".encode(), (town.tenant,))
            deleting.execute("delete from identity.tenants where id = %s", (town.tenant,))


def test_two_students_need_no_address(town: Town) -> None:
    family = town.family()
    for _ in range(2):
        student = uuid4()
        town.connection.execute(
            "insert into identity.users (tenant_id, id, name, role) values (%s, %s, 'Zoe', 'student')",
            (town.tenant, student),
        )
        town.join(family, student, "student")
    ((_, students),) = town.lists_of(family)
    assert len(students) == 2


def test_a_user_may_be_the_primary_contact_of_two_families(town: Town) -> None:
    user = town.user()
    for _ in range(2):
        town.join(town.family(), user, primary=True)
    assert len(town.families_of(user)[0]) == 2


def test_a_user_is_in_a_family_once(town: Town) -> None:
    family, user = town.family(), town.user()
    town.join(family, user)
    with pytest.raises(psycopg.errors.UniqueViolation, match="family_members_pkey"):
        town.join(family, user, "student")


@pytest.mark.parametrize("table", ["families", "users"])
def test_a_hard_delete_of_a_family_or_user_deletes_the_memberships(town: Town, table: str) -> None:
    town.join(town.family(), town.user())
    town.connection.execute(f"delete from identity.{table}".encode())
    assert town.connection.execute("select count(*) from identity.family_members").fetchone() == (0,)


def test_a_family_outlives_its_creator_and_keeps_its_tenant(town: Town) -> None:
    family, user = town.family(), town.user()
    town.connection.execute("update identity.families set created_by = %s, modified_by = %s", (user, user))
    town.connection.execute("delete from identity.users")
    rows = town.connection.execute("select tenant_id, id, created_by, modified_by from identity.families").fetchall()
    assert rows == [(town.tenant, family, None, None)]


@pytest.mark.parametrize("view", ["family_directory", "user_directory"])
def test_a_view_shows_only_rows_of_the_callers_tenant(town: Town, view: str) -> None:
    town.join(town.family(), town.user())
    counts = []
    for tenant in (town.tenant, uuid4()):
        become(town.connection, Role.APP, tenant)
        counts.append(town.connection.execute(f"select count(*) from identity.{view}".encode()).fetchone())
        become(town.connection, Role.OWNER, tenant)
    assert counts == [(1,), (0,)]


@pytest.fixture(scope="module")
def email_checks(database_url: str) -> Iterator[psycopg.Connection]:
    """A connection with a temporary table of addresses for each CHECK of an address."""
    with psycopg.connect(database_url) as connection:
        rules = connection.execute(
            "select conname::text, pg_get_constraintdef(oid) from pg_constraint"
            " where conname like '%email_is_an_address%'"
            " and conrelid in ('identity.users'::regclass, 'placement.clients'::regclass)"
        ).fetchall()
        assert len(rules) == 2
        for name, rule in rules:
            connection.execute(f"create temporary table {name} (email text {rule})".encode())
        connection.execute("savepoint empty")
        yield connection
        connection.rollback()


def changed(text: str, at: int, letter: str) -> str:
    place = at % (len(text) + 1)
    return text[:place] + letter + text[place + at % 2 :]


letters = st.characters(codec="utf-8", exclude_characters="\0")
nearly_emails = st.builds(changed, emails, st.integers(0), letters | st.sampled_from(["", "@", ".", "-", "..", "A"]))


@pytest.mark.parametrize(
    "table", ["an_email_is_an_address_in_lower_case", "a_clients_email_is_an_address_in_lower_case"]
)
@given(text=st.text(letters, max_size=20) | emails | nearly_emails)
@example(text="")
@example(text="a@b")
@example(text="a@b\n")
@example(text="A@b")
@example(text="\u212a@b")
@example(text="\u0131@b")
@example(text="\u00e9@b")
@example(text="a\x01@b")
@example(text='"a b"@c')
@example(text="a\\@b")
@example(text=f"{'a' * 64}@b")
@example(text=f"{'a' * 65}@b")
@example(text=f"a@{'b' * 63}")
@example(text=f"a@{'b' * 64}")
@example(text=f"a@{'b.' * 125}cc")
@example(text=f"aa@{'b.' * 125}cc")
def test_code_and_table_agree_on_email_addresses(email_checks: psycopg.Connection, table: str, text: str) -> None:
    try:
        EmailAddress(text)
        refused = False
    except InvalidInputError:
        refused = True
    try:
        email_checks.execute(f"insert into {table} values (%s)".encode(), (text,))
    except psycopg.errors.CheckViolation:
        email_checks.execute("rollback to savepoint empty")
        assert refused
    else:
        assert not refused
