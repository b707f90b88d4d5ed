"""Unit of work: one transaction, one role, one tenant, and errors in the library's own words."""

import logging
import pickle
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, IntegrityError, NoResultFound
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.models import Facility, Tenant, User, UserRole
from scheduler.postgres.connections import DRIVER, name_of, read_url
from scheduler.postgres.database import Database, Request, Role
from scheduler.postgres.errors import (
    BusyError,
    CheckFailedError,
    DatabaseUnreachableError,
    DeadlockError,
    DuplicateError,
    MissingReferenceError,
    NotAllowedError,
    SchemaMismatchError,
    StatementError,
    StoreError,
)
from scheduler.postgres.savepoints import refusable
from scheduler.postgres.translation import translated
from support.databases import driver_url, execute

pytestmark = pytest.mark.database

CANARY = "Canary O'Patient"


def facility(tenant_id: UUID, slug: str, /, **other: Any) -> Facility:
    row = Facility(tenant_id=tenant_id, slug=slug, name="A place", timezone="Europe/London")
    for column, value in other.items():
        setattr(row, column, value)
    return row


def slugs(database: Database, tenant_id: UUID) -> set[str]:
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        return set(session.scalars(text("select slug from scheduling.facilities")))


@pytest.mark.parametrize("role", [Role.APP, Role.JOB])
def test_a_unit_of_work_acts_as_its_role(database: Database, role: Role) -> None:
    with database.unit_of_work(role=role, tenant_id=None) as session:
        assert session.scalar(text("select current_user")) == role.value


def test_the_owner_role_is_the_role_that_signed_in(database: Database) -> None:
    with database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        assert session.scalar(text("select current_user = session_user"))


def test_a_unit_of_work_knows_its_tenant(database: Database) -> None:
    tenant_id = uuid4()
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        assert session.scalar(text("select identity.current_tenant_id()")) == tenant_id


def test_the_next_unit_of_work_on_the_same_connection_has_no_tenant(database: Database) -> None:
    query = text("select pg_backend_pid(), identity.current_tenant_id()")
    with database.unit_of_work(role=Role.APP, tenant_id=uuid4()) as session:
        before = session.execute(query).one()
    with database.unit_of_work(role=Role.APP, tenant_id=None) as session:
        assert session.execute(query).one() == (before[0], None)


OF_THE_SERVER = {
    "timezone": "Asia/Kathmandu",
    "lock_timeout": "1min",
    "statement_timeout": "1h",
    "idle_in_transaction_session_timeout": "1min",
    "datestyle": "German",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-10",
    "standard_conforming_strings": "off",
    "search_path": "audit, pg_catalog",
    "quote_all_identifiers": "on",
    "row_security": "off",
    "client_encoding": "LATIN1",
    "default_transaction_isolation": "serializable",
}


def test_t5_a_session_has_its_own_settings_and_not_the_servers(empty_database_url: str, database: Database) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=None):
        pass  # any migrated database creates the roles of the server
    name = make_url(empty_database_url).database
    execute(
        empty_database_url,
        *(
            f"alter database {name} set {key} = {value}"
            if key == "search_path"
            else f"alter database {name} set {key} = '{value}'"
            for key, value in OF_THE_SERVER.items()
        ),
    )
    names = [*OF_THE_SERVER, "transaction_isolation"]
    with Database(empty_database_url) as other, other.unit_of_work(role=Role.JOB, tenant_id=None) as session:
        read = {key: session.scalar(text("select current_setting(:name)"), {"name": key}) for key in names}
    assert read == {
        "timezone": "UTC",
        "lock_timeout": "10s",
        "statement_timeout": "0",
        "idle_in_transaction_session_timeout": "5min",
        "datestyle": "ISO, YMD",
        "intervalstyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "standard_conforming_strings": "on",
        "search_path": "pg_catalog, pg_temp",
        "quote_all_identifiers": "off",
        "row_security": "on",
        "client_encoding": "UTF8",
        "default_transaction_isolation": "serializable",
        "transaction_isolation": "read committed",
    }


def test_a_user_waits_no_longer_than_the_login_allows(empty_database_url: str, database: Database) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=None):
        pass  # any migrated database creates the roles of the server
    execute(empty_database_url, f"alter database {make_url(empty_database_url).database} set statement_timeout = '7s'")
    with Database(empty_database_url) as other, other.unit_of_work(role=Role.APP, tenant_id=None) as session:
        assert session.scalar(text("select current_setting('statement_timeout')")) == "7s"


