"""Nothing is added to what is deleted: a member to a family that is gone, a medication to a client who is.

A foreign key asks whether a row is there, and a row that was deleted softly is. So a membership could be written in a
family that no view shows, and a medication for a client whom nobody looks at any more: the one would appear when the
family is restored, the other never. A trigger asks the rest of the question for the rows that are hung on a person, a
family or a placement: is the row that is named a live one?

It asks when a row is written, and when its reference is changed. What hung on a row before it was deleted stays as it
is and may be changed or deleted: that is what restoring brings back. It holds the row that it asks for until the
transaction ends, so that nobody deletes it in between; two who add at once do not wait for one another.

The trigger decides nothing about rows that whoever writes cannot see. Those are left to the keys, which carry the
tenant, and to row security.
"""

from alembic import op

revision = "20261121102304"
down_revision = "20261121102303"
branch_labels = None
depends_on = None

# Name of the trigger, which the refusal gives as its rule -> the table, the column, and whose key that is.
RULES = {
    "a_member_joins_a_live_family": ("identity.family_members", "family_id", "identity.families"),
    "a_member_is_a_live_user": ("identity.family_members", "user_id", "identity.users"),
    "a_medication_is_of_a_live_client": ("placement.medications", "client_id", "placement.clients"),
    "a_placement_is_of_a_live_client": ("placement.placement_info", "client_id", "placement.clients"),
    "a_form_is_about_a_live_placement": ("placement.metadata", "placement_info_id", "placement.placement_info"),
    "a_contributor_adds_to_a_live_placement": (
        "placement.contributors",
        "placement_info_id",
        "placement.placement_info",
    ),
    "a_contribution_is_to_a_live_placement": (
        "placement.form_field_contributions",
        "placement_info_id",
        "placement.placement_info",
    ),
}


def upgrade() -> None:
    op.execute("""
    create function identity.refuse_additions_to_deleted() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        target constant regclass := tg_argv[1];
        gone boolean;
    begin
        execute format('select deleted_at is not null from %s where tenant_id = $1 and id = $2 for share', target)
            into gone using new.tenant_id, (to_jsonb(new) ->> tg_argv[0])::uuid;
        if gone then
            raise exception 'the row of % that % names is deleted', target, tg_argv[0] using
                errcode = 'check_violation', schema = tg_table_schema, table = tg_table_name, constraint = tg_name;
        end if;
        return new;
    end $$;

    comment on function identity.refuse_additions_to_deleted() is
        'Refuses a row that names, in the column of its trigger, a row that was deleted softly.';
    """)
    for name, (table, column, target) in RULES.items():
        op.execute(f"""
        create trigger {name} before insert or update of {column} on {table}
            for each row execute function identity.refuse_additions_to_deleted('{column}', '{target}');
        """)


def downgrade() -> None:
    for name, (table, _, _) in RULES.items():
        op.execute(f"drop trigger {name} on {table}")
    op.execute("drop function identity.refuse_additions_to_deleted()")
