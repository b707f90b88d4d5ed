"""Interruption by a signal: Ctrl-C or a termination ends a command, whichever error it causes on its way.

Owns: the handlers of these signals while a command runs, and while it ends by itself after a termination.
Must not know: what commands do; how an interruption is shown.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

# By default, the last two end a process at once: a half-written export with decrypted values would stay on the disk.
INTERRUPTING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


_watched: Final[list[list[int]]] = []
"""The signals so far of the blocks of `watched_signals` that run: one block, or none."""


def is_interrupted() -> bool:
    """Tell whether a signal has interrupted the command, whatever error it caused."""
    return any(_watched)


@contextmanager
def watched_signals() -> Iterator[list[int]]:
    """Raise KeyboardInterrupt in the block at each interrupting signal; yield the list of the signals so far.

    The list decides: drivers clean up after an interruption, and an error of that takes its place. A signal that
    the process ignores, as under `nohup`, stays ignored.
    """
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before: dict[signal.Signals, Any] = {number: signal.getsignal(number) for number in INTERRUPTING}
    watched = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in watched:
        signal.signal(number, interrupt)
    _watched.append(received)
    try:
        yield received
    finally:
        _watched.pop()
        for number, handler in watched.items():
            signal.signal(number, handler)


@contextmanager
def recorded_termination() -> Iterator[list[int]]:
    """Record the first SIGTERM in the block, which then ends by itself; a second one interrupts.

    Yield the list of the signals so far.
    """
    received: list[int] = []
    before = signal.getsignal(signal.SIGTERM)

    def record(number: int, _: FrameType | None) -> None:
        received.append(number)
        signal.signal(signal.SIGTERM, before)

    if before != signal.SIG_IGN:
        signal.signal(signal.SIGTERM, record)
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)
