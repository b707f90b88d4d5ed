"""Rows of the schema `placement`."""

from uuid import UUID

from support.rows import Row, Wrong, key

CIPHERTEXT = bytes([1]) + bytes(44)
PLAINTEXT = b"a text in clear, however long it is, is not encrypted"
FACILITY: Row = {"facility_id": 1}


def in_clear(table: str, columns: tuple[str, ...], constraint: str, **other: object) -> Wrong:
    """List rows of which one encrypted column holds clear text."""
    return [(table, {**other, column: PLAINTEXT}, constraint) for column in columns]


def rows(tenant: UUID) -> dict[str, Row]:
    def own(table: str) -> Row:
        return {"tenant_id": tenant, "id": key(tenant, table)}

    user: Row = {"user_id": key(tenant, "identity.users")}
    placement: Row = {"placement_info_id": key(tenant, "placement.placement_info")}
    return {
        "placement.clients": own("placement.clients")
        | FACILITY
        | user
        | {
            "first_name": "Ben",
            "last_name": "Adams",
            "date_of_birth": "2015-02-28",
            "email": "ben@example.org",
            "address_id": key(tenant, "identity.addresses"),
            "admitted_on": "2027-03-01",
        },
        "placement.facility_staff": own("placement.facility_staff")
        | FACILITY
        | user
        | {"position": "Nurse", "is_primary": True, "started_on": "2027-03-01"},
        "placement.specialists": own("placement.specialists")
        | user
        | {"doctor_id": 1, "specialty": "Speech", "name": CIPHERTEXT, "license_number": CIPHERTEXT},
        "placement.medications": own("placement.medications")
        | {"client_id": key(tenant, "placement.clients"), "name": CIPHERTEXT, "started_on": "2027-03-01"},
        "placement.placement_info": own("placement.placement_info")
        | FACILITY
        | {
            "client_id": key(tenant, "placement.clients"),
            "placed_on": "2027-03-01",
            "diagnosis": CIPHERTEXT,
            "insurance_member_id": CIPHERTEXT,
            "insurance_member_id_index": bytes(32),
        },
        "placement.placement_info_specialists": {"tenant_id": tenant}
        | placement
        | {"specialist_id": key(tenant, "placement.specialists")},
        "placement.metadata": own("placement.metadata") | placement | {"form_name": "Intake", "details": "{}"},
        "placement.contributors": own("placement.contributors") | placement | user | {"kind": "user"},
        "placement.form_field_contributions": own("placement.form_field_contributions")
        | placement
        | {"contributor_id": key(tenant, "placement.contributors"), "field_name": "diagnosis"},
    }


