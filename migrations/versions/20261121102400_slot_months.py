"""Months of slots: made, and taken away, as a whole; asking PostgreSQL so that it can see.

Old slots go by the month. Whoever owns the tables takes a month out of the table with
`call scheduling.detach_slot_month('2025-03-01')`, may keep it elsewhere, and drops it. That no appointment and no entry
of the waitlist still names one of its slots is a matter of foreign keys, and PostgreSQL asks: it joins who refers with
what is leaving. But it asks as the owner of the tables, and the owner is bound by forced row security unless it is a
superuser. Without a tenant there are no rows: the question finds none, and the month goes, whatever names it. The same
blindness lets `alter table ... add constraint ... foreign key` end as validated over rows that point to nothing. (What
a key checks row by row, when rows are written or deleted, PostgreSQL asks with that force taken off, by itself.)

So the procedure takes the force off the tables that the question reads, detaches, and puts it on again. Nobody else
sees a moment without: it is one transaction, which holds these tables for itself until it ends. A migration that adds a
key over rows that may be there has to do likewise; none has had to, since each added its column with the key.

What names a slot is not made to forget it here: that is a change of a tenant's rows, it belongs into the audit log of
that tenant, and no privilege is needed for it. The guide to the nightly job shows both steps.

A month that was detached and not dropped still has its name. `scheduling.ensure_slot_partitions` went by the name, took
the month to be there, and the first slot found no partition. Now a month is there if it is attached; one that is not is
said to be in the way, and neither attached nor dropped at night behind the back of whoever is at work on it.
"""

from alembic import op

revision = "20261121102400"
down_revision = "20261121102306"
branch_labels = None
depends_on = None

ENSURE = "scheduling.ensure_slot_partitions(timestamptz, timestamptz)"
# What was written in it, and what is written in its place.
ATTACHED = (
    """
                -- Not to_regclass: it may answer from a cache that does not know yet what another session made.
                select from pg_class
                where relname = 'availability_slots_' || to_char(month, 'YYYY_MM')
                    and relnamespace = 'scheduling'::regnamespace
""",
    """
                select from pg_inherits join pg_class on pg_class.oid = inhrelid
                where inhparent = 'scheduling.availability_slots'::regclass and not inhdetachpending
                    and relname = 'availability_slots_' || to_char(month, 'YYYY_MM')
""",
)
REFUSED = (
    """
            execute format('create table scheduling.%I (like scheduling.availability_slots'
""",
    """
            if exists (
                select from pg_class where relname = part and relnamespace = 'scheduling'::regnamespace
            ) then
                raise exception 'scheduling.% is there, but is no month of the slots: attach it again, or drop it', part
                    using errcode = 'object_not_in_prerequisite_state';
            end if;
            execute format('create table scheduling.%I (like scheduling.availability_slots'
""",
)


def upgrade() -> None:
    change(ENSURE, [ATTACHED, REFUSED])
    op.execute("""
    create procedure scheduling.detach_slot_month(month date)
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        slots constant regclass := 'scheduling.availability_slots';
        part constant regclass := (
            select inhrelid from pg_inherits join pg_class on pg_class.oid = inhrelid
            where inhparent = slots and relname = 'availability_slots_' || to_char(month, 'YYYY_MM')
        );
        bound constant regclass[] := array[slots, part] || array(
            select distinct conrelid from pg_constraint
            where confrelid = slots and contype = 'f' and conparentid = 0 order by conrelid
        )::regclass[];
        one regclass;
        who text;
    begin
        if part is null then
            raise exception 'there is no month of slots for %', coalesce(to_char(month, 'YYYY-MM'), 'null')
                using errcode = 'invalid_parameter_value';
        end if;
        foreach one in array bound loop
            execute format('alter table %s no force row level security', one);
        end loop;
        begin
            execute format('alter table %s detach partition %s', slots, part);
        exception when foreign_key_violation then
            get stacked diagnostics who = table_name;
            raise exception 'rows of % still name slots of %: have them forget these first', who, part
                using errcode = 'foreign_key_violation';
        end;
        foreach one in array bound loop
            execute format('alter table %s force row level security', one);
        end loop;
    end $$;

    comment on procedure scheduling.detach_slot_month(date) is
        'Takes the UTC month of a day out of the slots, unless something names one of them; for the owner only.';

    revoke all on procedure scheduling.detach_slot_month(date) from public;
    """)


def downgrade() -> None:
    op.execute("drop procedure scheduling.detach_slot_month(date)")
    change(ENSURE, [(after, before) for before, after in (ATTACHED, REFUSED)])


def change(function: str, changes: list[tuple[str, str]]) -> None:
    """Change the text of a function where it stands, all of it or nothing; its rights stay."""
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
    begin
        {steps}
        execute written;
    end $do$
    """)
