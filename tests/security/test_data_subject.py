"""Data subject: an export has all rows about a person and no others; an erasure deletes them.

The oracle knows no references: it looks for the person's ids in every column of every table.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import pytest
from faker import Faker
from pydantic import JsonValue
from rich.console import Console
from sqlalchemy import text
from sqlmodel import Session

import scheduler.models as rows
from scheduler.cli.privacy import _write
from scheduler.cli.seed import make_if_missing
from scheduler.core.errors import NotFoundError
from scheduler.models.registry import METADATA
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption.key_ring import KeyRing
from scheduler.postgres.errors import ErasureRefusedError, StatementError
from scheduler.postgres.privacy.data_subject import (
    ROWS_PER_STATEMENT,
    SHARED,
    SUBJECT_REFERENCES,
    Kind,
    Person,
    Rows,
    batches,
    key_of,
    others_under,
    references,
    rows_of_subject,
    steps,
)
from scheduler.postgres.privacy.erasure import erase_person
from scheduler.postgres.privacy.export import ExportedRow, export_person, export_tenant
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.scales import Scale, Seed
from support.databases import undone
from support.worlds.encryption import master_keys, tenant_keys

pytestmark = pytest.mark.database

TABLES = {table.fullname: table for table in METADATA.sorted_tables if table.schema != "audit"}
ABOUT_PEOPLE = {kind.value for kind in Kind} | {step.to.fullname for step in steps()}

NOT_ABOUT_A_PERSON = {
    "audit.chain": "seals of other rows",
    "audit.system_audit_log": "what nobody did",
    "audit.user_action_audit_log": "ids of rows about others; `scheduler audit show --user` tells what somebody did",
    "identity.data_keys": "keys of the tenant",
    "identity.tenants": "an organisation",
    "scheduling.availability_slots": "computed from the rules, which are exported; a booking is an appointment",
    "scheduling.doctor_figure_sums": "numbers of a day, counted from the visits",
    "scheduling.facilities": "a place",
    "scheduling.facility_closures": "days of a place",
    "scheduling.facility_insurance_plans": "what a place accepts",
    "scheduling.figure_changes": "how far figures are counted",
    "scheduling.figure_states": "how far figures are counted",
    "scheduling.generation_runs": "what the nightly job did",
    "scheduling.insurance_plans": "a product",
    "scheduling.event_counters": "how far events are numbered",
    "scheduling.events": "ids and times, which lead nowhere once the visits are erased; kept for 90 days",
    "scheduling.insurance_providers": "a company",
    "scheduling.resource_figure_sums": "numbers of a day, counted from the visits",
    "scheduling.schedule_states": "how far the nightly job is",
    "scheduling.service_workflows": "how a service is done",
    "scheduling.services": "a service",
    "scheduling.step_templates": "how a service is done",
    "scheduling.workflow_step_needs": "how a service is done",
    "scheduling.workflow_steps": "how a service is done",
    "wellbeing.child_display_counters": "the last number of an organisation",
    "wellbeing.kv_store_a1855b25": "settings of the platform",
    "wellbeing.organisations": "an organisation",
}
WHO_DID_IT = "says who did something to a row that is not about them"
BY_ANOTHER_WAY = "the same person's row is reached by another reference"
OF_THE_OTHER = "the row is about the other one"
NOT_FOLLOWED = {
    "families_modified_by_fkey": WHO_DID_IT,
    "families_created_by_fkey": WHO_DID_IT,
    "appointments_booked_by_fkey": WHO_DID_IT,
    "appointments_updated_by_fkey": WHO_DID_IT,
    "alerts_acknowledged_by_fkey": WHO_DID_IT,
    "alerts_resolved_by_fkey": WHO_DID_IT,
    "invitations_invited_by_fkey": WHO_DID_IT,
    "alerts_response_id_child_id_fkey": BY_ANOTHER_WAY,
    "alerts_session_id_child_id_fkey": BY_ANOTHER_WAY,
    "wellbeing_responses_session_id_child_id_fkey": BY_ANOTHER_WAY,
    "stickers_earned_session_id_child_id_fkey": BY_ANOTHER_WAY,
    "appointments_rescheduled_from_fkey": BY_ANOTHER_WAY,
    "allocations_appointment_step_id_fkey": BY_ANOTHER_WAY,
    "allocations_resource_id_fkey": OF_THE_OTHER,
    "appointment_step_resources_resource_id_fkey": OF_THE_OTHER,
    "holds_doctor_id_fkey": OF_THE_OTHER,
    "holds_service_offering_id_fkey": OF_THE_OTHER,
    "availability_rules_service_offering_id_fkey": BY_ANOTHER_WAY,
    "availability_exceptions_availability_rule_id_fkey": BY_ANOTHER_WAY,
    "resource_exceptions_resource_rule_id_fkey": BY_ANOTHER_WAY,
    "children_primary_practitioner_id_fkey": OF_THE_OTHER,
    "placement_info_specialists_specialist_id_fkey": OF_THE_OTHER,
    "appointments_doctor_id_fkey": OF_THE_OTHER,
    "allocations_doctor_id_fkey": OF_THE_OTHER,
    "appointments_service_offering_id_fkey": OF_THE_OTHER,
    "waitlist_entries_doctor_id_fkey": OF_THE_OTHER,
    "contributors_placement_info_id_fkey": "who wrote is somebody else, often a relative; what was written is followed",
    "facilities_address_id_fkey": "the row is a place",
    "service_workflows_service_offering_id_fkey": "how a service is done",
    "booking_policies_service_offering_id_fkey": "how a service is booked",
    "availability_slots_doctor_id_fkey": "computed from the rules",
    "availability_slots_service_offering_id_fkey": "computed from the rules",
    "availability_slots_created_from_rule_id_fkey": "computed from the rules",
    "doctor_figure_sums_doctor_id_fkey": "numbers of a day, counted from the visits",
    "resource_figure_sums_resource_id_fkey": "numbers of a day, counted from the visits",
    "schedule_states_doctor_id_fkey": "how far the nightly job is",
}
CANARY = "Zebrafinch-7391"


class World(NamedTuple):
    """A sample tenant, and queries about it."""

    database: Database
    tenant_id: UUID

    def unit(self) -> Any:
        return self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant_id, phi=True)

    def ring(self, session: Session) -> KeyRing:
        return tenant_keys(self.tenant_id).load_ring(session)

    def person(self, kind: Kind, number: object) -> Person:
        assert isinstance(number, UUID | int)
        return Person(self.tenant_id, kind, number)

    def export(self, kind: Kind, number: object) -> dict[str, list[ExportedRow]]:
        with self.unit() as session:
            return export_person(session, self.person(kind, number), lambda: self.ring(session))

    def erase(self, kind: Kind, number: object) -> dict[str, int]:
        with self.unit() as session:
            return erase_person(session, self.person(kind, number))

    def ask(self, question: str, **values: object) -> list[tuple[Any, ...]]:
        with self.unit() as session:
            return [tuple(row) for row in session.connection().execute(text(question), values)]

    def scalar(self, question: str, **values: object) -> Any:
        return self.ask(question, **values)[0][0]

    def rows_with(self, ids: Iterable[object]) -> set[tuple[str, str]]:
        """Look for ids in every column of every table, and return table and key of the rows."""
        wanted, keys_with_id = [str(id_) for id_ in ids], set()
        with self.unit() as session:
            for name in TABLES:
                for row in session.connection().execute(text(f"select *, cast(t as text) as whole from {name} t")):
                    if any(id_ in row.whole for id_ in wanted):
                        keys_with_id.add((name, written_key(name, row._mapping)))
        return keys_with_id


def written_key(name: str, row: Any) -> str:
    return ",".join(str(row[column.name]) for column in TABLES[name].primary_key)


def as_text(exported: dict[str, list[ExportedRow]]) -> str:
    return json.dumps(exported)


def keys(exported: dict[str, list[ExportedRow]]) -> set[tuple[str, str]]:
    return {(name, written_key(name, row)) for name, rows in exported.items() for row in rows}


@pytest.fixture(scope="module")
def world(database: Database) -> World:
    seed = Seed(7, 1, Scale.SMALL, date(2027, 2, 1))
    assert make_if_missing(database, seed, master_keys("main"), Console(quiet=True))
    return World(database, seed.tenant_id)


@pytest.fixture(scope="module")
def children(world: World) -> list[UUID]:
    return [row[0] for row in world.ask("select id from wellbeing.children order by id")]


def test_every_table_is_about_people_or_not_for_a_reason() -> None:
    """The search reaches a new table, or the list here has the reason why not."""
    assert sorted(METADATA.tables) == sorted([*ABOUT_PEOPLE, *NOT_ABOUT_A_PERSON])


def test_every_reference_to_a_table_about_people_is_decided_on() -> None:
    """The search follows a new reference, or the list here has the reason why not."""
    names = {str(reference.name) for reference in references() if reference.referred_table.fullname in ABOUT_PEOPLE}
    assert sorted(names | {*SHARED}) == sorted([*SUBJECT_REFERENCES, *SHARED, *NOT_FOLLOWED])


def own_ids(exported: dict[str, list[ExportedRow]]) -> set[JsonValue]:
    shared = {"identity.families", "identity.addresses"}
    return {row["id"] for name, rows in exported.items() if name not in shared for row in rows if "id" in row}


def test_a_childs_export_has_every_row_that_refers_to_the_child(world: World, children: list[UUID]) -> None:
    for child in children:
        exported = world.export(Kind.USER, child)
        assert world.rows_with([child, *own_ids(exported)]) <= keys(exported)
        assert {"wellbeing.wellbeing_responses", "wellbeing.garden_items", "identity.families"} <= {*exported}


def test_a_childs_export_has_no_row_that_names_another_child(world: World, children: list[UUID]) -> None:
    child, *others = children
    assert not world.rows_with(others) & keys(world.export(Kind.USER, child))


def test_the_names_of_other_children_are_nowhere_in_an_export(world: World, children: list[UUID]) -> None:
    """They are neither in a child's export, nor in those of its practitioner and its guardian."""
    child = children[0]
    practitioner = world.scalar("select primary_practitioner_id from wellbeing.children where id = :id", id=child)
    guardian = world.scalar("select min(cast(user_id as text)) from identity.family_members where role = 'parent'")
    with undone(world.unit()) as session:
        for change in (
            "update wellbeing.children set first_name = :name, safeguarding_notes = :name where id <> :id",
            "update wellbeing.profiles set name = :name where role = 'Child' and id <> :id",
            "update identity.users set name = :name where role = 'student' and id <> :id",
        ):
            session.connection().execute(text(change), {"name": CANARY, "id": child})
        for person_id in (child, practitioner, UUID(guardian)):
            assert CANARY not in as_text(
                export_person(session, world.person(Kind.USER, person_id), lambda: world.ring(session))
            )


