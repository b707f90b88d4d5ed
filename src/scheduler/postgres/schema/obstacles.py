"""Obstacles to the first migration: objects of others, and rights that the migrating role lacks.

Owns: the check of a database before its first revision, and the advice for each obstacle.
Must not know: the content of a revision, how Alembic runs it.

The database may have schemas, tables and roles of our names. The first migration keeps a table that the tenant core
specification lists if it has the columns of this release, and completes it. It would stop at any other object with a
name that it needs, and name that object alone. So all of them are named before anything runs.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from sqlalchemy import Connection, text

from scheduler.postgres.connections import name_of
from scheduler.postgres.errors import SchemaMismatchError, StatementError
from scheduler.postgres.schema import snapshot
from scheduler.postgres.translation import NOT_ALLOWED

KEPT_TABLES: Final = frozenset({
    "audit.system_audit_log",
    "audit.user_action_audit_log",
    "identity.addresses",
    "identity.tenants",
    "identity.users",
    "placement.clients",
    "placement.contributors",
    "placement.facility_staff",
    "placement.form_field_contributions",
    "placement.medications",
    "placement.metadata",
    "placement.placement_info",
    "placement.placement_info_specialists",
    "placement.specialists",
    "scheduling.facilities",
})  # fmt: skip
"""Tables that the migrations create only if they are missing."""
ADDED_COLUMNS: Final = frozenset({"scheduling.facilities.address_id"})
"""Columns that the migrations add to a table that exists already."""
REPLACED_FUNCTIONS: Final = frozenset({"identity.is_email(text)"})
"""Functions that the migrations replace."""

_DEFINER: Final = "scheduler_definer"
_MAX_NAMED: Final = 12
_IN_OUR_SCHEMAS: Final = {"schemas": list(snapshot.SCHEMAS)}
_TEXTS: Final = ("text", "character varying", "character")

_RELATIONS: Final = text("""
    select nspname || '.' || relname,
        case relkind when 'r' then 'table' when 'p' then 'partitioned table' when 'v' then 'view'
            when 'm' then 'materialized view' when 'f' then 'foreign table' when 'S' then 'sequence'
            when 'c' then 'type' else 'index' end,
        case when not pg_has_role(relowner, 'usage') then relowner::regrole::text end
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where nspname = any(:schemas) order by 1
""")
_SCHEMAS_OF_OTHERS: Final = text("""
    select nspname from pg_namespace
    where nspname = any(:schemas) and not pg_has_role(nspowner, 'usage') order by 1
""")
# Before release 16, a role that may create roles may grant any; from then on, it has to be an admin of the role.
_ROLES: Final = text("""
    select name, case
            when may.rolsuper then true
            when rolname is null then may.rolcreaterole
            else pg_has_role(rolname, 'usage') and name <> 'scheduler_definer'
                or pg_has_role(rolname, 'usage with admin option')
                or may.rolcreaterole and current_setting('server_version_num')::int < 160000
        end, rolname is not null
    from unnest(array['scheduler_app', 'scheduler_job', 'scheduler_system', 'scheduler_desk',
        'scheduler_definer']) as wanted (name)
    left join pg_roles on rolname = name
    cross join (select rolsuper, rolcreaterole from pg_roles where rolname = current_user) as may
""")
_DATABASE: Final = text("""
    select quote_ident(current_user), quote_ident(current_database()),
        has_database_privilege(current_database(), 'create'), to_regnamespace('public') is null,
        current_setting('server_version_num')::int >= 160000
""")
_EXTENSIONS: Final = text("""
    select extname from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
    where extname = 'pg_trgm' and nspname <> 'public'
