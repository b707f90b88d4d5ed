"""The time to start: an import and short commands, each in its own process, against `python -c pass`."""

import subprocess
import sys
from functools import partial
from typing import Final

from rich.table import Table

from measuring import best_times

NOTHING: Final = "python -c pass"
COMMAND: Final = ("-c", "from scheduler.cli import main; main()")
WAYS: Final = {
    NOTHING: ("-c", "pass"),
    "import scheduler": ("-c", "import scheduler"),
    "scheduler --version": (*COMMAND, "--version"),
    "scheduler --help": (*COMMAND, "--help"),
    "scheduler generate --help": (*COMMAND, "generate", "--help"),
}


def against_nothing(*, rounds: int) -> Table:
    """Start a process for each way, in turns."""
    best = best_times({name: partial(_start, arguments) for name, arguments in WAYS.items()}, rounds=rounds)
    table = Table(title=f"starting, {rounds} rounds", title_justify="left")
    for heading in ("", "best, milliseconds", f"of {NOTHING}"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, seconds in best.items():
        table.add_row(name, f"{seconds * 1000:.0f}", f"{seconds / best[NOTHING]:.1f} times")
    return table


def _start(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)  # noqa: S603  # own
    if done.returncode or done.stderr:
        raise SystemExit(f"{arguments} failed, nothing to compare: {done.stderr}")
