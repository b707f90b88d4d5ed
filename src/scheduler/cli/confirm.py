"""Confirmation prompt for commands that delete data."""

import sys

import typer

from scheduler.cli.terminal import printable
from scheduler.core.errors import InvalidInputError


def confirm_loss(loss: str) -> None:
    """Ask at the terminal whether to go on in spite of a loss; abort if not.

    Raises:
        InvalidInputError: standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise InvalidInputError(f"{loss}: confirm with --yes, since standard input is no terminal")
    typer.confirm(printable(f"{loss}. Go on?"), abort=True, err=True)
