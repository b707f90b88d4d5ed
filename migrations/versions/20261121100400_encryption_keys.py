"""Encryption keys: what opens the encrypted columns, itself wrapped by a key that is not in this database.

Health information is encrypted by the application before it gets here, so neither the server, its log nor a stolen
backup holds it in clear. Each tenant has a *data key* that encrypts its values, and one from which the keys of its
blind indexes are derived (an index by which an equal value is found again). Both are random and stored *wrapped*:
encrypted by a *master key* that the application gets from its surroundings or asks of a key service. To replace the
master key, only the data keys are wrapped anew; the values stay as they are.

The life of a data key has three parts, told by its two times. New values are sealed with the *current* one, which
nothing has superseded. A *superseded* key still opens what it sealed, until everything is sealed anew. When no value
uses it any more it is *retired*; it stays, because a backup may hold values that only it opens.

That nothing is sealed with a superseded key has to hold while people write. So who seals asks
`identity.current_data_key`, which holds a shared lock until the transaction ends, and who supersedes a key takes the
same lock alone: it waits for those who are writing, and those who come later get the new key's id. The lock is an
advisory one, because a lock on the row would need the right to change it.

The application's role reads the keys of its tenant (they are wrapped) and does not make any: the system role makes
and supersedes them, and no role deletes one, because with the key all that it sealed would be gone.
"""

from alembic import op

revision = "20261121100400"
down_revision = "20261121100300"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    create table identity.data_keys (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        purpose text not null,
        wrapped_key bytea not null,
        master_key_id text not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        superseded_at timestamptz,
        retired_at timestamptz,
        constraint a_data_key_has_one_id_in_its_tenant primary key (tenant_id, id),
        -- stops a key of nobody, and deleting a tenant that still has one
        constraint a_data_key_belongs_to_a_tenant foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- stops a key of which no code knows what it is for
        constraint a_data_key_encrypts_or_indexes check (purpose in ('encryption', 'index')),
        -- stops a key in clear: it has 32 bytes, and 48 at least when it is wrapped
        constraint a_data_key_is_wrapped check (octet_length(wrapped_key) between 48 and 4096),
        -- stops a key of which nobody knows what unwraps it
        constraint the_master_key_of_a_data_key_has_a_name check (master_key_id ~ '^[!-~]{1,255}$'),
        -- stops retiring the key that new values are sealed with
        constraint only_a_superseded_data_key_is_retired check (
            retired_at is null or (superseded_at is not null and superseded_at <= retired_at)
        )
    );

    comment on table identity.data_keys is
        'A key of a tenant, wrapped by a master key: for encrypted values, or for blind indexes.';

    -- stops two keys from both being the one that new values are sealed with
    create unique index a_tenant_has_one_current_key_for_a_purpose
        on identity.data_keys (tenant_id, purpose) where superseded_at is null;

    call identity.guard('identity.data_keys', array['purpose']);

    revoke insert, update, delete on identity.data_keys from scheduler_app;
    revoke delete on identity.data_keys from scheduler_system;
    """)
    op.execute("""
    create function identity.lock_of_data_keys(tenant uuid) returns bigint
    language sql immutable parallel safe strict
    return hashtextextended('identity.data_keys ' || tenant::text, 0);

    comment on function identity.lock_of_data_keys(uuid) is
        'The advisory lock that who seals shares, and who supersedes a key holds alone.';

    -- volatile, so that its query sees what was committed while it waited for the lock
    create function identity.current_data_key(of_tenant uuid) returns uuid
    language plpgsql volatile set search_path = pg_catalog, pg_temp
    as $$ begin
        perform pg_advisory_xact_lock_shared(identity.lock_of_data_keys(of_tenant));
        return (
            select id from identity.data_keys
            where tenant_id = of_tenant and purpose = 'encryption' and superseded_at is null
        );
    end $$;

    comment on function identity.current_data_key(uuid) is
        'The key to seal with; it stays the one until this transaction ends. Null when the tenant has none.';
    """)


def downgrade() -> None:
    op.execute("""
    drop function identity.current_data_key(uuid);
    drop function identity.lock_of_data_keys(uuid);
    drop table identity.data_keys;
    """)
