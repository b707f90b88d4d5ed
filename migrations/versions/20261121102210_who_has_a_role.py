"""Who has a role: somebody whose user, profile, child record and organisation are all at work.

Policies of the wellbeing part ask for the role and the organisation of who asks. Both answers came of the profile
alone, which is one of four rows that say whether somebody belongs here. Who was deleted or suspended as a user, a child
whose record was deleted, and everybody of an organisation that was deleted or suspended kept all rights as long as
nobody thought of the profile, too. Now there is no role unless

- the user is active and not deleted, as the profile has to be;
- the record of a child is not deleted (a child that is not enrolled yet has none: no record, nothing to see);
- the organisation is active or on trial, and not deleted. An Account looks after organisations, suspended ones above
  all, and needs none. An organisation is its tenant, so that its people are found by the tenant: who left it has no
  role in a suspended one either.

It is one query by primary keys, asked once a statement as before. Both functions have it: one that asked the other, or
a third, would make two calls of one.

The functions are `scheduler_definer`'s. Whoever migrates becomes its member for the moment in which they are made
anew, as in `identity.give_to_definer`; owner and rights stay. What the definer may look at grows by the status of an
organisation; it sees the user who asks whatever the tenant, since an Account works in others than its own.
"""

from alembic import op

revision = "20261121102210"
down_revision = "20261121102200"
branch_labels = None
depends_on = None

BY_PROFILE = """
        select {what} from wellbeing.profiles
        where id = identity.current_user_id() and status = 'active' and deleted_at is null
            and (tenant_id = identity.current_tenant_id()
                or role = 'Account' and identity.current_tenant_id() is not null)
    """
BY_ALL_FOUR = """
        select profile.{what}
        from wellbeing.profiles as profile
        join identity.users as person on person.tenant_id = profile.tenant_id and person.id = profile.id
        left join wellbeing.children as child
            on child.tenant_id = profile.tenant_id and child.id = profile.id and profile.role = 'Child'
        left join wellbeing.organisations as organisation
            on organisation.tenant_id = profile.tenant_id and organisation.id = profile.tenant_id
        where profile.id = identity.current_user_id() and profile.status = 'active' and profile.deleted_at is null
            and person.status = 'active' and person.deleted_at is null
            and child.deleted_at is null
            and case
                when profile.role = 'Account' then identity.current_tenant_id() is not null
                else profile.tenant_id = identity.current_tenant_id() and organisation.deleted_at is null
                    and coalesce(organisation.status in ('active', 'trial'), true)
            end
    """
FUNCTIONS = (("current_role_name() returns text", "role"), ("current_organisation_id() returns uuid", "org_id"))


def upgrade() -> None:
    op.execute("""
    grant select (status) on wellbeing.organisations to scheduler_definer;
    """)
    make_anew(BY_ALL_FOUR)


def make_anew(query: str) -> None:
    """Give both functions this query, as the definer whose they are."""
    functions = "".join(
        f"""
        create or replace function identity.{head}
        language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
        as $query${query.format(what=what)}$query$;
        """
        for head, what in FUNCTIONS
    )
    op.execute(f"""
    do $$
    declare
        joins constant boolean := not pg_catalog.pg_has_role(current_user, 'scheduler_definer', 'usage');
    begin
        if joins then
            execute pg_catalog.format('grant scheduler_definer to %I', current_user);
        end if;
        {functions}
        if joins then
            execute pg_catalog.format('revoke scheduler_definer from %I', current_user);
        end if;
    end $$;
    """)


def downgrade() -> None:
    make_anew(BY_PROFILE)
    op.execute("""
    revoke select (status) on wellbeing.organisations from scheduler_definer;
    """)