def test_a_doctors_export_has_the_hours_and_no_patient(world: World) -> None:
    exported = world.export(Kind.DOCTOR, world.scalar("select min(id) from scheduling.doctors"))
    assert {"scheduling.availability_rules", "placement.specialists", "identity.users"} <= {*exported}
    assert not {"scheduling.patients", "scheduling.appointments", "scheduling.waitlist_entries"} & {*exported}


def test_a_patients_export_has_their_appointments_with_steps_only(world: World) -> None:
    patient = world.scalar("select min(patient_id) from scheduling.waitlist_entries")
    exported = world.export(Kind.PATIENT, patient)
    counts = {name: len(some) for name, some in exported.items()}
    steps_there = world.scalar(
        "select count(*) from scheduling.appointment_steps s"
        " join scheduling.appointments a on a.id = s.appointment_id where a.patient_id = :id",
        id=patient,
    )
    assert counts["scheduling.appointment_steps"] == steps_there > 0
    assert counts["scheduling.patients"] == counts["scheduling.waitlist_entries"] == 1
    assert {row["patient_id"] for row in exported["scheduling.appointments"]} == {patient}


def test_a_clients_export_decrypts_values_and_is_recorded(world: World) -> None:
    client = world.scalar("select min(cast(id as text)) from placement.clients")
    exported = world.export(Kind.CLIENT, UUID(client))
    (placement,) = exported["placement.placement_info"]
    assert placement["legal_status"] == "in care by agreement"
    assert "insurance_member_id_index" not in placement
    assert world.rows_with([client]) <= keys(exported)
    reads = world.ask(
        "select details ->> 'reason' from audit.system_audit_log"
        " where entity = 'placement.placement_info' and event = 'read' and entity_key = :key",
        key=placement["id"],
    )
    assert reads == [("export",)]
    events = world.ask("select details from audit.system_audit_log where event = 'person.exported'")
    assert next(event for (event,) in events if event["id"] == client)["rows"]["placement.medications"] == 2


