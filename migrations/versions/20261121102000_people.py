"""People: who signs in as a parent, student, patient or child reaches what is theirs, and not all of the tenant.

Row security has kept tenants apart so far, and whoever was at work in one saw all of it. That is right for those who
work there. It is not for those who are cared for: they sign in, too, and a mistake in an application must not show
them the telephone number of another family.

**Who reaches all of the tenant** (`identity.reaches_its_tenant`): work that is done for no one person (an import, a
job), the system and the job whoever the user is, and a user who works for the tenant: an active one, not deleted,
whose role is admin, staff, doctor, specialist or practitioner, and who is no child of the wellbeing part. Everyone
else is refused by the same policy as a stranger: an unknown id, somebody of another tenant, who is suspended or has
left, and who is cared for. `identity.guard` gives that policy to each new table, so a table of which nobody thought is
closed to them.

**What is theirs** is said by one more policy, for reading only, on each table that has something of it: themselves
and their families, the patient who they are or whose parent they are, with the appointments of that patient, and what
a clinic shows at its door: places, doctors, services, plans, days on which it is closed, and slots that are open. They
write nothing. When they are to book by themselves, a service will check what they may, and write as the system. Who is
a parent is said by the membership of a family that is not deleted, and not by the role of the user.

**Three functions of the definer look up who asks**, and see no more than it takes: one user, that user's memberships,
which families are deleted. The tenant's policies of these tables therefore do not bind the definer: a policy that asks
itself does not end. The other functions ask the tables as the user sees them, each the one before: memberships, then
patients, then appointments. Policies call all of them as `(select f())`, once a statement, and only if the answer is
needed. PostgreSQL asks the policies of a table from the last name to the first, so the tenant's comes first, and for
those who work there nothing else is asked.

Three functions that are there change in one place each, and are rewritten in that place: `identity.guard`; the search
for clients, which goes round row security and now answers those only who reach the tenant; and the one that makes the
months of the slots, since a partition has the policies of its table. The wellbeing part and the audit log have policies
of their own, and keep them.
"""

from alembic import op

revision = "20261121102000"
down_revision = "20261121101940"
branch_labels = None
depends_on = None

ROLES = "scheduler_app, scheduler_job, scheduler_system"
AS_DEFINER = "language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp"
ROLE_AT_WORK = "coalesce(nullif(current_setting('role'), 'none'), session_user)::name"
OF_TENANT = "tenant_id = (select identity.current_tenant_id())"
OF_WHO_REACHES_IT = f"{OF_TENANT} and (select identity.reaches_its_tenant())"
# What the functions of the definer look at: table -> (columns, which rows).
LOOKED_AT = {
    "users": ("tenant_id, id, role, status, deleted_at", "id = (select identity.current_user_id())"),
    "family_members": ("tenant_id, family_id, user_id", "user_id = (select identity.current_user_id())"),
    "families": ("tenant_id, id, deleted_at", OF_TENANT),
}
AT_THE_DOOR = (
    "facilities",
    "facility_closures",
    "doctors",
    "facility_doctors",
    "services",
    "service_offerings",
    "service_workflows",
    "workflow_steps",
    "step_templates",
    "insurance_providers",
    "insurance_plans",
    "facility_insurance_plans",
)
THEIRS = {
    "identity.users": "id = any ((select identity.own_household())::uuid[])",
    "identity.families": "id = any ((select identity.own_families())::uuid[])",
    "identity.family_members": "family_id = any ((select identity.own_families())::uuid[])",
    "identity.addresses": "id = any ((select identity.own_addresses())::uuid[])",
    "scheduling.patients": "user_id = any ((select identity.own_charges())::uuid[])",
    "scheduling.appointments": "patient_id = any ((select scheduling.own_patients())::bigint[])",
    "scheduling.appointment_steps": "appointment_id = any ((select scheduling.own_appointments())::bigint[])",
    "scheduling.waitlist_entries": "patient_id = any ((select scheduling.own_patients())::bigint[])",
    "scheduling.availability_slots": "(select identity.is_known_here()) and status = 'open'",
} | {f"scheduling.{table}": "(select identity.is_known_here())" for table in AT_THE_DOOR}
FUNCTIONS = (
    "identity.works_here",
    "identity.is_known_here",
    "identity.own_families",
    "identity.reaches_its_tenant",
    "identity.own_household",
    "identity.own_charges",
    "identity.own_addresses",
    "scheduling.own_patients",
    "scheduling.own_appointments",
)
SEARCH = "placement.find_clients(text, integer)"
# Function -> what was written in it, and what is written in its place.
REWRITTEN = {
    "identity.guard(regclass, text[], boolean)": (
        """
            ' using (tenant_id = (select identity.current_tenant_id()))'
            ' with check (tenant_id = (select identity.current_tenant_id()))',
            what, case when by_role then 'restrictive' else 'permissive' end);
""",
        """
            ' using (tenant_id = (select identity.current_tenant_id())%3$s)'
            ' with check (tenant_id = (select identity.current_tenant_id())%3$s)',
            what, case when by_role then 'restrictive' else 'permissive' end,
            case when by_role then '' else ' and (select identity.reaches_its_tenant())' end);
""",
    ),
    "scheduling.ensure_slot_partitions(timestamptz, timestamptz)": (
        """
                ' using (tenant_id = (select identity.current_tenant_id()))'
                ' with check (tenant_id = (select identity.current_tenant_id()))', part);
""",
        """
                ' using (tenant_id = (select identity.current_tenant_id())'
                ' and (select identity.reaches_its_tenant()))'
                ' with check (tenant_id = (select identity.current_tenant_id())'
                ' and (select identity.reaches_its_tenant()))', part);
            execute format('create policy a_person_sees_their_own on scheduling.%I for select to scheduler_app'
                ' using (tenant_id = (select identity.current_tenant_id())'
                ' and (select identity.is_known_here()) and status = ''open'')', part);
""",
    ),
    SEARCH: (
        """
        tenant constant uuid := identity.current_tenant_id();
""",
        """
        tenant constant uuid := case when identity.reaches_its_tenant() then identity.current_tenant_id() end;
""",
    ),
}


