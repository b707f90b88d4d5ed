"""Progress of long work: a bar on a terminal, lines of JSON in a log."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from scheduler.cli.terminal import echo


@contextmanager
def shown_progress(
    activity: str, *, steps: str, unit: str, json_name: str
) -> Iterator[Callable[[int, int | None, int], None]]:
    """Show a bar on a terminal; elsewhere write one line of JSON a batch.

    The block calls the yielded function after each batch with the number of `steps` done, the number of all steps (None
    if it is unknown), and the number of results in `unit`, which the JSON calls `json_name`.
    """
    console = Console(stderr=True)
    if not console.is_terminal:

        def log(done: int, of: int | None, count: int) -> None:
            echo(json.dumps({"event": "batch", f"{steps}_done": done, steps: of, json_name: count}), err=True)

        yield log
        return
    columns = (
        TextColumn(activity),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{steps}, {{task.fields[count]:,}} {unit}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(activity, total=None, count=0)
        yield lambda done, of, count: bar.update(task, completed=done, total=of, count=count)