def test_a_person_with_two_records_is_exported_whole_from_either(world: World) -> None:
    specialist, user = world.ask("select id, user_id from placement.specialists order by id limit 1")[0]
    assert world.export(Kind.SPECIALIST, specialist) == world.export(Kind.USER, user)


OTHERS = (
    # records that name one user, the role of that user, and whether they are about the user
    ((Kind.PATIENT,), rows.UserRole.PATIENT, True),
    ((Kind.PATIENT,), rows.UserRole.PARENT, False),
    ((Kind.CLIENT,), rows.UserRole.STAFF, True),
    ((Kind.CLIENT,), rows.UserRole.PARENT, False),
    ((Kind.PATIENT, Kind.PATIENT), rows.UserRole.PATIENT, False),
    ((Kind.CLIENT, Kind.PATIENT), rows.UserRole.PATIENT, False),
    ((Kind.SPECIALIST,), rows.UserRole.PARENT, True),
    ((Kind.SPECIALIST, Kind.SPECIALIST), rows.UserRole.SPECIALIST, False),
)


@contextmanager
def signing_in(
    world: World, kinds: Iterable[Kind], role: rows.UserRole
) -> Iterator[tuple[Session, Person, list[Person]]]:
    """Make a user, and records that name the user, and undo everything after the block."""
    user_id, tenant_id = uuid4(), world.tenant_id
    named: dict[str, Any] = {"first_name": CANARY, "last_name": CANARY, "email": "z@example.org", "user_id": user_id}
    make: dict[Kind, Callable[[], Any]] = {
        Kind.PATIENT: lambda: rows.Patient(tenant_id=tenant_id, **named),
        Kind.CLIENT: lambda: rows.Client(tenant_id=tenant_id, id=uuid4(), **named),
        Kind.SPECIALIST: lambda: rows.Specialist(tenant_id=tenant_id, id=uuid4(), user_id=user_id, specialty=CANARY),
    }
    with undone(world.unit()) as session:
        session.add(rows.User(tenant_id=tenant_id, id=user_id, email="z@example.org", name="Z", role=role))
        records = [make[kind]() for kind in kinds]
        session.add_all(records)
        session.flush()
        people = [world.person(kind, record.id) for kind, record in zip(kinds, records, strict=True)]
        yield session, world.person(Kind.USER, user_id), people