WRONG: Wrong = [
    ("placement.clients", {"email": "nobody"}, "a_clients_email_is_an_address_in_lower_case"),
    ("placement.clients", {"email": "Ben@example.org"}, "a_clients_email_is_an_address_in_lower_case"),
    ("placement.clients", {"email": f"a@{'b.' * 126}cc"}, "a_clients_email_is_an_address_in_lower_case"),
    ("placement.clients", {"first_name": ""}, "a_client_has_a_first_and_a_last_name"),
    ("placement.clients", {"last_name": " "}, "a_client_has_a_first_and_a_last_name"),
    ("placement.clients", {"status": "asleep"}, "a_client_is_waiting_active_inactive_or_discharged"),
    (
        "placement.clients",
        {"discharged_on": "2027-02-28"},
        "a_client_is_born_admitted_and_discharged_in_order",
    ),
    ("placement.clients", {"date_of_birth": "2027-03-02"}, "a_client_is_born_admitted_and_discharged_in_order"),
    (
        "placement.clients",
        {"date_of_birth": "2027-03-02", "admitted_on": None, "discharged_on": "2027-03-01"},
        "a_client_is_born_admitted_and_discharged_in_order",
    ),
    ("placement.clients", {"status": "discharged"}, "a_discharged_client_says_since_when"),
    ("placement.clients", {"date_of_birth": "-infinity"}, "a_clients_days_are_in_the_calendar"),
    ("placement.clients", {"discharged_on": "infinity"}, "a_clients_days_are_in_the_calendar"),
    (
        "placement.clients",
        {"date_of_birth": None, "admitted_on": "-infinity"},
        "a_clients_days_are_in_the_calendar",
    ),
    ("placement.facility_staff", {"ended_on": "2027-02-28"}, "an_assignment_starts_before_it_ends"),
    ("placement.facility_staff", {"started_on": "-infinity"}, "an_assignments_days_are_in_the_calendar"),
    ("placement.facility_staff", {"ended_on": "infinity"}, "an_assignments_days_are_in_the_calendar"),
    *in_clear(
        "placement.specialists",
        ("name", "phone", "email", "license_number", "notes"),
        "what_tells_who_a_specialist_is_is_encrypted",
    ),
    *in_clear(
        "placement.medications",
        ("name", "dosage", "frequency", "instructions", "prescriber"),
        "a_medication_is_encrypted",
    ),
    ("placement.medications", {"ended_on": "2027-02-28"}, "a_medication_starts_before_it_ends"),
    ("placement.medications", {"started_on": "-infinity"}, "a_medications_days_are_in_the_calendar"),
    ("placement.medications", {"ended_on": "infinity"}, "a_medications_days_are_in_the_calendar"),
    ("placement.medications", {"status": "asleep"}, "a_medication_is_active_paused_completed_or_stopped"),
    ("placement.placement_info", {"diagnosis": PLAINTEXT}, "placement_information_is_encrypted"),
    ("placement.placement_info", {"diagnosis": CIPHERTEXT[:44]}, "placement_information_is_encrypted"),
    ("placement.placement_info", {"diagnosis": b""}, "placement_information_is_encrypted"),
    ("placement.placement_info", {"insurance_member_id_index": bytes(31)}, "a_blind_index_has_32_bytes"),
    ("placement.placement_info", {"insurance_member_id": None}, "a_blind_index_goes_with_its_value"),
    ("placement.placement_info", {"status": "asleep"}, "a_placement_is_planned_active_or_ended"),
    ("placement.placement_info", {"status": "ended"}, "a_placement_that_ended_says_when"),
    ("placement.placement_info", {"ended_on": "2027-03-02"}, "a_placement_that_ended_says_when"),
    (
        "placement.placement_info",
        {"status": "ended", "ended_on": "2027-02-28"},
        "a_placement_begins_before_it_ends",
    ),
    ("placement.placement_info", {"expected_end_on": "2027-02-28"}, "a_placement_begins_before_it_ends"),
    ("placement.placement_info", {"placed_on": "-infinity"}, "a_placements_days_are_in_the_calendar"),
    ("placement.placement_info", {"expected_end_on": "infinity"}, "a_placements_days_are_in_the_calendar"),
    (
        "placement.placement_info",
        {"status": "ended", "ended_on": "infinity"},
        "a_placements_days_are_in_the_calendar",
    ),
    ("placement.metadata", {"version": 0}, "a_forms_versions_count_from_one"),
    (
        "placement.metadata",
        {"status": "asleep", "submitted_at": "2027-03-01 09:00Z"},
        "a_form_is_a_draft_submitted_approved_or_returned",
    ),
    ("placement.metadata", {"status": "submitted"}, "a_form_that_was_submitted_says_when"),
    ("placement.metadata", {"submitted_at": "2027-03-01 09:00Z"}, "a_form_that_was_submitted_says_when"),
    ("placement.contributors", {"kind": "ghost", "user_id": None}, "a_contributor_is_a_user_or_from_outside"),
    ("placement.contributors", {"kind": "outside"}, "a_contributor_is_a_user_or_from_outside"),
    ("placement.contributors", {"user_id": None}, "a_contributor_is_a_user_or_from_outside"),
    ("placement.contributors", {"name": CIPHERTEXT}, "the_name_of_a_user_is_the_users"),
    ("placement.contributors", {"email": CIPHERTEXT}, "the_name_of_a_user_is_the_users"),
    ("placement.contributors", {"role": "asleep"}, "a_contributor_is_an_author_reviewer_or_approver"),
    *in_clear(
        "placement.contributors",
        ("name", "email"),
        "what_tells_who_a_contributor_is_is_encrypted",
        kind="outside",
        user_id=None,
    ),
]
