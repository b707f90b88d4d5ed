"""Audit log: which session changed or read which row when, written by the database and append-only.

Work for a user (`app.user_id` is set) goes to `user_action_audit_log`, all other work to `system_audit_log`. A row
names the tenant of the changed row, not of the session. The logs have no foreign keys, since they outlive the rows that
they name. `scheduler_system` reads them, within its tenant.

**Writing.** `audit.watch` gives a table three statement triggers, which write in the transaction of the change. Their
function belongs to `scheduler_definer`, the only role that may insert. Triggers cannot see reads, so the code that
decrypts health information calls `audit.record_read` first, in a transaction of its own, which a rollback of the
reader's leaves as it is. `audit.record_event` records an act of a user that changes and opens no row (signing in, an
export), `audit.record_system` an event of the library. Tenant, user, request and address come from the transaction,
never from an argument. Beside the system, only an active user, or no user, of an open tenant adds such rows, since
nobody would seal those of an invented tenant.

**Contents.** The key is always written. A value is written only if its column is harmless by name and type or listed by
the revision of its table; other columns appear as set or changed only. An update that changes nothing but `updated_at`
writes nothing; one that changes the key writes a row under each key.

**Months.** Both logs are partitioned by UTC month, so that retention drops months. The partition `..._rest` takes rows
without a month, since a log that refuses a row would stop the clinic. Each seal calls `audit.ensure_months`, which
makes months ahead and moves rows of the rest there unchanged, so that their seals stay valid. A writer makes no months:
that would take a lock in the middle of a patient's transaction.

**Retirement.** `audit.retire` writes and seals an event with span, number and digest of the dropped rows, without which
the library reports their seals as faults. These events are never dropped: those of a retired month go to the rest.

**Seals.** Triggers refuse update, delete and truncate to everyone, but the owner could drop them. So `audit.seal` adds
each row to `audit.chain`, where each seal is a hash over the one before, and the library verifies the chain elsewhere.
"""

from alembic import op

revision = "20261126000300"
down_revision = "20261126000200"

LOGS = ("user_action_audit_log", "system_audit_log")
MONTHS_AHEAD = 3
LOG_BYTES = 64 * 1024 * 1024
# `offset 0` makes the planner convert each row to jsonb once. `row_position` pairs the old and new row if one statement
# changes a row twice (deleting a user who created and changed a family): PostgreSQL stores both in one order.
CHANGES_OF_UPDATE = """
    select coalesce(o.tenant, n.tenant)::uuid as tenant_id, coalesce(o.key, n.key) as key,
        case when o.whole is not null then difference.before end as before,
        case when n.whole is not null then difference.after end as after
    from (
        select whole, row_position, whole ->> tenant_column as tenant, {key} as key
        from (
            select to_jsonb(old_rows) as whole, row_number() over () as row_position from old_rows offset 0
        ) as old_rows
    ) as o
    full join (
        select whole, row_position, whole ->> tenant_column as tenant, {key} as key
        from (
            select to_jsonb(changed_rows) as whole, row_number() over () as row_position from changed_rows offset 0
        ) as changed_rows
    ) as n using (tenant, key, row_position)
    cross join lateral (
        select
            jsonb_object_agg(
                name,
                case when name = any (visible_columns) or o.whole -> name = 'null' then o.whole -> name else veil end
            ) as before,
            jsonb_object_agg(
                name,
                case when name = any (visible_columns) or n.whole -> name = 'null' then n.whole -> name else veil end
            ) as after
        from jsonb_each(coalesce(n.whole, o.whole)) as field (name, value)
        where o.whole -> name is distinct from n.whole -> name and name not in ('tenant_id', 'updated_at')
    ) as difference
    where difference.before is not null
"""
CHANGES_OF_INSERT_AND_DELETE = """
    select (whole ->> tenant_column)::uuid as tenant_id, {key} as key,
        case when tg_op = 'DELETE' then visible_values end as before,
        case when tg_op = 'INSERT' then visible_values end as after
    from (
        select whole, (
            select jsonb_object_agg(name, case when name = any (visible_columns) then value else veil end)
            from jsonb_each(whole) as field (name, value)
            where value <> 'null' and name not in ('tenant_id', 'updated_at')
        ) as visible_values
        from (select to_jsonb(changed_rows) as whole from changed_rows offset 0) as changed_rows
        offset 0
    ) as changed_rows
"""
# The key of a row. A text key may be the name of a person, so it is replaced by a digest.
KEY = """case when cardinality(text_keys) > 0 then array_to_string(array(
                select case when part = any (text_keys) then 'sha256:' || encode(sha256(convert_to(
                    (whole ->> tenant_column) || ' ' || (whole ->> part), 'UTF8')), 'hex') else whole ->> part end
                from unnest(keys) as part), ',')
            when cardinality(keys) = 1 then whole ->> keys[1]
            else array_to_string(array(select whole ->> part from unnest(keys) as part), ',') end"""