""")


def refuse_obstacles(connection: Connection, expected: snapshot.SchemaSnapshot) -> None:
    """Refuse a database whose first migration would stop, and name all that would stop it.

    Raises:
        SchemaMismatchError: objects of others have names that the migrations need, or the revision is lost.
        StatementError: the role lacks rights; the message has the statements that grant them.
    """
    name = name_of(connection.engine.url)
    relations = {relation: kind for relation, kind, _ in connection.execute(_RELATIONS, _IN_OUR_SCHEMAS)}
    if relations.keys() >= _relations_of(expected):
        raise SchemaMismatchError(f"{name} has the tables of the library, but no revision: run `scheduler stamp`")
    if obstacles := tuple(objects_of_others(relations, snapshot.read(connection), expected)):
        rest = f"; and {len(obstacles) - _MAX_NAMED} more" if len(obstacles) > _MAX_NAMED else ""
        raise SchemaMismatchError(
            f"objects of {name} have names that the library needs, nothing is changed: rename them, or move them into"
            f" a schema of your own: {'; '.join(obstacles[:_MAX_NAMED])}{rest}"
        )
    if statements := "; ".join(_missing_rights(connection)):
        raise StatementError(
            f"this login may not migrate {name}, nothing is changed: let a superuser run `{statements};`",
            sqlstate=NOT_ALLOWED,
        )


def _missing_rights(connection: Connection) -> Iterator[str]:
    login, database, may_create, is_public_missing, admins_grant = connection.execute(_DATABASE).one()
    if not may_create:
        yield f"grant create on database {database} to {login}"
    if is_public_missing:  # the schema of the extensions
        yield "create schema public"
    lacking = [(role, exists) for role, is_enough, exists in connection.execute(_ROLES) if not is_enough]
    if not all(exists and admins_grant for _, exists in lacking):
        yield f"alter role {login} createrole"
    if members := [role for role, exists in lacking if exists and admins_grant and role != _DEFINER]:
        yield f"grant {', '.join(members)} to {login} with admin option"
    if admins_grant and (_DEFINER, True) in lacking:
        # Neither inherited nor set: the policies of the definer must not apply to the owner.
        yield f"grant {_DEFINER} to {login} with admin true, inherit false, set false"
    for schema in connection.scalars(_SCHEMAS_OF_OTHERS, {"schemas": [*snapshot.SCHEMAS, "scheduler"]}):
        yield f"alter schema {schema} owner to {login}"
    for relation, _, owner in connection.execute(_RELATIONS, _IN_OUR_SCHEMAS):
        if owner and relation in KEPT_TABLES:
            yield f"alter table {relation} owner to {login}"
    for extension in connection.scalars(_EXTENSIONS):
        yield f"alter extension {extension} set schema public"


def _relations_of(schema: snapshot.SchemaSnapshot) -> set[str]:
    return {name.partition(" ")[2] for name in schema if name.startswith(("table ", "view "))}


def objects_of_others(
    relations: Mapping[str, str], actual: snapshot.SchemaSnapshot, expected: snapshot.SchemaSnapshot
) -> Iterator[str]:
    """Yield each object that the migrations would stop at; `relations` has the kind of each relation by its name."""
    for relation in sorted(relations.keys() & _relations_of(expected)):
        is_partitioned = "partitioned by" in expected.get(f"table {relation}", "")
        right_kind = "partitioned table" if is_partitioned else "table"
        if relation not in KEPT_TABLES or relations[relation] != right_kind:
            yield f"the {relations[relation]} {relation}"
        elif faults := ", ".join(_column_faults(relation, actual, expected)):
            yield f"the table {relation} ({faults})"
    for name, definition in actual.items():
        kind, _, rest = name.partition(" ")
        if kind == "function" and name in expected and rest not in REPLACED_FUNCTIONS:
            yield f"the function {rest}"
        if kind == "type" and definition != expected.get(name, definition):
            yield f"the type {rest}, which is {definition} and should be {expected[name]}"


def _column_faults(table: str, actual: snapshot.SchemaSnapshot, expected: snapshot.SchemaSnapshot) -> Iterator[str]:
    """Name missing columns, columns of another type, and a missing primary key."""
    there, needed = _columns(table, actual), _columns(table, expected)
    added = {column for column in needed if f"{table}.{column}" in ADDED_COLUMNS}
    if missing := needed.keys() - there.keys() - added:
        yield f"it lacks {', '.join(sorted(missing))}"
    for column in sorted(needed.keys() & there.keys()):
        if there[column] != needed[column]:
            yield f"{column} is {there[column]} and should be {needed[column]}"
    (key,) = (definition for name, definition in expected.items() if _is_key(table, name, definition))
    if not any(_is_key(table, name, definition) and definition == key for name, definition in actual.items()):
        yield f"it has no {key}"


def _is_key(table: str, name: str, definition: str) -> bool:
    return name.startswith(f"constraint {table}.") and definition.startswith("PRIMARY KEY")


def _columns(table: str, schema: snapshot.SchemaSnapshot) -> Mapping[str, str]:
    """Return the type of each column of a table, without its length: all types of text are one."""
    prefix = f"column {table}."
    types = {name.removeprefix(prefix): definition for name, definition in schema.items() if name.startswith(prefix)}
    return {column: _type_of(definition) for column, definition in types.items()}


def _type_of(definition: str) -> str:
    name = definition.partition(" not null")[0].partition(" default ")[0].partition(" generated ")[0]
    bare = name.partition("(")[0].strip() if "(" in name else name
    return "text" if bare in _TEXTS else bare
