"""Consent: what loses something is done only if somebody says so."""

import sys

import typer

from scheduler.core.errors import InvalidInputError


def ask_consent(lost: str) -> None:
    """Ask at a terminal whether to go on although something is `lost`, and stop the command if not.

    Raises:
        InvalidInputError: there is nobody to ask.
    """
    if not sys.stdin.isatty():
        raise InvalidInputError(f"{lost}: nobody can be asked here, --yes says to go on")
    typer.confirm(f"{lost}. Go on?", abort=True, err=True)