# The values in the digest of a row after its key and instant; `scheduler.postgres.audit.row_digest` has the same list.
USER_ACTION = (
    "user_id, db_role, action, entity, entity_key, before, after, details, request_id, client_address,"
    " user_agent, transaction_id, before is null, after is null, details is null"
)
SYSTEM = (
    "db_role, event, severity, entity, entity_key, before, after, details, request_id, transaction_id,"
    " before is null, after is null, details is null"
)
# All columns of the log but tenant_id, id, occurred_at and details, which revision 001400 grants.
SEALED_COLUMNS = (
    "user_id, db_role, action, entity, entity_key, before, after, request_id, client_address, user_agent,"
    " transaction_id"
)


def note(changes: str) -> str:
    """Return the statements that write changes to the right log."""
    changes = changes.format(key=KEY)
    return f"""
            if actor is not null then
                insert into audit.user_action_audit_log (tenant_id, user_id, db_role, action, entity, entity_key,
                    before, after, request_id, client_address, user_agent)
                select tenant_id, actor, acting_as, lower(tg_op), entity, key, before, after, request, address, agent
                from ({changes}) as changes;
            else
                insert into audit.system_audit_log (tenant_id, db_role, event, entity, entity_key,
                    before, after, request_id)
                select tenant_id, acting_as, lower(tg_op), entity, key, before, after, request
                from ({changes}) as changes;
            end if;
    """


