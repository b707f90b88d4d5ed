"""The command line, and the composition root: the only place that reads settings, the clock and random sources."""

from scheduler.cli.app import main

__all__ = ["main"]