def people_in(found: Rows) -> set[str]:
    return {f"{table.fullname} {row.id}" for table, of_table in found.items() for row in of_table if hasattr(row, "id")}


@pytest.mark.parametrize(("kinds", "role", "is_user"), OTHERS)
def test_a_record_is_its_user_unless_the_user_signs_in_for_others(
    world: World, kinds: tuple[Kind, ...], role: rows.UserRole, *, is_user: bool
) -> None:
    """A guardian signs in for siblings: the export of one has neither the others nor the guardian."""
    with signing_in(world, kinds, role) as (session, user, records):
        names = [f"{person.kind.value} {person.id}" for person in (user, *records)]
        whole = {*names} if is_user else None
        assert people_in(rows_of_subject(session, user)) & {*names} == (whole or {names[0]})
        for record, name in zip(records, names[1:], strict=True):
            assert people_in(rows_of_subject(session, record)) & {*names} == (whole or {name})


@pytest.mark.parametrize(("kinds", "role", "is_user"), OTHERS)
def test_a_user_who_signs_in_for_others_is_erased_after_each_of_them(
    world: World, kinds: tuple[Kind, ...], role: rows.UserRole, *, is_user: bool
) -> None:
    with signing_in(world, kinds, role) as (session, user, records):
        if not is_user:
            with pytest.raises(ErasureRefusedError, match="signs in for others") as refused:
                erase_person(session, user)
            assert all(str(record) in str(refused.value) for record in records)
            assert sum(refused.value.rows.values()) == len(records)
            deleted = [erase_person(session, record) for record in records[:-1]]
            assert not any("identity.users" in counts for counts in deleted)
            detach = f"update {records[-1].kind.value} set user_id = null where user_id = :user"
            session.connection().execute(text(detach), {"user": user.id})
            session.expire_all()
        deleted_with_user = erase_person(session, user)
        assert (deleted_with_user["identity.users"], kinds[-1].value in deleted_with_user) == (1, is_user)


