"""Holds: what they take, when they end, and who may have their time then, whoever writes (B1, B2)."""

from collections.abc import Iterator
from hashlib import sha256
from json import dumps
from uuid import UUID, uuid4

import psycopg
import pytest

from scheduler.postgres.database import Role
from support.databases import execute
from support.roles import become
from support.rows import Row, insert
from support.rows.all_domains import MONTHS, all_rows
from support.waiting import after_waiting
from support.worlds.appointments import (
    DOCTOR,
    DOCTOR_TAKEN,
    FULL,
    NURSE,
    OURS,
    PREPARED,
    RESOURCE_TAKEN,
    add_steps,
    appointment,
    at,
    book,
    clinic,
    refusal,
    step,
    taken,
    use,
    workflow,
)

pytestmark = pytest.mark.database

PARENT = uuid4()
# In the tests of this module an hour passes when they say so.
CLOCK = """
create or replace function scheduling.clock() returns timestamptz language sql volatile parallel safe
return coalesce(nullif(current_setting('test.clock', true), '')::timestamptz, clock_timestamp())
"""
SOON = -590
"""The minute in which a hold ends: ten minutes after the clock that the tests begin with."""
LATER = "9999-01-01 00:00Z"


@pytest.fixture(scope="module")
def opened(database_url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, with a clinic of two doctors, and no appointment."""
    execute(database_url, MONTHS)
    with psycopg.connect(database_url) as connection:
        connection.execute(CLOCK)
        clinic(connection, OURS)
        workflow(connection, OURS)
        insert(connection, "scheduling.doctors", all_rows(OURS)["scheduling.doctors"] | {"id": 2, "user_id": None})
        person: Row = {"id": PARENT, "email": "p@example.org", "role": "parent", "supertokens_user_id": None}
        insert(connection, "identity.users", all_rows(OURS)["identity.users"] | person)
        generated = "generated_days = '{[2027-03-01,2027-03-02)}', fingerprint_since = '2027-03-01', fingerprint = 'f'"
        connection.execute(f"update scheduling.schedule_states set {generated}".encode())
        yield connection
        connection.rollback()


@pytest.fixture
def connection(opened: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """The desk of the clinic, whose changes are rolled back."""
    with opened.transaction(force_rollback=True):
        become(opened, Role.DESK, OURS)
        opened.execute("select set_config('test.clock', %s, true)", (str(at(-600)),))
        yield opened


def pass_an_hour(connection: psycopg.Connection) -> None:
    connection.execute("select set_config('test.clock', %s, true)", (str(at(-540)),))


def held_step(kind: int, begin: float, end: float, *resources: int) -> Row:
    times: Row = {"start_at": str(at(begin)), "end_at": str(at(end))}
    return {"workflow_step_id": kind, "resources": list(resources)} | times


def hold(number: int, begin: float, end: float, *steps: Row, doctor: int = 1, slot: int = 1) -> Row:
    """Return a hold, on a slot that begins at 0 or 10."""
    of: Row = {"id": number, "doctor_id": doctor, "availability_slot_id": slot, "slot_start_at": at(slot * 10 - 10)}
    times: Row = {"start_at": at(begin), "end_at": at(end), "ends_at": at(SOON)}
    token: Row = {"token_digest": sha256(str(number).encode()).digest(), "steps": dumps(steps), "held_by": None}
    return all_rows(OURS)["scheduling.holds"] | of | times | token


def keep(connection: psycopg.Connection, *rows: Row) -> None:
    """Write holds, one after another."""
    for row in rows:
        insert(connection, "scheduling.holds", row)


def left(connection: psycopg.Connection) -> tuple[list[int], int]:
    """Return the holds, and how many holds have allocations."""
    rows = connection.execute("select id from scheduling.holds where tenant_id = %s order by 1", (OURS,))
    query = "select count(distinct hold_id) from scheduling.allocations where tenant_id = %s"
    ((count,),) = connection.execute(query, (OURS,)).fetchall()
    return [id_ for (id_,) in rows], count


def shared(connection: psycopg.Connection, capacity: int) -> None:
    """Let slot 1 have places."""
    become(connection, Role.APP, OURS)
    connection.execute("update scheduling.availability_slots set capacity = %s where id = 1", (capacity,))
    become(connection, Role.DESK, OURS)


def test_b8_a_live_hold_refuses_a_visit_beyond_the_places(connection: psycopg.Connection) -> None:
    extra = appointment(1, 0, 10, slot=1) | {"override_rules": ["places"], "override_reason": "urgent"}
    shared(connection, 2)
    book(connection, appointment(2, 0, 10, slot=1))
    keep(connection, hold(1, 0, 10))
    assert refusal(connection, lambda: book(connection, appointment(1, 0, 10, slot=1))) == FULL
    assert refusal(connection, lambda: book(connection, extra)) == FULL
    connection.execute("delete from scheduling.holds")
    book(connection, appointment(3, 0, 10, slot=1))
    assert refusal(connection, lambda: book(connection, appointment(1, 0, 10, slot=1))) == FULL
    book(connection, extra)
    assert refusal(connection, lambda: keep(connection, hold(1, 0, 10))) == FULL


def test_b2_a_hold_takes_what_its_visit_needs(connection: psycopg.Connection) -> None:
    become(connection, Role.APP, OURS)
    connection.execute("update scheduling.service_offerings set buffer_before_minutes = 5, buffer_after_minutes = 15")
    become(connection, Role.DESK, OURS)
    steps = held_step(DOCTOR, 0, 10), held_step(PREPARED, 20, 60, 1, 2), held_step(DOCTOR, 60, 70)
    keep(connection, hold(1, 0, 70, *steps))
    of_doctor = [("doctor 1", -5, 10), ("doctor 1", 60, 85)]
    assert taken(connection, hold=1) == [of_doctor[0], ("room 1", 10, 60), ("room 2", 10, 60), of_doctor[1]]


def test_b2_a_hold_takes_for_its_visit_what_the_visit_takes(connection: psycopg.Connection) -> None:
    keep(connection, hold(1, 0, 60, held_step(DOCTOR, 0, 10), held_step(PREPARED, 20, 60, 1, 2)))
    keep(connection, hold(2, 60, 80, slot=2))
    before = taken(connection, hold=1), taken(connection, hold=2)
    connection.execute("delete from scheduling.holds")
    book(connection, appointment(1, 0, 60), appointment(2, 60, 80))
    add_steps(connection, step(101, DOCTOR, 0, 10), step(102, PREPARED, 20, 60))
    use(connection, 102, 1, 2)
    assert (taken(connection), taken(connection, 2)) == before
    assert before[1] == [("doctor 1", 60, 80)]


def test_b2_a_live_hold_keeps_visits_and_holds_away(connection: psycopg.Connection) -> None:
    keep(connection, hold(1, 0, 60, held_step(DOCTOR, 0, 10), held_step(NURSE, 10, 60, 1)))
    assert refusal(connection, lambda: keep(connection, hold(2, 0, 10))) == FULL
    assert refusal(connection, lambda: keep(connection, hold(2, 9, 20, slot=2))) == DOCTOR_TAKEN
    assert refusal(connection, lambda: book(connection, appointment(1, 9, 20))) == DOCTOR_TAKEN
    with_nurse = hold(2, 50, 70, held_step(NURSE, 50, 70, 1), slot=2)
    assert refusal(connection, lambda: keep(connection, with_nurse)) == RESOURCE_TAKEN
    book(connection, appointment(1, 10, 70))
    add_steps(connection, step(101, NURSE, 50, 70))
    assert refusal(connection, lambda: use(connection, 101, 1)) == RESOURCE_TAKEN
    assert left(connection) == ([1], 1)


def test_b2_a_visit_keeps_holds_away(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1))
    assert refusal(connection, lambda: keep(connection, hold(1, 0, 20))) == FULL
    assert refusal(connection, lambda: keep(connection, hold(1, 10, 30, slot=2))) == DOCTOR_TAKEN


@pytest.mark.parametrize("role", [Role.APP, Role.DESK])
def test_b2_an_ended_hold_gives_way_to_a_visit(connection: psycopg.Connection, role: Role) -> None:
    keep(connection, hold(1, 0, 60, held_step(DOCTOR, 0, 10), held_step(NURSE, 10, 60, 1)))
    pass_an_hour(connection)
    become(connection, role, OURS)
    assert refusal(connection, lambda: book(connection, appointment(1, 0, 20, slot=1))) is None
    assert left(connection) == ([], 0)
    assert taken(connection) == [("doctor 1", 0, 20)]


def test_b2_an_ended_hold_gives_way_to_a_hold(connection: psycopg.Connection) -> None:
    keep(connection, hold(1, 0, 20))
    pass_an_hour(connection)
    later = hold(2, 0, 20) | {"ends_at": at(0)}
    assert refusal(connection, lambda: keep(connection, later)) is None
    assert left(connection) == ([2], 1)


def test_b2_an_ended_hold_goes_when_its_doctor_or_room_is_needed(connection: psycopg.Connection) -> None:
    keep(connection, hold(1, 0, 60, held_step(DOCTOR, 0, 10), held_step(NURSE, 10, 60, 1)))
    pass_an_hour(connection)
    book(connection, appointment(1, 0, 60) | {"doctor_id": 2})
    assert left(connection) == ([1], 1)
    add_steps(connection, step(101, NURSE, 10, 60))
    use(connection, 101, 2)
    assert left(connection) == ([1], 1)
    use(connection, 101, 1)
    assert left(connection) == ([], 0)


def test_b2_live_holds_take_places_of_a_shared_slot(connection: psycopg.Connection) -> None:
    shared(connection, 2)
    keep(connection, hold(1, 0, 20))
    book(connection, appointment(1, 0, 20, slot=1))
    assert refusal(connection, lambda: keep(connection, hold(2, 0, 20))) == FULL
    assert refusal(connection, lambda: book(connection, appointment(2, 0, 20, slot=1))) == FULL
    pass_an_hour(connection)
    assert refusal(connection, lambda: keep(connection, hold(2, 0, 20) | {"ends_at": at(0)})) is None
    assert refusal(connection, lambda: book(connection, appointment(2, 0, 20, slot=1))) == FULL
    query = "select booked_count, status from scheduling.availability_slots where tenant_id = %s and id = 1"
    assert connection.execute(query, (OURS,)).fetchall() == [(1, "open")]


def test_b2_a_hold_without_the_doctor_takes_a_place_of_its_slot(connection: psycopg.Connection) -> None:
    keep(connection, hold(1, 0, 20, held_step(NURSE, 0, 20, 1)))
    assert taken(connection, hold=1) == [("room 1", 0, 20)]
    second = hold(2, 0, 20, held_step(NURSE, 0, 20, 2)) | {"ends_at": at(0)}
    assert refusal(connection, lambda: keep(connection, second)) == FULL
    pass_an_hour(connection)
    assert refusal(connection, lambda: keep(connection, second)) is None
    prolong = "update scheduling.holds set ends_at = %s where id = 1"
    assert refusal(connection, lambda: connection.execute(prolong, (at(10),))) == FULL


def test_b2_a_released_hold_takes_nothing(connection: psycopg.Connection) -> None:
    keep(connection, hold(1, 0, 60, held_step(DOCTOR, 0, 10), held_step(NURSE, 10, 60, 1)))
    connection.execute("delete from scheduling.holds")
    assert left(connection) == ([], 0)
    assert refusal(connection, lambda: keep(connection, hold(2, 0, 20))) is None


def test_b2_a_visit_takes_over_from_its_hold_in_one_transaction(connection: psycopg.Connection) -> None:
    keep(connection, hold(1, 0, 20))

    def confirm() -> None:
        connection.execute("delete from scheduling.holds where id = 1")
        book(connection, appointment(1, 0, 20, slot=1))

    assert refusal(connection, confirm) is None
    assert taken(connection) == [("doctor 1", 0, 20)]


CHANGES = {
    "facility_id": 2,
    "doctor_id": 2,
    "service_offering_id": 2,
    "service_workflow_id": 2,
    "availability_slot_id": 2,
    "slot_start_at": at(10),
    "start_at": at(5),
    "end_at": at(30),
    "steps": "[]",
}


@pytest.mark.parametrize("column", CHANGES)
def test_b2_a_hold_changes_in_its_end_and_token_only(connection: psycopg.Connection, column: str) -> None:
    keep(connection, hold(1, 0, 20, held_step(DOCTOR, 0, 20)))
    connection.execute(
        "update scheduling.holds set ends_at = ends_at + '1 minute'::interval, token_digest = sha256('new')"
    )
    change = f"update scheduling.holds set {column} = %s".encode()
    with pytest.raises(psycopg.errors.InsufficientPrivilege), connection.transaction():
        connection.execute(change, (CHANGES[column],))
    become(connection, Role.SYSTEM, OURS)
    refused = refusal(connection, lambda: connection.execute(change, (CHANGES[column],)))
    assert refused == "a_hold_changes_in_its_end_only"


def test_b1_a_person_who_is_doctor_and_nurse_is_taken_as_both(connection: psycopg.Connection) -> None:
    become(connection, Role.APP, OURS)
    connection.execute("update scheduling.resources set doctor_id = id where id in (1, 2)")
    become(connection, Role.DESK, OURS)
    with_both = held_step(DOCTOR, 0, 20, 1), held_step(NURSE, 20, 40, 2)
    assert refusal(connection, lambda: keep(connection, hold(1, 0, 40, *with_both))) is None
    for_itself = [("doctor 1", 0, 20), ("doctor 1", 0, 20), ("room 1", 0, 20)]
    assert taken(connection, hold=1) == [*for_itself, ("doctor 2", 20, 40), ("room 2", 20, 40)]
    of_doctor_2 = appointment(1, 30, 50) | {"doctor_id": 2}
    assert refusal(connection, lambda: book(connection, of_doctor_2)) == DOCTOR_TAKEN
    pass_an_hour(connection)
    book(connection, of_doctor_2)
    assert left(connection) == ([], 0)
    add_steps(connection, step(101, DOCTOR, 30, 50))
    book(connection, appointment(2, 30, 50))
    add_steps(connection, step(201, NURSE, 40, 50))
    assert refusal(connection, lambda: use(connection, 201, 2)) == DOCTOR_TAKEN


def test_b2_an_ended_hold_of_a_doctor_gives_way_to_a_use_as_nurse(connection: psycopg.Connection) -> None:
    become(connection, Role.APP, OURS)
    connection.execute("update scheduling.resources set doctor_id = 2 where id = 2")
    become(connection, Role.DESK, OURS)
    keep(connection, hold(1, 0, 20, doctor=2))
    nurse = hold(2, 10, 30, held_step(NURSE, 10, 30, 2), slot=2)
    assert refusal(connection, lambda: keep(connection, nurse)) == DOCTOR_TAKEN
    pass_an_hour(connection)
    assert refusal(connection, lambda: keep(connection, nurse)) is None
    assert left(connection) == ([2], 1)


def bookable(connection: psycopg.Connection, user: UUID | None = None, role: Role = Role.APP) -> dict[int, int]:
    """Return the slots that somebody may book, with their places."""
    become(connection, role, OURS, user)
    rows = connection.execute("select id, places_left from scheduling.bookable_slots where tenant_id = %s", (OURS,))
    answer: dict[int, int] = dict(rows.fetchall())
    become(connection, Role.DESK, OURS)
    return answer


def test_q1_staff_parents_and_the_desk_see_the_same_places(connection: psycopg.Connection) -> None:
    shared(connection, 3)
    assert bookable(connection) == {1: 3, 2: 1}
    book(connection, appointment(1, 0, 10, slot=1))
    keep(connection, hold(1, 0, 10))
    for role, user in ((Role.APP, None), (Role.APP, PARENT), (Role.DESK, PARENT), (Role.JOB, None)):
        assert bookable(connection, user, role) == {1: 1, 2: 1}, (role, user)
    assert bookable(connection, uuid4()) == {}
    pass_an_hour(connection)
    assert bookable(connection, PARENT) == {1: 2, 2: 1}


def test_q1_no_place_is_left_while_the_doctor_is_elsewhere(connection: psycopg.Connection) -> None:
    assert bookable(connection, PARENT) == {1: 1, 2: 1}
    keep(connection, hold(1, 0, 20))
    assert bookable(connection, PARENT) == {}
    pass_an_hour(connection)
    assert bookable(connection, PARENT) == {1: 1, 2: 1}
    book(connection, appointment(1, 5, 10))
    assert bookable(connection, PARENT) == {2: 1}
    book(connection, appointment(2, 20, 60))
    assert bookable(connection, PARENT) == {}


def test_q1_a_place_beside_a_longer_visit_of_its_slot_is_left(connection: psycopg.Connection) -> None:
    """The visit shares the slot itself, and takes the doctor during the next slot."""
    shared(connection, 2)
    become(connection, Role.APP, OURS)
    connection.execute("update scheduling.service_offerings set buffer_after_minutes = 10")
    book(connection, appointment(1, 0, 20, slot=1))
    assert bookable(connection, PARENT) == {1: 1}


@pytest.mark.parametrize(
    ("change", "slots"),
    [
        ("status = 'cancelled'", {2: 1}),
        (f"status = 'reserved', reserved_until = '{at(-570)}'", {}),
        (f"status = 'reserved', reserved_until = '{at(-601)}'", {1: 1, 2: 1}),
    ],
)
def test_q1_a_slot_that_a_host_reserved_has_no_place_until_it_ends(
    connection: psycopg.Connection, change: str, slots: dict[int, int]
) -> None:
    become(connection, Role.APP, OURS)
    connection.execute(f"update scheduling.availability_slots set {change} where id = 1".encode())
    assert bookable(connection, PARENT) == slots == bookable(connection)


def test_q1_the_places_of_a_slot_are_counted_once(connection: psycopg.Connection) -> None:
    plan = connection.execute("explain (verbose) select id, places_left from scheduling.bookable_slots").fetchall()
    assert "".join(line for (line,) in plan).count("scheduling.places_left(") == 1


def test_q1_a_stale_schedule_has_no_place(connection: psycopg.Connection) -> None:
    become(connection, Role.APP, OURS)
    connection.execute("update scheduling.availability_rules set slot_duration_minutes = 15")
    assert bookable(connection) == bookable(connection, PARENT) == {}


@pytest.fixture
def tenant(database_url: str) -> UUID:
    """A clinic that other connections see, with two ended holds of doctor 1 and room 1."""
    ours = uuid4()
    with psycopg.connect(database_url) as own:
        own.execute(MONTHS)
        clinic(own, ours)
        workflow(own, ours)
        insert(own, "scheduling.doctors", all_rows(ours)["scheduling.doctors"] | {"id": 2, "user_id": None})
        for number, begin in ((2, 60), (1, 0)):
            steps = held_step(DOCTOR, begin, begin + 10), held_step(NURSE, begin + 10, begin + 20, 1)
            keep(own, hold(number, begin, begin + 20, *steps, slot=number) | {"tenant_id": ours, "ends_at": LATER})
        own.execute("update scheduling.holds set ends_at = '2026-01-01 00:10Z' where tenant_id = %s", (ours,))
    return ours


def test_b2_writers_who_share_the_room_of_an_ended_hold_wait(database_url: str, tenant: UUID) -> None:
    """One needs the doctor, the other the room: both delete the hold, and neither has what the other waits for."""

    def with_room(own: psycopg.Connection) -> None:
        book(own, appointment(2, 0, 20, tenant=tenant) | {"doctor_id": 2})
        add_steps(own, step(201, NURSE, 0, 20, tenant=tenant))
        use(own, 201, 1, tenant=tenant)

    def with_another_room(own: psycopg.Connection) -> None:
        add_steps(own, step(101, NURSE, 10, 20, tenant=tenant))
        use(own, 101, 2, tenant=tenant)

    first = appointment(1, 0, 20, tenant=tenant)
    waited = after_waiting(database_url, lambda own: book(own, first), with_room, with_another_room)
    assert waited == ("scheduling.holds", None, None)


def test_b2_ended_holds_are_deleted_in_the_order_of_their_ids(database_url: str, tenant: UUID) -> None:
    """Otherwise two that delete the same holds could each wait for the other."""
    lock = "select from scheduling.holds where tenant_id = %s and id = %s for update"
    waited = after_waiting(
        database_url,
        lambda own: own.execute(lock, (tenant, 1)),
        lambda own: book(own, appointment(1, 0, 80, tenant=tenant)),
        lambda own: own.execute(lock, (tenant, 2)),
    )
    assert waited == ("scheduling.holds", None, None)


def test_b2_a_hold_locks_its_doctor_before_its_slot(database_url: str, tenant: UUID) -> None:
    """Like an appointment; otherwise the two could each wait for the other."""
    lock = "select from scheduling.{} where tenant_id = %s and id = 1 for no key update"
    waited = after_waiting(
        database_url,
        lambda own: own.execute(lock.format("doctors").encode(), (tenant,)),
        lambda own: keep(own, hold(3, 0, 20) | {"tenant_id": tenant}),
        lambda own: own.execute(lock.format("availability_slots").encode(), (tenant,)),
    )
    assert waited == ("scheduling.doctors", None, None)
