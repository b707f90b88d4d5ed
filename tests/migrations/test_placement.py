"""Clients and placements: encryption, one placement at a time, the record of contributions, look-ups by index."""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from scheduler.models.encrypted_column import EncryptedColumn
from scheduler.models.registry import METADATA
from scheduler.postgres.database import Role
from support.databases import execute
from support.query_plans import plan_of
from support.roles import become
from support.rows import Row, insert, key
from support.rows.all_domains import MONTHS, all_rows, insert_all
from support.rows.placement import CIPHERTEXT, PLAINTEXT

pytestmark = pytest.mark.database

TENANT, TOWN = uuid4(), uuid4()
BLIND = "_index"
REFUSED = (psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation)  # 18 has a code for restrict


@pytest.fixture(scope="module")
def filled(database_url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, with a row in every table; it stays open during other tests."""
    execute(database_url, MONTHS)
    with psycopg.connect(database_url) as opened:
        insert_all(opened, TENANT)
        yield opened
        opened.rollback()


@pytest.fixture
def connection(filled: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """One row of every table for a tenant; the changes of the test are rolled back."""
    with filled.transaction(force_rollback=True):
        yield filled


def another(connection: psycopg.Connection, table: str, change: Row) -> UUID:
    """Write a changed copy of the present row; return its id."""
    row_id = uuid4()
    insert(connection, table, all_rows(TENANT)[table] | {"id": row_id} | change)
    return row_id


def test_every_column_of_bytes_is_encrypted_or_a_blind_index(connection: psycopg.Connection) -> None:
    rows = connection.execute(
        "select attrelid::regclass::text, attname::text from pg_attribute join pg_class on pg_class.oid = attrelid"
        " where relkind = 'r' and relnamespace = 'placement'::regnamespace and atttypid = 'bytea'::regtype"
    )
    encrypted = {
        (table.fullname, column.name)
        for table in METADATA.tables.values()
        for column in table.columns
        if isinstance(column.type, EncryptedColumn) and table.schema == "placement"
    }
    assert {(table, name) for table, name in rows if not name.endswith(BLIND)} == encrypted
    assert len(encrypted) > 50


def test_every_encrypted_column_refuses_plaintext_and_takes_ciphertext(connection: psycopg.Connection) -> None:
    outside: Row = {"kind": "outside", "user_id": None}
    another(connection, "placement.contributors", outside)
    connection.execute("delete from placement.form_field_contributions")
    connection.execute("delete from placement.contributors where kind = 'user'")
    taken = set()
    for table in (table for table in METADATA.tables.values() if table.schema == "placement"):
        for column in (column.name for column in table.columns if isinstance(column.type, EncryptedColumn)):
            write = f"update {table.fullname} set {column} = %s".encode()
            assert connection.execute(write, (CIPHERTEXT,)).rowcount == 1
            connection.execute("savepoint before")
            try:
                connection.execute(write, (PLAINTEXT,))
                taken.add(f"{table.fullname}.{column}")
            except psycopg.errors.CheckViolation:
                connection.execute("rollback to savepoint before")
    assert taken == set()


def test_health_information_of_a_client_can_be_erased(connection: psycopg.Connection) -> None:
    """Erasing health information sets it to null and keeps the row."""
    for table in ("specialists", "medications", "placement_info", "contributors"):
        columns = [
            column.name
            for column in METADATA.tables[f"placement.{table}"].columns
            if isinstance(column.type, EncryptedColumn) or column.name.endswith(BLIND)
        ]
        erased = ", ".join(f"{name} = null" for name in columns)
        assert connection.execute(f"update placement.{table} set {erased}".encode()).rowcount == 1


def test_a_client_has_one_live_placement(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation, match="a_client_has_one_live_placement"):
        another(connection, "placement.placement_info", {})


def test_a_placement_that_ended_makes_room_for_the_next_and_stays(connection: psycopg.Connection) -> None:
    connection.execute("update placement.placement_info set status = 'ended', ended_on = '2027-04-01'")
    another(connection, "placement.placement_info", {"placed_on": "2027-05-01"})
    assert connection.execute("select count(*) from placement.placement_info").fetchone() == (2,)


def test_a_user_is_one_live_client(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation, match="live_clients_have_their_own_user"):
        another(connection, "placement.clients", {})


def test_many_clients_may_have_no_user(connection: psycopg.Connection) -> None:
    for _ in range(2):
        another(connection, "placement.clients", {"user_id": None})
    assert connection.execute("select count(*) from placement.clients").fetchone() == (3,)


def place(connection: psycopg.Connection) -> int:
    """Write another facility."""
    insert(connection, "scheduling.facilities", all_rows(TENANT)["scheduling.facilities"] | {"id": 2, "slug": "b"})
    return 2


def test_a_user_works_at_a_facility_once(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation, match="a_user_works_at_a_facility_once"):
        another(connection, "placement.facility_staff", {"is_primary": False})


def test_a_user_has_one_primary_facility(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation, match="a_user_has_one_primary_facility"):
        another(connection, "placement.facility_staff", {"facility_id": place(connection)})


def test_a_user_who_left_the_primary_facility_may_have_another(connection: psycopg.Connection) -> None:
    connection.execute("update placement.facility_staff set ended_on = '2027-04-01'")
    another(connection, "placement.facility_staff", {"facility_id": place(connection)})
    assert connection.execute("select count(*) from placement.facility_staff where is_primary").fetchone() == (2,)


def user(connection: psycopg.Connection) -> UUID:
    """Write another user, without references."""
    return another(connection, "identity.users", {"email": "bob@example.org", "supertokens_user_id": "bob"})


def test_a_client_outlives_place_user_and_address_and_keeps_the_tenant(connection: psycopg.Connection) -> None:
    lost = place(connection), user(connection), another(connection, "identity.addresses", {})
    connection.execute("update placement.clients set (facility_id, user_id, address_id) = (%s, %s, %s)", lost)
    for table, row in zip(("scheduling.facilities", "identity.users", "identity.addresses"), lost, strict=True):
        connection.execute(f"delete from {table} where id = %s".encode(), (row,))
    rows = connection.execute("select tenant_id, facility_id, user_id, address_id from placement.clients").fetchall()
    assert rows == [(TENANT, None, None, None)]


@pytest.mark.parametrize("record", ["medications", "placement_info"])
def test_a_client_with_a_record_of_care_is_not_deleted(connection: psycopg.Connection, record: str) -> None:
    other = "medications" if record == "placement_info" else "placement_info"
    connection.execute(f"delete from placement.{other}".encode())
    with pytest.raises(REFUSED):
        connection.execute("delete from placement.clients")


def test_a_placement_goes_with_its_forms_contributors_and_contributions(connection: psycopg.Connection) -> None:
    connection.execute("delete from placement.placement_info")
    for table in ("placement_info_specialists", "metadata", "contributors", "form_field_contributions"):
        assert connection.execute(f"select count(*) from placement.{table}".encode()).fetchone() == (0,), table


def test_a_contributor_with_a_contribution_is_not_deleted(connection: psycopg.Connection) -> None:
    with pytest.raises(
        psycopg.errors.ForeignKeyViolation, match="form_field_contributions_placement_info_id_contributor_id_fkey"
    ):
        connection.execute("delete from placement.contributors")


def test_a_user_who_contributed_is_not_deleted_for_good(connection: psycopg.Connection) -> None:
    writer = user(connection)
    connection.execute("update placement.contributors set user_id = %s", (writer,))
    with pytest.raises(REFUSED, match="contributors_user_id_fkey"):
        connection.execute("delete from identity.users where id = %s", (writer,))


def test_a_contribution_is_by_a_contributor_of_its_placement(connection: psycopg.Connection) -> None:
    connection.execute("update placement.placement_info set status = 'ended', ended_on = '2027-04-01'")
    elsewhere = another(connection, "placement.placement_info", {"placed_on": "2027-05-01"})
    with pytest.raises(
        psycopg.errors.ForeignKeyViolation, match="form_field_contributions_placement_info_id_contributor_id_fkey"
    ):
        another(connection, "placement.form_field_contributions", {"placement_info_id": elsewhere})


@pytest.mark.parametrize(
    "statement",
    [
        "update placement.form_field_contributions set field_name = 'allergies'",
        "update placement.form_field_contributions set contributed_at = now()",
        "delete from placement.form_field_contributions",
        "update placement.contributors set kind = 'outside', user_id = null",
        "update placement.contributors set user_id = gen_random_uuid()",
        "update placement.contributors set name = null, email = '\\x01'",
        "delete from placement.contributors",
    ],
)
def test_the_application_cannot_rewrite_contributions(connection: psycopg.Connection, statement: str) -> None:
    become(connection, Role.APP, TENANT)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement.encode())


@pytest.mark.parametrize("change", ["role = 'reviewer'", "deleted_at = now()"])
def test_role_and_deletion_of_a_contributor_may_change(connection: psycopg.Connection, change: str) -> None:
    become(connection, Role.APP, TENANT)
    assert connection.execute(f"update placement.contributors set {change}".encode()).rowcount == 1


def test_the_application_adds_contributions(connection: psycopg.Connection) -> None:
    become(connection, Role.APP, TENANT)
    another(connection, "placement.form_field_contributions", {"field_name": "allergies"})
    assert connection.execute("select count(*) from placement.form_field_contributions").fetchone() == (2,)


def test_the_system_erases_the_name_of_an_outside_contributor(connection: psycopg.Connection) -> None:
    another(connection, "placement.contributors", {"kind": "outside", "user_id": None, "name": CIPHERTEXT})
    connection.execute("select set_config('app.tenant_id', %s, true)", (str(TENANT),))
    connection.execute("set local role scheduler_system")
    erased = connection.execute("update placement.contributors set name = null where kind = 'outside'")
    assert erased.rowcount == 1


@pytest.mark.parametrize(
    ("table", "deleted", "rule"),
    [
        ("medications", "clients", "a_medication_is_of_a_live_client"),
        ("placement_info", "clients", "a_placement_is_of_a_live_client"),
        ("metadata", "placement_info", "a_form_is_about_a_live_placement"),
        ("contributors", "placement_info", "a_contributor_adds_to_a_live_placement"),
        ("form_field_contributions", "placement_info", "a_contribution_is_to_a_live_placement"),
    ],
)
def test_no_row_is_added_to_a_deleted_client_or_placement(
    connection: psycopg.Connection, table: str, deleted: str, rule: str
) -> None:
    connection.execute(f"update placement.{deleted} set deleted_at = now()".encode())
    become(connection, Role.APP, TENANT)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        another(connection, f"placement.{table}", {})
    assert refused.value.diag.constraint_name == rule


def test_a_specialist_who_treated_a_client_is_not_deleted(connection: psycopg.Connection) -> None:
    with pytest.raises(REFUSED, match="placement_info_specialists_specialist_id_fkey"):
        connection.execute("delete from placement.specialists")


@pytest.fixture(scope="module")
def town(database_url: str) -> Iterator[psycopg.Connection]:
    """Two tenants with many clients, each with a placement."""
    with psycopg.connect(database_url) as connection:
        for tenant in (uuid4(), TOWN):
            insert_all(connection, tenant)
            connection.execute(
                "insert into placement.clients (tenant_id, first_name, last_name, facility_id, status)"
                " select %s, md5(n::text), md5((n + 1)::text), case when n %% 100 = 0 then 1 end,"
                " case when n %% 100 = 0 then 'waiting' else 'active' end from generate_series(1, 3000) n",
                (tenant,),
            )
            connection.execute(
                "insert into placement.placement_info"
                " (tenant_id, client_id, insurance_member_id, insurance_member_id_index)"
                " select tenant_id, id, %s, sha256(id::text::bytea) from placement.clients"
                " where tenant_id = %s and id <> %s",
                (CIPHERTEXT, tenant, key(tenant, "placement.clients")),
            )
        connection.execute("select gin_clean_pending_list('placement.clients_full_name_trgm_idx')")
        connection.execute("analyze placement.clients")
        connection.execute("analyze placement.placement_info")
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    ("query", "index"),
    [
        ("select 1 from placement.clients where facility_id = 1", "clients_facility_id_idx"),
        ("select 1 from placement.clients where status = 'waiting'", "clients_status_idx"),
        (
            "select 1 from placement.clients where last_name = 'a' and deleted_at is null",
            "clients_last_name_first_name_idx",
        ),
        (
            "select 1 from placement.placement_info where insurance_member_id_index = sha256('a')",
            "placement_info_insurance_member_id_index_idx",
        ),
    ],
)
def test_a_look_up_for_a_tenant_goes_by_an_index(town: psycopg.Connection, query: str, index: str) -> None:
    with town.transaction(force_rollback=True):
        become(town, Role.APP, TOWN)
        plan = plan_of(town, query)
    assert (plan.scanned, plan.indexes) == (set(), {index})


def test_the_name_list_of_a_tenant_is_not_sorted_anew(town: psycopg.Connection) -> None:
    with town.transaction(force_rollback=True):
        become(town, Role.APP, TOWN)
        plan_lines = town.execute(
            "explain select 1 from placement.clients where deleted_at is null order by last_name, first_name limit 20"
        ).fetchall()
    assert "Sort" not in str(plan_lines)


def test_a_part_of_a_name_is_found_by_trigrams(town: psycopg.Connection) -> None:
    """The index serves roles without row security; the search function uses it for one tenant."""
    plan = plan_of(
        town, "select 1 from placement.clients where lower(first_name || ' ' || last_name) like %s", "%c4ca42%"
    )
    assert plan.indexes == {"clients_full_name_trgm_idx"}
