"""Rows of the schema `audit`."""

from uuid import UUID

from support.rows import Row, Wrong, key

NINE = "2027-03-01 09:00Z"


def rows(tenant: UUID) -> dict[str, Row]:
    own: Row = {"tenant_id": tenant}
    return {
        "audit.user_action_audit_log": own
        | {
            "id": 1,
            "occurred_at": NINE,
            "user_id": key(tenant, "identity.users"),
            "db_role": "scheduler_app",
            "action": "update",
            "entity": "scheduling.doctors",
            "entity_key": "1",
        },
        "audit.system_audit_log": own
        | {
            "id": 1,
            "occurred_at": NINE,
            "db_role": "scheduler_job",
            "event": "generation.finished",
        },
        "audit.chain": own
        | {
            "log": "user_action",
            "position": 1,
            "row_id": 1,
            "row_occurred_at": NINE,
            "row_digest": bytes(32),
            "sealed_at": NINE,
            "sealed_below": 1,
            "server": "1",
            "digest": bytes(32),
        },
    }


WRONG: Wrong = [
    ("audit.user_action_audit_log", {"action": "looked"}, "a_user_action_is_a_change_a_read_or_an_event"),
    ("audit.user_action_audit_log", {"entity_key": None}, "only_an_event_is_of_no_row"),
    ("audit.user_action_audit_log", {"action": "event", "entity": "session.started"}, "only_an_event_is_of_no_row"),
    ("audit.system_audit_log", {"event": ""}, "an_event_is_named_by_words_and_dots"),
    ("audit.system_audit_log", {"event": "Ann came late"}, "an_event_is_named_by_words_and_dots"),
    ("audit.system_audit_log", {"event": "generation."}, "an_event_is_named_by_words_and_dots"),
    ("audit.system_audit_log", {"severity": "bad"}, "a_severity_is_a_known_one"),
    ("audit.system_audit_log", {"entity": "scheduling.doctors"}, "a_changed_row_has_entity_and_key"),
    ("audit.system_audit_log", {"entity_key": "1"}, "a_changed_row_has_entity_and_key"),
    ("audit.system_audit_log", {"details": '{"number": 1e5000}'}, "its_json_is_readable"),
    ("audit.user_action_audit_log", {"after": '{"number": 1e5000}'}, "its_json_is_readable"),
    ("audit.chain", {"log": "diary"}, "a_seal_is_of_a_known_log"),
    ("audit.chain", {"position": 0}, "a_chain_counts_from_one"),
    ("audit.chain", {"digest": bytes(31)}, "a_seals_digests_are_sha256"),
    ("audit.chain", {"row_digest": b""}, "a_seals_digests_are_sha256"),
    ("audit.chain", {"sealed_at": "infinity"}, "its_times_are_in_the_calendar"),
    ("audit.chain", {"row_occurred_at": "4000-01-01 00:00+00 BC"}, "its_times_are_in_the_calendar"),
    ("audit.user_action_audit_log", {"occurred_at": "infinity"}, "its_times_are_in_the_calendar"),
    ("audit.system_audit_log", {"occurred_at": "294276-01-01 00:00+00"}, "its_times_are_in_the_calendar"),
]
WRONG += [
    (
        "audit.user_action_audit_log",
        {"action": "event", "entity": name, "entity_key": None},
        "an_event_of_a_user_is_named_by_words_and_dots",
    )
    for name in ("read", "audit.retired", "identity.users", "Ann came late", "session.", "")
]
