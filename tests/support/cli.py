"""Command line, run in the test's process: its output, and its exit code."""

import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import NamedTuple

import pytest

from scheduler.cli import main

OWN_SETTINGS = ("SCHEDULER_TENANT", "SCHEDULER_MASTER_KEYS")


class CommandResult(NamedTuple):
    """The exit code and the output of a command."""

    code: object
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines on standard error beside the log of batches."""
        return [line for line in self.err.splitlines() if not line.startswith("{")]


def run(url: str, *arguments: str, **environment: str) -> CommandResult:
    """Run a command on a database; anything but an exit is a failure of the test."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(out), redirect_stderr(err):
        patched.setattr(sys, "argv", ["scheduler", *arguments])
        for name in OWN_SETTINGS:
            patched.delenv(name, raising=False)
        for name, value in ({"SCHEDULER_DATABASE_URL": url, "COLUMNS": "120"} | environment).items():
            patched.setenv(name, value)
        with pytest.raises(SystemExit) as end:
            main()
    assert "Traceback" not in err.getvalue()
    return CommandResult(end.value.code or 0, out.getvalue(), err.getvalue())
