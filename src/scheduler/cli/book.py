"""`scheduler book`: the visit of an offer is booked for a patient."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from scheduler.booking.errors import NotOfferedError, SlotTakenError
from scheduler.cli.desk import AsJsonLine, Names, booked_visit, desk, visit_as_json
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, Tenant, readable
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import PatientId
from scheduler.core.offers import VisitOffer

STANDARD_INPUT: Final = "-"


def book(
    offer: Annotated[
        str,
        typer.Option(
            "--offer",
            callback=readable,
            metavar="FILE",
            help="Offers as `scheduler find --json` prints them; `-` is standard input.",
        ),
    ],
    patient: Annotated[int, typer.Option("--patient", metavar="ID", help="The patient whose visit it is.")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    number: Annotated[
        int | None,
        typer.Option("--number", min=1, metavar="NUMBER", help="Book this one of several offers.", show_default="one"),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--key", callback=readable, help="Book once, however often a command with this key is repeated."),
    ] = None,
    as_json: AsJsonLine = False,
) -> None:
    """Book the visit of an offer for a patient, at the times of the offer.

    The visit is decided on again: resources that were taken since are replaced by free ones. Exit code 11 says that the
    visit is not offered, 12 that somebody else has it by now; nothing is booked then. Find again.
    """
    chosen = read_offer(offer, number)
    with desk(url, tenant) as work:
        try:
            visit = work.visits.book(chosen, patient=PatientId(patient), key=key)
        except NotOfferedError as error:
            raise NotOfferedError(_with_next_start(error), error.reasons, error.next_start_at) from None
        except SlotTakenError as error:
            raise SlotTakenError(_with_next_start(error), error.next_start_at) from None
        line = booked_visit(visit, Names(work))
    echo(json.dumps(visit_as_json(visit)) if as_json else line)


def _with_next_start(error: NotOfferedError | SlotTakenError) -> str:
    following = error.next_start_at
    return str(error) if following is None else f"{error}; the next start is {following.isoformat()}"


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
