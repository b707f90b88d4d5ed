"""Observation of the job: log records and OpenTelemetry spans, which have ids and counts only.

Owns: the names of events, spans and attributes, and the choice between spans and none.
Must not know: who reads records and spans; the clock; names, texts and parameters of statements.

Spans need `opentelemetry-api` (extra `telemetry`). Without this package, `traced` runs its block and nothing else; with
it and without an SDK, its spans record nothing. No message of an error goes into a record or span, since a message may
repeat a stored text: the class of the error and its SQLSTATE do.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

try:
    from opentelemetry import trace
except ModuleNotFoundError:
    trace = None  # type: ignore[assignment]  # the extra is not installed

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Field = str | int | None
Add = Callable[[Mapping[str, Field]], None]
"""Adds attributes to a span; those without a value are left out."""

EVENT: Final = "scheduler_event"
FIELDS: Final = "scheduler_fields"
"""The names under which a log record has its event and its fields."""

_log: Final = logging.getLogger("scheduler.generation")
_tracer: "Tracer | None" = None if trace is None else trace.get_tracer("scheduler")


def logged(event: str, *, level: int = logging.INFO, **fields: Field) -> None:
    """Log an event of the job with its ids and counts; fields without a value are left out."""
    if _log.isEnabledFor(level):
        known = {name: value for name, value in fields.items() if value is not None}
        text = " ".join(f"{name}={value}" for name, value in known.items())
        _log.log(level, "%s: %s", event, text, extra={EVENT: event, FIELDS: known})


def facts_of(error: BaseException) -> dict[str, Field]:
    """Return what a record may tell about an error: its class, and the SQLSTATE of the database."""
    return {"error": type(error).__name__, "sqlstate": getattr(error, "sqlstate", None)}


@contextmanager
def traced(name: str, **attributes: Field) -> Iterator[Add]:
    """Run the block in a span, and yield a function that adds attributes to it."""
    if _tracer is None:
        yield _ignore
        return
    with _tracer.start_as_current_span(
        f"scheduler.{name}", record_exception=False, set_status_on_exception=False
    ) as span:

        def add(facts: Mapping[str, Field]) -> None:
            if span.is_recording():
                span.set_attributes({f"scheduler.{key}": value for key, value in facts.items() if value is not None})

        if attributes:
            add(attributes)
        try:
            yield add
        except BaseException as error:
            add(facts_of(error))
            span.set_status(trace.StatusCode.ERROR)
            raise


def _ignore(_: Mapping[str, Field]) -> None:
    """Add nothing."""
