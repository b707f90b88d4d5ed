r"""Months within reach: the logs find their way out of the rest whatever lies there, and slots have an end.

**The rest of a log.** A row that has no month goes to the partition for the rest, so that the log never refuses. When
months are made again, that partition became one of them, from the first missing month to that of its last row. That
fails if it also holds a row older than that (of a clock that ran behind): a partition has one range, and would have to
lie before the months that are there and after them. Then months cannot be made, and since each seal makes months,
nothing is sealed any more, for any tenant. So now the old rest is set aside, the months are made, and its rows are
written into the log again, each to its month, or to the new rest if it has none. They are copied as they are, with id,
instant and transaction, so that their seals hold; no row is changed, and the table that they leave is dropped. It takes
longer than to rename a table, as long as a part of sealing those rows takes, and happens only where nobody has sealed
for months, or where a clock was wrong.

**The months of slots.** The job makes the months that it needs. It may ask for twenty years at once (a run of
`scheduler generate` takes no more), and it could ask again and again, for any twenty years of the calendar; yet each
month is a table with its indexes that every query has to plan for. Now there may be 600 of them, fifty years: a clinic
that never detaches a month and looks twenty years ahead gets there in thirty. What is more is refused, whoever asks.
The months of the logs have always been made from this one to ten years ahead at most.
"""

from alembic import op

revision = "20261121101930"
down_revision = "20261121101920"
branch_labels = None
depends_on = None

# Function -> pairs of what stood there and what stands there now.
CHANGES = {
    "audit.ensure_months(integer)": [
        (
            """
        rest_ends_at timestamptz;""",
            """
        aside boolean;""",
        ),
        (
            """
            select coalesce(max(ends_at), this_month) into next_at from audit.parts(log);
""",
            """
            select coalesce(max(ends_at), this_month) into next_at from audit.parts(log);
            aside := false;
""",
        ),
        (
            """
                    next_at := next_at + interval '1 month';
                exception when check_violation then
                    -- Rows of that month went to the rest. It becomes the partition of all months up to this one, and
                    -- up to that of its last row: a clock that once ran ahead must not stop the seals of all tenants.
                    execute format('alter table audit.%I detach partition audit.%I', log, log || '_rest');
                    -- the owner, too, is bound by forced row security, and would see no row
                    execute format('alter table audit.%I no force row level security', log || '_rest');
                    execute format('select date_trunc(''month'', greatest(%L, max(occurred_at)))'
                        ' + interval ''1 month'' from audit.%I', this_month, log || '_rest') into rest_ends_at;
                    execute format('alter table audit.%I force row level security', log || '_rest');
                    execute format('alter table audit.%I rename to %I', log || '_rest',
                        log || '_' || to_char(next_at, 'YYYY_MM'));
                    execute format('comment on table audit.%I is null', log || '_' || to_char(next_at, 'YYYY_MM'));
                    execute format('alter table audit.%I attach partition audit.%I for values from (%L) to (%L)',
                        log, log || '_' || to_char(next_at, 'YYYY_MM'), next_at, rest_ends_at);
                    call audit.make_part(log, log || '_rest');
                    execute format('alter table audit.%I attach partition audit.%I default', log, log || '_rest');
                    execute format('comment on table audit.%I is %L', log || '_rest',
                        'What has no month: empty while months are made ahead.');
                    next_at := rest_ends_at;
                end;
                made := made + 1;
            end loop;
""",
            """
                    next_at := next_at + interval '1 month';
                    made := made + 1;
                exception when check_violation then
                    -- Rows of that month went to the rest. It is set aside, and the month is tried again.
                    execute format('alter table audit.%I detach partition audit.%I', log, log || '_rest');
                    execute format('alter table audit.%I rename to %I', log || '_rest', log || '_aside');
                    call audit.make_part(log, log || '_rest');
                    execute format('alter table audit.%I attach partition audit.%I default', log, log || '_rest');
                    execute format('comment on table audit.%I is %L', log || '_rest',
                        'What has no month: empty while months are made ahead.');
                    aside := true;
                end;
            end loop;
            if aside then
                -- The owner, too, is bound by forced row security, and would see no row and write none.
                execute format('alter table audit.%I no force row level security', log || '_aside');
                execute format('alter table audit.%I no force row level security', log);
                execute format('insert into audit.%I select * from audit.%I', log, log || '_aside');
                execute format('alter table audit.%I force row level security', log);
                execute format('drop table audit.%I', log || '_aside');
            end if;
""",
        ),
    ],
    "scheduling.ensure_slot_partitions(timestamptz, timestamptz)": [
        (
            """
        foreach part in array missing loop""",
            """
        if cardinality(missing) + (
            select count(*) from pg_inherits where inhparent = 'scheduling.availability_slots'::regclass) > 600
        then
            raise exception 'there are months for slots enough: % more would be over 600, which is fifty years',
                cardinality(missing) using errcode = 'invalid_parameter_value';
        end if;
        foreach part in array missing loop""",
        ),
    ],
}


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


def upgrade() -> None:
    for function, changes in CHANGES.items():
        change(function, changes)


def downgrade() -> None:
    for function, changes in CHANGES.items():
        change(function, [(after, before) for before, after in changes])
