"""Wellbeing roles: one table of answers, and each cell checked in the database.

An answer says which rows a person reaches, of two organisations with all their rows: `own` (those about themselves),
`org` (all of the tenant they work for), `all` (both tenants'), `-` (none, in silence) or `x` (none, and an error that
says so). It is exact: one row more or less is another answer. A name with a prime belongs to the other organisation,
but works for this tenant. Nothing here knows the policies.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sqlalchemy import make_url

from scheduler.postgres.database import Role
from scheduler.postgres.schema import migrations
from support.databases import database_of_an_owner
from support.guards import without_constraints
from support.rows import Row, insert
from support.worlds.tenants import tenant_column
from support.worlds.wellbeing import PEOPLE, ROLES, World, acting, make, person

pytestmark = pytest.mark.database

EXPECTED = """
                              Account GroupContact Practitioner Child Parent Suspended Nobody Account' GroupContact' Practitioner' Child'
organisations          select all     org          org          org   -      -         -      -        -             -             -
organisations          insert all     x            x            x     x      x         x      x        x             x             x
organisations          update all     org          -            -     -      -         -      -        -             -             -
organisations          delete x       x            x            x     x      x         x      x        x             x             x
profiles               select all     org          own          own   -      -         -      -        -             -             -
profiles               insert x       x            x            x     x      x         x      x        x             x             x
profiles               update own     own          own          own   -      -         -      -        -             -             -
profiles               delete x       x            x            x     x      x         x      x        x             x             x
children               select -       org          org          -     -      -         -      -        -             -             -
children               insert x       x            x            x     x      x         x      x        x             x             x
children               update -       org          org          -     -      -         -      -        -             -             -
children               delete x       x            x            x     x      x         x      x        x             x             x
own_child_record       select -       -            -            own   -      -         -      -        -             -             -
child_display_counters select x       x            x            x     x      x         x      x        x             x             x
child_display_counters insert x       x            x            x     x      x         x      x        x             x             x
child_display_counters update x       x            x            x     x      x         x      x        x             x             x
child_display_counters delete x       x            x            x     x      x         x      x        x             x             x
wellbeing_sessions     select -       org          org          own   -      -         -      -        -             -             -
wellbeing_sessions     insert x       x            x            own   x      x         x      x        x             x             x
wellbeing_sessions     update -       -            -            own   -      -         -      -        -             -             -
wellbeing_sessions     delete x       x            x            x     x      x         x      x        x             x             x
wellbeing_responses    select -       org          org          own   -      -         -      -        -             -             -
wellbeing_responses    insert x       x            x            own   x      x         x      x        x             x             x
wellbeing_responses    update x       x            x            x     x      x         x      x        x             x             x
wellbeing_responses    delete x       x            x            x     x      x         x      x        x             x             x
garden_items           select -       org          org          own   -      -         -      -        -             -             -
garden_items           insert x       x            x            own   x      x         x      x        x             x             x
garden_items           update -       -            -            own   -      -         -      -        -             -             -
garden_items           delete -       -            -            own   -      -         -      -        -             -             -
stickers_earned        select -       org          org          own   -      -         -      -        -             -             -
stickers_earned        insert x       x            x            x     x      x         x      x        x             x             x
stickers_earned        update x       x            x            x     x      x         x      x        x             x             x
stickers_earned        delete x       x            x            x     x      x         x      x        x             x             x
alerts                 select -       org          org          -     -      -         -      -        -             -             -
alerts                 insert x       x            x            x     x      x         x      x        x             x             x
alerts                 update -       org          org          -     -      -         -      -        -             -             -
alerts                 delete x       x            x            x     x      x         x      x        x             x             x
invitations            select all     org          -            -     -      -         -      -        -             -             -
invitations            insert x       org          x            x     x      x         x      x        x             x             x
invitations            update -       org          -            -     -      -         -      -        -             -             -
invitations            delete x       x            x            x     x      x         x      x        x             x             x
kv_store_a1855b25      select all     -            -            -     -      -         -      -        -             -             -
kv_store_a1855b25      insert all     x            x            x     x      x         x      x        x             x             x
kv_store_a1855b25      update all     -            -            -     -      -         -      -        -             -             -
kv_store_a1855b25      delete all     -            -            -     -      -         -      -        -             -             -
"""  # noqa: E501  # a table is read by its columns
LINES = [line.split() for line in EXPECTED.strip().splitlines()]
CELLS = [
    (table, operation, observer, answer)
    for table, operation, *answers in LINES[1:]
    for observer, answer in zip(LINES[0], answers, strict=True)
]
OPERATIONS = ("select", "insert", "update", "delete")
TABLES = sorted({table for table, *_ in LINES[1:] if table != "own_child_record"})
DRAWN_IDS = {"wellbeing_sessions", "wellbeing_responses", "garden_items", "stickers_earned", "alerts", "invitations"}
JSON = {"settings", "preferences", "response_value", "trigger_data", "value"}


class Kept(NamedTuple):
    """A row of the world: its owner, its table, and its values."""

    tenant: UUID
    about: UUID | None
    key: Row
    row: Row


@pytest.fixture(scope="module")
def world(database_url: str) -> Iterator[World]:
    with psycopg.connect(database_url) as connection:
        yield make(connection)
        connection.rollback()


@pytest.fixture(scope="module")
def kept(world: World) -> dict[str, list[Kept]]:
    """All rows, as a superuser sees them."""
    return {table: list(rows_of(world, table)) for table in TABLES}


def rows_of(world: World, table: str) -> Iterator[Kept]:
    keys = [
        name
        for (name,) in world.connection.execute(
            "select attname from pg_constraint join pg_attribute on attrelid = conrelid and attnum = any(conkey)"
            " where contype = 'p' and conrelid = %s::regclass",
            (f"wellbeing.{table}",),
        )
    ]
    with world.connection.cursor(row_factory=dict_row) as cursor:
        for row in cursor.execute(sql.SQL("select * from wellbeing.{}").format(sql.Identifier(table))):
            about = row["id"] if table in {"profiles", "children"} else row.get("child_id")
            yield Kept(row["tenant_id"], about, {name: row[name] for name in keys}, row)


def where(key: Row) -> sql.Composed:
    return sql.SQL(" and ").join(sql.SQL("{} = {}").format(sql.Identifier(n), sql.Literal(v)) for n, v in key.items())


def select(connection: psycopg.Connection, table: str, kept: Kept) -> bool:
    query = sql.SQL("select 1 from wellbeing.{} where {}").format(sql.Identifier(table), where(kept.key))
    return connection.execute(query).fetchone() is not None


def update(connection: psycopg.Connection, table: str, kept: Kept) -> bool:
    change = sql.SQL("update wellbeing.{} set updated_at = now() where {} returning 1")
    return connection.execute(change.format(sql.Identifier(table), where(kept.key))).fetchone() is not None


def delete(connection: psycopg.Connection, table: str, kept: Kept) -> bool:
    query = sql.SQL("delete from wellbeing.{} where {} returning 1").format(sql.Identifier(table), where(kept.key))
    return connection.execute(query).fetchone() is not None


def insert_alike(connection: psycopg.Connection, table: str, kept: Kept) -> bool:
    """Write a copy of an existing row, with a new id where ids are drawn."""
    row = {name: Jsonb(value) if name in JSON and value is not None else value for name, value in kept.row.items()}
    if table in DRAWN_IDS:
        row["id"] = uuid4()
    if table == "organisations":
        del row["tenant_id"]
    if table == "invitations":
        row["invitation_token"] = uuid4().hex * 2
    if table == "kv_store_a1855b25":
        row["key"] = "another key"
    insert(connection, f"wellbeing.{table}", row)
    return True


DO: dict[str, Callable[[psycopg.Connection, str, Kept], bool]] = {
    "select": select,
    "insert": insert_alike,
    "update": update,
    "delete": delete,
}


def reach(connection: psycopg.Connection, table: str, operation: str, kept: Kept) -> bool | None:
    """Try an operation on a row: whether it reached the row, or None if it was refused with an error.

    A violated key or constraint counts as reached: it is checked after row security has let the row through.
    """
    try:
        with connection.transaction(force_rollback=True):
            return DO[operation](connection, table, kept)
    except psycopg.errors.InsufficientPrivilege:
        return None
    except psycopg.errors.IntegrityError:
        return True


def answer(
    world: World, table: str, operation: str, rows: list[Kept], *, user: UUID | None, role: Role = Role.APP
) -> str:
    """Describe which rows a person at work for our tenant reaches."""
    with acting(world, user, world.ours, role=role) as connection:
        reached = [reach(connection, table, operation, row) for row in rows]
    touched = [row for row, was in zip(rows, reached, strict=True) if was]
    if not touched:
        return "x" if set(reached) == {None} else "-"
    if touched == rows:
        return "all"
    if touched == [row for row in rows if row.tenant == world.ours]:
        return "org"
    if touched == [row for row in rows if row.about is not None and row.about == user]:
        return "own"
    return f"rows about {sorted(str(row.about) for row in touched)}"


def observer_id(world: World, observer: str) -> UUID | None:
    if observer == "Nobody":
        return None
    return person(world.theirs if observer.endswith("'") else world.ours, observer.rstrip("'"))


def test_the_table_of_answers_has_every_table_and_operation(world: World) -> None:
    rows = world.connection.execute(
        "select relname from pg_class where relnamespace = 'wellbeing'::regnamespace and relkind in ('r', 'p')"
    )
    answered = {(table, operation) for table, operation, *_ in LINES[1:]}
    assert answered == {(t, o) for (t,) in rows for o in OPERATIONS} | {("own_child_record", "select")}


def test_every_table_has_rows_of_both_organisations(world: World, kept: dict[str, list[Kept]]) -> None:
    tenants = {world.ours, world.theirs}
    assert [table for table, rows in kept.items() if {row.tenant for row in rows} != tenants] == []


@pytest.mark.parametrize(("table", "operation", "observer", "expected"), CELLS)
def test_a_person_reaches_exactly_the_listed_rows(
    world: World, kept: dict[str, list[Kept]], table: str, operation: str, observer: str, expected: str
) -> None:
    rows = kept["children" if table == "own_child_record" else table]
    assert answer(world, table, operation, rows, user=observer_id(world, observer)) == expected


@pytest.mark.parametrize("name", PEOPLE)
@pytest.mark.parametrize("table", TABLES)
def test_without_a_tenant_nobody_reaches_anything(
    world: World, kept: dict[str, list[Kept]], table: str, name: str
) -> None:
    with acting(world, person(world.ours, name), None) as connection:
        for operation in OPERATIONS:
            assert not any(reach(connection, table, operation, row) for row in kept[table]), operation


@pytest.mark.parametrize("user", ["Account", "Child", "Nobody"])
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("table", TABLES)
def test_the_system_works_for_one_tenant_with_any_user(
    world: World, kept: dict[str, list[Kept]], table: str, operation: str, user: str
) -> None:
    reached = answer(world, table, operation, kept[table], user=observer_id(world, user), role=Role.SYSTEM)
    assert reached == "org"


EVERYBODY = {"Account", "GroupContact", "Practitioner", "Child", "Friend"}
CHILDREN = {"Child", "Friend"}
STATUSES = ("active", "inactive", "pending", "suspended")
DELETED = "deleted_at = '2027-01-01 00:00Z'"


@pytest.mark.parametrize(
    ("table", "change", "who_keeps"),
    [
        *(("wellbeing.profiles", f"status = '{each}'", set[str]()) for each in STATUSES[1:]),
        ("wellbeing.profiles", DELETED, set[str]()),
        *(("identity.users", f"status = '{each}'", set[str]()) for each in STATUSES[1:]),
        ("identity.users", DELETED, set[str]()),
        ("wellbeing.children", DELETED, EVERYBODY - CHILDREN),
        ("wellbeing.organisations", "status = 'suspended'", {"Account"}),
        ("wellbeing.organisations", "status = 'inactive'", {"Account"}),
        ("wellbeing.organisations", "status = 'trial'", EVERYBODY),
        ("wellbeing.organisations", DELETED, {"Account"}),
        ("identity.tenants", "status = 'suspended'", set[str]()),
        ("identity.tenants", "status = 'closed'", set[str]()),
        ("identity.tenants", DELETED, set[str]()),
    ],
)
def test_only_active_people_of_an_active_organisation_have_a_role(
    world: World, table: str, change: str, who_keeps: set[str]
) -> None:
    with world.connection.transaction(force_rollback=True):
        tenant = tenant_column(world.connection, table)
        world.connection.execute(f"update {table} set {change} where {tenant} = %s".encode(), (world.ours,))
        kept = {}
        for name in PEOPLE:
            with acting(world, person(world.ours, name), world.ours) as connection:
                row = connection.execute("select identity.current_role_name(), identity.current_organisation_id()")
                kept[name] = row.fetchone()
    assert kept == {name: (ROLES.get(name, name), world.ours) if name in who_keeps else (None, None) for name in PEOPLE}


def test_an_account_manages_suspended_organisations_of_all_tenants(world: World) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("update wellbeing.organisations set status = 'suspended'")
        world.connection.execute("update identity.tenants set status = 'suspended' where id = %s", (world.theirs,))
        with acting(world, person(world.ours, "Account"), world.ours) as connection:
            changed = connection.execute("update wellbeing.organisations set status = 'active' returning id").fetchall()
    assert {(world.ours,), (world.theirs,)} <= {*changed}


@pytest.mark.parametrize("name", PEOPLE)
def test_nobody_has_a_role_in_another_tenant(world: World, name: str) -> None:
    with acting(world, person(world.theirs, name), world.ours) as connection:
        row = connection.execute("select identity.current_role_name(), identity.current_organisation_id()").fetchone()
    assert row == (None, None)


@pytest.mark.parametrize("observer", [name for name in LINES[0] if name not in {"Nobody", "Parent"}])
def test_a_user_with_the_same_id_in_another_tenant_changes_nothing(
    world: World, kept: dict[str, list[Kept]], observer: str
) -> None:
    """An id names a person only together with the tenant, even if two people could have one id."""
    user, name = observer_id(world, observer), observer.rstrip("'")
    with without_constraints(world.connection):
        other: Row = {"id": user, "email": "twin@example.org", "name": "Twin"}
        for tenant, role in ((world.ours, "GroupContact"), (world.theirs, "Account"), (world.bare, "Account")):
            if tenant != (world.theirs if name != observer else world.ours):
                insert(world.connection, "identity.users", other | {"tenant_id": tenant, "role": "staff"})
                if tenant != world.ours:
                    insert(world.connection, "wellbeing.profiles", other | {"tenant_id": tenant, "role": role})
        answers = {table: answer(world, table, "select", kept[table], user=user) for table in TABLES}
    expected = {
        table: cell for table, operation, observer_, cell in CELLS if (operation, observer_) == ("select", observer)
    }
    assert answers == {table: expected[table] for table in TABLES}


@pytest.mark.parametrize("name", ["Account", "GroupContact", "Child"])
def test_people_of_a_suspended_tenant_reach_no_table(world: World, kept: dict[str, list[Kept]], name: str) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("update identity.tenants set status = 'suspended' where id = %s", (world.ours,))
        reached = {
            answer(world, table, operation, kept[table], user=person(world.ours, name))
            for table in TABLES
            for operation in OPERATIONS
        }
    assert reached <= {"-", "x"}


def test_a_person_who_left_a_suspended_organisation_has_no_role_in_it(world: World) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("update wellbeing.profiles set org_id = null where role = 'GroupContact'")
        world.connection.execute("update wellbeing.organisations set status = 'suspended'")
        with acting(world, person(world.ours, "GroupContact"), world.ours) as connection:
            row = connection.execute("select identity.current_role_name()").fetchone()
    assert row == (None,)


@pytest.mark.parametrize("table", TABLES)
def test_people_without_an_organisation_reach_no_rows_of_one(
    world: World, kept: dict[str, list[Kept]], table: str
) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("update wellbeing.profiles set org_id = null where role <> 'Child'")
        for name in ("GroupContact", "Practitioner"):
            rows = [row for row in kept[table] if row.about != person(world.ours, name)]
            answers = {answer(world, table, operation, rows, user=person(world.ours, name)) for operation in OPERATIONS}
            assert answers <= {"-", "x"}, name


def test_policies_are_evaluated_once_a_statement(world: World) -> None:
    with acting(world, person(world.ours, "GroupContact"), world.ours) as connection:
        for table in TABLES:
            if table == "child_display_counters":
                continue
            plan = connection.execute(f"explain select * from wellbeing.{table}".encode()).fetchall()
            text = "\n".join(line for (line,) in plan)
            assert "InitPlan" in text, table
            assert "SubPlan" not in text, table


def test_a_deleted_organisation_leaves_its_people_without_one(
    world: World,
) -> None:
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("delete from wellbeing.children where tenant_id = %s", (world.ours,))
        with acting(world, None, world.ours, role=Role.SYSTEM) as connection:
            connection.execute("delete from wellbeing.organisations where id = %s", (world.ours,))
            remaining = connection.execute(
                "select distinct org_id from wellbeing.profiles where tenant_id = %s", (world.ours,)
            )
            assert remaining.fetchall() == [(None,)]


def test_deleting_a_child_deletes_all_its_rows(world: World) -> None:
    with acting(world, None, world.ours, role=Role.SYSTEM) as connection:
        connection.execute("delete from identity.users where id = %s", (person(world.ours, "Child"),))
        for table in ("wellbeing_sessions", "wellbeing_responses", "garden_items", "stickers_earned", "alerts"):
            remaining = connection.execute(f"select child_id from wellbeing.{table}".encode()).fetchall()
            assert remaining == [(person(world.ours, "Friend"),)], table


@pytest.mark.parametrize("name", [*PEOPLE, None])
def test_deleting_a_user_cannot_delete_a_child_and_its_alerts(world: World, name: str | None) -> None:
    """A cascade runs with the rights of the tables' owner and asks no policy."""
    user = None if name is None else person(world.ours, name)
    with acting(world, user, world.ours) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("delete from identity.users where id = %s", (person(world.ours, "Child"),))