def upgrade() -> None:
    op.execute("""
    create table if not exists audit.user_action_audit_log (
        tenant_id uuid not null,
        id bigint not null generated by default as identity,
        occurred_at timestamptz not null default clock_timestamp(),
        user_id uuid not null,
        db_role text not null,
        action text not null,
        entity text not null,
        entity_key text,
        before jsonb,
        after jsonb,
        details jsonb,
        request_id text,
        client_address inet,
        user_agent text,
        transaction_id bigint not null default (pg_current_xact_id()::text)::bigint,
        -- time first: sealing, retention and queries read spans of time
        constraint user_action_audit_log_pkey primary key (tenant_id, occurred_at, id)
    ) partition by range (occurred_at);

    comment on table audit.user_action_audit_log is
        'Actions of users: a change or read of a row, or an event, with time and origin. Append-only.';

    create index if not exists user_action_audit_log_entity_entity_key_occurred_at_idx
        on audit.user_action_audit_log (tenant_id, entity, entity_key, occurred_at);
    create index if not exists user_action_audit_log_user_id_occurred_at_idx
        on audit.user_action_audit_log (tenant_id, user_id, occurred_at);
    -- serves sessions without row security, and audit.find_actions: under it @> is no index condition
    create index if not exists user_action_audit_log_details_idx
        on audit.user_action_audit_log using gin (details jsonb_path_ops) where details is not null;

    -- completes a log of an older shape
    alter table audit.user_action_audit_log
        alter column entity_key drop not null,
        drop constraint if exists a_user_action_is_a_change_or_a_read,
        -- stops an unknown action
        drop constraint if exists a_user_action_is_a_change_a_read_or_an_event,
        add constraint a_user_action_is_a_change_a_read_or_an_event
            check (action in ('insert', 'update', 'delete', 'read', 'event')),
        -- stops a change or read without its row, and an event with one
        drop constraint if exists only_an_event_is_of_no_row,
        add constraint only_an_event_is_of_no_row check ((action = 'event') = (entity_key is null)),
        -- stops an event that no search finds, and one named like a table
        drop constraint if exists an_event_of_a_user_is_named_by_words_and_dots,
        add constraint an_event_of_a_user_is_named_by_words_and_dots check (
            action <> 'event'
            or entity ~ '^[a-z][a-z_]*([.][a-z][a-z_]*)+$'
                and entity !~ '^(identity|audit|scheduling|placement|wellbeing)[.]'
                -- the library's own events, which no user may invent
                and entity !~ '^(person|tenant|generation|key)[.]'
        );

    create table if not exists audit.system_audit_log (
        tenant_id uuid not null,
        id bigint not null generated by default as identity,
        occurred_at timestamptz not null default clock_timestamp(),
        db_role text not null,
        event text not null,
        severity text not null default 'info',
        entity text,
        entity_key text,
        before jsonb,
        after jsonb,
        details jsonb,
        request_id text,
        transaction_id bigint not null default (pg_current_xact_id()::text)::bigint,
        constraint system_audit_log_pkey primary key (tenant_id, occurred_at, id),
        -- stops an event that no search finds: a sentence, a name, nothing
        constraint an_event_is_named_by_words_and_dots check (event ~ '^[a-z][a-z_]*([.][a-z][a-z_]*)*$'),
        -- stops an unknown severity
        constraint a_severity_is_a_known_one check (severity in ('info', 'warning', 'error', 'critical')),
        -- stops an entity without its key, and a key without its entity
        constraint a_changed_row_has_entity_and_key check (num_nonnulls(entity, entity_key) in (0, 2))
    ) partition by range (occurred_at);

    comment on table audit.system_audit_log is
        'Work of the library for no user: changes of rows, and events. Append-only.';

    create index if not exists system_audit_log_event_occurred_at_idx
        on audit.system_audit_log (tenant_id, event, occurred_at);
    create index if not exists system_audit_log_entity_entity_key_occurred_at_idx
        on audit.system_audit_log (tenant_id, entity, entity_key, occurred_at) where entity is not null;
    create index if not exists system_audit_log_details_idx
        on audit.system_audit_log using gin (details jsonb_path_ops) where details is not null;

    create table audit.chain (
        tenant_id uuid not null,
        log text not null,
        position bigint not null,
        row_id bigint not null,
        row_occurred_at timestamptz not null,
        row_digest bytea not null,
        sealed_at timestamptz not null,
        sealed_below bigint not null,
        server text not null,
        digest bytea not null,
        constraint chain_pkey primary key (tenant_id, log, position),
        -- stops sealing one row twice
        constraint a_row_is_sealed_once unique (tenant_id, log, row_occurred_at, row_id),
        -- stops a seal of an unknown log
        constraint a_seal_is_of_a_known_log check (log in ('user_action', 'system')),
        -- stops a position before the first
        constraint a_chain_counts_from_one check (position >= 1),
        -- stops a truncated digest, or one of another algorithm
        constraint a_seals_digests_are_sha256 check (octet_length(row_digest) = 32 and octet_length(digest) = 32),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            row_occurred_at >= '0001-01-03 00:00+00' and row_occurred_at < '9999-12-29 00:00+00'
            and sealed_at >= '0001-01-03 00:00+00' and sealed_at < '9999-12-29 00:00+00'
        )
    );

    comment on table audit.chain is
        'Seals of the logs: each is a hash over a row and the previous seal. A seal outlives a retired row.';

    create function audit.refuse_change() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        raise exception 'cannot % %.%: the audit log is append-only', lower(tg_op), tg_table_schema, tg_table_name
            using errcode = 'insufficient_privilege';
    end $$;

    comment on function audit.refuse_change() is 'Refuses every change of a log, also by its owner.';
    revoke all on function audit.refuse_change() from public;
    """)
    op.execute("call identity.limit_sizes('audit.chain')")
    for table in (*LOGS, "chain"):
        op.execute(f"""
        create trigger what_is_written_stays before update or delete or truncate on audit.{table}
            for each statement execute function audit.refuse_change();

        alter table audit.{table} enable row level security;
        alter table audit.{table} force row level security;
        create policy a_tenant_sees_its_own_rows on audit.{table}
            using (tenant_id = (select identity.current_tenant_id()))
            with check (tenant_id = (select identity.current_tenant_id()));
        grant select on audit.{table} to scheduler_system;
        """)
    for log in LOGS:
        op.execute(f"""
        -- true, since a log row has the tenant of the changed row, not of the session
        create policy the_log_is_written_by_its_functions on audit.{log} for insert to scheduler_definer
            with check (true);
        grant insert on audit.{log} to scheduler_definer;

        alter table audit.{log} drop constraint if exists its_json_is_readable;
        -- stops an event or a shown value that no reader in Python can read
        alter table audit.{log} add constraint its_json_is_readable check (
            identity.is_readable_json(before) and identity.is_readable_json(after)
            and identity.is_readable_json(details)
        );
        -- more than a row of any table can show: a log that refuses a row would stop the clinic
        call identity.limit_sizes('audit.{log}', {LOG_BYTES});
        alter table audit.{log} drop constraint if exists its_times_are_in_the_calendar;
        -- stops 'infinity' and the year 10000, which the driver cannot read, and which no seal can contain
        alter table audit.{log} add constraint its_times_are_in_the_calendar check (
            occurred_at >= '0001-01-03 00:00+00' and occurred_at < '9999-12-29 00:00+00'
        );
        """)
    make_months()
    make_writers()
    make_seals()
    op.execute("""
    create procedure audit.watch(target regclass, visible_columns text[] default '{}')
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        primary_key constant text[] := array(
            select attname::text from pg_constraint join pg_attribute on attrelid = conrelid and attnum = any (conkey)
            where conrelid = target and contype = 'p' order by array_position(conkey, attnum)
        );
        tenant_column constant text := case when exists (
            select from pg_attribute where attrelid = target and attname = 'tenant_id' and not attisdropped
        ) then 'tenant_id' else 'id' end;
        keys text[] := array_remove(primary_key, 'tenant_id');
        kind text;
    begin
        if cardinality(primary_key) = 0 then
            raise exception 'cannot audit %: it has no primary key, which identifies rows in the log; add one', target;
        end if;
        if cardinality(keys) = 0 then
            keys := primary_key;
        end if;
        foreach kind in array array['insert', 'update', 'delete'] loop
            execute format(
                'create or replace trigger %I after %s on %s referencing %s'
                ' for each statement execute function audit.record_changes(%L, %L, %L)',
                kind || 's_are_logged', kind, target,
                case kind when 'insert' then 'new table as changed_rows'
                    when 'delete' then 'old table as changed_rows'
                    else 'old table as old_rows new table as changed_rows' end,
                tenant_column, keys, visible_columns);
        end loop;
    end $$;

    comment on procedure audit.watch(regclass, text[]) is
        'Records each change of a table in the audit log, with the values of the visible columns only.';

    revoke all on procedure audit.watch(regclass, text[]) from public;
    """)


