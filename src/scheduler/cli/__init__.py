"""The command line, and the composition root: the only place that reads settings, the clock and random sources."""

import sys

from scheduler.core.errors import MissingExtraError
from scheduler.core.extras import extra_needed


def main() -> None:
    """Run the command line; a missing package of its extra is one line and exit code 1."""
    try:
        with extra_needed("the command line", "cli"):
            from scheduler.cli.app import run  # noqa: PLC0415  # Typer comes with the extra
        run()
    except MissingExtraError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:  # before or after the command, which ends by itself when it is interrupted
        sys.exit(130)


__all__ = ["main"]
