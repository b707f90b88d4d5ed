"""Observation of the job: log records and OpenTelemetry spans, which have ids and counts only.

Owns: the names of events, spans and attributes, and the choice between spans and none.
Must not know: who reads records and spans; the clock; names, texts and parameters of statements.

An event that is a warning or worse is also an event of the current span. No message of an error goes into a record or
span, since a message may repeat a stored text: the class of the error and its SQLSTATE do.

Spans need `opentelemetry-api` (extra `telemetry`). Without this package, `traced` runs its block and nothing else; with
it and without an SDK, its spans record nothing.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

try:
    from opentelemetry import context, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ModuleNotFoundError:
    trace = None  # type: ignore[assignment]  # the extra is not installed

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Field = str | int | None
TraceContext = dict[str, str]
"""The span of a run as text, for a process that does a part of it."""
Add = Callable[[Mapping[str, Field]], None]
"""Adds attributes to a span; those without a value are left out."""

EVENT: Final = "scheduler_event"
FIELDS: Final = "scheduler_fields"
"""The names under which a log record has its event and its fields."""

LOGGER: Final = "scheduler.generation"
"""The name of the logger that gets the events."""

_log: Final = logging.getLogger(LOGGER)
_tracer: "Tracer | None" = None if trace is None else trace.get_tracer("scheduler")


def logged(event: str, *, level: int = logging.INFO, **fields: Field) -> None:
    """Log an event of the job with its ids and counts; fields without a value are left out."""
    if _log.isEnabledFor(level):
        known = {name: value for name, value in fields.items() if value is not None}
        text = " ".join(f"{name}={value}" for name, value in known.items())
        _log.log(level, "%s: %s", event, text, extra={EVENT: event, FIELDS: known})
    if level >= logging.WARNING and _tracer is not None and (span := trace.get_current_span()).is_recording():
        span.add_event(event, _named(fields))


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
                span.set_attributes(_named(facts))

        if attributes:
            add(attributes)
        try:
            yield add
        except BaseException as error:
            add(facts_of(error))
            span.set_status(trace.StatusCode.ERROR)
            raise


def trace_context() -> TraceContext | None:
    """Return the current span for another process, if there is one."""
    if _tracer is None:
        return None
    carrier: TraceContext = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier or None


def within(carrier: TraceContext | None) -> AbstractContextManager[None]:
    """Let spans of the block be children of the span of another process."""
    return nullcontext() if _tracer is None or carrier is None else _attached(carrier)


@contextmanager
def _attached(carrier: TraceContext) -> Iterator[None]:
    token = context.attach(TraceContextTextMapPropagator().extract(carrier))
    try:
        yield
    finally:
        context.detach(token)


def _named(facts: Mapping[str, Field]) -> dict[str, str | int]:
    return {f"scheduler.{name}": value for name, value in facts.items() if value is not None}


def _ignore(_: Mapping[str, Field]) -> None:
    """Add nothing."""