def make_months() -> None:
    """Create the functions that create, list and drop partitions, and the first partitions."""
    op.execute("""
    create procedure audit.create_partition(log text, partition_name text)
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        execute format('create table audit.%I (like audit.%I including all excluding identity)', partition_name, log);
        execute format('alter table audit.%I enable row level security', partition_name);
        execute format('alter table audit.%I force row level security', partition_name);
        execute format('create policy a_tenant_sees_its_own_rows on audit.%I'
            ' using (tenant_id = (select identity.current_tenant_id()))'
            ' with check (tenant_id = (select identity.current_tenant_id()))', partition_name);
        execute format('create trigger what_is_written_stays before update or delete or truncate on audit.%I'
            ' for each statement execute function audit.refuse_change()', partition_name);
    end $$;

    comment on procedure audit.create_partition(text, text) is
        'Creates a table that can become a partition of a log, with row security and its trigger.';

    revoke all on procedure audit.create_partition(text, text) from public;
    """)
    for log in LOGS:
        op.execute(f"""
        call audit.create_partition('{log}', '{log}_rest');
        alter table audit.{log} attach partition audit.{log}_rest default;
        comment on table audit.{log}_rest is 'Rows without a month; empty while months are made ahead.';
        """)
    op.execute(r"""
    create function audit.partitions(log text)
    returns table (part regclass, begins_at timestamptz, ends_at timestamptz)
    language sql stable set search_path = pg_catalog, pg_temp set timezone = 'UTC'
    begin atomic
        select oid::regclass,
            (regexp_match(pg_get_expr(relpartbound, oid), E'FROM \\(''([^'']+)''\\)'))[1]::timestamptz,
            (regexp_match(pg_get_expr(relpartbound, oid), E'TO \\(''([^'']+)''\\)'))[1]::timestamptz
        from pg_class join pg_inherits on inhrelid = oid
        where inhparent = format('audit.%I', log)::regclass and pg_get_expr(relpartbound, oid) <> 'DEFAULT'
        order by 2;
    end;

    comment on function audit.partitions(text) is 'The months of a log, without the partition for the rest.';

    revoke all on function audit.partitions(text) from public;

    create function audit.ensure_months(ahead integer) returns integer
    language plpgsql security definer set search_path = pg_catalog, pg_temp set timezone = 'UTC'
    as $$
    declare
        made integer := 0;
        this_month constant timestamptz := date_trunc('month', clock_timestamp());
        next_at timestamptz;
        rest_is_set_aside boolean;
        log text;
    begin
        if ahead is null or ahead not between 0 and 120 then
            raise exception 'invalid number of months ahead: % (0 to 120 are allowed)', ahead
                using errcode = 'invalid_parameter_value';
        end if;
        perform pg_advisory_xact_lock(hashtext('scheduler'), hashtext('audit months'));
        foreach log in array array['user_action_audit_log', 'system_audit_log'] loop
            select coalesce(max(ends_at), this_month) into next_at from audit.partitions(log);
            rest_is_set_aside := false;
            while next_at <= this_month + make_interval(months => ahead) loop
                begin
                    call audit.create_partition(log, log || '_' || to_char(next_at, 'YYYY_MM'));
                    execute format('alter table audit.%I attach partition audit.%I for values from (%L) to (%L)',
                        log, log || '_' || to_char(next_at, 'YYYY_MM'), next_at, next_at + interval '1 month');
                    next_at := next_at + interval '1 month';
                    made := made + 1;
                exception when check_violation then
                    -- The rest has rows of this month: set it aside, and try the month again.
                    execute format('alter table audit.%I detach partition audit.%I', log, log || '_rest');
                    execute format('alter table audit.%I rename to %I', log || '_rest', log || '_aside');
                    call audit.create_partition(log, log || '_rest');
                    execute format('alter table audit.%I attach partition audit.%I default', log, log || '_rest');
                    execute format('comment on table audit.%I is %L', log || '_rest',
                        'Rows without a month; empty while months are made ahead.');
                    rest_is_set_aside := true;
                end;
            end loop;
            if rest_is_set_aside then
                -- Forced row security binds the owner, too, who would see and write no rows.
                execute format('alter table audit.%I no force row level security', log || '_aside');
                execute format('alter table audit.%I no force row level security', log);
                execute format('insert into audit.%I select * from audit.%I', log, log || '_aside');
                execute format('alter table audit.%I force row level security', log);
                execute format('drop table audit.%I', log || '_aside');
            end if;
        end loop;
        return made;
    end $$;

    comment on function audit.ensure_months(integer) is
        'Creates the missing months of the logs up to a number of months ahead; returns how many were missing.';

    revoke all on function audit.ensure_months(integer) from public;
    grant execute on function audit.ensure_months(integer) to scheduler_system;

    create function audit.retire(before timestamptz) returns table (part text, rows_retired bigint)
    language plpgsql set search_path = pg_catalog, pg_temp set timezone = 'UTC'
    as $$
    declare
        tenant_before constant text := current_setting('app.tenant_id', true);
        log text;
        kind text;
        month record;
        of_tenant uuid;
        counts record;
        sealed bigint;
        kept audit.system_audit_log[];
        event audit.system_audit_log;
    begin
        foreach log in array array['user_action_audit_log', 'system_audit_log'] loop
            kind := replace(log, '_audit_log', '');
            for month in select * from audit.partitions(log) where ends_at <= before loop
                part := month.part;
                rows_retired := 0;
                kept := '{}';
                execute format('lock table %s in access exclusive mode', month.part);
                -- Forced row security binds the owner, too; this table is dropped below.
                execute format('alter table %s no force row level security', month.part);
                for of_tenant in execute format('select distinct tenant_id from %s order by 1', month.part) loop
                    perform set_config('app.tenant_id', of_tenant::text, true);
                    select count(*) into sealed from audit.chain c
                    where c.tenant_id = of_tenant and c.log = kind
                        and c.row_occurred_at >= month.begins_at and c.row_occurred_at < month.ends_at;
                    -- An event of a retirement is kept for good: it explains the seals without a row.
                    execute format(
                        'select count(*) as all_rows, count(c.position) as sealed,'
                        '    count(*) filter (where entry.%1$I is distinct from ''audit.retired'') as rows,'
                        '    encode(sha256(string_agg(c.digest, '''' order by c.position) filter ('
                        '        where entry.%1$I is distinct from ''audit.retired'')), ''hex'') as digest'
                        ' from %2$s as entry left join audit.chain c on c.tenant_id = entry.tenant_id and c.log = $2'
                        '    and c.row_occurred_at = entry.occurred_at and c.row_id = entry.id'
                        ' where entry.tenant_id = $1',
                        case kind when 'system' then 'event' else 'action' end, month.part)
                        into counts using of_tenant, kind;
                    if sealed <> counts.all_rows or counts.sealed <> counts.all_rows then
                        raise exception 'cannot retire %: % of % rows of tenant % are sealed; seal and verify first',
                            month.part, least(sealed, counts.sealed), counts.all_rows, of_tenant
                            using errcode = 'object_not_in_prerequisite_state';
                    end if;
                    if counts.rows > 0 then
                        perform audit.record_system('audit.retired', jsonb_build_object(
                            'log', kind, 'part', part, 'retired_from', month.begins_at,
                            'retired_before', month.ends_at, 'rows', counts.rows, 'digest', counts.digest));
                        perform audit.seal('system');
                    end if;
                    rows_retired := rows_retired + counts.rows;
                end loop;
                if kind = 'system' then
                    execute format('select array_agg(entry::audit.system_audit_log) from %s as entry'
                        ' where event = ''audit.retired''', month.part) into kept;
                end if;
                execute format('drop table %s', month.part);
                foreach event in array coalesce(kept, '{}') loop
                    perform set_config('app.tenant_id', event.tenant_id::text, true);
                    insert into audit.system_audit_log select event.*;
                end loop;
                return next;
            end loop;
        end loop;
        perform set_config('app.tenant_id', coalesce(tenant_before, ''), true);
    end $$;

    comment on function audit.retire(timestamptz) is
        'Drops the months of the logs that ended before an instant, and seals an event for each; for the owner only.';

    revoke all on function audit.retire(timestamptz) from public;
    """)
    op.execute(f"select audit.ensure_months({MONTHS_AHEAD})")