def test_a_cascade_into_wellbeing_starts_at_a_table_with_roles(world: World) -> None:
    """A table without policies by role must not open a way to delete rows that nobody may delete."""
    rows = world.connection.execute(
        """select conname from pg_constraint
        where contype = 'f' and confdeltype <> 'r' and confdeltype <> 'a'
            and connamespace = 'wellbeing'::regnamespace
            and (select relnamespace from pg_class where oid = confrelid) <> 'wellbeing'::regnamespace
            and has_table_privilege('scheduler_app', confrelid, 'delete')"""
    )
    assert rows.fetchall() == []


@pytest.mark.parametrize("change", ["supertokens_user_id = 'mine'", "role = 'admin'"])
@pytest.mark.parametrize("whose", ["Child", "Practitioner"])
def test_login_and_role_of_a_user_are_changed_by_the_system_only(world: World, whose: str, change: str) -> None:
    with (
        acting(world, person(world.ours, "Practitioner"), world.ours) as connection,
        pytest.raises(
            psycopg.errors.InsufficientPrivilege, match=r"change identity\.users\.\w+: only the role scheduler_system"
        ),
    ):
        connection.execute(f"update identity.users set {change} where id = %s".encode(), (person(world.ours, whose),))


def test_the_system_says_by_which_sign_in_a_user_is_known(world: World) -> None:
    with acting(world, None, world.ours, role=Role.SYSTEM) as connection:
        changed = connection.execute(
            "update identity.users set supertokens_user_id = 'theirs', role = 'admin' where id = %s",
            (person(world.ours, "Practitioner"),),
        )
        assert changed.rowcount == 1


