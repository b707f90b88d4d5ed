"""Indexes: each index of a specification serves its query under the role of its users and with row security.

Row security keeps an index from conditions that may leak values, and may make another index better: a plan of the
owner, or of a small table, proves nothing. Here every table has 25,000 rows of 120 tenants; the queries are for the
first tenant, a fifth of all rows. A B-tree must be searched by a column of its own, for every index begins with the
tenant.
"""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from scheduler.postgres.database import Role
from scheduler.postgres.schema.migrations import shipped_snapshot
from specification import specifications
from specification.checking import Objects
from support.query_plans import IndexScan, index_scans
from support.roles import become
from support.worlds.indexes import TENANT, is_there, load

pytestmark = pytest.mark.database

KEY = "00000000-0000-0000-0000-0000000003e9"  # the key of row 1001
SEVEN = "00000000-0000-0000-0000-000000000007"
HOUR = "start_at >= timestamptz '2027-03-20 09:00Z' and start_at < timestamptz '2027-03-20 10:00Z'"
DAY = "start_at >= timestamptz '2027-03-20 00:00Z' and start_at < timestamptz '2027-03-21 00:00Z'"

# Whole name of an index -> (role of the database or of a person, query).
QUERIES = {
    "identity.tenants.live_tenants_have_their_own_slug": (
        "scheduler_job",
        "select id from identity.tenants where slug = 'tenant-7' and deleted_at is null",
    ),
    "identity.users.live_users_have_their_own_sign_in": (
        "scheduler_app",
        "select id from identity.users where supertokens_user_id = '1001' and deleted_at is null",
    ),
    "identity.users.live_users_have_their_own_email": (
        "scheduler_app",
        "select id from identity.users where email = '1001@example.org' and deleted_at is null",
    ),
    "identity.users.users_status_idx": (
        "scheduler_app",
        "select * from identity.users where status = 'suspended'",
    ),
    "identity.families.families_status_idx": (
        "scheduler_app",
        "select * from identity.families where status = 'inactive'",
    ),
    "identity.family_members.family_members_user_id_idx": (
        "scheduler_app",
        f"select family_id from identity.family_members where user_id = '{KEY}'",
    ),
    "scheduling.facilities.live_facilities_have_their_own_slug": (
        "scheduler_app",
        "select * from scheduling.facilities where slug = 'facility-1001' and deleted_at is null",
    ),
    "scheduling.facility_doctors.a_doctor_joins_a_facility_once": (
        "scheduler_app",
        "select * from scheduling.facility_doctors where facility_id = 7 and doctor_id = 7",
    ),
    "scheduling.insurance_plans.a_provider_uses_a_plan_code_once": (
        "scheduler_app",
        "select * from scheduling.insurance_plans where insurance_provider_id = 7 and plan_code = 'plan 7'",
    ),
    "scheduling.facility_insurance_plans.a_facility_accepts_a_plan_once": (
        "scheduler_app",
        "select * from scheduling.facility_insurance_plans where facility_id = 7 and insurance_plan_id = 7",
    ),
    "scheduling.service_offerings.a_doctor_offers_a_service_once_at_a_facility": (
        "scheduler_app",
        "select * from scheduling.service_offerings where service_id = 3 and doctor_id = 7",
    ),
    "scheduling.service_offerings.service_offerings_facility_id_doctor_id_idx": (
        "scheduler_app",
        "select * from scheduling.service_offerings where facility_id = 7 and doctor_id = 7",
    ),
    "scheduling.workflow_steps.a_workflow_has_one_step_at_a_position": (
        "scheduler_app",
        'select * from scheduling.workflow_steps where service_workflow_id = 7 order by "position"',
    ),
    "scheduling.availability_rules.availability_rules_doctor_id_facility_id_idx": (
        "scheduler_job",
        "select * from scheduling.availability_rules where doctor_id = 7 and facility_id = 7",
    ),
    "scheduling.availability_slots.availability_slots_start_at_idx": (
        "scheduler_app",
        f"select * from scheduling.availability_slots where {HOUR}",
    ),
    "scheduling.availability_slots.a_slot_is_there_once": (
        "scheduler_app",
        f"select * from scheduling.availability_slots where doctor_id = 7 and {DAY}",
    ),
    "scheduling.availability_slots.availability_slots_facility_id_start_at_idx": (
        "scheduler_app",
        f"select * from scheduling.availability_slots where facility_id = 7 and {DAY}",
    ),
    "scheduling.patients.patients_email_idx": (
        "scheduler_app",
        "select * from scheduling.patients where email = '1001@example.org'",
    ),
    "scheduling.appointments.appointments_patient_id_idx": (
        "scheduler_app",
        "select * from scheduling.appointments where patient_id = 1001",
    ),
    "scheduling.appointments.appointments_doctor_id_start_at_idx": (
        "scheduler_app",
        f"select * from scheduling.appointments where doctor_id = 7 and {DAY}",
    ),
    "scheduling.appointments.appointments_facility_id_start_at_idx": (
        "scheduler_app",
        f"select * from scheduling.appointments where facility_id = 7 and {DAY}",
    ),
    "scheduling.appointment_steps.an_appointment_has_one_step_at_a_position": (
        "scheduler_app",
        'select * from scheduling.appointment_steps where appointment_id = 7 order by "position"',
    ),
    "placement.clients.clients_facility_id_idx": (
        "scheduler_app",
        "select * from placement.clients where facility_id = 7",
    ),
    "placement.clients.clients_status_idx": (
        "scheduler_app",
        "select * from placement.clients where status = 'waiting'",
    ),
    "placement.clients.clients_last_name_first_name_idx": (
        "scheduler_app",
        """select * from placement.clients where deleted_at is null and (last_name, first_name) > ('Smith', 'Ann')
        order by last_name, first_name limit 20""",
    ),
    "placement.clients.clients_full_name_trgm_idx": (
        "scheduler_app",
        "select * from placement.find_clients('Clara Cnieron', 20)",
    ),
    "placement.clients.live_clients_have_their_own_user": (
        "scheduler_app",
        f"select * from placement.clients where user_id = '{KEY}' and deleted_at is null",
    ),
    "placement.facility_staff.a_user_works_at_a_facility_once": (
        "scheduler_app",
        f"select * from placement.facility_staff where facility_id = 7 and user_id = '{SEVEN}' and deleted_at is null",
    ),
    "placement.facility_staff.facility_staff_user_id_idx": (
        "scheduler_app",
        f"select * from placement.facility_staff where user_id = '{SEVEN}'",
    ),
    "placement.placement_info.a_client_has_one_live_placement": (
        "scheduler_app",
        f"select * from placement.placement_info where client_id = '{KEY}' and ended_on is null and deleted_at is null",
    ),
    "placement.placement_info.placement_info_insurance_member_id_index_idx": (
        "scheduler_app",
        "select * from placement.placement_info where insurance_member_id_index = sha256('1001')",
    ),
    "placement.form_field_contributions.form_field_contributions_field_name_contributed_at_idx": (
        "scheduler_app",
        f"""select * from placement.form_field_contributions
        where placement_info_id = '{SEVEN}' and field_name = 'field 7' order by contributed_at""",
    ),
    "wellbeing.organisations.organisations_name_words_idx": (
        "Account",
        "select * from wellbeing.find_organisations('hilltop', 20)",
    ),
    "wellbeing.profiles.profiles_org_id_idx": (
        "GroupContact",
        f"select * from wellbeing.profiles where tenant_id = '{TENANT}' and org_id = '{TENANT}'",
    ),
    "wellbeing.profiles.profiles_role_idx": (
        "GroupContact",
        f"select * from wellbeing.profiles where tenant_id = '{TENANT}' and role = 'GroupContact'",
    ),
    "wellbeing.children.a_display_id_is_one_child_of_its_organisation": (
        "Practitioner",
        f"select * from wellbeing.children where org_id = '{TENANT}' order by display_id limit 20",
    ),
    "wellbeing.children.children_primary_practitioner_id_idx": (
        "Practitioner",
        f"select * from wellbeing.children where primary_practitioner_id = '{SEVEN}'",
    ),
    "wellbeing.children.children_first_name_class_name_words_idx": (
        "Practitioner",
        "select * from wellbeing.find_children('zebedee', 20)",
    ),
    "wellbeing.wellbeing_sessions.wellbeing_sessions_child_id_created_at_idx": (
        "Practitioner",
        f"select * from wellbeing.wellbeing_sessions where child_id = '{KEY}' order by created_at desc limit 5",
    ),
    "wellbeing.wellbeing_responses.wellbeing_responses_session_id_child_id_idx": (
        "Practitioner",
        f"select * from wellbeing.wellbeing_responses where session_id = '{KEY}'",
    ),
    "wellbeing.alerts.alerts_child_id_status_idx": (
        "Practitioner",
        f"select * from wellbeing.alerts where child_id = '{SEVEN}' and status = 'unread'",
    ),
    "wellbeing.alerts.alerts_severity_created_at_idx": (
        "Practitioner",
        "select * from wellbeing.alerts where severity = 'urgent' order by created_at desc limit 20",
    ),
    "wellbeing.invitations.a_token_is_one_invitation": (
        "scheduler_system",
        "select * from wellbeing.invitations where invitation_token = md5('1001') || md5('1001')",
    ),
    "wellbeing.invitations.invitations_email_status_idx": (
        "scheduler_system",
        "select * from wellbeing.invitations where email = '7@example.org' and status = 'pending'",
    ),
    "audit.user_action_audit_log.user_action_audit_log_details_idx": (
        "scheduler_system",
        """select * from audit.find_actions('{"reason": "reason 7"}', 20)""",
    ),
}