def make_writers() -> None:
    """Create the functions that write to the logs."""
    op.execute("""
    create function audit.parse_address(value text) returns inet
    language plpgsql immutable set search_path = pg_catalog, pg_temp
    as $$ begin
        return nullif(value, '')::inet;
    exception when invalid_text_representation then
        return null;  -- a malformed header of a proxy must not refuse a patient's appointment
    end $$;

    comment on function audit.parse_address(text) is 'An IP address; null if the text is not one.';
    """)
    op.execute(f"""
    create function audit.record_changes() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant_column constant text := tg_argv[0];
        keys constant text[] := tg_argv[1];
        -- the columns whose values the log shows: harmless by name, or listed, and never encrypted
        visible_columns constant text[] := array(
            select attname::text from pg_attribute
            where attrelid = tg_relid and attnum > 0 and not attisdropped and atttypid <> 'bytea'::regtype
                and (attname::text = any (tg_argv[2]::text[])
                    or attname in ('status', 'active', 'role', 'type', 'position')
                    -- a text column ..._id may hold the number of an insurance card
                    or attname ~ '(^|_)id$' and atttypid in ('uuid'::regtype, 'bigint'::regtype, 'integer'::regtype)
                    or attname ~ '_at$' and atttypid = 'timestamptz'::regtype)
        );
        -- a text key may be the name of a person
        text_keys constant text[] := array(
            select attname::text from pg_attribute join pg_type on pg_type.oid = atttypid
            where attrelid = tg_relid and attname = any (tg_argv[1]::text[]) and not attname = any (tg_argv[2]::text[])
                and typcategory = 'S'
        );
        veil constant jsonb := case tg_op when 'UPDATE' then '"(changed)"' else '"(set)"' end;
        entity constant text := tg_table_schema || '.' || tg_table_name;
        actor constant uuid := identity.current_user_id();
        acting_as constant text := coalesce(nullif(current_setting('role'), 'none'), session_user);
        request constant text := left(nullif(current_setting('app.request_id', true), ''), 200);
        address constant inet := audit.parse_address(current_setting('app.client_address', true));
        agent constant text := left(nullif(current_setting('app.user_agent', true), ''), 500);
    begin
        if tg_op = 'UPDATE' then
            {note(CHANGES_OF_UPDATE)}
        else
            {note(CHANGES_OF_INSERT_AND_DELETE)}
        end if;
        return null;
    end $$;

    comment on function audit.record_changes() is 'Writes each row that a statement changed to the audit log.';
    """)
    op.execute("""
    create function audit.refuse_large(content jsonb) returns void
    language plpgsql immutable set search_path = pg_catalog, pg_temp
    as $$ begin
        if pg_column_size(content) > 1048576 then
            raise exception 'an entry of the audit log is too large: 1 MB of details is allowed'
                using errcode = 'invalid_parameter_value';
        end if;
    end $$;

    comment on function audit.refuse_large(jsonb) is
        'Refuses content of the log that no seal, dump or list could make a text of.';

    call identity.set_definer_owner('audit.refuse_large(jsonb)');

    create function audit.record_system(event text, details jsonb, severity text default 'info') returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        perform audit.refuse_large(record_system.details);
        if identity.current_tenant_id() is null then
            raise exception 'cannot record an event: set app.tenant_id first' using errcode = 'invalid_parameter_value';
        end if;
        if record_system.event in ('insert', 'update', 'delete', 'read')
            or record_system.event ^@ 'audit.' and not pg_has_role(
                coalesce(nullif(current_setting('role'), 'none'), session_user),
                (select relowner from pg_class where oid = 'audit.system_audit_log'::regclass), 'usage')
        then
            raise exception 'the log itself writes insert, update, delete, read and audit.*: name the event otherwise'
                using errcode = 'insufficient_privilege';
        end if;
        if not record_system.event ^@ 'generation.' and not pg_has_role(
            coalesce(nullif(current_setting('role'), 'none'), session_user), 'scheduler_system', 'usage')
        then
            raise exception 'scheduler_job records events generation.*: scheduler_system records all others'
                using errcode = 'insufficient_privilege';
        end if;
        insert into audit.system_audit_log (tenant_id, db_role, event, severity, details, request_id)
        values (identity.current_tenant_id(), coalesce(nullif(current_setting('role'), 'none'), session_user),
            record_system.event, record_system.severity, record_system.details,
            left(nullif(current_setting('app.request_id', true), ''), 200));
    end $$;

    comment on function audit.record_system(text, jsonb, text) is 'Records an event of the library in a tenant.';

    -- stops invented rows of a tenant that does not exist: nobody seals them, and unsealed rows block retirement
    create function audit.may_write() returns boolean
    language plpgsql stable set search_path = pg_catalog, pg_temp
    as $$ begin
        return pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user), 'scheduler_system', 'usage')
            or identity.is_open_tenant()
                and (identity.current_user_id() is null or identity.is_active_user());
    end $$;

    comment on function audit.may_write() is
        'Whether the session may log reads and events: as system; else in an open tenant, for an active user or none.';

    revoke all on function audit.may_write() from public;
    grant execute on function audit.may_write() to scheduler_definer;

    create function audit.record_read(entity text, keys text[], columns text[], reason text,
        outcome text default null) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        actor constant uuid := identity.current_user_id();
        acting_as constant text := coalesce(nullif(current_setting('role'), 'none'), session_user);
        request constant text := left(nullif(current_setting('app.request_id', true), ''), 200);
        read_details constant jsonb := jsonb_strip_nulls(
            jsonb_build_object('columns', columns, 'reason', reason, 'outcome', outcome));
    begin
        perform audit.refuse_large(read_details);
        if tenant is null then
            raise exception 'cannot record a read: set app.tenant_id first' using errcode = 'invalid_parameter_value';
        end if;
        -- A suspended user reads nothing, but the log keeps the attempt.
        if not audit.may_write() and not (record_read.outcome is not distinct from 'refused'
            and identity.is_open_tenant()
            and exists (select from identity.users where tenant_id = tenant and id = actor))
        then
            raise exception 'cannot record a read: the tenant is not open, or the user is not active in it'
                using errcode = 'insufficient_privilege';
        end if;
        if actor is not null then
            insert into audit.user_action_audit_log (tenant_id, user_id, db_role, action, entity, entity_key, details,
                request_id, client_address, user_agent)
            select tenant, actor, acting_as, 'read', record_read.entity, row_key, read_details, request,
                audit.parse_address(current_setting('app.client_address', true)),
                left(nullif(current_setting('app.user_agent', true), ''), 500)
            from unnest(keys) as row_key;
        else
            insert into audit.system_audit_log (tenant_id, db_role, event, entity, entity_key, details, request_id)
            select tenant, acting_as, 'read', record_read.entity, row_key, read_details, request
            from unnest(keys) as row_key;
        end if;
    end $$;

    comment on function audit.record_read(text, text[], text[], text, text) is
        'Records which rows and columns of an entity were read, why, and the outcome if nothing was shown.';

    create function audit.record_event(name text, details jsonb) returns void
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        actor constant uuid := identity.current_user_id();
    begin
        perform audit.refuse_large(details);
        if tenant is null or actor is null then
            raise exception 'cannot record an event of a user: set % first',
                case when tenant is null then 'app.tenant_id' else 'app.user_id' end
                using errcode = 'invalid_parameter_value';
        end if;
        if not audit.may_write() then
            raise exception 'cannot record an event: the tenant is not open, or the user is not active in it'
                using errcode = 'insufficient_privilege';
        end if;
        if exists (
            select from jsonb_each(details)
            where key !~ '^[A-Za-z0-9_.:+-]{1,100}$' or jsonb_typeof(value) not in ('number', 'boolean', 'null')
                and value #>> '{}' !~ '^[A-Za-z0-9_.:+-]{0,100}$'
        ) then
            raise exception 'invalid details of an event: only numbers, single words, true, false and null are allowed'
                using errcode = 'invalid_parameter_value';
        end if;
        insert into audit.user_action_audit_log (tenant_id, user_id, db_role, action, entity, details,
            request_id, client_address, user_agent)
        values (tenant, actor, coalesce(nullif(current_setting('role'), 'none'), session_user), 'event',
            record_event.name, record_event.details,
            left(nullif(current_setting('app.request_id', true), ''), 200),
            audit.parse_address(current_setting('app.client_address', true)),
            left(nullif(current_setting('app.user_agent', true), ''), 500));
    end $$;

    comment on function audit.record_event(text, jsonb) is
        'Records an act of the user of this transaction that neither changes nor reads a row.';

    call identity.set_definer_owner('audit.record_changes()');
    -- not to scheduler_app: a user could invent an event of the library, such as person.erased
    call identity.set_definer_owner('audit.record_system(text, jsonb, text)', 'scheduler_system, scheduler_job');
    call identity.set_definer_owner('audit.record_read(text, text[], text[], text, text)',
        'scheduler_app, scheduler_system');
    call identity.set_definer_owner('audit.record_event(text, jsonb)', 'scheduler_app, scheduler_system');
    """)


