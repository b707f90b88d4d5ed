"""Rows of the schema `scheduling`."""

from hashlib import sha256
from uuid import UUID

from support.rows import Row, Wrong, key


def rows(tenant: UUID) -> dict[str, Row]:
    own: Row = {"tenant_id": tenant, "id": 1}
    pair: Row = {"doctor_id": 1, "facility_id": 1}
    return {
        "scheduling.facilities": own
        | {
            "name": "A place",
            "slug": "a-place",
            "timezone": "America/St_Johns",
            "address_id": key(tenant, "identity.addresses"),
        },
        "scheduling.doctors": own
        | {"first_name": "A", "last_name": "B", "display_name": "A B", "user_id": key(tenant, "identity.users")},
        "scheduling.services": own | {"name": "A check-up"},
        "scheduling.facility_doctors": own | pair,
        "scheduling.service_offerings": own | pair | {"service_id": 1},
        "scheduling.availability_rules": own
        | pair
        | {
            "service_offering_id": 1,
            "day_of_week": 1,
            "start_time": "22:00",
            "end_time": "06:00",
            "slot_duration_minutes": 20,
        },
        "scheduling.availability_exceptions": own
        | pair
        | {
            "availability_rule_id": 1,
            "start_at": "2027-03-01 09:00Z",
            "end_at": "2027-03-02 11:00Z",
            "local_start": "2027-03-01 05:30",
            "local_end": "2027-03-02 07:30",
            "type": "override",
        },
        "scheduling.facility_closures": own
        | {"facility_id": 1, "day": "2027-03-26", "start_time": "13:00", "end_time": "00:00"},
        "scheduling.availability_slots": own
        | pair
        | {
            "service_offering_id": 1,
            "created_from_rule_id": 1,
            "start_at": "2027-03-01 09:00Z",
            "end_at": "2027-03-01 09:20Z",
        },
        "scheduling.generation_runs": own
        | {"from_day": "2027-03-01", "until_day": "2027-03-02", "engine_version": "0", "tzdata_version": "0"},
        "scheduling.schedule_states": {"tenant_id": tenant, "last_run_id": 1} | pair,
        "scheduling.insurance_providers": own | {"name": "An insurer"},
        "scheduling.insurance_plans": own
        | {
            "insurance_provider_id": 1,
            "plan_code": "GOLD",
            "name": "Gold",
            "effective_from": "2027-01-01",
            "effective_to": "2027-12-31",
        },
        "scheduling.facility_insurance_plans": own
        | {"facility_id": 1, "insurance_plan_id": 1, "accepted_since": "2027-01-01"},
        "scheduling.step_templates": own | {"name": "A blood sample", "default_duration_minutes": 10},
        "scheduling.service_workflows": own
        | {"service_offering_id": 1, "insurance_plan_id": 1, "name": "A visit", "total_estimated_minutes": 20},
        "scheduling.workflow_steps": own
        | {"service_workflow_id": 1, "step_template_id": 1, "position": 1, "duration_minutes": 20},
        "scheduling.workflow_step_needs": {"tenant_id": tenant, "workflow_step_id": 1, "kind": "nurse", "quantity": 2},
        "scheduling.patients": own
        | {
            "user_id": key(tenant, "identity.users"),
            "first_name": "Bo",
            "last_name": "C",
            "email": "bo@example.org",
            "dob": "1990-05-01",
            "default_insurance_plan_id": 1,
        },
        "scheduling.appointments": own
        | pair
        | {
            "patient_id": 1,
            "service_offering_id": 1,
            "availability_slot_id": 1,
            "slot_start_at": "2027-03-01 09:00Z",
            "service_workflow_id": 1,
            "start_at": "2027-03-01 09:00Z",
            "end_at": "2027-03-01 09:20Z",
            "local_start": "2027-03-01 05:30",
            "zone": "America/St_Johns",
            "status": "no_show",  # so that the slot stays open, and can be deleted
            "booked_by": key(tenant, "identity.users"),
            "updated_by": key(tenant, "identity.users"),
        },
        "scheduling.resources": own | {"facility_id": 1, "kind": "room", "name": "Room 1"},
        "scheduling.resource_rules": own
        | {"resource_id": 1, "day_of_week": 1, "start_time": "22:00", "end_time": "06:00"},
        "scheduling.resource_exceptions": own
        | {
            "resource_id": 1,
            "resource_rule_id": 1,
            "start_at": "2027-03-01 09:00Z",
            "end_at": "2027-03-02 11:00Z",
            "local_start": "2027-03-01 05:30",
            "local_end": "2027-03-02 07:30",
            "type": "override",
        },
        "scheduling.appointment_steps": own
        | {
            "appointment_id": 1,
            "workflow_step_id": 1,
            "step_template_id": 1,
            "position": 1,
            "scheduled_start_at": "2027-03-01 09:00Z",
            "scheduled_end_at": "2027-03-01 09:20Z",
        },
        "scheduling.appointment_step_resources": {"tenant_id": tenant, "appointment_step_id": 1, "resource_id": 1},
        "scheduling.holds": own
        | {
            "token_digest": sha256(tenant.bytes).digest(),
            "ends_at": "2026-01-01 00:10Z",
            "facility_id": 1,
            "doctor_id": 1,
            "service_offering_id": 1,
            "service_workflow_id": 1,
            "availability_slot_id": 1,
            "slot_start_at": "2027-03-01 09:00Z",
            "start_at": "2027-03-01 09:00Z",
            "end_at": "2027-03-01 09:20Z",
            "steps": '[{"workflow_step_id": 1, "resources": []}]',  # a nurse is needed and not named: takes no time
            "channel": "desk",
            "held_by": key(tenant, "identity.users"),
        },
        "scheduling.booking_requests": own
        | {
            "actor_id": key(tenant, "identity.users"),
            "key": "a-request",
            "digest": sha256(b"a request").digest(),
            "answer": '{"visit": 1}',
        },
        # on another day than the allocations that triggers write for the appointment, under ids that they do not reach
        "scheduling.allocations": {
            "tenant_id": tenant,
            "id": 1_000_000,
            "visit_key": 1_000_000,
            "resource_id": 1,
            "start_at": "2027-03-02 09:00Z",
            "end_at": "2027-03-02 09:20Z",
            "appointment_id": 1,
            "appointment_step_id": 1,
            "slot_id": 1,
            "slot_start_at": "2027-03-01 09:00Z",
        },
        "scheduling.waitlist_entries": own
        | pair
        | {
            "patient_id": 1,
            "service_id": 1,
            "earliest_day": "2027-03-01",
            "latest_day": "2027-03-02",
            "status": "offered",
            "offered_slot_id": 1,
            "offered_slot_start_at": "2027-03-01 09:00Z",
        },
    }