def test_a_parent_by_membership_is_not_the_patient_who_signs_in_so(world: World) -> None:
    with signing_in(world, (Kind.PATIENT,), rows.UserRole.PATIENT) as (session, user, (patient,)):
        assert isinstance(user.id, UUID)
        family_id = uuid4()
        session.add(rows.Family(tenant_id=world.tenant_id, id=family_id, family_name=CANARY))
        session.flush()
        session.add(rows.FamilyMember(tenant_id=world.tenant_id, family_id=family_id, user_id=user.id, role="parent"))
        session.flush()
        assert others_under(session, rows_of_subject(session, user)) == [patient]


def test_a_specialist_without_a_user_is_exported_with_the_schedule(world: World) -> None:
    specialist, doctor = world.ask("select id, doctor_id from placement.specialists order by id limit 1")[0]
    with undone(world.unit()) as session:
        for table in ("placement.specialists", "scheduling.doctors"):
            session.connection().execute(text(f"update {table} set user_id = null"))
        rows = rows_of_subject(session, world.person(Kind.SPECIALIST, specialist))
        found_keys = {table.fullname: [key_of(row)[1] for row in some] for table, some in rows.items()}
    assert found_keys["scheduling.doctors"] == [doctor]
    assert "scheduling.availability_rules" in found_keys


def test_the_export_of_a_person_of_another_tenant_is_refused(
    world: World, tenant_id: UUID, children: list[UUID]
) -> None:
    with pytest.raises(NotFoundError, match=f"no user {children[0]}"):
        World(world.database, tenant_id).export(Kind.USER, children[0])


def test_numbers_in_json_are_exported_with_all_digits(world: World) -> None:
    """A float would lose them; a float that is exact stays one."""
    exact = {"n": Decimal("12345678901234567890.123456789"), "tiny": Decimal("1e-16000"), "in": [{"half": 0.5}]}
    patient, written = world.scalar("select min(id) from scheduling.patients"), StringIO()
    with undone(world.unit()) as session:
        change = text("update scheduling.patients set meta = cast(:meta as jsonb) where id = :id")
        meta = '{"n": 12345678901234567890.123456789, "tiny": 1e-16000, "in": [{"half": 0.5}]}'
        session.connection().execute(change, {"meta": meta, "id": patient})
        exported = export_person(session, world.person(Kind.PATIENT, patient), lambda: world.ring(session))
    assert exported["scheduling.patients"][0]["meta"] == exact
    _write(written, exported.items())
    (read,) = json.loads(written.getvalue(), parse_float=Decimal)["scheduling.patients"]
    assert read["meta"] == exact


def test_a_tenants_export_has_all_of_its_rows(world: World) -> None:
    with world.unit() as session:
        tables = export_tenant(session, world.tenant_id, lambda: world.ring(session))
        counts = {name: sum(1 for _ in rows) for name, rows in tables if name in TABLES}
    for name, count in counts.items():
        assert count == world.scalar(f"select count(*) from {name}"), name
    assert {*TABLES} - {*counts} == {"identity.data_keys"}


@pytest.mark.parametrize("count", [0, 1, ROWS_PER_STATEMENT, ROWS_PER_STATEMENT + 1, 3 * ROWS_PER_STATEMENT + 1])
def test_batches_have_every_value_once_and_in_order(count: int) -> None:
    split = list(batches(range(count)))
    assert list(chain.from_iterable(split)) == list(range(count))
    assert all(0 < len(batch) <= ROWS_PER_STATEMENT for batch in split)


