"""`scheduler preflight`: faults of the coming night, and the rights of a login beyond its purpose."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from scheduler.cli.errors import NightAtRiskError
from scheduler.cli.generate import DEFAULT_DAYS
from scheduler.cli.settings import DEFAULT_TENANT, AsJson, DatabaseUrl, Tenant, database_url, now, opened
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError
from scheduler.generation.night_checks import Night, checks_of
from scheduler.generation.night_rules import Check, Outcome
from scheduler.generation.request import MAX_DAYS
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import UnfitLoginError
from scheduler.postgres.logins import Purpose, faults
from scheduler.postgres.tenants import active_tenants, tenant_id_of


def preflight(
    purpose: Annotated[
        Purpose | None, typer.Option("--as", help="Check the rights of a login with this purpose instead.")
    ] = None,
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    all_tenants: Annotated[bool, typer.Option("--all-tenants", help="Check each active tenant.")] = False,
    days: Annotated[
        int | None,
        typer.Option("--days", min=1, max=MAX_DAYS, help=f"The days of the nightly run. [default: {DEFAULT_DAYS}]"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check what would go wrong tonight; or that a login has the rights of its purpose, and no others.

    Run it in the evening, with the login of the job. Each check is a line, and each fault says what to do. Nothing is
    written. Exit code 15 if there is a fault. With --as, the login is that of the database URL, and each fault is a
    line. Exit code 10 if there is one.
    """
    if purpose is not None:
        if all_tenants or days is not None:
            raise InvalidInputError("--as checks a login: --all-tenants and --days are for the check of the night")
        _check_login(url, purpose, as_json=as_json)
        return
    with opened(url) as database:
        at = now()
        until = at.date() + timedelta(days=DEFAULT_DAYS if days is None else days)
        found = {
            slug: checks_of(database, Night(tenant_id, at.date(), until, at))
            for slug, tenant_id in _tenants(database, tenant, all_tenants=all_tenants).items()
        }
    faulty = {slug: [check for check in checks if check.outcome is Outcome.WRONG] for slug, checks in found.items()}
    if as_json:
        echo(json.dumps({"tenants": {slug: [asdict(check) for check in checks] for slug, checks in found.items()}}))
    else:
        for slug, checks in found.items():
            for check in checks:
                echo(_line(f"{slug}: " if all_tenants else "", check))
    if count := sum(map(len, faulty.values())):
        named = ", ".join(slug for slug, wrong in faulty.items() if wrong)
        raise NightAtRiskError(f"{count} {'fault' if count == 1 else 'faults'} before the night of {named}")


def _tenants(database: Database, tenant: str, *, all_tenants: bool) -> dict[str, UUID]:
    if not all_tenants:
        return {tenant: tenant_id_of(database, tenant, role=Role.JOB)}
    return dict(active_tenants(database))


def _line(prefix: str, check: Check) -> str:
    remedy = f" -> {check.remedy}" if check.outcome is Outcome.WRONG else ""
    return f"{prefix}{check.outcome:<7} {check.name}: {check.found}{remedy}"


def _check_login(url: str | None, purpose: Purpose, *, as_json: bool) -> None:
    with (
        database_url(url) as address,
        Database(address) as database,
        database.unit_of_work(role=Role.OWNER, tenant_id=None) as session,
    ):
        login, found = faults(session.connection(), purpose)
    if as_json:
        echo(json.dumps({"login": login, "as": purpose.value, "faults": found}))
    else:
        for fault in found:
            echo(f"{login} {fault}")
    if found:
        count = f"{len(found)} faults" if len(found) > 1 else "one fault"
        raise UnfitLoginError(f"{count} of {login} as {purpose.value}: see the page `Logins` of the documentation")
    if not as_json:
        echo(f"{login} has the rights of {purpose.value}, and no others")
