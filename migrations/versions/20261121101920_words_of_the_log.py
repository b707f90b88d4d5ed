"""Words in the audit log: which are the log's own, and which it does not repeat.

**The log's own events.** `audit.record_system` writes that something happened, under a name that its caller chooses.
The log itself uses a few names: `insert`, `update`, `delete` and `read` for what was done to a row, and `audit.retired`
for a month that was dropped. Whoever could write those could make up a change that never was, or a retirement that
explains why rows are missing. So these names, and all that begin with `audit.`, are refused. The owner alone, who
retires months, may write those of `audit.`.

**Keys that are words.** A row of the log names the row that it is about by its key. Keys are numbers and uuids, but
for one: `wellbeing.kv_store_a1855b25` keeps values under keys that accounts choose, and a key such as `notes.ann-bell`
would stand in a log that never forgets. The values of columns with words are veiled unless a migration shows them; now
a key of words is, too: in its place stands a digest over the tenant and the word. The rows of the log that are about
one key are still found together, and with the word in hand one finds them. A digest hides a word from who reads the
log, and not from who guesses it. What was written before stays as it is, since a log is not rewritten.

Both functions belong to `scheduler_definer`, and triggers hang on one of them. So their text is changed where it
stands, and back on the way down: owner, rights and triggers stay.
"""

from alembic import op

revision = "20261121101920"
down_revision = "20261121101910"
branch_labels = None
depends_on = None

# Function -> pairs of what stood there and what stands there now.
CHANGES = {
    "audit.record_system(text, jsonb, text)": [
        (
            """
        insert into audit.system_audit_log""",
            """
        if record_system.event in ('insert', 'update', 'delete', 'read')
            or record_system.event ^@ 'audit.' and not pg_has_role(
                coalesce(nullif(current_setting('role'), 'none'), session_user),
                (select relowner from pg_class where oid = 'audit.system_audit_log'::regclass), 'usage')
        then
            raise exception 'insert, update, delete, read and audit... are events that the log writes itself'
                using errcode = 'insufficient_privilege';
        end if;
        insert into audit.system_audit_log""",
        ),
    ],
    "audit.note_changes()": [
        (
            """
        veil constant jsonb""",
            """
        -- a key of words may be somebody's name; a number, an instant and the like is not
        worded constant text[] := array(
            select attname::text from pg_attribute join pg_type on pg_type.oid = atttypid
            where attrelid = tg_relid and attname = any (tg_argv[1]::text[]) and not attname = any (tg_argv[2]::text[])
                and typcategory = 'S'
        );
        veil constant jsonb""",
        ),
        (
            """case when cardinality(keys) = 1 then whole ->> keys[1]
            else""",
            """case when cardinality(worded) > 0 then array_to_string(array(
                select case when part = any (worded) then 'sha256:' || encode(sha256(convert_to(
                    (whole ->> tenant_column) || ' ' || (whole ->> part), 'UTF8')), 'hex') else whole ->> part end
                from unnest(keys) as part), ',')
            when cardinality(keys) = 1 then whole ->> keys[1]
            else""",
        ),
    ],
}


def change(function: str, changes: list[tuple[str, str]]) -> None:
    """Change the text of a function where it stands, all of it or nothing; owner and rights stay."""
    steps = "".join(
        f"""
        if pg_catalog.strpos(written, $text${before}$text$) = 0 then
            raise exception '{function} is not as this migration needs it';
        end if;
        written := pg_catalog.replace(written, $text${before}$text$, $text${after}$text$);
        """
        for before, after in changes
    )
    op.execute(f"""
    do $do$
    declare
        written text := pg_catalog.pg_get_functiondef('{function}'::regprocedure);
        joins constant boolean := not pg_catalog.pg_has_role(current_user, 'scheduler_definer', 'usage');
    begin
        {steps}
        if joins then
            execute pg_catalog.format('grant scheduler_definer to %I', current_user);
        end if;
        execute written;
        if joins then
            execute pg_catalog.format('revoke scheduler_definer from %I', current_user);
        end if;
    end $do$
    """)


def upgrade() -> None:
    for function, changes in CHANGES.items():
        change(function, changes)


def downgrade() -> None:
    for function, changes in CHANGES.items():
        change(function, [(after, before) for before, after in changes])