def test_values_are_read_alike_under_any_settings_of_the_server(empty_database_url: str, database: Database) -> None:
    values = text("select timestamptz '2027-03-28 10:00+02', date '2027-03-28', interval '1 day 02:00', '\\x41'::bytea")
    with database.unit_of_work(role=Role.APP, tenant_id=None) as session:
        expected = session.execute(values).one()
    name = make_url(empty_database_url).database
    for key in ("datestyle", "intervalstyle", "bytea_output", "standard_conforming_strings"):
        execute(empty_database_url, f"alter database {name} set {key} = '{OF_THE_SERVER[key]}'")
    with Database(empty_database_url) as other, other.unit_of_work(role=Role.APP, tenant_id=None) as session:
        assert session.execute(values).one() == expected


def test_a_session_names_its_application(database: Database) -> None:
    with database.unit_of_work(role=Role.JOB, tenant_id=None) as session:
        assert session.scalar(text("select current_setting('application_name')")) == "slotsmith"


def test_r4_leaving_the_block_writes_and_commits(database: Database, tenant_id: UUID) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        session.add(facility(tenant_id, "kept"))
    assert slugs(database, tenant_id) == {"kept"}


def test_r4_an_exception_rolls_everything_back(database: Database, tenant_id: UUID) -> None:
    with (  # noqa: PT012  # the unit of work is the one thing under test
        pytest.raises(LookupError),
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.add(facility(tenant_id, "lost"))
        session.flush()
        raise LookupError
    assert slugs(database, tenant_id) == set()


def test_r4_a_commit_inside_does_not_end_the_transaction(database: Database, tenant_id: UUID) -> None:
    with (  # noqa: PT012  # the unit of work is the one thing under test
        pytest.raises(LookupError),
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.add(facility(tenant_id, "lost"))
        session.commit()
        raise LookupError
    assert slugs(database, tenant_id) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "declare left_over cursor with hold for select 'of another tenant'",
        "create temporary table left_over as select 'of another tenant' as words",
        "create temporary sequence left_over",
    ],
)
def test_temporary_objects_end_with_their_unit_of_work(database: Database, statement: str) -> None:
    left = text("""
        select pg_backend_pid(), (select count(*) from pg_cursors where name = 'left_over')
            + (select count(*) from pg_class where relname = 'left_over' and relnamespace = pg_my_temp_schema())
    """)
    with database.unit_of_work(role=Role.APP, tenant_id=uuid4()) as session:
        session.execute(text(statement))
        backend, count = session.execute(left).one()
        assert count == 1
    with database.unit_of_work(role=Role.APP, tenant_id=uuid4()) as session:
        assert tuple(session.execute(left).one()) == (backend, 0)


def test_no_statement_is_prepared_unasked(database: Database) -> None:
    """Behind a pooler in transaction mode another connection of the server would not know it."""
    with database.unit_of_work(role=Role.APP, tenant_id=None) as session:
        for _ in range(8):
            (prepared,) = session.execute(text("select count(*) from pg_prepared_statements")).one()
    assert prepared == 0


