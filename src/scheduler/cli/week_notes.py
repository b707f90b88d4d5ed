"""Notes of a week: the legend of the calendar, and its exceptions, closures and clock changes in order.

Owns: the text beneath the calendar.
Must not know: how the calendar is drawn; the clock and the database.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from rich.table import Table
from rich.text import Text

from scheduler.cli.rendering import between
from scheduler.cli.terminal import printable
from scheduler.cli.week import Week, WeekException
from scheduler.cli.week_grid import clock_changes, whole_days
from scheduler.cli.week_signs import CLOSED, CONTINUED, EXCEPTIONS, REPEATED, SKIPPED, STATUSES, letters_of
from scheduler.core.zones import instant_at


class _Note(NamedTuple):
    """A line: when it begins, its sign and style, the time as text, and its text."""

    at: datetime
    mark: tuple[str, str]
    when: str
    why: str


def legend(week: Week) -> Text:
    """Count the slots of the week by status, and explain the signs."""
    slots = [slot for slot in week.slots if slot.start_at.astimezone(week.zone).date() in week.days]
    counts = Counter(slot.status for slot in slots)
    text = Text()
    for status, (sign, style) in STATUSES.items():
        text.append(sign, style=style).append(f" {counts[status]} {status}  ")
    text.append(f"{CONTINUED} goes on\n")
    for name, (sign, style) in {**{str(kind): mark for kind, mark in EXCEPTIONS.items()}, "closed": CLOSED}.items():
        text.append(sign, style=style).append(f" {name}  ")
    text.append(SKIPPED[0], style=SKIPPED[1]).append(f" skipped hour  {REPEATED[0]} repeated hour")
    if len(week.doctors) > 1:
        text.append("\nletters (or a number) after a sign: only these doctors; none: all doctors")
    return text


def notes(week: Week) -> Table:
    """List the exceptions, closures and clock changes of the week, in order."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for _, (sign, style), when, why in sorted([*_exceptions(week), *_closures(week), *_clock_changes(week)]):
        table.add_row(Text(sign, style=style), when, Text(printable(why)))
    return table


def _exceptions(week: Week) -> Iterator[_Note]:
    """Yield a note for each exception; one that several doctors have is one note with their names."""
    whole = whole_days(week, week.days[0], week.days[-1])
    letters = letters_of(week)
    names = {id_: f"{letters[id_]} {name}".strip() for id_, name in week.doctors}
    doctors: dict[tuple[WeekException, bool], list[int]] = {}
    for exception in week.exceptions:
        if whole.overlaps(exception.start_at, exception.end_at):
            alike = exception._replace(doctor_id=0, rule_id=None, id=None), exception.rule_id is not None
            doctors.setdefault(alike, []).append(exception.doctor_id)
    for (exception, is_of_rule), ids in doctors.items():
        every = len(set(ids)) == len(names) > 1
        who = "all doctors" if every else ", ".join(name for id_, name in names.items() if id_ in ids)
        text = f"{who}: {exception.reason or exception.type}{' (part of the rules)' if is_of_rule else ''}"
        when = between(exception.start_at, exception.end_at, zone=week.zone)
        yield _Note(exception.start_at, EXCEPTIONS[exception.type], when, text)


def _closures(week: Week) -> Iterator[_Note]:
    whole = whole_days(week, week.days[0], week.days[-1])
    for day, reason, start_at, end_at, _ in week.closures:
        note = f"closed: {reason}" if reason else "closed"
        if start_at is None or end_at is None:
            if day in week.days:
                yield _Note(instant_at(week.zone, day), CLOSED, f"{day:%a %d %b}", note)
        elif whole.overlaps(start_at, end_at):
            yield _Note(start_at, CLOSED, between(start_at, end_at, zone=week.zone), note)


def _clock_changes(week: Week) -> Iterator[_Note]:
    for at, shift in clock_changes(week):
        local = at.astimezone(week.zone)
        before = (local - shift).replace(fold=0)
        is_forward = shift > timedelta(0)
        to = f"{local:%H:%M}" if local.date() == before.date() else f"{local:%a %d %b %H:%M}"
        why = f"the clock goes {'forward' if is_forward else 'back'} to {to}"
        yield _Note(at, SKIPPED if is_forward else REPEATED, f"{before:%a %d %b %H:%M}", why)
