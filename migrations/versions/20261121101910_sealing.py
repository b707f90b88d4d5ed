"""Sealing: one function makes the seals, and nobody else can.

The audit log is sealed row by row into `audit.chain`; `audit verify` walks along it and says whether anything was
tampered with. Until now the library computed the seals and wrote them as `scheduler_system`, which therefore could
insert into the chain whatever it liked. It cannot change a seal, but one bad seal does harm enough, and for good, since
nobody can take it out again:

- A seal that does not follow from the one before: each `verify` from then on cries tampering.
- A seal that is dated far ahead, or says that far later transactions were settled: no row of today counts as new any
  more, so nothing is ever sealed again.
- A right seal of the newest row alone: those before it are latecomers by then, and are never sealed either.

A check of each seal would stop the first two, and not the third, which is wrong by what is missing. So the right to
insert is gone, and `audit.seal` does the whole of it: it takes the rows that have no seal yet, in the order of their
ids, and puts one seal after the other. It says itself what time it is, on which server, and below which transaction
number all had ended; its caller says nothing but which log. Whoever may call it can do no more than seal too often.

It belongs to `scheduler_definer`, who sees the rows of the log by its tenant's policy and may insert into the chain of
that tenant only.

Verifying stays outside of the database, with a statement of its own for the digest of a row: whoever owns the database
can replace this function, and finds that what it then writes does not verify. What `verify` could not tell later, a
seal that is dated back so that old rows can be slipped in behind it, the library compares at once when it has sealed.
"""

from alembic import op

revision = "20261121101910"
down_revision = "20261121101900"
branch_labels = None
depends_on = None

# What goes into the digest of a row after its key and its instant; `scheduler.store.sealing` has the same list.
USER_ACTION = (
    "user_id, db_role, action, entity, entity_key, before, after, details, request_id, client_address,"
    " user_agent, transaction_id"
)
SYSTEM = "db_role, event, severity, entity, entity_key, before, after, details, request_id, transaction_id"
# Some columns of the users' log the definer sees already, to search them.
NOT_SEEN_YET = (
    "user_id, db_role, action, entity, entity_key, before, after, request_id, client_address, user_agent,"
    " transaction_id"
)


def upgrade() -> None:
    op.execute(f"""
    revoke insert on audit.chain from scheduler_system;
    grant select, insert on audit.chain to scheduler_definer;
    grant select on audit.system_audit_log to scheduler_definer;
    grant select ({NOT_SEEN_YET}) on audit.user_action_audit_log to scheduler_definer;

    create function audit.seal(kind text) returns bigint
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        here constant text := (select system_identifier from pg_control_system());
        place bigint;
        head bytea;
        since timestamptz;
        settled_below bigint;
        sealed bigint := 0;
        now_at timestamptz;
        ended_below bigint;
        entry record;
    begin
        if tenant is null or kind is null or kind not in ('user_action', 'system') then
            raise exception 'a chain is of a tenant, and of the log user_action or system'
                using errcode = 'invalid_parameter_value';
        end if;
        -- A second sealer waits. What the first one wrote, and what is settled, is asked for after that.
        perform pg_advisory_xact_lock(hashtext('slotsmith'), hashtext('seal ' || kind || tenant));
        now_at := clock_timestamp();
        ended_below := pg_snapshot_xmin(pg_current_snapshot())::text::bigint;
        -- Since when, and from which transaction on, a row may still be without a seal. On another server, as after a
        -- dump was restored, the numbers of transactions begin anew.
        select c.position, c.digest, c.sealed_at, case when c.server = here then c.sealed_below else 0 end
        into place, head, since, settled_below
        from audit.chain c where c.tenant_id = tenant and c.log = kind order by c.position desc limit 1;
        if not found then  -- a chain begins after a place that is not there
            place := 0;
            head := decode(repeat('00', 32), 'hex');
            settled_below := 0;
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
            kind || '_audit_log') using tenant, settled_below, since, kind
        loop
            place := place + 1;
            sealed := sealed + 1;
            head := sha256(head || entry.digest || convert_to(concat_ws('|', tenant, kind, place, entry.id,
                (extract(epoch from entry.occurred_at) * 1000000)::bigint,
                (extract(epoch from now_at) * 1000000)::bigint, ended_below, here), 'UTF8'));
            insert into audit.chain (tenant_id, log, position, row_id, row_occurred_at, row_digest, sealed_at,
                sealed_below, server, digest)
            values (tenant, kind, place, entry.id, entry.occurred_at, entry.digest, now_at,
                ended_below, here, head);
        end loop;
        return sealed;
    end $$;

    comment on function audit.seal(text) is
        'Seals the rows of a log of the tenant that have no seal yet; returns how many. The only way into the chain.';

    call identity.give_to_definer('audit.seal(text)', 'scheduler_system');
    """)


def downgrade() -> None:
    op.execute(f"""
    drop function audit.seal(text);
    revoke select ({NOT_SEEN_YET}) on audit.user_action_audit_log from scheduler_definer;
    revoke select on audit.system_audit_log from scheduler_definer;
    revoke select, insert on audit.chain from scheduler_definer;
    grant insert on audit.chain to scheduler_system;
    """)