def test_of_an_erased_person_no_table_has_the_id(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """No statement takes all rows of a table: a person may have more than `ROWS_PER_STATEMENT`."""
    monkeypatch.setattr("scheduler.postgres.privacy.data_subject.ROWS_PER_STATEMENT", 2)
    child = world.scalar("select max(cast(id as text)) from wellbeing.children")
    exported = world.export(Kind.USER, UUID(child))
    ids, rest = [child, *own_ids(exported)], world.rows_with([""])
    deleted = world.erase(Kind.USER, UUID(child))
    assert deleted["wellbeing.wellbeing_sessions"] == len(exported["wellbeing.wellbeing_sessions"])
    assert world.rows_with(ids) == set()
    families = {key for key in keys(exported) if key[0] in {"identity.families", "identity.addresses"}}
    assert world.rows_with([""]) == rest - keys(exported) | families


def test_an_erased_clients_address_is_deleted_with_its_last_user(world: World) -> None:
    first, second = world.ask("select id from placement.clients order by id desc limit 2")
    with world.unit() as session:
        address = rows.Address(tenant_id=world.tenant_id, id=uuid4(), line_1=CANARY, country="GB")
        session.add(address)
        session.flush()
        set_address = text("update placement.clients set address_id = :address where id in (:first, :second)")
        session.connection().execute(set_address, {"address": address.id, "first": first[0], "second": second[0]})
    assert world.erase(Kind.CLIENT, first[0])["identity.addresses"] == 0
    assert world.erase(Kind.CLIENT, second[0])["identity.addresses"] == 1


@pytest.mark.parametrize(
    "row",
    [
        "scheduling.doctors where id = :id",
        "scheduling.service_offerings where doctor_id = :id",
        "identity.users where id = (select user_id from scheduling.doctors where id = :id)",
    ],
)
def test_a_new_reference_to_a_row_being_erased_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, row: str
) -> None:
    """Otherwise rows written between the search and the deletion would be deleted, too."""
    doctor = world.scalar("select min(doctor_id) from scheduling.appointments")
    sqlstates: list[str | None] = []

    def with_a_reference_afterwards(*args: Any, **named: Any) -> Any:
        rows = rows_of_subject(*args, **named)
        with pytest.raises(StatementError) as refused:
            world.ask(f"select id from {row} for key share nowait", id=doctor)
        sqlstates.append(refused.value.sqlstate)
        return rows

    monkeypatch.setattr("scheduler.postgres.privacy.erasure.rows_of_subject", with_a_reference_afterwards)
    with pytest.raises(ErasureRefusedError):  # patients need the doctor, so that the erasure leaves the rows
        world.erase(Kind.DOCTOR, doctor)
    assert sqlstates == ["55P03"]


def test_a_user_who_only_created_rows_is_erased_and_the_rows_stay(world: World) -> None:
    user_id, family_id = uuid4(), uuid4()
    with world.unit() as session:
        user = rows.User(
            tenant_id=world.tenant_id,
            id=user_id,
            email=f"{user_id}@example.org",
            name="A clerk",
            role=rows.UserRole.STAFF,
        )
        session.add(user)
        session.flush()
        session.add(rows.Family(tenant_id=world.tenant_id, id=family_id, family_name="F", created_by=user_id))
    assert world.erase(Kind.USER, user_id) == {"identity.users": 1}
    assert world.ask("select created_by from identity.families where id = :id", id=family_id) == [(None,)]


