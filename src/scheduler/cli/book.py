"""`scheduler book`: the visit of an offer, or of an offering at a time, is booked for a patient."""

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer

from scheduler import models
from scheduler.booking.errors import NotOfferedError, SlotTakenError
from scheduler.cli.desk import AsJsonLine, Names, booked_visit, desk, visit_as_json
from scheduler.cli.explain import read_time
from scheduler.cli.rendering import between
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, Tenant, readable
from scheduler.cli.sought import offerings_sought
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import OfferingId, PatientId
from scheduler.core.offers import VisitOffer
from scheduler.core.overrides import BookingRule, Override
from scheduler.core.zones import zone_of
from scheduler.front_door.work import Work

STANDARD_INPUT: Final = "-"


def book(
    patient: Annotated[int, typer.Option("--patient", metavar="ID", help="The patient whose visit it is.")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    offer: Annotated[
        str | None,
        typer.Option(
            "--offer",
            callback=readable,
            metavar="FILE",
            help="Offers as `scheduler find --json` prints them; `-` is standard input.",
        ),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option("--number", min=1, metavar="NUMBER", help="Book this one of several offers.", show_default="one"),
    ] = None,
    offering: Annotated[
        str | None,
        typer.Option(
            "--offering",
            callback=readable,
            metavar="SERVICE",
            help="Instead of an offer: what to book, `offering:ID`, or a service that one doctor offers.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option("--at", callback=readable, metavar="TIME", help="With --offering: the start, 2027-03-26T10:20."),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            "--key", callback=readable, help="Book an offer once, however often a command with this key is repeated."
        ),
    ] = None,
    override: Annotated[
        str | None,
        typer.Option(
            "--override",
            callback=readable,
            metavar="RULES",
            help=f"Break these rules, separated by commas: {', '.join(BookingRule)}. Needs --reason.",
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", callback=readable, help="Why the rules are broken; it is stored with the visit."),
    ] = None,
    as_json: AsJsonLine = False,
) -> None:
    """Book the visit of an offer, or of an offering at a time, for a patient.

    The visit is decided on again: resources that were taken since are replaced by free ones. Exit code 11 says that the
    visit is not offered, 12 that somebody else has it by now; nothing is booked then. Find again.
    """
    breaking = read_override(override, reason)
    if (offer is None) == (offering is None) or (offering is None) != (start is None):
        raise InvalidInputError("give --offer FILE, or --offering with --at")
    if offering is not None and key is not None:  # its repetition would find the time taken by the first visit
        raise InvalidInputError("--key needs --offer: a repeated --offering is looked up again")
    given = None if offer is None else read_offer(offer, number)
    with desk(url, tenant) as work:
        names = Names(work)
        id_: Any = the_offering(work, offering or "").id if given is None else given.offering_id
        wanted = OfferingId(id_)
        zone = zone_of(names.facility(work.offerings.get(wanted).facility_id).timezone)
        try:
            chosen = given or work.visits.offer_at(wanted, read_start(start or "", zone), override=breaking)
            visit = work.visits.book(chosen, patient=PatientId(patient), override=breaking, key=key)
        except NotOfferedError as error:
            raise NotOfferedError(_with_next_start(error, zone), error.reasons, error.next_start_at) from None
        except SlotTakenError as error:
            raise SlotTakenError(_with_next_start(error, zone), error.next_start_at) from None
        line = booked_visit(visit, names)
    echo(json.dumps(visit_as_json(visit)) if as_json else line)


def _with_next_start(error: NotOfferedError | SlotTakenError, zone: ZoneInfo) -> str:
    """Return the message of an error with the next start, on the clock of the facility."""
    following = error.next_start_at
    if following is None:
        return str(error)
    return f"{error}; the next start is {between(following, following, zone=zone)} ({zone.key})"


def the_offering(work: Work, what: str) -> models.ServiceOffering:
    """Return the one offering that is meant.

    Raises:
        NotFoundError: there is no such service or offering.
        InvalidInputError: the service has several offerings.
    """
    offering, *others = offerings_sought(work, what)
    if others:
        several = ", ".join(f"offering:{one.id}" for one in (offering, *others))
        raise InvalidInputError(f"{what!r} has several offerings: give one of {several}")
    return offering


def read_start(text: str, zone: ZoneInfo) -> datetime:
    """Read a time on the clock of a zone, or an instant with an offset.

    Raises:
        InvalidInputError: the text is no time.
    """
    at = read_time(text, zone)
    if isinstance(at, datetime):
        return at
    raise InvalidInputError(f"--at: {text!r} is a day: give a time, such as {at}T10:20")


def read_override(rules: str | None, reason: str | None) -> Override | None:
    """Read an override: rules separated by commas, and the reason.

    Raises:
        InvalidInputError: a rule is unknown, none is named, or one of the two is missing.
    """
    if rules is None and reason is None:
        return None
    if rules is None or reason is None:
        raise InvalidInputError("--override and --reason belong together: name the rules, and say why")
    words = [word.strip().lower() for word in rules.split(",") if word.strip()]
    unknown = [word for word in words if word not in set(BookingRule)]
    if unknown:
        raise InvalidInputError(f"--override: no rule is called {unknown[0]!r}: the rules are {', '.join(BookingRule)}")
    return Override(reason, [BookingRule(word) for word in words])


def read_offer(file: str, number: int | None) -> VisitOffer:
    """Read an offer of a file, each a line of JSON: the one with a number, or the only one.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file cannot be read, its line is no offer, or it has not exactly the offers in question.
    """
    lines = [line for line in _text_of(file).split("\n") if line.strip()]
    if not lines:
        raise InvalidInputError(f"{file!r} has no offer: `scheduler find --json` prints offers")
    if number is None and len(lines) > 1:
        raise InvalidInputError(f"{file!r} has {len(lines)} offers: choose one with --number")
    if number is not None and number > len(lines):
        raise InvalidInputError(f"{file!r} has no offer {number}: it has {len(lines)}")
    return VisitOffer.from_json(lines[(number or 1) - 1])


def _text_of(file: str) -> str:
    try:
        return sys.stdin.read() if file == STANDARD_INPUT else Path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {file!r}") from None
    except OSError as error:
        raise InvalidInputError(f"{file!r} cannot be read: {error.strerror}") from None
    except ValueError:  # not UTF-8
        raise InvalidInputError(f"{file!r} cannot be read: it is not text in UTF-8") from None