def listed() -> set[str]:
    """Return the whole names of the indexes of the specifications, unique constraints included."""
    objects = Objects(shipped_snapshot())
    elements = [element for elements in specifications().values() for element in elements]
    names = [objects.named(element) for element in elements if element.kind in {"index", "unique"}]
    return {name.partition(" ")[2] for name in set().union(*names)}


@pytest.fixture(scope="module")
def loaded(database_url: str) -> Iterator[psycopg.Connection]:
    load(database_url)
    with psycopg.connect(database_url) as connection:
        yield connection


@pytest.fixture(scope="module")
def people(loaded: psycopg.Connection) -> dict[str, UUID]:
    """A person of the tenant for each role."""
    rows = loaded.execute(
        "select role, min(id::text)::uuid from wellbeing.profiles where tenant_id = %s group by role", (TENANT,)
    )
    return dict(rows.fetchall())


def scans(connection: psycopg.Connection, name: str, query: str, people: dict[str, UUID]) -> list[IndexScan]:
    """Return the index scans of a query by a role. An index of a partition counts as that of its table."""
    parents: dict[str, str] = dict(
        connection.execute(
            "select child.relname, parent.relname from pg_inherits join pg_class child on child.oid = inhrelid"
            " join pg_class parent on parent.oid = inhparent where parent.relkind = 'I'"
        ).fetchall()
    )
    with connection.transaction(force_rollback=True), index_scans(connection) as used:
        user = people.get(name)
        become(connection, Role.APP if user else Role(name), UUID(TENANT), user)
        connection.execute(query.encode())
        become(connection, Role.OWNER, UUID(TENANT))
    return [IndexScan(parents.get(name, name), condition) for name, condition in used]


