"""Hostile database: settings of a database that change how values are read and names are found.

A schema `shadows` comes first on its search path. Each function and operator in it takes the place of one of
PostgreSQL's and refuses; its tables take the place of catalogues and are empty.
"""

from sqlalchemy import make_url

from support.databases import execute

SETTINGS = {
    "search_path": "shadows, pg_catalog, public",
    "datestyle": "'German'",
    "intervalstyle": "'sql_standard'",
    "timezone": "'Pacific/Apia'",
    "bytea_output": "'escape'",
    "extra_float_digits": "-10",
    "standard_conforming_strings": "off",
    "client_encoding": "'LATIN1'",
    "row_security": "off",
    "quote_all_identifiers": "on",
    "statement_timeout": "'1min'",
    "default_transaction_isolation": "'serializable'",
}
_SHADOWS = """
do $$
declare
    routine record;
begin
    create schema shadows;
    grant usage on schema shadows to public;
    for routine in
        select proname, pg_get_function_identity_arguments(oid) as arguments, pg_get_function_result(oid) as result
        from pg_proc
        where pronamespace = 'pg_catalog'::regnamespace and prokind = 'f' and provariadic = 0
            and prorettype <> 'internal'::regtype and 'internal'::regtype <> all (proargtypes) and proname in (
                'now', 'clock_timestamp', 'transaction_timestamp', 'statement_timestamp', 'set_config',
                'current_setting', 'hashtext', 'pg_advisory_xact_lock', 'sha256', 'length', 'octet_length', 'lower',
                'upper', 'gen_random_uuid', 'to_regclass', 'to_regnamespace', 'to_jsonb', 'row_to_json', 'encode',
                'decode', 'convert_to', 'date_trunc', 'date_part', 'extract', 'to_char', 'timezone', 'pg_has_role',
                'has_table_privilege', 'pg_partition_root', 'pg_relation_size', 'array_position', 'unnest',
                'generate_series', 'left', 'right', 'substr', 'substring', 'replace', 'regexp_replace', 'split_part',
                'starts_with', 'round', 'abs', 'lag')
    loop
        execute format('create function shadows.%I(%s) returns %s language plpgsql as '
            '$body$ begin raise exception ''a shadow of %s was called''; end $body$',
            routine.proname, routine.arguments, routine.result, routine.proname);
    end loop;
    for routine in
        select oprname, oprleft::regtype as left_type, oprright::regtype as right_type, row_number() over () as number
        from pg_operator
        where oprnamespace = 'pg_catalog'::regnamespace and oprleft <> 0 and oprresult = 'bool'::regtype
            and oprname in ('=', '<>', '<', '<=', '>', '>=') and oprleft = oprright and oprleft in (
                'text'::regtype, 'uuid'::regtype, 'int8'::regtype, 'int4'::regtype, 'bytea'::regtype, 'date'::regtype,
                'timestamptz'::regtype, 'name'::regtype, 'oid'::regtype, 'bool'::regtype, 'jsonb'::regtype)
    loop
        execute format('create function shadows.compared_%s(%s, %s) returns boolean language plpgsql as '
            '$body$ begin raise exception ''a shadow of an operator was called''; end $body$',
            routine.number, routine.left_type, routine.right_type);
        execute format('create operator shadows.%s (function = shadows.compared_%s, leftarg = %s, rightarg = %s)',
            routine.oprname, routine.number, routine.left_type, routine.right_type);
    end loop;
    create table shadows.pg_class ();
    create table shadows.pg_roles ();
    create table shadows.pg_type ();
    create table shadows.pg_namespace ();
end $$
"""


def make_hostile(url: str) -> None:
    """Give a database the schema of shadows, and settings that hold from its next connection on."""
    execute(url, _SHADOWS)
    name = make_url(url).database
    execute(url, *(f"alter database {name} set {setting} = {value}" for setting, value in SETTINGS.items()))