def make_seals() -> None:
    """Create the function that seals the rows of a log."""
    op.execute(f"""
    grant select, insert on audit.chain to scheduler_definer;
    grant select on audit.system_audit_log to scheduler_definer;
    grant select ({SEALED_COLUMNS}) on audit.user_action_audit_log to scheduler_definer;

    create function audit.seal(kind text) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        this_server constant text := (select system_identifier from pg_control_system());
        seal_position bigint;
        head bytea;
        since timestamptz;
        committed_below bigint;
        sealed bigint := 0;
        now_at timestamptz;
        ended_below bigint;
        entry record;
    begin
        if tenant is null or kind is null or kind not in ('user_action', 'system') then
            raise exception 'cannot seal: set app.tenant_id, and name the log user_action or system'
                using errcode = 'invalid_parameter_value';
        end if;
        -- A second sealer waits here, and reads afterwards which rows the first one sealed.
        perform pg_advisory_xact_lock(hashtext('scheduler'), hashtext('seal ' || kind || tenant));
        now_at := clock_timestamp();
        ended_below := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
        -- Rows before this time and transaction have seals. On another server, as after the restore of a dump,
        -- transaction ids start again.
        select c.position, c.digest, c.sealed_at, case when c.server = this_server then c.sealed_below else 0 end
        into seal_position, head, since, committed_below
        from audit.chain c where c.tenant_id = tenant and c.log = kind order by c.position desc limit 1;
        if not found then  -- the first seal follows position 0
            seal_position := 0;
            head := decode(repeat('00', 32), 'hex');
            committed_below := 0;
        end if;
        for entry in execute format(
            'select id, occurred_at, sha256(convert_to(jsonb_build_array('
            '        tenant_id, id, trunc(extract(epoch from occurred_at) * 1000000), %s)::text, ''UTF8'')) as digest'
            ' from audit.%I as entry where tenant_id = $1 and transaction_id >= $2'
            ' and ($3 is null or occurred_at >= $3 - interval ''1 day'') and not exists ('
            '    select from audit.chain c where c.tenant_id = $1 and c.log = $4'
            '        and c.row_occurred_at = entry.occurred_at and c.row_id = entry.id)'
            ' order by id',
            case kind when 'user_action' then '{USER_ACTION}' else '{SYSTEM}' end,
            kind || '_audit_log') using tenant, committed_below, since, kind
        loop
            seal_position := seal_position + 1;
            sealed := sealed + 1;
            head := sha256(head || entry.digest || convert_to(concat_ws('|', tenant, kind, seal_position, entry.id,
                (extract(epoch from entry.occurred_at) * 1000000)::bigint,
                (extract(epoch from now_at) * 1000000)::bigint, ended_below, this_server), 'UTF8'));
            insert into audit.chain (tenant_id, log, position, row_id, row_occurred_at, row_digest, sealed_at,
                sealed_below, server, digest)
            values (tenant, kind, seal_position, entry.id, entry.occurred_at, entry.digest, now_at,
                ended_below, this_server, head);
        end loop;
        return sealed;
    end $$;

    comment on function audit.seal(text) is
        'Seals the unsealed rows of a log of the tenant; returns how many. Nothing else writes to the chain.';

    call identity.set_definer_owner('audit.seal(text)', 'scheduler_system');
    """)


def downgrade() -> None:
    op.execute("""
    drop procedure audit.watch(regclass, text[]);
    drop function audit.seal(text);
    drop function audit.record_event(text, jsonb);
    drop function audit.record_read(text, text[], text[], text, text);
    drop function audit.may_write();
    drop function audit.record_system(text, jsonb, text);
    drop function audit.record_changes();
    drop function audit.parse_address(text);
    drop function audit.refuse_large(jsonb);
    drop function audit.retire(timestamptz);
    drop function audit.ensure_months(integer);
    drop function audit.partitions(text);
    drop procedure audit.create_partition(text, text);
    drop table audit.chain, audit.system_audit_log, audit.user_action_audit_log;
    drop function audit.refuse_change();
    """)
