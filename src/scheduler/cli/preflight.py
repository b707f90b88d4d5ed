"""`scheduler preflight`: name the rights of a login beyond its purpose."""

import json
from typing import Annotated

import typer

from scheduler.cli.settings import AsJson, DatabaseUrl, database_url
from scheduler.cli.terminal import echo
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import UnfitLoginError
from scheduler.postgres.logins import Purpose, faults


def preflight(
    purpose: Annotated[Purpose, typer.Option("--as", help="Purpose of the login.")],
    url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Check that a login has the rights of its purpose, and no others.

    The login is that of the database URL. Each fault is a line. Exit code 10 if there is one.
    """
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