WRONG: Wrong = [
    ("scheduling.facilities", {"timezone": "Europe/Nowhere"}, "a_facility_has_a_known_time_zone"),
    ("scheduling.facilities", {"timezone": "EST5EDT4,M3.2.0,M11.1.0"}, "a_facility_has_a_known_time_zone"),
    ("scheduling.facilities", {"timezone": "europe/london"}, "a_facility_has_a_known_time_zone"),
    ("scheduling.facilities", {"timezone": ""}, "a_facility_has_a_known_time_zone"),
    ("scheduling.facilities", {"country": "gb"}, "a_country_is_two_capital_letters"),
    ("scheduling.services", {"code_system": "SNOMED"}, "a_code_system_is_a_known_one"),
    ("scheduling.services", {"default_duration_minutes": 0}, "a_service_takes_time"),
    ("scheduling.service_offerings", {"default_duration_minutes": 0}, "an_offering_takes_time"),
    ("scheduling.service_offerings", {"buffer_before_minutes": -1}, "buffers_are_not_negative"),
    ("scheduling.service_offerings", {"buffer_after_minutes": -1}, "buffers_are_not_negative"),
    ("scheduling.service_offerings", {"visibility": "secret"}, "an_offering_is_public_or_private"),
    ("scheduling.availability_rules", {"day_of_week": 7}, "a_weekday_counts_from_sunday"),
    ("scheduling.availability_rules", {"day_of_week": -1}, "a_weekday_counts_from_sunday"),
    (
        "scheduling.availability_rules",
        {"any_weekday": True, "effective_from": "2027-03-01"},
        "a_rule_of_any_weekday_has_a_recurrence_and_a_first_day",
    ),
    (
        "scheduling.availability_rules",
        {"any_weekday": True, "recurrence": "FREQ=DAILY"},
        "a_rule_of_any_weekday_has_a_recurrence_and_a_first_day",
    ),
    (
        "scheduling.availability_rules",
        {"any_weekday": True, "recurrence": "FREQ=DAILY", "effective_from": "2027-03-02"},
        "a_rule_of_any_weekday_stores_that_of_its_first_day",
    ),
    ("scheduling.availability_rules", {"end_time": "24:00"}, "midnight_is_written_as_zero"),
    ("scheduling.availability_rules", {"slot_duration_minutes": 0}, "a_rules_slots_take_a_day_at_most"),
    ("scheduling.availability_rules", {"slot_duration_minutes": 1441}, "a_rules_slots_take_a_day_at_most"),
    ("scheduling.availability_rules", {"slot_interval_minutes": 0}, "a_rules_slots_advance_by_a_day_at_most"),
    ("scheduling.availability_rules", {"slot_interval_minutes": 1441}, "a_rules_slots_advance_by_a_day_at_most"),
    ("scheduling.availability_rules", {"slot_alignment_minutes": 0}, "a_rules_slots_advance_by_a_day_at_most"),
    ("scheduling.availability_rules", {"slot_alignment_minutes": 1441}, "a_rules_slots_advance_by_a_day_at_most"),
    ("scheduling.availability_rules", {"capacity": 0}, "a_rules_slots_hold_somebody"),
    (
        "scheduling.availability_rules",
        {"effective_from": "2027-03-02", "effective_until": "2027-03-01"},
        "a_rule_begins_before_it_ends",
    ),
    ("scheduling.availability_rules", {"effective_until": "infinity"}, "a_rules_days_are_in_the_calendar"),
    ("scheduling.availability_rules", {"effective_from": "-infinity"}, "a_rules_days_are_in_the_calendar"),
    (
        "scheduling.availability_exceptions",
        {"type": "holiday"},
        "an_exception_blocks_overrides_or_is_an_emergency",
    ),
    (
        "scheduling.availability_exceptions",
        {"end_at": "2027-03-01 09:00Z"},
        "an_exception_starts_before_it_ends",
    ),
    (
        "scheduling.availability_exceptions",
        {"end_at": "infinity", "type": "blocked"},
        "an_exception_is_in_the_calendar",
    ),
    (
        "scheduling.availability_exceptions",
        {"start_at": "-infinity", "type": "blocked"},
        "an_exception_is_in_the_calendar",
    ),
    (
        "scheduling.availability_exceptions",
        {"local_end": None},
        "an_exceptions_wall_times_are_a_pair_in_order",
    ),
    (
        "scheduling.availability_exceptions",
        {"local_end": "2027-03-01 05:30", "end_at": "2027-03-01 09:01Z"},
        "an_exceptions_wall_times_are_a_pair_in_order",
    ),
    (
        "scheduling.availability_exceptions",
        {"local_start": "2027-02-28 08:59"},
        "an_exceptions_wall_times_are_readings_of_its_instants",
    ),
    (
        "scheduling.availability_exceptions",
        {"local_end": "infinity"},
        "an_exceptions_wall_times_are_readings_of_its_instants",
    ),
    (
        "scheduling.availability_exceptions",
        {"end_at": "2027-03-02 11:01Z"},
        "an_override_lasts_a_day_at_most",
    ),
    (
        "scheduling.availability_exceptions",
        {"type": "blocked", "slot_duration_minutes": 20},
        "only_an_override_has_slots_of_its_own",
    ),
    (
        "scheduling.availability_exceptions",
        {"slot_duration_minutes": 0},
        "an_overrides_slots_take_time_and_advance",
    ),
    (
        "scheduling.availability_exceptions",
        {"slot_interval_minutes": 0},
        "an_overrides_slots_take_time_and_advance",
    ),
    (
        "scheduling.availability_exceptions",
        {"slot_duration_minutes": 1441},
        "an_overrides_slots_take_time_and_advance",
    ),
    (
        "scheduling.availability_exceptions",
        {"slot_interval_minutes": 1441},
        "an_overrides_slots_take_time_and_advance",
    ),
    ("scheduling.availability_exceptions", {"capacity": 0}, "an_overrides_slots_take_time_and_advance"),
    ("scheduling.facility_closures", {"day": "infinity"}, "a_closure_is_in_the_calendar"),
    ("scheduling.facility_closures", {"end_time": None}, "a_closed_time_has_a_start_and_an_end"),
    ("scheduling.facility_closures", {"start_time": None}, "a_closed_time_has_a_start_and_an_end"),
    ("scheduling.facility_closures", {"end_time": "24:00"}, "midnight_is_written_as_zero"),
    ("scheduling.availability_slots", {"end_at": "2027-03-01 09:00Z"}, "a_slot_starts_before_it_ends"),
    ("scheduling.availability_slots", {"end_at": "infinity"}, "a_slot_starts_before_it_ends"),
    ("scheduling.availability_slots", {"end_at": "2027-03-01 09:00:59Z"}, "a_slots_length_is_a_minute_to_a_day"),
    ("scheduling.availability_slots", {"end_at": "2027-03-02 09:00:01Z"}, "a_slots_length_is_a_minute_to_a_day"),
    ("scheduling.availability_slots", {"status": "free"}, "a_slot_is_open_reserved_booked_or_cancelled"),
    ("scheduling.availability_slots", {"capacity": 0}, "a_slot_is_booked_within_its_capacity"),
    ("scheduling.availability_slots", {"booked_count": -1}, "a_slot_is_booked_within_its_capacity"),
    ("scheduling.availability_slots", {"booked_count": 2}, "a_slot_is_booked_within_its_capacity"),
    ("scheduling.availability_slots", {"status": "reserved"}, "a_reserved_slot_says_until_when"),
    ("scheduling.availability_slots", {"id": 0}, "the_id_of_a_slot_is_positive"),
    ("scheduling.availability_slots", {"reserved_until": "infinity"}, "its_times_are_in_the_calendar"),
    ("scheduling.availability_slots", {"status": "booked"}, "a_booked_slot_has_a_booking"),
    ("scheduling.generation_runs", {"until_day": "2027-03-01"}, "a_run_is_for_a_day_at_least"),
    ("scheduling.generation_runs", {"status": "lost"}, "a_run_is_running_succeeded_failed_or_interrupted"),
    ("scheduling.generation_runs", {"status": "failed"}, "a_run_that_ended_says_when"),
    ("scheduling.generation_runs", {"finished_at": "2027-03-01 00:00Z"}, "a_run_that_ended_says_when"),
    ("scheduling.generation_runs", {"slots_kept": -1}, "a_runs_counts_are_not_negative"),
    (
        "scheduling.schedule_states",
        {"generated_days": "{[2027-03-01,)}", "fingerprint_since": "2027-03-01"},
        "generated_days_have_ends",
    ),
    (
        "scheduling.schedule_states",
        {"generated_days": "{[2027-03-01,infinity)}", "fingerprint_since": "2027-03-01"},
        "its_times_are_in_the_calendar",
    ),
    ("scheduling.schedule_states", {"fingerprint": "ab"}, "a_fingerprint_covers_the_generated_days"),
    (
        "scheduling.schedule_states",
        {"generated_days": "{[2027-03-01,2027-03-02)}", "fingerprint_since": "2027-03-02"},
        "a_fingerprint_covers_the_generated_days",
    ),
    ("scheduling.insurance_plans", {"effective_to": "2026-12-31"}, "an_insurance_plan_begins_before_it_ends"),
    ("scheduling.insurance_plans", {"effective_to": "infinity"}, "an_insurance_plans_days_are_in_the_calendar"),
    ("scheduling.insurance_plans", {"effective_from": "-infinity"}, "an_insurance_plans_days_are_in_the_calendar"),
    ("scheduling.facility_insurance_plans", {"accepted_since": "infinity"}, "an_acceptance_begins_in_the_calendar"),
    ("scheduling.step_templates", {"default_duration_minutes": 0}, "a_step_template_takes_time"),
    ("scheduling.service_workflows", {"total_estimated_minutes": 0}, "a_workflow_is_estimated_to_take_time"),
    ("scheduling.workflow_steps", {"position": 0}, "the_steps_of_a_workflow_count_from_one"),
    ("scheduling.workflow_steps", {"duration_minutes": 0}, "a_workflow_step_takes_time"),
    ("scheduling.workflow_step_needs", {"kind": "Nurse"}, "the_kind_of_a_need_is_a_word"),
    ("scheduling.workflow_step_needs", {"kind": "nurse "}, "the_kind_of_a_need_is_a_word"),
    ("scheduling.workflow_step_needs", {"quantity": 0}, "a_step_needs_one_of_a_kind_at_least"),
    ("scheduling.workflow_step_needs", {"kind": "doctor"}, "a_visit_has_one_doctor_and_one_patient"),
    (
        "scheduling.workflow_step_needs",
        {"kind": "patient", "quantity": 1, "same_as_position": 1},
        "a_visit_has_one_doctor_and_one_patient",
    ),
    ("scheduling.workflow_step_needs", {"same_as_position": 0}, "the_earlier_step_of_a_need_counts_from_one"),
    ("scheduling.patients", {"email": "nobody"}, "the_email_of_a_patient_is_an_address_in_lower_case"),
    ("scheduling.patients", {"email": "Bo@example.org"}, "the_email_of_a_patient_is_an_address_in_lower_case"),
    ("scheduling.patients", {"email": f"a@{'b' * 253}"}, "the_email_of_a_patient_is_an_address_in_lower_case"),
    ("scheduling.patients", {"dob": "infinity"}, "a_patient_is_born_in_the_calendar"),
    (
        "scheduling.appointments",
        {"slot_start_at": None},
        "the_slot_of_an_appointment_is_named_with_its_start",
    ),
    (
        "scheduling.appointments",
        {"availability_slot_id": None},
        "the_slot_of_an_appointment_is_named_with_its_start",
    ),
    (
        "scheduling.appointments",
        {"start_at": "2027-03-01 09:20Z", "slot_start_at": "2027-03-01 09:20Z"},
        "an_appointment_starts_before_it_ends",
    ),
    ("scheduling.appointments", {"end_at": "infinity"}, "an_appointment_is_in_the_calendar"),
    ("scheduling.appointments", {"status": "skipped"}, "an_appointment_has_a_status_of_its_life_cycle"),
    ("scheduling.appointments", {"zone": ""}, "a_promised_time_is_a_reading_of_its_start"),
    ("scheduling.appointments", {"local_start": "infinity"}, "a_promised_time_is_a_reading_of_its_start"),
    ("scheduling.appointments", {"local_start": "2027-03-02 10:00"}, "a_promised_time_is_a_reading_of_its_start"),
    ("scheduling.appointments", {"local_start": "2027-02-28 08:00"}, "a_promised_time_is_a_reading_of_its_start"),
    (
        "scheduling.appointments",
        {"cancellation_reason": "a cold"},
        "only_a_cancelled_appointment_says_why_it_is",
    ),
    ("scheduling.appointments", {"start_at": "2027-03-01 09:01Z"}, "the_slot_of_an_appointment_begins_during_it"),
    (
        "scheduling.appointments",
        {"start_at": "2027-03-01 08:40Z", "end_at": "2027-03-01 09:00Z"},
        "the_slot_of_an_appointment_begins_during_it",
    ),
    ("scheduling.appointments", {"rescheduled_from": 1}, "an_appointment_is_rescheduled_from_another"),
    ("scheduling.resources", {"kind": "doctor"}, "the_kind_of_a_resource_is_a_word_but_doctor_or_patient"),
    ("scheduling.resources", {"kind": "patient"}, "the_kind_of_a_resource_is_a_word_but_doctor_or_patient"),
    ("scheduling.resources", {"kind": "Room"}, "the_kind_of_a_resource_is_a_word_but_doctor_or_patient"),
    ("scheduling.resource_rules", {"day_of_week": 7}, "a_weekday_counts_from_sunday"),
    (
        "scheduling.resource_rules",
        {"any_weekday": True, "effective_from": "2027-03-01"},
        "a_rule_of_any_weekday_has_a_recurrence_and_a_first_day",
    ),
    (
        "scheduling.resource_rules",
        {"any_weekday": True, "recurrence": "FREQ=DAILY", "effective_from": "2027-03-02"},
        "a_rule_of_any_weekday_stores_that_of_its_first_day",
    ),
    ("scheduling.resource_rules", {"start_time": "24:00"}, "midnight_is_written_as_zero"),
    (
        "scheduling.resource_rules",
        {"effective_from": "2027-03-02", "effective_until": "2027-03-01"},
        "a_rule_begins_before_it_ends",
    ),
    ("scheduling.resource_rules", {"effective_until": "infinity"}, "a_rules_days_are_in_the_calendar"),
    (
        "scheduling.resource_exceptions",
        {"type": "holiday"},
        "an_exception_blocks_overrides_or_is_an_emergency",
    ),
    ("scheduling.resource_exceptions", {"end_at": "2027-03-01 09:00Z"}, "an_exception_starts_before_it_ends"),
    (
        "scheduling.resource_exceptions",
        {"end_at": "infinity", "type": "blocked"},
        "an_exception_is_in_the_calendar",
    ),
    ("scheduling.resource_exceptions", {"local_end": None}, "an_exceptions_wall_times_are_a_pair_in_order"),
    (
        "scheduling.resource_exceptions",
        {"local_end": "infinity"},
        "an_exceptions_wall_times_are_readings_of_its_instants",
    ),
    ("scheduling.resource_exceptions", {"end_at": "2027-03-02 11:01Z"}, "an_override_lasts_a_day_at_most"),
    ("scheduling.appointment_steps", {"position": 0}, "the_steps_of_an_appointment_count_from_one"),
    (
        "scheduling.appointment_steps",
        {"scheduled_end_at": "2027-03-01 09:00Z"},
        "an_appointment_step_starts_before_it_ends",
    ),
    (
        "scheduling.appointment_steps",
        {"scheduled_start_at": "-infinity"},
        "an_appointment_step_is_in_the_calendar",
    ),
    ("scheduling.appointment_steps", {"scheduled_end_at": "infinity"}, "an_appointment_step_is_in_the_calendar"),
    ("scheduling.appointment_steps", {"status": "skipped"}, "an_appointment_step_has_a_status_of_its_life_cycle"),
    ("scheduling.holds", {"token_digest": "a token"}, "a_token_is_kept_as_sha_256"),
    ("scheduling.holds", {"end_at": "2027-03-01 09:00Z"}, "a_held_visit_starts_before_it_ends"),
    ("scheduling.holds", {"steps": "{}"}, "the_steps_of_a_hold_are_a_list"),
    ("scheduling.holds", {"channel": "Web"}, "a_channel_is_a_word"),
    ("scheduling.holds", {"ends_at": "infinity"}, "its_times_are_in_the_calendar"),
    ("scheduling.booking_requests", {"key": ""}, "a_key_says_something"),
    ("scheduling.booking_requests", {"digest": "a digest"}, "a_request_is_kept_as_sha_256"),
    ("scheduling.booking_requests", {"created_at": "infinity"}, "its_times_are_in_the_calendar"),
    ("scheduling.allocations", {"appointment_id": None}, "an_allocation_is_for_an_appointment_or_a_hold"),
    ("scheduling.allocations", {"hold_id": 1}, "an_allocation_is_for_an_appointment_or_a_hold"),
    ("scheduling.allocations", {"resource_id": None}, "an_allocation_is_of_a_doctor_or_a_resource"),
    ("scheduling.allocations", {"doctor_id": 1}, "an_allocation_is_of_a_doctor_or_a_resource"),
    ("scheduling.allocations", {"end_at": "2027-03-02 09:00Z"}, "an_allocation_starts_before_it_ends"),
    ("scheduling.allocations", {"end_at": "infinity"}, "its_times_are_in_the_calendar"),
    ("scheduling.allocations", {"slot_start_at": None}, "the_slot_of_an_allocation_is_named_with_its_start"),
    ("scheduling.allocations", {"shared_slot_id": 2}, "the_slot_of_an_allocation_is_named_with_its_start"),
    ("scheduling.allocations", {"visit_key": 0}, "the_key_of_a_visit_is_positive"),
    (
        "scheduling.waitlist_entries",
        {"offered_slot_start_at": None},
        "an_offered_slot_is_named_with_its_start",
    ),
    ("scheduling.waitlist_entries", {"offered_slot_id": None}, "an_offered_slot_is_named_with_its_start"),
    ("scheduling.waitlist_entries", {"status": "waiting"}, "only_an_entry_with_an_offer_names_a_slot"),
    ("scheduling.waitlist_entries", {"latest_day": "2027-02-28"}, "the_days_of_a_waitlist_entry_are_in_order"),
    ("scheduling.waitlist_entries", {"latest_day": "infinity"}, "the_days_of_a_waitlist_entry_are_in_the_calendar"),
    (
        "scheduling.waitlist_entries",
        {"status": "lost", "offered_slot_id": None, "offered_slot_start_at": None},
        "a_waitlist_entry_has_a_known_status",
    ),
]
