"""Events of users: what somebody did that changed no row and opened none.

Signing in, exporting a list, printing a form: somebody did it, and an audit asks who. The log of user actions took
changes and reads only, and an event of the system's log has no user. So a user action may be an event, too:

- its action is `event`, its entity the event's name: words and dots, two words at least (`session.started`), and the
  first is none of our schemas. So it can be taken neither for an action of the log's own nor for a table;
- it has no key, for it is of no row; every other action has one;
- its details are numbers, true, false, null, and words without a space: enough for an id, a count or a format, too
  little for a sentence about somebody. A rule cannot know what is personal; it stops what would be by carelessness.

`audit.record_event` writes it for the tenant, user, request and address of the transaction, and for no other: none of
them is an argument. Without a user there is nothing to write here; the system's events have `audit.record_system`.
The digest of a row is over the same columns as before, so that chains go on unbroken.

Going down is refused once there is an event: the log is never changed.
"""

from alembic import op

revision = "20261121102306"
down_revision = "20261121102305"
branch_labels = None
depends_on = None

FUNCTION = "audit.record_event(text, jsonb)"


def upgrade() -> None:
    op.execute("""
    alter table audit.user_action_audit_log
        alter column entity_key drop not null,
        drop constraint a_user_action_is_a_change_or_a_read,
        -- stops an action that no reader of the log looks for
        add constraint a_user_action_is_a_change_a_read_or_an_event
            check (action in ('insert', 'update', 'delete', 'read', 'event')),
        -- stops a change or a read of nobody knows which row, and an event that pretends to be one
        add constraint only_an_event_is_of_no_row check ((action = 'event') = (entity_key is null)),
        -- stops an event that nobody could search for, and one that looks like a table
        add constraint an_event_of_a_user_is_named_by_words_and_dots check (
            action <> 'event'
            or entity ~ '^[a-z][a-z_]*([.][a-z][a-z_]*)+$'
                and entity !~ '^(identity|audit|scheduling|placement|wellbeing)[.]'
        );
    comment on table audit.user_action_audit_log is
        'What was done for a user: a change or a read of a row, or an event; when and from where. Only added to.';

    create function audit.record_event(name text, details jsonb) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        actor constant uuid := identity.current_user_id();
    begin
        if tenant is null or actor is null then
            raise exception 'an event belongs to a user of a tenant: % is set',
                case when tenant is null then 'no tenant' else 'no user' end
                using errcode = 'invalid_parameter_value';
        end if;
        if exists (
            select from jsonb_each(details)
            where jsonb_typeof(value) not in ('number', 'boolean', 'null')
                and value #>> '{}' !~ '^[A-Za-z0-9_.:+-]{0,100}$'
        ) then
            raise exception 'the details of an event are numbers, words without a space, true, false and null'
                using errcode = 'invalid_parameter_value';
        end if;
        insert into audit.user_action_audit_log (tenant_id, user_id, db_role, action, entity, details,
            request_id, client_address, user_agent)
        values (tenant, actor, coalesce(nullif(current_setting('role'), 'none'), session_user), 'event',
            record_event.name, record_event.details,
            left(nullif(current_setting('app.request_id', true), ''), 200),
            audit.address_of(current_setting('app.client_address', true)),
            left(nullif(current_setting('app.user_agent', true), ''), 500));
    end $$;

    comment on function audit.record_event(text, jsonb) is
        'Writes that the user of this transaction did something that is no change or read of a row.';
    """)
    op.execute(f"call identity.give_to_definer('{FUNCTION}', 'scheduler_app, scheduler_system')")


def downgrade() -> None:
    op.execute(f"drop function {FUNCTION}")
    op.execute("""
    comment on table audit.user_action_audit_log is
        'What was done for a user: which row was changed or read, when, from where. Never changed, never deleted.';
    alter table audit.user_action_audit_log
        drop constraint an_event_of_a_user_is_named_by_words_and_dots,
        drop constraint only_an_event_is_of_no_row,
        drop constraint a_user_action_is_a_change_a_read_or_an_event,
        add constraint a_user_action_is_a_change_or_a_read check (action in ('insert', 'update', 'delete', 'read')),
        alter column entity_key set not null;
    """)