def test_r4_a_unit_of_work_that_swallowed_a_refusal_fails_at_its_end(database: Database, tenant_id: UUID) -> None:
    """The server has aborted the transaction: a commit would silently be a rollback."""
    with (  # noqa: PT012  # the unit of work is the one thing under test
        pytest.raises(StatementError, match="begin_nested"),
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.add(facility(tenant_id, "lost"))
        session.flush()
        with suppress(DBAPIError):
            session.connection().exec_driver_sql("select 1 / 0")


def rolled_back(session: Session) -> None:
    session.rollback()


def swallowed(session: Session) -> None:
    session.add(facility(uuid4(), "of another tenant"))
    with suppress(DBAPIError):
        session.flush()


ENDS_OF_A_TRANSACTION: dict[str, Callable[[Session], object]] = {
    "session.rollback": rolled_back,
    "a swallowed flush": swallowed,
    "connection.rollback": lambda session: session.connection().rollback(),
    "connection.commit": lambda session: session.connection().commit(),
    "a rollback in SQL": lambda session: session.connection().exec_driver_sql("rollback"),
}


@pytest.mark.filterwarnings("ignore:transaction already deassociated")
@pytest.mark.parametrize("end", ENDS_OF_A_TRANSACTION.values(), ids=ENDS_OF_A_TRANSACTION)
@pytest.mark.parametrize("after", [None, "select current_user", "insert"])
def test_r4_a_transaction_that_ended_inside_the_block_is_an_error(
    database: Database, tenant_id: UUID, end: Callable[[Session], object], after: str | None
) -> None:
    """The next statement would run as the login: without role, tenant or settings."""
    answers = []
    with (  # noqa: PT012  # the unit of work is the one thing under test
        pytest.raises(StatementError, match="begin_nested"),
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.add(facility(tenant_id, "lost"))
        session.flush()
        end(session)
        if after == "insert":
            session.add(facility(tenant_id, "also lost"))
        elif after:
            answers.append(session.execute(text(after)).one())
    assert answers == []
    assert slugs(database, tenant_id) == set()


def test_each_unit_of_work_is_one_record_and_names_no_person(
    database: Database, tenant_id: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    origin: dict[str, Any] = {"user_id": uuid4(), "request": Request(CANARY, "192.0.2.7", CANARY)}
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id, **origin) as session:
        session.add(facility(tenant_id, "kept", name=CANARY))
    with suppress(StatementError), database.unit_of_work(role=Role.APP, tenant_id=None, **origin) as session:
        session.add(facility(tenant_id, "lost", name=CANARY))
    with suppress(LookupError), database.unit_of_work(role=Role.JOB, tenant_id=tenant_id, **origin):
        raise LookupError
    records = [record.getMessage() for record in caplog.records if record.name.startswith("scheduler")]
    assert records == [
        f"unit of work as none for {tenant_id}: committed",
        "unit of work as scheduler_app for no tenant: rolled back",
        f"unit of work as scheduler_job for {tenant_id}: rolled back",
    ]
    everything = f"{caplog.text}{[vars(record) for record in caplog.records]}"
    assert [value for value in (CANARY, str(origin["user_id"]), "192.0.2.7") if value in everything] == []


def test_the_library_is_silent_unless_a_host_asks_for_records() -> None:
    assert [type(handler) for handler in logging.getLogger("scheduler").handlers] == [logging.NullHandler]


def test_r4_a_nested_transaction_undoes_a_part_only(database: Database, tenant_id: UUID) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        session.add(facility(tenant_id, "kept"))
        with suppress(DBAPIError), session.begin_nested():
            session.add(facility(uuid4(), "undone"))
    assert slugs(database, tenant_id) == {"kept"}


def test_a_refusal_says_which_constraint_and_code(database: Database, tenant_id: UUID) -> None:
    with (
        pytest.raises(DuplicateError) as caught,
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.add_all([facility(tenant_id, "twice"), facility(tenant_id, "twice")])
    assert (caught.value.sqlstate, caught.value.constraint) == ("23505", "live_facilities_have_their_own_slug")
    assert (caught.value.table, caught.value.column) == ("scheduling.facilities", None)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("23505", DuplicateError),
        ("23P01", DuplicateError),
        ("23503", MissingReferenceError),
        ("23001", MissingReferenceError),
        ("23502", CheckFailedError),
        ("23514", CheckFailedError),
        ("40001", DeadlockError),
        ("40P01", DeadlockError),
        ("55P03", BusyError),
        ("57014", StatementError),
        ("22012", StatementError),
    ],
)
def test_each_kind_of_refusal_has_its_class_and_survives_pickling(
    database: Database, code: str, kind: type[StatementError]
) -> None:
    refusal = (
        f"raise 'a message' using errcode = '{code}', schema = 'a', table = 'table', column = 'b', constraint = 'c'"
    )
    with (
        pytest.raises(kind) as caught,
        database.unit_of_work(role=Role.APP, tenant_id=None) as session,
    ):
        session.execute(text(f"do $$ begin {refusal}; end $$"))
    facts: dict[str, str | None] = {"sqlstate": code, "table": "a.table", "column": "b", "constraint": "c"}
    if code in {"55P03", "57014"}:  # of no row
        facts |= dict.fromkeys(("table", "column", "constraint"))
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301  # written by this test
    for error in (caught.value, copy):
        assert (type(error), vars(error)) == (kind, facts)
    assert str(copy) == str(caught.value)


def flush(session: Session) -> None:
    session.add(facility(uuid4(), "of another tenant", name=CANARY))
    session.flush()


def execute_in_sql(session: Session) -> None:
    session.execute(text("select cast(:name as uuid)"), {"name": CANARY})


def execute_on_the_driver(session: Session) -> None:
    driver = session.connection().connection.driver_connection
    assert driver is not None
    driver.execute("select %s::uuid", [CANARY])


def send_no_text(session: Session) -> None:
    session.execute(text("select cast(:name as text)"), {"name": f"{CANARY}\ud800"})


def write_after_a_swallowed_flush(session: Session) -> None:
    swallowed(session)
    session.execute(text("select 1"))


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (flush, "session.flush()"),
        (execute_in_sql, 'session.execute(text("select cast(:name as uuid)"), {"name": CANARY})'),
        (execute_on_the_driver, 'driver.execute("select %s::uuid", [CANARY])'),
        (send_no_text, 'session.execute(text("select cast(:name as text)"), {"name": f"{CANARY}\\ud800"})'),
        (write_after_a_swallowed_flush, 'session.execute(text("select 1"))'),
    ],
)
def test_an_error_keeps_the_callers_line_and_no_value(
    database: Database, tenant_id: UUID, call: Callable[[Session], None], line: str
) -> None:
    """Reporters follow `__context__` and show the variables of frames: those of the driver have the values."""
    with (
        pytest.raises(StatementError) as caught,
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        call(session)
    frames = traceback.extract_tb(caught.value.__traceback__)
    assert (frames[-1].name, frames[-1].line) == (call.__name__, line)
    assert [frame.filename for frame in frames if "site-packages" in frame.filename] == []
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_r4_a_refused_part_undoes_itself_and_the_unit_continues(database: Database, tenant_id: UUID) -> None:
    refusals = list[DuplicateError]()
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        with refusable(session):
            session.add(facility(tenant_id, "kept"))
        session.add(facility(tenant_id, "written before the part"))
        for _ in range(2):
            with pytest.raises(DuplicateError) as caught, refusable(session):  # noqa: PT012  # the part is under test
                session.add(facility(tenant_id, "undone"))
                session.add(facility(tenant_id, "kept"))
                session.flush()
            refusals.append(caught.value)
        with suppress(LookupError), refusable(session):
            session.add(facility(tenant_id, "undone"))
            session.flush()
            raise LookupError
    assert slugs(database, tenant_id) == {"kept", "written before the part"}
    for refusal in refusals:
        frames = traceback.extract_tb(refusal.__traceback__)
        assert (frames[-1].line, refusal.__cause__, refusal.__context__) == ("session.flush()", None, None)
        assert refusal.constraint == "live_facilities_have_their_own_slug"


def test_an_error_of_another_engine_in_a_part_stays_as_it_is(database: Database, tenant_id: UUID) -> None:
    with (
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
        create_engine("sqlite://").connect() as c,
    ):
        with pytest.raises(DBAPIError, match="nonsense"), refusable(session):  # noqa: PT012  # the part is under test
            session.add(facility(tenant_id, "undone"))
            session.flush()
            c.execute(text("select nonsense"))
        session.add(facility(tenant_id, "kept"))
    assert slugs(database, tenant_id) == {"kept"}


@pytest.fixture(params=["another server's engine", "an engine of the same database"])
def their_engine(request: pytest.FixtureRequest, database_url: str) -> Iterator[Engine]:
    url = "sqlite://" if request.param == "another server's engine" else make_url(database_url).set(drivername=DRIVER)
    engine = create_engine(url)
    yield engine
    engine.dispose()


def test_an_error_of_another_engine_stays_as_it_is(database: Database, tenant_id: UUID, their_engine: Engine) -> None:
    with (  # noqa: PT012  # the unit of work is the one thing under test
        their_engine.connect() as connection,
        pytest.raises(DBAPIError) as caught,
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.add(facility(tenant_id, "lost"))
        session.flush()
        connection.execute(text("select nonsense"))
    assert "nonsense" in str(caught.value)
    assert slugs(database, tenant_id) == set()


def test_an_error_of_another_engine_during_a_flush_stays(database: Database, tenant_id: UUID) -> None:
    theirs = create_engine("sqlite://")

    def write_elsewhere(*_: object) -> None:
        with theirs.connect() as connection:
            connection.execute(text("create table notes (id int not null)"))
            connection.execute(text("insert into notes values (null)"))

    with (  # noqa: PT012  # the unit of work is the one thing under test
        pytest.raises(IntegrityError),
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        event.listen(session, "before_flush", write_elsewhere)
        session.add(facility(tenant_id, "lost"))
        session.flush()


def test_an_error_of_another_driver_connection_stays_as_it_is(database: Database, database_url: str) -> None:
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.DivisionByZero),
        database.unit_of_work(role=Role.APP, tenant_id=None),
    ):
        connection.execute("select 1 / 0")


def test_an_error_of_no_statement_stays_as_it_is(database: Database) -> None:
    with pytest.raises(NoResultFound), database.unit_of_work(role=Role.APP, tenant_id=None) as session:
        session.execute(text("select 1 where false")).one()


@pytest.mark.parametrize(
    "statement",
    [
        "update scheduling.facilities set address_id = gen_random_uuid()",
        "delete from identity.tenants",
    ],
)
def test_a_broken_reference_names_the_table_of_the_referring_row(
    database: Database, tenant_id: UUID, statement: str
) -> None:
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        session.add(facility(tenant_id, "here"))
    with (
        pytest.raises(StatementError, match=r"a row of scheduling\.facilities would refer to a row that is not there"),
        database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session,
    ):
        session.execute(text(statement))


@pytest.mark.parametrize(
    ("role", "wrong", "error", "message"),
    [
        (
            Role.APP,
            {"country": "gb"},
            CheckFailedError,
            r"by \w+: a row of scheduling\.facilities has a value that is not allowed$",
        ),
        (Role.APP, {"name": None}, CheckFailedError, r"a row of scheduling\.facilities needs a value in name$"),
        (
            Role.APP,
            {"tenant_id": uuid4()},
            NotAllowedError,
            r"^row security refused a row of facilities: it is another tenant's",
        ),
        (
            Role.JOB,
            {},
            StatementError,
            r"^permission denied in .*: the role lacks a privilege on table facilities: `scheduler",
        ),
    ],
    ids=["check", "not null", "another tenant", "no privilege"],
)
def test_a_refusal_names_the_table_and_the_reason(
    database: Database, tenant_id: UUID, role: Role, wrong: dict[str, Any], error: type[StatementError], message: str
) -> None:
    with (
        pytest.raises(StatementError, match=message) as caught,
        database.unit_of_work(role=role, tenant_id=tenant_id) as session,
    ):
        session.add(facility(tenant_id, "wrong", **wrong))
    assert type(caught.value) is error


def test_a_refusal_by_a_trigger_is_the_users_and_names_no_database(database: Database, tenant_id: UUID) -> None:
    """A client may read it, unlike the name of a server whose login lacks a grant."""
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        session.add(User(tenant_id=tenant_id, name="Ann", role=UserRole.STUDENT))
    with (
        pytest.raises(NotAllowedError, match=r"^cannot change the status of a user: only an admin of the tenant may$"),
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.execute(text("update identity.users set status = 'suspended'"))


@pytest.mark.parametrize("wrong", [{"timezone": CANARY}, {"country": "gb"}, {"locale": CANARY * 3}, {"phone": "\0"}])
def test_no_value_of_a_row_is_in_the_message_or_traceback(
    database: Database, tenant_id: UUID, wrong: dict[str, str]
) -> None:
    with (
        pytest.raises(StatementError) as caught,
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.add(facility(tenant_id, "canary", name=CANARY, **wrong))
    assert "Canary" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("name", ["Jane Doe\ud800", "Jane Doe\0"], ids=["half a character", "NUL"])
@pytest.mark.parametrize("way", ["a row", "a statement"])
def test_a_text_that_cannot_be_sent_is_refused_without_repeating_it(
    database: Database, tenant_id: UUID, name: str, way: str
) -> None:
    with (  # noqa: PT012  # the unit of work is the one thing under test
        pytest.raises(StatementError, match="a value cannot be written") as caught,
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        if way == "a row":
            session.add(facility(tenant_id, "canary", name=name))
        else:
            session.execute(text("select cast(:name as text)"), {"name": name})
    assert "Jane" not in "".join(traceback.format_exception(caught.value))


def test_a_units_own_error_of_encoding_stays_as_it_is(database: Database) -> None:
    with pytest.raises(UnicodeEncodeError), database.unit_of_work(role=Role.APP, tenant_id=None):
        "é".encode("ascii")


def test_a_request_that_cannot_be_sent_stops_no_work(database: Database) -> None:
    request = Request(id="7\0", client_address="\ud800", user_agent="a\0b\ud800c")
    names = ("app.request_id", "app.client_address", "app.user_agent")
    with database.unit_of_work(role=Role.APP, tenant_id=None, request=request) as session:
        read = [session.scalar(text("select current_setting(:name)"), {"name": name}) for name in names]
    assert read == ["7?", "?", "a?b?c"]


@pytest.mark.parametrize("kind", ["regconfig", "regtype", "regclass", "regprocedure", "regnamespace", "regrole"])
def test_a_name_that_is_a_value_is_not_in_the_message(database: Database, kind: str) -> None:
    name = "jane()" if "proc" in kind else "jane"
    with (
        pytest.raises(SchemaMismatchError, match=r"\(Undefined\w+ 42\w{3}\)|\(InvalidSchemaName 3F000\)") as caught,
        database.unit_of_work(role=Role.APP, tenant_id=None) as session,
    ):
        session.execute(text(f"select cast(:name as {kind})"), {"name": name})
    assert "jane" not in "".join(traceback.format_exception(caught.value))


def test_a_name_in_a_statement_is_in_the_message(database: Database) -> None:
    with (
        pytest.raises(SchemaMismatchError, match="slot_duration_hours"),
        database.unit_of_work(role=Role.APP, tenant_id=None) as session,
    ):
        session.execute(text("select slot_duration_hours from scheduling.facilities"))


def test_a_full_pool_says_that_the_connections_are_in_use(database: Database) -> None:
    with (
        pytest.raises(DatabaseUnreachableError, match="all connections of this process are in use"),
        translated(database.name),
    ):
        raise PoolTimeoutError


def test_a_temporary_table_may_have_a_deferred_constraint(database: Database, tenant_id: UUID) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        for statement in (
            "create temporary table doctors (id integer primary key)",
            "create temporary table hours (doctor integer references doctors deferrable initially deferred)",
            "insert into pg_temp.hours values (1)",
            "insert into pg_temp.doctors values (1)",
        ):
            session.execute(text(statement))
        session.add(facility(tenant_id, "kept"))
    assert slugs(database, tenant_id) == {"kept"}


def test_faults_of_the_bare_driver_are_translated_too(database: Database) -> None:
    with (  # noqa: PT012  # the unit of work is the one thing under test
        pytest.raises(StatementError, match=r"DivisionByZero \(22012\)$"),
        database.unit_of_work(role=Role.JOB, tenant_id=None) as session,
    ):
        driver = session.connection().connection.driver_connection
        assert driver is not None
        driver.execute("select 1 / 0")


@pytest.mark.parametrize("address", ["127.0.0.1:1", "/nowhere"])
def test_an_unreachable_database_is_one_line_without_password(address: str) -> None:
    url = f"postgresql://me:secret@{address}/x" if ":" in address else f"postgresql://me:secret@/x?host={address}"
    with (
        Database(url) as database,
        pytest.raises(DatabaseUnreachableError) as caught,
        database.unit_of_work(role=Role.APP, tenant_id=None),
    ):
        pass
    message = str(caught.value)
    assert address in message
    assert "\n" not in message
    assert "secret" not in message


def test_a_database_that_is_not_there_is_unreachable(database_url: str) -> None:
    with (
        Database(driver_url(database_url, "not_there")) as database,
        pytest.raises(DatabaseUnreachableError, match="not_there"),
        database.unit_of_work(role=Role.APP, tenant_id=None),
    ):
        pass


def test_a_server_without_a_free_connection_is_unreachable(database_url: str) -> None:
    name = f"slotsmith_test_{uuid4().hex[:8]}"
    execute(database_url, f"create role {name} login connection limit 0")
    try:
        with (
            Database(make_url(database_url).set(username=name).render_as_string(hide_password=False)) as database,
            pytest.raises(DatabaseUnreachableError, match="too many connections"),
            database.unit_of_work(role=Role.OWNER, tenant_id=None),
        ):
            pass
    finally:
        execute(database_url, f"drop role {name}")


def test_r4_a_lost_connection_leaves_nothing_and_the_next_unit_works(
    database: Database, database_url: str, tenant_id: UUID
) -> None:
    with (  # noqa: PT012  # the unit of work is the one thing under test
        pytest.raises(DatabaseUnreachableError),
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.add(facility(tenant_id, "lost"))
        session.flush()
        execute(database_url, f"select pg_terminate_backend({session.scalar(text('select pg_backend_pid()'))})")
        session.execute(text("select 1"))
    assert slugs(database, tenant_id) == set()


def test_a_connection_that_died_in_the_pool_is_replaced(database: Database, database_url: str) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=None) as session:
        backend = session.scalar(text("select pg_backend_pid()"))
    execute(database_url, f"select pg_terminate_backend({backend}, 10000)")
    with database.unit_of_work(role=Role.APP, tenant_id=None) as session:
        assert session.scalar(text("select pg_backend_pid()")) != backend


def test_r4_a_connection_that_cannot_roll_back_is_closed(database: Database, tenant_id: UUID) -> None:
    with (  # noqa: PT012  # the unit of work is the one thing under test
        pytest.raises(LookupError),
        database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session,
    ):
        session.add(facility(tenant_id, "lost"))
        session.flush()
        driver = session.connection().connection.driver_connection
        assert driver is not None
        driver.pgconn.exec_(b"copy scheduling.facilities (slug) from stdin")
        raise LookupError
    assert slugs(database, tenant_id) == set()


def test_tables_that_are_not_there_are_a_schema_mismatch(empty_database_url: str, database: Database) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=None):
        pass  # any migrated database creates the roles of the server
    with (
        Database(empty_database_url) as empty,
        pytest.raises(SchemaMismatchError, match="scheduler migrate"),
        empty.unit_of_work(role=Role.APP, tenant_id=None) as session,
    ):
        session.execute(text("select * from scheduling.facilities"))


def test_a_role_that_is_not_there_is_a_schema_mismatch(database: Database) -> None:
    class Stranger(StrEnum):
        STRANGER = "scheduler_stranger"

    with (
        pytest.raises(SchemaMismatchError, match="no role scheduler_stranger: run `scheduler migrate`"),
        database.unit_of_work(role=Stranger.STRANGER, tenant_id=None),  # type: ignore[arg-type]
    ):
        pass


def test_a_deadlock_ends_one_transaction_with_the_code_to_retry(database: Database, tenant_id: UUID) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        session.add_all([facility(tenant_id, "a"), facility(tenant_id, "b")])
    both_hold, faults = threading.Barrier(2), list[StoreError]()

    def change(first: str, second: str) -> None:
        try:
            with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
                update = text("update scheduling.facilities set name = 'changed' where slug = :slug")
                session.execute(update, {"slug": first})
                both_hold.wait()
                session.execute(update, {"slug": second})
        except StoreError as fault:
            faults.append(fault)

    threads = [threading.Thread(target=change, args=order) for order in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [(type(fault), getattr(fault, "sqlstate", None)) for fault in faults] == [(DeadlockError, "40P01")]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "secret",
        "postgresql",
        "mysql://me:secret@host/x",
        "postgresql+asyncpg://me:secret@host/x",
        "postgresql://me:secret@host:port/x",
        "postgresql://me:secret@host/x?nonsense=1",
        "sqlite://",
    ],
)
def test_an_invalid_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        Database(url)
    assert "secret" not in str(caught.value)


def test_the_name_of_a_database_has_no_secret() -> None:
    url = read_url("postgresql://me:secret@db.example:5433/clinic?password=secret&sslmode=require")
    assert name_of(url) == "db.example:5433/clinic"


def test_a_tenants_slug_is_free_again_once_it_is_deleted(database: Database) -> None:
    for _ in range(2):
        tenant_id = uuid4()
        with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
            session.add(Tenant(id=tenant_id, slug="once", name="Once"))
            session.flush()
            session.execute(text("update identity.tenants set deleted_at = now() where slug = 'once'"))


@pytest.mark.parametrize("opening", ["get_default_isolation_level", "_get_default_schema_name"])
def test_a_connection_that_is_lost_while_it_is_opened_is_unreachable(
    database_url: str, opening: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLAlchemy asks a first connection for its settings, by the driver and by a connection of its own."""

    def lost(connection: Any) -> None:
        if opening == "_get_default_schema_name":
            connection.exec_driver_sql("select pg_terminate_backend(pg_backend_pid())")
        connection.execute("select pg_terminate_backend(pg_backend_pid())")

    with Database(database_url) as database:
        monkeypatch.setattr(database._engine.dialect, opening, lost)
        with pytest.raises(DatabaseUnreachableError), database.unit_of_work(role=Role.OWNER, tenant_id=None):
            pass
