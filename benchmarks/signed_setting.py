"""Cost of a signed setting: tenant, user and time limit carry a MAC that the database verifies.

Nobody could then set another tenant without the key, which the application and the database share. Two databases have
the same rows; in the second, `identity.current_tenant_id()` calls a definer function that verifies the MAC. The MAC
travels in the request id, so that both sides send the same messages; making it belongs to the unit of work. The
policies of one statement ask for the tenant several times, and PostgreSQL keeps no result between them.
"""

import gc
import hmac
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory
from typing import Final

import psycopg
from rich.table import Table
from sqlalchemy import make_url, text

from row_security import WARM_UP_CALLS, Question, in_turns, load
from scheduler.postgres.database import Database, Request, Role
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.errors import StatementError

KEY: Final = bytes(range(64))
FOREVER: Final = "4102444800"  # seconds since 1970
_STATEMENT: Final = text("""
    select id, status from scheduling.availability_slots
    where id = cast(:slot as bigint) and start_at = :start_at
""")
_VERIFIED = f"""
create schema signed;
create table signed.pads (inner_pad bytea, outer_pad bytea);
insert into signed.pads values ('\\x{bytes(byte ^ 0x36 for byte in KEY).hex()}',
    '\\x{bytes(byte ^ 0x5C for byte in KEY).hex()}');
grant usage on schema signed to scheduler_definer, scheduler_app;
grant select on signed.pads to scheduler_definer;

create function signed.tenant_id() returns uuid
language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
as $$
declare
    tenant constant text := current_setting('app.tenant_id', true);
    message constant text := concat_ws('|', tenant, current_setting('app.user_id', true));
    signature constant text := current_setting('app.request_id', true);
    until constant text := split_part(signature, '|', 1);
    pads signed.pads;
begin
    if nullif(tenant, '') is null then
        return null;
    end if;
    select * into pads from signed.pads;
    if sha256(pads.outer_pad || sha256(pads.inner_pad || convert_to(message || '|' || until, 'UTF8')))
            <> decode(split_part(signature, '|', 2), 'hex') or until::bigint < extract(epoch from now()) then
        raise exception 'the signature of the tenant is wrong' using errcode = 'insufficient_privilege';
    end if;
    return tenant::uuid;
end $$;
alter function signed.tenant_id() owner to scheduler_definer;
create or replace function identity.current_tenant_id() returns uuid
language sql stable parallel safe
return signed.tenant_id();
"""


def signature(question: Question, key: bytes = KEY) -> str:
    """Return the time limit and the MAC over tenant, user and time limit."""
    message = f"{question.tenant}|{question.tenant}|{FOREVER}".encode()
    return f"{FOREVER}|{hmac.digest(key, message, 'sha256').hex()}"


def ask(database: Database, question: Question, key: bytes | None = None) -> Sequence[object]:
    """Ask for a slot by its key in a new unit of work, signed if there is a key."""
    request = Request(id=signature(question, key) if key else "")
    with database.unit_of_work(
        role=Role.APP, tenant_id=question.tenant, user_id=question.tenant, request=request
    ) as session:
        return session.execute(_STATEMENT, {"slot": question.slot, "start_at": question.start_at}).all()


def check(plain: Database, signed: Database, questions: Sequence[Question]) -> None:
    """Stop unless both sides return the same rows, and a wrong key none."""
    for question in questions:
        expected, answer = ask(plain, question), ask(signed, question, KEY)
        if not expected or answer != expected:
            raise SystemExit(f"{len(answer)} rows with a signature, {len(expected)} without: nothing to compare")
    try:
        ask(signed, questions[0], bytes(64))
    except StatementError:
        return
    raise SystemExit("a wrong signature is accepted: nothing to compare")


def against_none(*, calls: int, tenants: int) -> Table:
    """Ask for slots by key, with a signed setting and without."""
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        questions = load(url, tenants=tenants)[: calls + WARM_UP_CALLS]
        name = str(make_url(url).database)
        signed_url = make_url(url).set(database=f"{name}_signed").render_as_string(hide_password=False)
        with psycopg.connect(
            make_url(url).set(database="template1").render_as_string(hide_password=False), autocommit=True
        ) as server:
            server.execute(f"create database {name}_signed template {name}".encode())
            try:
                with psycopg.connect(signed_url) as connection:
                    connection.execute(_VERIFIED.encode())
                with Database(url) as plain, Database(signed_url) as signed:
                    check(plain, signed, questions[:10])
                    candidates: tuple[Callable[[Question], object], ...] = (
                        partial(ask, plain),
                        partial(ask, signed, key=KEY),
                    )
                    gc.collect()
                    seconds = [quantiles(times[WARM_UP_CALLS:], n=10)[0] for times in in_turns(candidates, questions)]
            finally:
                server.execute(f"drop database if exists {name}_signed with (force)".encode())
    table = Table(
        title=f"a signed tenant, user and time limit; a tenth of {calls:,} calls was faster", title_justify="left"
    )
    for heading in ("a unit of work with a slot by its key", "µs", "ratio"):
        table.add_column(heading, justify="left" if heading.startswith("a ") else "right")
    for side, of_side in zip(("as it is", "with a signed setting"), seconds, strict=True):
        table.add_row(side, f"{of_side * 1e6:,.0f}", f"{of_side / seconds[0]:.2f}")
    return table