def upgrade() -> None:
    look_up()
    gather()
    alter_policies_of_tenants(OF_WHO_REACHES_IT)
    for table in LOOKED_AT:
        op.execute(f"alter policy a_tenant_sees_its_own_rows on identity.{table} to {ROLES}")
    for table, theirs in THEIRS.items():
        for_each_partition_and(
            table,
            f"create policy a_person_sees_their_own on %s for select to scheduler_app using ({OF_TENANT} and {theirs})",
        )
    for function, (before, after) in REWRITTEN.items():
        rewrite(function, before, after)


def downgrade() -> None:
    for function, (before, after) in REWRITTEN.items():
        rewrite(function, after, before)
    for table in THEIRS:
        for_each_partition_and(table, "drop policy a_person_sees_their_own on %s")
    for table in LOOKED_AT:
        op.execute(f"alter policy a_tenant_sees_its_own_rows on identity.{table} to public")
    alter_policies_of_tenants(OF_TENANT)
    for function in reversed(FUNCTIONS):
        op.execute(f"drop function {function}()")
    for table, (columns, _) in LOOKED_AT.items():
        op.execute(f"""
        drop policy the_definer_sees_who_asks on identity.{table};
        revoke select ({columns}) on identity.{table} from scheduler_definer;
        """)


def look_up() -> None:
    """Make the functions that say who asks, and let the definer see what they look at."""
    for table, (columns, rows) in LOOKED_AT.items():
        op.execute(f"""
        grant select ({columns}) on identity.{table} to scheduler_definer;
        create policy the_definer_sees_who_asks on identity.{table}
            for select to scheduler_definer using ({rows});
        """)
    op.execute(f"""
    create function identity.works_here() returns boolean {AS_DEFINER}
    as $$ begin
        return exists (
            select from identity.users
            where tenant_id = identity.current_tenant_id() and id = identity.current_user_id()
                and status = 'active' and deleted_at is null
                and role in ('admin', 'staff', 'doctor', 'specialist', 'practitioner')
        ) and not exists (select from wellbeing.profiles where id = identity.current_user_id() and role = 'Child');
    end $$;

    comment on function identity.works_here() is
        'Whether the user for whom this transaction works is active in its tenant and works for it.';

    create function identity.is_known_here() returns boolean {AS_DEFINER}
    as $$ begin
        return exists (
            select from identity.users
            where tenant_id = identity.current_tenant_id() and id = identity.current_user_id()
                and status = 'active' and deleted_at is null
        );
    end $$;

    comment on function identity.is_known_here() is
        'Whether the user for whom this transaction works is active in its tenant, whatever the role.';

    create function identity.own_families() returns uuid[] {AS_DEFINER}
    as $$ begin
        return array(
            select family.id
            from identity.family_members as member
            join identity.families as family on family.tenant_id = member.tenant_id and family.id = member.family_id
            where member.tenant_id = identity.current_tenant_id() and member.user_id = identity.current_user_id()
                and family.deleted_at is null and identity.is_known_here()
        );
    end $$;

    comment on function identity.own_families() is
        'The families, but for deleted ones, of the user for whom this transaction works.';

    call identity.give_to_definer('identity.works_here()', '{ROLES}');
    call identity.give_to_definer('identity.is_known_here()', '{ROLES}');
    call identity.give_to_definer('identity.own_families()', '{ROLES}');

    -- The role at work is the one that was taken on, also inside a function that has its owner's rights.
    create function identity.reaches_its_tenant() returns boolean
    language sql stable parallel safe
    return identity.current_user_id() is null
        or pg_has_role({ROLE_AT_WORK}, 'scheduler_system', 'usage')
        or pg_has_role({ROLE_AT_WORK}, 'scheduler_job', 'usage')
        or identity.works_here();

    comment on function identity.reaches_its_tenant() is
        'Whether all rows of the tenant are open: to work for no one person, the system, a job, who works there.';
    """)


