"""World of families: a tenant with 100,000 members, and a small one beside it.

Owns: who belongs to which family.
Must not know: who asks, or by which statements.

User n of the town is a member of family n / 3: a parent if n is divisible by 3, else a student. Every tenth parent is
also a parent of the next family. `PARENT` is one of these: the home is `LARGE`, with 47 further students who also have
families of their own. A superuser writes the rows without triggers and foreign keys.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Final
from uuid import UUID

import psycopg

from support.worlds.indexes import write

MEMBERS: Final = 100_000
SLUG: Final = "town"
TOWN: Final = UUID(int=0xA)
VILLAGE: Final = UUID(int=0xB)
"""The other tenant, with 2,000 members: their numbers follow those of the town."""

NURSE: Final = UUID(int=200_000)
ADMIN: Final = UUID(int=200_001)
PARENT: Final = UUID(int=30_000)
EMAIL: Final = "30000@example.org"
STUDENT: Final = UUID(int=30_001)
OTHER_PARENT: Final = UUID(int=30_003)
LARGE: Final = UUID(int=10_000)
LARGE_SIZE: Final = 50
SECOND: Final = UUID(int=10_001)
"""The other family of the parent, which has the other parent and two students."""
PROGRAM: Final = "chess"
FAMILIES_IN_PROGRAM: Final = 33

TABLES: Final = ("users", "families", "family_members", "addresses")
_PEOPLE: Final = f"""(
    select n, case when n <= {MEMBERS} then '{TOWN}'::uuid else '{VILLAGE}'::uuid end as tenant,
        lpad(to_hex(n), 32, '0')::uuid as id, lpad(to_hex(n / 3), 32, '0')::uuid as home,
        lpad(to_hex(n / 3 + 1), 32, '0')::uuid as second_home, n % 3 = 0 as is_parent
    from generate_series(3, {MEMBERS} * 102 / 100) as n
) as person"""
_MEMBERSHIPS: Final = "insert into identity.family_members (tenant_id, family_id, user_id, role) select tenant,"
_ROWS: Final = {
    "users": (
        f"""insert into identity.users (tenant_id, id, email, name, role)
        select tenant, id, case when is_parent then n || '@example.org' end, 'Person ' || n,
            case when is_parent then 'parent' else 'student' end::identity.user_role_enum
        from {_PEOPLE}""",
        f"""insert into identity.users (tenant_id, id, email, name, role)
        values ('{TOWN}', '{NURSE}', 'nurse@example.org', 'A nurse', 'staff'),
            ('{TOWN}', '{ADMIN}', 'head@example.org', 'The head', 'admin')""",
    ),
    "family_members": (
        f"{_MEMBERSHIPS} home, id, case when is_parent then 'parent' else 'student' end from {_PEOPLE}",
        f"{_MEMBERSHIPS} second_home, id, 'parent' from {_PEOPLE} where n % 30 = 0",
        f"""{_MEMBERSHIPS} '{LARGE}', id, 'student' from {_PEOPLE}
        where not is_parent and n > 60000 order by n limit {LARGE_SIZE - 3}""",
    ),
    "families": (
        f"""insert into identity.families (tenant_id, id, family_name, address_id, preferred_programs, status)
        select tenant, home, 'Family ' || n, home, array['program ' || n / 3 % 50]
                || case when n % 3000 = 0 and n <= {MEMBERS} then array['{PROGRAM}'] else '{{}}' end,
            case when n % 600 = 0 then 'inactive' else 'active' end
        from {_PEOPLE} where is_parent""",
    ),
    "addresses": (
        f"""insert into identity.addresses (tenant_id, id, line_1)
        select tenant, home, 'A street' from {_PEOPLE} where is_parent""",
    ),
}


def load(url: str) -> None:
    """Fill a migrated database; two tables at a time."""
    with psycopg.connect(url) as connection:
        for tenant, slug in ((TOWN, SLUG), (VILLAGE, "village")):
            connection.execute(
                "insert into identity.tenants (id, slug, name) values (%s, %s, 'A place')", (tenant, slug)
            )
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda table: _fill(url, table), TABLES))


def _fill(url: str, table: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        write(connection, f"identity.{table}", *_ROWS[table])
