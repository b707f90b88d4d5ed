"""Signs of the calendar: statuses of slots, types of exceptions, kinds of hours, and letters for doctors.

Owns: the signs with their styles, strongest exception first (A3), and the letters.
Must not know: where a sign is drawn.
"""

from string import ascii_letters
from typing import Final

from scheduler.cli.week import TAKEN, Week
from scheduler.core.schedules import ExceptionType

STATUSES: Final = {
    "open": ("○", "green"),
    "reserved": ("◐", "yellow"),
    "booked": ("●", "bold blue"),
    TAKEN: ("◌", "dim"),
    "cancelled": ("✕", "dim"),
}
EXCEPTIONS: Final = {
    ExceptionType.EMERGENCY: ("▓", "bold red"),
    ExceptionType.BLOCKED: ("░", "red"),
    ExceptionType.OVERRIDE: ("≈", "magenta"),
}
STRENGTH: Final = {kind: rank for rank, kind in enumerate(EXCEPTIONS)}
CLOSED: Final = ("·", "red")
SKIPPED: Final = ("»", "cyan")
REPEATED: Final = ("↻", "cyan")
CONTINUED: Final = "┆"

_LETTERS: Final = ascii_letters[26:] + ascii_letters[:26]


def letters_of(week: Week) -> dict[int, str]:
    """Return a letter for each doctor by id; empty for a single doctor, and for more doctors than letters."""
    one_or_too_many = not 1 < len(week.doctors) <= len(_LETTERS)
    return {doctor.id: "" if one_or_too_many else _LETTERS[number] for number, doctor in enumerate(week.doctors)}
