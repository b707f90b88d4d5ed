"""Line errors on standard error: the broken lines of a file, as `FILE:LINE: reason`.

Owns: how many line errors a command prints.
Must not know: the formats of files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from scheduler.cli.terminal import echo
from scheduler.core.json_lines import LineError

MAX_FAULTS_SHOWN: Final = 20


def show_line_errors(file: Path, faults: Sequence[LineError]) -> None:
    """Print the first errors of a file, and the number of further ones."""
    for fault in faults[:MAX_FAULTS_SHOWN]:
        echo(f"{file}:{fault.line}: {fault.reason}", err=True)
    if len(faults) > MAX_FAULTS_SHOWN:
        echo(f"{file}: and {len(faults) - MAX_FAULTS_SHOWN} more broken lines", err=True)
