"""Children: those whose wellbeing it is about.

A child is a profile with what the people who care for it have to know: class, guardian, consent, notes. Of its name
only the first is kept.

The wellbeing specification leaves out `org_id` and `display_id`, which its own policies, view, index and trigger use:
both are here. A display id is a small number that people say to one another; it counts from 1 in each organisation.
The specification's `max(display_id) + 1` would give two children that are written at the same moment one number. A
row for each organisation counts instead, and who comes second waits for its lock; a transaction that is rolled back
takes its number back with it. Numbers may have gaps all the same: an insert that ends in `on conflict do nothing` has
taken one, and a child that goes for good keeps its own.

Practitioners and group contacts see and change the children of their organisation. Children are written by the system
only (the specification lets nobody else), and a child's own way to its row is `own_child_record`: it shows what is
there but the notes that practitioners write about a child, which the specification's policy would have shown to it.
`scheduler_definer` reads for it, and has no right to those two columns: no mistake in the view can show them.
"""

from alembic import op

revision = "20261121101300"
down_revision = "20261121101200"
branch_labels = None
depends_on = None

ITS_OWN = (
    ("tenant_id", "uuid"),
    ("id", "uuid"),
    ("org_id", "uuid"),
    ("display_id", "integer"),
    ("first_name", "text"),
    ("date_of_birth", "date"),
    ("year_group", "text"),
    ("class_name", "text"),
    ("primary_practitioner_id", "uuid"),
    ("parent_guardian_name", "text"),
    ("parent_guardian_email", "text"),
    ("parent_guardian_phone", "text"),
    ("consent_given", "boolean"),
    ("consent_date", "timestamptz"),
    ("consent_type", "text"),
    ("avatar_character", "text"),
    ("preferences", "jsonb"),
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
    ("deleted_at", "timestamptz"),
)


def upgrade() -> None:
    op.execute("""
    create table wellbeing.child_display_counters (
        tenant_id uuid not null,
        org_id uuid not null,
        last_display_id integer not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint an_organisation_counts_its_children_once primary key (tenant_id, org_id),
        -- stops a counter of no organisation; it goes with its organisation
        constraint a_counter_is_of_an_organisation foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete cascade,
        -- stops counting from below the beginning
        constraint a_counter_does_not_count_below_nothing check (last_display_id >= 0)
    );

    comment on table wellbeing.child_display_counters is 'The last display id that an organisation gave to a child.';

    create table wellbeing.children (
        tenant_id uuid not null,
        id uuid not null,
        org_id uuid not null,
        display_id integer not null,
        first_name text not null,
        date_of_birth date,
        year_group text,
        class_name text,
        primary_practitioner_id uuid,
        parent_guardian_name text,
        parent_guardian_email text,
        parent_guardian_phone text,
        consent_given boolean not null default false,
        consent_date timestamptz,
        consent_type text,
        safeguarding_notes text,
        additional_notes text,
        avatar_character text default 'default',
        preferences jsonb default '{}',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint a_child_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops a child without a profile; it goes with its profile
        constraint a_child_is_a_profile foreign key (tenant_id, id)
            references wellbeing.profiles (tenant_id, id) on delete cascade,
        -- stops a child of no organisation, whom no practitioner would see, and deleting an organisation with children
        constraint a_child_is_of_an_organisation foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete restrict,
        -- stops a practitioner of another tenant, and deleting one whom a child still has
        constraint a_child_may_have_a_practitioner foreign key (tenant_id, primary_practitioner_id)
            references wellbeing.profiles (tenant_id, id),
        -- stops two children of an organisation from answering to one number
        constraint a_display_id_is_one_child_of_its_organisation unique (tenant_id, org_id, display_id),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and letters that look like others
        constraint the_email_of_a_guardian_is_an_address_in_lower_case check (identity.is_email(parent_guardian_email)),
        -- stops a kind of consent that no code knows
        constraint the_consent_for_a_child_is_of_a_known_kind
            check (consent_type in ('verbal', 'written', 'digital')),
        -- stops a consent of which nobody can say since when
        constraint a_consent_that_is_given_has_a_date check (not consent_given or consent_date is not null)
    );

    comment on table wellbeing.children is 'A child, with what those who care for it have to know.';

    create index children_are_found_by_practitioner on wellbeing.children (tenant_id, primary_practitioner_id);
    create index children_are_found_by_words_of_name_and_class
        on wellbeing.children using gin (to_tsvector('english', first_name || ' ' || coalesce(class_name, '')));

    call identity.guard('wellbeing.child_display_counters', by_role => true);
    revoke all on wellbeing.child_display_counters from scheduler_app;
    call identity.guard('wellbeing.children', array['consent_given', 'consent_type'], by_role => true);
    revoke insert, delete on wellbeing.children from scheduler_app;
    """)
    op.execute("""
    create function wellbeing.generate_child_display_id() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        insert into wellbeing.child_display_counters as counter (tenant_id, org_id, last_display_id)
        values (new.tenant_id, new.org_id, 1)
        on conflict (tenant_id, org_id) do update set last_display_id = counter.last_display_id + 1
        returning last_display_id into new.display_id;
        return new;
    end $$;

    comment on function wellbeing.generate_child_display_id() is
        'Gives a new child the next display id of its organisation.';

    create trigger set_child_display_id before insert on wellbeing.children
        for each row when (new.org_id is not null) execute function wellbeing.generate_child_display_id();

    -- stops making another child of one, and taking a display id that the counter will give away
    create trigger nobody_makes_another_child_of_one before update on wellbeing.children
        for each row execute function wellbeing.leave_to_the_system('tenant_id', 'id', 'org_id', 'display_id');

    create policy practitioners_see_the_children_of_their_organisation on wellbeing.children
        for select to scheduler_app
        using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
            and org_id = (select identity.current_organisation_id()));
    create policy practitioners_change_the_children_of_their_organisation on wellbeing.children
        for update to scheduler_app
        using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
            and org_id = (select identity.current_organisation_id()));
    create policy the_definer_sees_the_child_who_asks on wellbeing.children
        for select to scheduler_definer using (id = (select identity.current_user_id()));
    """)
    op.execute(f"""
    grant select ({", ".join(name for name, _ in ITS_OWN)}) on wellbeing.children to scheduler_definer;

    create function wellbeing.own_child_record() returns table ({", ".join(f"{name} {kind}" for name, kind in ITS_OWN)})
    language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
        select {", ".join(f"child.{name}" for name, _ in ITS_OWN)}
        from wellbeing.children as child
        where child.tenant_id = identity.current_tenant_id() and child.id = identity.current_user_id()
            and identity.current_role_name() = 'Child'
    $$;

    comment on function wellbeing.own_child_record() is
        'The row of the child for whom this transaction works, without the notes of its practitioners.';

    call identity.give_to_definer('wellbeing.own_child_record()', 'scheduler_app');

    create view wellbeing.own_child_record with (security_invoker, security_barrier) as
        select * from wellbeing.own_child_record();

    comment on view wellbeing.own_child_record is
        'What a child sees of its row: all of it but the notes of its practitioners.';

    grant select on wellbeing.own_child_record to scheduler_app;
    """)


def downgrade() -> None:
    op.execute("""
    drop view wellbeing.own_child_record;
    drop function wellbeing.own_child_record();
    drop table wellbeing.children;
    drop function wellbeing.generate_child_display_id();
    drop table wellbeing.child_display_counters;
    """)