def test_invitations_to_the_address_of_a_user_are_exported_and_erased(world: World) -> None:
    """Invitations of any state count, and only an accepted one refers to the person. Those to other addresses stay."""
    user_id, address = uuid4(), "zebrafinch@example.org"
    with world.unit() as session:
        by, org_id = world.ask("select id, org_id from wellbeing.profiles where role = 'GroupContact' limit 1")[0]
        session.add(rows.User(tenant_id=world.tenant_id, id=user_id, email=address, name="Z", role=rows.UserRole.STAFF))
        for number, (to, status) in enumerate(
            [(address, "pending"), (address, "revoked"), (address, "expired"), (f"x{address}", "revoked")]
        ):
            named: dict[str, Any] = {"email": to, "status": status, "invitation_token": f"{number:064x}"}
            named |= {"org_id": org_id, "invited_by": by, "role": "Practitioner"}
            session.add(rows.Invitation(tenant_id=world.tenant_id, id=uuid4(), **named))
    exported = world.export(Kind.USER, user_id)["wellbeing.invitations"]
    assert {row["status"] for row in exported} == {"pending", "revoked", "expired"}
    assert world.erase(Kind.USER, user_id) == {"wellbeing.invitations": 3, "identity.users": 1}
    assert {name for name, _ in world.rows_with([address])} == {"wellbeing.invitations"}
    assert world.ask("delete from wellbeing.invitations where email like :like returning status", like="%zebra%") == [
        ("revoked",)
    ]


def test_an_erased_row_is_no_longer_in_the_session(world: World) -> None:
    with undone(world.unit()) as session:
        patient = session.get(rows.Patient, (world.tenant_id, world.scalar("select min(id) from scheduling.patients")))
        assert patient is not None
        key = (patient.tenant_id, patient.id)
        erase_person(session, world.person(Kind.PATIENT, patient.id))
        assert session.get(rows.Patient, key) is None


def test_a_practitioner_of_children_is_not_erased(world: World) -> None:
    practitioner = world.scalar("select primary_practitioner_id from wellbeing.children limit 1")
    with pytest.raises(ErasureRefusedError, match="children_primary_practitioner_id_fkey"):
        world.erase(Kind.USER, practitioner)


def test_a_doctor_with_appointments_is_not_erased(world: World) -> None:
    before = world.scalar("select count(*) from scheduling.appointments")
    doctor = world.scalar("select min(doctor_id) from scheduling.appointments")
    with pytest.raises(ErasureRefusedError) as refused:
        world.erase(Kind.DOCTOR, doctor)
    assert refused.value.rows["appointments_doctor_id_fkey"] > 0
    assert world.scalar("select count(*) from scheduling.appointments") == before


@pytest.mark.parametrize(("hours", "kind"), [(-1, Kind.DOCTOR), (1, Kind.DOCTOR), (1, Kind.USER)])
def test_a_live_hold_goes_with_its_user_and_keeps_its_doctor(world: World, hours: int, kind: Kind) -> None:
    """An ended hold keeps nobody."""
    with undone(world.unit()) as session:
        factory = Factory(session, Faker(), world.tenant_id)
        doctor, user = factory.make(rows.Doctor), factory.make(rows.User, role=rows.UserRole.STAFF)
        offering = factory.make(rows.ServiceOffering, doctor_id=factory.make(rows.Doctor).id)
        ends_at = datetime.now(UTC) + timedelta(hours=hours)
        named = {
            "doctor_id": doctor.id,
            "service_offering_id": offering.id,
            "held_by": user.id,
            "availability_slot_id": 10**6,
        }
        factory.make(rows.Hold, ends_at=ends_at, **named)
        person = world.person(kind, doctor.id if kind is Kind.DOCTOR else user.id)
        if (hours, kind) == (1, Kind.DOCTOR):
            with pytest.raises(ErasureRefusedError, match=r"holds_doctor_id_fkey \(1\)"):
                erase_person(session, person)
        else:
            erased = {"scheduling.holds": 1, "scheduling.allocations": 1} if kind is Kind.USER else {}
            assert erase_person(session, person) == {kind.value: 1} | erased


def test_an_erasure_is_an_event_with_counts_and_no_names(world: World) -> None:
    patient = world.scalar("select max(id) from scheduling.patients")
    deleted = world.erase(Kind.PATIENT, patient)
    ((details,),) = world.ask(
        "select details from audit.system_audit_log where event = 'person.erased' and details ->> 'id' = :id",
        id=str(patient),
    )
    assert details == {"kind": "patient", "id": str(patient), "rows": deleted}
