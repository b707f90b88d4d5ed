"""`scheduler retire`: delete past slots that nobody booked."""

import json
from collections.abc import Iterable
from typing import Annotated
from uuid import UUID

import typer

from scheduler.cli.progress import shown_progress
from scheduler.cli.settings import DEFAULT_TENANT, AsJson, DatabaseUrl, Tenant, now, opened, read_day, readable
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.generation.request import Mode
from scheduler.generation.retiring import Retired, RetiringRequest, retire
from scheduler.postgres.database import Database, Role
from scheduler.postgres.tenants import all_tenants as tenants_of
from scheduler.postgres.tenants import tenant_id_of


def retire_slots(
    before: Annotated[str, typer.Option("--before", metavar="DAY", help="The slots of local days before this day go.")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="All active tenants. The owner's login then also drops months.")
    ] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="SLUG", help="With --all-tenants: keep the slots of this tenant. Repeatable."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report without deleting.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete past slots that nobody booked, and drop months that nobody needs.

    A slot that a visit, a hold or an offer to a waiting patient references stays, whatever its status. The job's login
    deletes rows in batches. With --all-tenants, the owner's login first drops each month in which every slot may go.
    It may be stopped at any moment: the next run does the rest.
    """
    if keep and not all_tenants:
        raise InvalidInputError("--keep is for --all-tenants: a tenant that is not named keeps its slots anyway")
    at = now()
    day = read_day(before, default=at.date())
    with (
        opened(url) as database,
        shown_progress("retiring", steps="months", unit="slots", json_name="slots_deleted") as progress,
    ):
        request = RetiringRequest(
            day,
            at,
            tenant_id=None if all_tenants else tenant_id_of(database, tenant, role=Role.JOB),
            kept=_kept(database, keep or ()),
            mode=Mode.DRY if dry_run else Mode.WRITE,
        )
        retired = retire(database, request, progress=progress)
    months = [f"{month:%Y-%m}" for month in retired.months]
    if as_json:
        slots = {slug: {"deleted": counts[0], "kept": counts[1]} for slug, counts in retired.slots.items()}
        echo(json.dumps({"before": str(day), "dry": dry_run, "dropped_months": months, "tenants": slots}))
        return
    _print(retired, months, all_tenants=all_tenants, dry_run=dry_run)


def _kept(database: Database, slugs: Iterable[str]) -> frozenset[UUID]:
    """Return the ids of all tenants with these slugs, also of suspended and deleted ones."""
    wanted = {str(readable(slug)) for slug in slugs}
    with database.unit_of_work(role=Role.JOB, tenant_id=None) as session:
        tenants = [tenant for tenant in tenants_of(session) if tenant.slug in wanted]
    for slug in sorted(wanted - {tenant.slug for tenant in tenants}):
        raise NotFoundError(f"no tenant {slug!r}: --keep names one whose slots stay")
    return frozenset(tenant.id for tenant in tenants)


def _print(retired: Retired, months: list[str], *, all_tenants: bool, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    if months:
        echo(f"months {would}dropped: {', '.join(months)}")
    elif all_tenants and not retired.may_drop:
        echo("no month is dropped: this login does not own the table of slots", err=True)
    for slug, (deleted, kept) in retired.slots.items():
        stay = f", {kept:,} stay under visits, holds or offers" if kept else ""
        echo(f"{slug}: {deleted:,} slots {would}deleted{stay}")