def own_column(connection: psycopg.Connection, where: str) -> str:
    """Return the first column of an index after the tenant; empty for an expression."""
    schema, _, name = where.split(".")
    row = connection.execute(
        "select attname from pg_index join pg_attribute on attrelid = indrelid and attnum = any(indkey)"
        " where indexrelid = to_regclass(%s) and attname <> 'tenant_id' and indkey::text !~ '^0'"
        " order by array_position(indkey::int2[], attnum) limit 1",
        (f"{schema}.{name}",),
    ).fetchone()
    return str(row[0]) if row else ""


def test_every_index_of_the_specifications_has_a_query() -> None:
    assert len(listed()) > 40
    assert listed() ^ set(QUERIES) == set()


@pytest.mark.parametrize("where", QUERIES)
def test_an_index_serves_its_query(loaded: psycopg.Connection, people: dict[str, UUID], where: str) -> None:
    schema, table, name = where.split(".")
    if not is_there(loaded, f"{schema}.{table}"):
        pytest.skip(f"there is no {schema}.{table}")
    used = scans(loaded, *QUERIES[where], people)
    column = own_column(loaded, where)
    served = [scan for scan in used if scan.name == name and scan.condition and column in scan.condition]
    assert served != [], used


@pytest.mark.parametrize(
    "query",
    [
        "select id from placement.clients where lower(first_name || ' ' || last_name) like '%cnieron%'",
        "select id from placement.clients where lower(first_name || ' ' || last_name) operator(public.%>) 'cnieron'",
        """select id from wellbeing.children
        where to_tsvector('english', first_name || ' ' || coalesce(class_name, '')) @@ 'zebede'::tsquery""",
        "select id from wellbeing.organisations where to_tsvector('english', name) @@ 'hilltop'::tsquery",
    ],
)
def test_row_security_keeps_gin_indexes_from_queries_without_a_function(
    loaded: psycopg.Connection, people: dict[str, UUID], query: str
) -> None:
    """If this fails, the search functions are no longer needed."""
    gin = {index.rpartition(".")[2] for index, (_, searching) in QUERIES.items() if ".find_" in searching}
    used = scans(loaded, "Practitioner", query, people)
    assert used != []
    assert {scan.name for scan in used} & gin == set()


def test_a_childs_own_record_is_found_by_its_key(loaded: psycopg.Connection, people: dict[str, UUID]) -> None:
    """The scan is by the tenant, too. The definer is bound to no tenant, and the key begins with the tenant."""
    used = scans(loaded, "Child", "select * from wellbeing.own_child_record", people)
    conditions = [condition for name, condition in used if name == "children_pkey"]
    assert conditions != []
    assert ["tenant_id" in condition for condition in conditions] == [True] * len(conditions)
