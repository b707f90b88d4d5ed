"""Signatures: consent says how and since when, an alert that is resolved by whom and when, and nobody wipes it.

What stands in a row for somebody to answer for is worth nothing when it may be left out, or taken out. Three gaps:

A consent had a date and needed no kind. `consent_type` is what the specification asks for to tell a signed paper from a
word on the phone; who says that there is consent says which.

An alert could be resolved by nobody. It is the end of somebody's worry about a child: the check asks who ended it, and
when, as it does of an invitation that was accepted.

And `sign_for_oneself` refused to write another's name under an alert, but let anybody take a name out, or put the own
one in its place, so that a colleague had never seen the alert. Now who is not the system leaves the signature of
another as it is, and its instant with it: a name and a later date would be another statement. The own signature one
may still take back.
"""

from alembic import op

revision = "20261121102230"
down_revision = "20261121102220"
branch_labels = None
depends_on = None

NO_OTHER_NAME = """
    declare
        signer text;
        who uuid;
    begin
        if pg_has_role(current_user, 'scheduler_system', 'usage') then
            return new;
        end if;
        foreach signer in array tg_argv loop
            who := to_jsonb(new) ->> signer;
            if who is distinct from (to_jsonb(old) ->> signer)::uuid and who <> identity.current_user_id() then
                raise exception '% of %.% is who does it', signer, tg_table_schema, tg_table_name using
                    errcode = 'insufficient_privilege', schema = tg_table_schema, table = tg_table_name,
                    column = signer;
            end if;
        end loop;
        return new;
    end """
NO_OTHER_SIGNATURE = """
    declare
        signer text;
        moment text;
        who uuid;
        who_before uuid;
    begin
        if pg_has_role(current_user, 'scheduler_system', 'usage') then
            return new;
        end if;
        foreach signer in array tg_argv loop
            moment := regexp_replace(signer, '_by$', '_at');
            who := to_jsonb(new) ->> signer;
            who_before := to_jsonb(old) ->> signer;
            if (who is distinct from who_before or to_jsonb(new) -> moment is distinct from to_jsonb(old) -> moment)
                and (coalesce(who, identity.current_user_id()) is distinct from identity.current_user_id()
                    or coalesce(who_before, identity.current_user_id()) is distinct from identity.current_user_id())
            then
                raise exception '% of %.% is who does it', signer, tg_table_schema, tg_table_name using
                    errcode = 'insufficient_privilege', schema = tg_table_schema, table = tg_table_name,
                    column = signer;
            end if;
        end loop;
        return new;
    end """


def upgrade() -> None:
    op.execute("""
    alter table wellbeing.children
        -- stops a consent of which nobody can say what it was: a word, a paper or a click
        add constraint a_consent_that_is_given_is_of_a_kind check (not consent_given or consent_type is not null);

    alter table wellbeing.alerts
        -- stops a worry that is over, and nobody can say who ended it, or when
        add constraint an_alert_that_is_resolved_says_when_and_by_whom
            check (status <> 'resolved' or resolved_at is not null and resolved_by is not null);
    """)
    sign(
        NO_OTHER_SIGNATURE,
        "Refuses a change of another''s signature, and one in the name of another, to all but the system.",
    )


def sign(body: str, said: str) -> None:
    """Make the trigger's function anew, and say what it does."""
    op.execute(f"""
    create or replace function wellbeing.sign_for_oneself() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $${body}$$;

    comment on function wellbeing.sign_for_oneself() is '{said}';
    """)


def downgrade() -> None:
    sign(
        NO_OTHER_NAME,
        "Refuses that somebody is written into the columns that its trigger names by anybody else but the system.",
    )
    op.execute("""
    alter table wellbeing.alerts drop constraint an_alert_that_is_resolved_says_when_and_by_whom;
    alter table wellbeing.children drop constraint a_consent_that_is_given_is_of_a_kind;
    """)