@pytest.mark.parametrize("column", ["id", "org_id", "display_id", "tenant_id"])
def test_a_practitioner_cannot_turn_a_child_into_another(world: World, column: str) -> None:
    value: object = 77 if column == "display_id" else uuid4()
    with (
        acting(world, person(world.ours, "Practitioner"), world.ours) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"^cannot change wellbeing.children.{column}: only"),
    ):
        connection.execute(f"update wellbeing.children set {column} = %s".encode(), (value,))


def test_a_practitioner_handles_an_alert_but_does_not_rewrite_it(world: World) -> None:
    me = person(world.ours, "Practitioner")
    with acting(world, me, world.ours) as connection:
        done = connection.execute(
            "update wellbeing.alerts set status = 'acknowledged', acknowledged_by = %s, acknowledged_at = now()", (me,)
        )
        assert done.rowcount == 2
        with pytest.raises(
            psycopg.errors.InsufficientPrivilege, match=r"^cannot change wellbeing\.alerts\.description"
        ):
            connection.execute("update wellbeing.alerts set description = 'Nothing at all.'")


def test_a_group_contact_does_not_move_the_organisation_to_another_tenant(world: World) -> None:
    with (
        acting(world, person(world.ours, "GroupContact"), world.ours) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("update wellbeing.organisations set id = %s", (world.bare,))


def test_an_account_makes_an_organisation_of_any_tenant(world: World) -> None:
    with acting(world, person(world.ours, "Account"), world.ours) as connection:
        result = connection.execute(
            "insert into wellbeing.organisations (id, name, type) values (%s, 'A clinic', 'clinic-private')"
            " returning tenant_id",
            (world.bare,),
        )
        assert result.fetchone() == (world.bare,)


def test_an_owner_without_superuser_migrates_and_row_security_holds(server: str, template: str) -> None:
    assert template  # the roles exist
    with database_of_an_owner(server) as (url, theirs):
        migrations.upgrade(theirs)
        owner = make_url(theirs).username
        with psycopg.connect(url) as connection:
            stays = connection.execute("select pg_has_role(%s, 'scheduler_definer', 'usage')", (owner,)).fetchone()
            assert stays == (False,)
            world = make(connection)
            for observer, expected in (("Account", "all"), ("GroupContact", "org"), ("Child", "own")):
                rows = list(rows_of(world, "profiles"))
                assert answer(world, "profiles", "select", rows, user=person(world.ours, observer)) == expected
            connection.rollback()
        migrations.downgrade(theirs, "20261126001100")
