"""Rows of the schema `identity`."""

from uuid import UUID

from support.rows import Row, Wrong, key


def rows(tenant: UUID) -> dict[str, Row]:
    return {
        "identity.tenants": {"id": tenant, "slug": str(tenant), "name": "A tenant"},
        "identity.users": {
            "tenant_id": tenant,
            "id": key(tenant, "identity.users"),
            "supertokens_user_id": str(key(tenant, "sign-in")),
            "email": "ann@example.org",
            "name": "Ann",
            "role": "admin",
        },
        "identity.addresses": {
            "tenant_id": tenant,
            "id": key(tenant, "identity.addresses"),
            "line_1": "1 High Street",
            "country": "GB",
        },
        "identity.families": {
            "tenant_id": tenant,
            "id": key(tenant, "identity.families"),
            "family_name": "Adams",
            "address_id": key(tenant, "identity.addresses"),
            "preferred_programs": ["zoo camp"],
            "created_by": key(tenant, "identity.users"),
            "modified_by": key(tenant, "identity.users"),
        },
        "identity.family_members": {
            "tenant_id": tenant,
            "family_id": key(tenant, "identity.families"),
            "user_id": key(tenant, "identity.users"),
            "role": "parent",
            "is_primary_contact": True,
        },
        "identity.data_keys": {
            "tenant_id": tenant,
            "id": key(tenant, "identity.data_keys"),
            "purpose": "encryption",
            "wrapped_key": bytes(60),
            "master_key_id": "main",
        },
    }


WRONG: Wrong = [
    ("identity.tenants", {"status": "asleep"}, "a_tenant_is_active_suspended_or_closed"),
    ("identity.users", {"email": "nobody"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": "a@b@c"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": "Ann@example.org"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": "a b@example.org"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": "a@-example.org"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": "a@example.org\n"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": "ä@example.org"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": f"{'a' * 65}@example.org"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": f"a@{'b' * 64}.org"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": f"a@{'b.' * 126}cc"}, "an_email_is_an_address_in_lower_case"),
    ("identity.users", {"email": None}, "who_signs_in_has_an_email"),
    ("identity.users", {"name": ""}, "a_user_has_a_name"),
    ("identity.users", {"name": " \n"}, "a_user_has_a_name"),
    ("identity.families", {"family_name": ""}, "a_family_has_a_name"),
    ("identity.families", {"family_name": "  "}, "a_family_has_a_name"),
    ("identity.users", {"status": "asleep"}, "a_user_is_active_inactive_pending_or_suspended"),
    ("identity.addresses", {"country": "gb"}, "the_country_of_an_address_is_two_capital_letters"),
    ("identity.families", {"status": "asleep"}, "a_family_is_active_or_inactive"),
    ("identity.families", {"preferred_programs": ["zoo camp", None]}, "a_preferred_program_has_a_name"),
    ("identity.families", {"preferred_programs": [""]}, "a_preferred_program_has_a_name"),
    ("identity.family_members", {"role": "admin"}, "a_member_is_a_parent_or_a_student"),
    ("identity.data_keys", {"purpose": "decoration"}, "a_data_key_encrypts_or_indexes"),
    ("identity.data_keys", {"wrapped_key": bytes(32)}, "a_data_key_is_wrapped"),
    ("identity.data_keys", {"wrapped_key": bytes(4097)}, "a_data_key_is_wrapped"),
    ("identity.data_keys", {"master_key_id": ""}, "the_master_key_of_a_data_key_has_a_name"),
    ("identity.data_keys", {"master_key_id": "a b"}, "the_master_key_of_a_data_key_has_a_name"),
    ("identity.data_keys", {"retired_at": "2027-03-01 00:00Z"}, "only_a_superseded_data_key_is_retired"),
    (
        "identity.data_keys",
        {"superseded_at": "2027-03-02 00:00Z", "retired_at": "2027-03-01 00:00Z"},
        "only_a_superseded_data_key_is_retired",
    ),
]
