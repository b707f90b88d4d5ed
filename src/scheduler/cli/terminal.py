"""Text for the terminal: a line, or a part of one, that cannot control the terminal.

Owns: the characters that a command prints; every text that may come from the database passes through here.
Must not know: what is printed; whether it can be written (`output`).
"""

import typer


def printable(text: str) -> str:
    """Replace each control or formatting character by a question mark, so that a text cannot control the terminal."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def echo(line: str, *, err: bool = False) -> None:
    """Print one line, on standard error if `err`. A line break within it is a control character like others."""
    typer.echo(printable(line), err=err)
