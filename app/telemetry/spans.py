"""OpenTelemetry spans for requests and their database statements.

Only `tracing.py` imports this module, and only if tracing is on: OpenTelemetry costs memory and
time even when it sends nothing.
"""

import atexit
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, g, request
from opentelemetry import context, trace
from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import Connection, Engine, ExceptionContext, event
from werkzeug.wsgi import get_path_info

from app.telemetry import quiet_paths
from app.telemetry.tracing import SPAN, trace_id

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

STATEMENT_LENGTH = 1000  # characters of a statement that its span contains
FLUSH_TIMEOUT = 3000  # milliseconds to send the remaining spans when the process ends

propagator = TraceContextTextMapPropagator()
tracer: trace.Tracer = trace.NoOpTracer()  # until the first request

_starting = threading.Lock()
_processors: list[BatchSpanProcessor] = []  # empty until the first request, then one


def init_app(app: Flask) -> None:
    """Create a span for each of the app's requests."""
    app.before_request(_begin_request)
    app.after_request(_describe_request)
    app.teardown_request(_end_request)


def try_settings() -> None:
    """Create once, and drop, what sends spans: OpenTelemetry logs or raises what is wrong."""
    _provider, processor = _from_environ()
    processor.shutdown()  # type: ignore[no-untyped-call]


def current_span_context() -> trace.SpanContext | None:
    """Return the current span's context, or None if there is no sampled span."""
    span_context = trace.get_current_span().get_span_context()
    return span_context if span_context.trace_flags.sampled else None


def batch_span(name: str, traced: list[trace.SpanContext]) -> AbstractContextManager[Any]:
    """Return a span in the trace of the first request, with links to the others."""
    first, *others = traced
    return tracer.start_as_current_span(
        name,
        trace.set_span_in_context(trace.NonRecordingSpan(first)),
        links=[trace.Link(other) for other in others],
        attributes={"slipway.batch.size": len(traced)},
        record_exception=False,
    )


def _from_environ() -> tuple[TracerProvider, BatchSpanProcessor]:
    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": "slipway"}))
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    processor = BatchSpanProcessor(OTLPSpanExporter())
    provider.add_span_processor(processor)
    return provider, processor


def _start_sending() -> None:
    # Called at the first request, and so in a worker. After a fork, a thread that was started in
    # gunicorn's master is missing, and the SDK replaces the operator's `service.instance.id`.
    global tracer  # noqa: PLW0603 set once
    with _starting:
        if not _processors:
            provider, processor = _from_environ()
            tracer = provider.get_tracer("slipway")
            # The public `shutdown` has no time-out, and waits up to 30 s if the receiver is down.
            atexit.register(processor._batch_processor.shutdown, FLUSH_TIMEOUT)
            _processors.append(processor)


def begin_plain(environ: "WSGIEnvironment") -> bool:
    """Begin a request's span. Return False before the first request of Flask: no span can begin.

    Flask continues the span if it gets the request with this environ.
    """
    if not _processors:
        return False
    environ[SPAN] = tracer.start_span("GET", _parent(environ), trace.SpanKind.SERVER)
    return True


def in_plain(environ: "WSGIEnvironment") -> AbstractContextManager[Any]:
    """Make a plain request's span the current one in a `with` block, if it is sampled."""
    span: trace.Span = environ[SPAN]
    return trace.use_span(span) if span.is_recording() else nullcontext()


def end_plain(environ: "WSGIEnvironment", route: str, status: int, request_id: str) -> None:
    """Describe and end a plain request's span, if it is sampled."""
    span: trace.Span = environ[SPAN]
    if span.is_recording():
        span.update_name(f"GET {route}")
        plain = {
            "http.request.method": "GET",
            "url.scheme": environ.get("wsgi.url_scheme", "http"),
            "url.path": get_path_info(environ),
            "client.address": environ["REMOTE_ADDR"],
            "server.address": environ["HTTP_HOST"].partition(":")[0],
            "http.route": route,
        }
        span.set_attributes(plain)
        _describe(span, status, request_id)
        span.end()