def gather() -> None:
    """Make the functions that gather what is the user's own, from tables as the user sees them."""
    op.execute("""
    create function identity.own_household() returns uuid[]
    language sql stable parallel safe
    return array(
        select identity.current_user_id() where identity.is_known_here()
        union
        select user_id from identity.family_members
        where tenant_id = identity.current_tenant_id() and family_id = any ((select identity.own_families())::uuid[])
    );

    comment on function identity.own_household() is
        'The user for whom this transaction works, and the members of their families.';

    create function identity.own_charges() returns uuid[]
    language sql stable parallel safe
    return array(
        select identity.current_user_id() where identity.is_known_here()
        union
        select student.user_id
        from identity.family_members as parent
        join identity.family_members as student
            on student.tenant_id = parent.tenant_id and student.family_id = parent.family_id
        where parent.tenant_id = identity.current_tenant_id() and parent.user_id = identity.current_user_id()
            and parent.family_id = any ((select identity.own_families())::uuid[])
            and parent.role = 'parent' and student.role = 'student'
    );

    comment on function identity.own_charges() is
        'The user for whom this transaction works, and the students of the families in which they are a parent.';

    create function identity.own_addresses() returns uuid[]
    language sql stable parallel safe
    return array(
        select address_id from identity.families
        where tenant_id = identity.current_tenant_id() and id = any ((select identity.own_families())::uuid[])
        union
        select address_id from scheduling.facilities
        where tenant_id = identity.current_tenant_id() and identity.is_known_here()
    );

    comment on function identity.own_addresses() is
        'The addresses of the families of the user for whom this transaction works, and those of facilities.';

    create function scheduling.own_patients() returns bigint[]
    language sql stable parallel safe
    return array(
        select id from scheduling.patients
        where tenant_id = identity.current_tenant_id() and user_id = any ((select identity.own_charges())::uuid[])
    );

    comment on function scheduling.own_patients() is
        'The patients who the user for whom this transaction works is, or whose parent.';

    create function scheduling.own_appointments() returns bigint[]
    language sql stable parallel safe
    return array(
        select id from scheduling.appointments
        where tenant_id = identity.current_tenant_id()
            and patient_id = any ((select scheduling.own_patients())::bigint[])
    );

    comment on function scheduling.own_appointments() is
        'The appointments of the patients who the user for whom this transaction works is, or whose parent.';
    """)


def alter_policies_of_tenants(condition: str) -> None:
    """Let the tenant's policy of each table and partition outside the wellbeing part and the audit log say this."""
    op.execute(f"""
    do $$
    declare
        what regclass;
    begin
        for what in
            select polrelid::regclass from pg_policy join pg_class on pg_class.oid = polrelid
            where polname = 'a_tenant_sees_its_own_rows'
                and relnamespace in ('identity'::regnamespace, 'scheduling'::regnamespace, 'placement'::regnamespace)
        loop
            execute format('alter policy a_tenant_sees_its_own_rows on %s'
                ' using ({condition}) with check ({condition})', what);
        end loop;
    end $$
    """)


def for_each_partition_and(table: str, statement: str) -> None:
    """Execute a statement for a table and for each of its partitions; `%s` is their name."""
    op.execute(f"""
    do $do$
    declare
        what regclass;
    begin
        for what in
            select '{table}'::regclass union all
            select inhrelid::regclass from pg_inherits where inhparent = '{table}'::regclass
        loop
            execute format($statement${statement}$statement$, what);
        end loop;
    end $do$
    """)


def rewrite(function: str, before: str, after: str) -> None:
    """Write one thing in place of another in a function; one of the definer's is made anew and given to it."""
    op.execute(f"""
    do $do$
    declare
        what constant regprocedure := '{function}';
        written constant text := pg_get_functiondef(what);
        said constant text := obj_description(what, 'pg_proc');
        of_definer constant boolean := exists (
            select from pg_proc where oid = what and proowner = 'scheduler_definer'::regrole
        );
    begin
        if strpos(written, $before${before}$before$) = 0 then
            raise exception '% is not as this migration needs it', what;
        end if;
        if of_definer then
            drop function {function};
        end if;
        execute replace(written, $before${before}$before$, $after${after}$after$);
        if of_definer then
            execute format('comment on function {function} is %L', said);
            call identity.give_to_definer('{function}', 'scheduler_app, scheduler_system');
        end if;
    end $do$
    """)