def span_trace_id(span: trace.Span) -> str:
    """Return the id of a span's trace."""
    return trace.format_trace_id(span.get_span_context().trace_id)


def _parent(environ: "WSGIEnvironment") -> context.Context:
    traceparent = environ.get("HTTP_TRACEPARENT", "")
    if not trace_id(traceparent):
        return context.Context()
    headers = {"traceparent": traceparent, "tracestate": environ.get("HTTP_TRACESTATE", "")}
    return propagator.extract(headers)


def _begin_request() -> None:
    if request.path in quiet_paths:
        return
    if not _processors:
        _start_sending()
    parent = _parent(request.environ)
    route = request.url_rule.rule if request.url_rule else ""
    method = request.method if request.method.isalpha() else "_OTHER"
    attributes = {
        "http.request.method": method,
        "url.scheme": request.scheme,
        "url.path": request.path,
        "client.address": request.remote_addr or "",
        "server.address": request.host.partition(":")[0],
    }
    if route:
        attributes["http.route"] = route
    name = f"{method} {route}".rstrip()
    if SPAN in request.environ:
        g.span = request.environ[SPAN]
        g.span.update_name(name)
        g.span.set_attributes(attributes)
    else:
        g.span = tracer.start_span(name, parent, trace.SpanKind.SERVER, attributes)
    g.span_token = context.attach(trace.set_span_in_context(g.span, parent))
    structlog.contextvars.bind_contextvars(trace_id=span_trace_id(g.span))


def _describe_request(response: Response) -> Response:
    if "span" in g:
        _describe(g.span, response.status_code, g.request_ids["request_id"])
    return response


def _describe(span: trace.Span, status: int, request_id: str) -> None:
    span.set_attribute("http.response.status_code", status)
    span.set_attribute("http.response.header.x-request-id", [request_id])
    if status >= 500:  # noqa: PLR2004
        span.set_attribute("error.type", str(status))
        span.set_status(trace.StatusCode.ERROR)


def _end_request(_error: BaseException | None) -> None:
    if span := g.pop("span", None):
        context.detach(g.pop("span_token"))
        span.end()


@contextmanager
def statement_span(connection: Connection, statement: str) -> Iterator[None]:
    """Give the `with` block a span, as events give one to each statement of SQLAlchemy."""
    execution = SimpleNamespace()
    _begin_statement(connection, None, statement, None, execution, None)
    try:
        yield
    except Exception as error:
        _fail(execution, error)
        raise
    _end(execution)


@event.listens_for(Engine, "before_cursor_execute")
def _begin_statement(connection: Connection, _cursor: Any, statement: str, *rest: Any) -> None:
    _parameters, execution, _executemany = rest
    if trace.get_current_span().get_span_context().is_valid:
        operation = statement.split(maxsplit=1)[0].upper()
        attributes = {
            "db.system.name": connection.dialect.name,
            "db.namespace": connection.engine.url.database or "",
            "db.operation.name": operation,
            "db.query.text": statement[:STATEMENT_LENGTH],  # has placeholders, not values
        }
        kind = trace.SpanKind.CLIENT
        execution.span = tracer.start_span(operation, kind=kind, attributes=attributes)


@event.listens_for(Engine, "after_cursor_execute")
def _end_statement(*arguments: Any) -> None:
    _end(arguments[4])


def _end(execution: Any) -> None:
    if span := execution.__dict__.pop("span", None):
        span.end()


@event.listens_for(Engine, "handle_error")
def _fail_statement(failure: ExceptionContext) -> None:
    if failure.execution_context:
        _fail(failure.execution_context, failure.original_exception)


def _fail(execution: Any, error: BaseException) -> None:
    if span := execution.__dict__.pop("span", None):
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(trace.StatusCode.ERROR)
        span.end()
