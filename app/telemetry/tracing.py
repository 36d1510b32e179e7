"""Traces, by OpenTelemetry: off, and not even imported, unless OTEL_* names a receiver.

One span for each request, and one for each of its database statements: docs/observe.md.
"""

import atexit
import os
import re
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, g, request
from sqlalchemy import Connection, Engine, ExceptionContext, event

from app.telemetry import quiet_paths

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

STATEMENT_LENGTH = 1000  # characters of a statement in its span
FLUSH_TIMEOUT = 3000  # milliseconds for the spans that are left when the process ends

TRACEPARENT = re.compile(  # W3C Trace Context, section 3.2
    r"(?!ff|00.{53}-)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def trace_id(traceparent: str) -> str | None:
    """Return the trace that a request says it is part of, or None where that is malformed."""
    found = TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else None


def is_enabled() -> bool:
    """Return whether the environment names a receiver."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return any(os.environ.get(name) for name in names) and not disabled


_tracing: "Tracing | None" = None


def init_app(app: Flask) -> None:
    """Trace the app's requests, and all statements in them, if tracing is on."""
    global _tracing  # noqa: PLW0603 one process, one pipe to the receiver
    if not is_enabled():
        return
    if _tracing is None:
        _tracing = Tracing()
    app.before_request(_tracing.begin)
    app.after_request(_tracing.describe)
    app.teardown_request(_tracing.end)


def current_span_context() -> "SpanContext | None":
    """Return the current request's part in a trace, for `batch_span`."""
    return _tracing.current_span_context() if _tracing else None


def batch_span(name: str, requests: Iterable["SpanContext | None"]) -> AbstractContextManager[Any]:
    """Return a span, for a `with` block, of work that is done for many requests at once.

    It belongs to the trace of the first request, and has links to the others.
    """
    traced = [context for context in requests if context]
    return _tracing.batch_span(name, traced) if _tracing and traced else nullcontext()


class Tracing:
    """OpenTelemetry, imported and set up."""

    def __init__(self) -> None:
        from opentelemetry import context, trace  # noqa: PLC0415 only where tracing is on
        from opentelemetry.exporter.otlp.json.http.trace_exporter import (  # noqa: PLC0415
            OTLPSpanExporter,
        )
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider, export  # noqa: PLC0415
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        self.context = context
        self.trace = trace
        self.propagator = tracecontext.TraceContextTextMapPropagator()
        resource = Resource.create()
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "slipway"}))
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.tracer = self.provider.get_tracer("slipway")
        self.exporter = OTLPSpanExporter()
        self.processor_class = export.BatchSpanProcessor
        self.starting = threading.Lock()
        self.started = False
        event.listen(Engine, "before_cursor_execute", self.begin_statement)
        event.listen(Engine, "after_cursor_execute", self.end_statement)
        event.listen(Engine, "handle_error", self.fail_statement)

    def start(self) -> None:
        """Begin to send, at the first request: a thread would not survive gunicorn's fork."""
        with self.starting:
            if not self.started:
                processor = self.processor_class(self.exporter)
                self.provider.add_span_processor(processor)
                # Its own `shutdown` waits for half a minute where the receiver is away.
                atexit.register(processor._batch_processor.shutdown, FLUSH_TIMEOUT)
                self.started = True

    def begin(self) -> None:
        """Begin the request's span, in the trace that it says it is part of."""
        if request.path in quiet_paths:
            return
        if not self.started:
            self.start()
        sane = trace_id(request.headers.get("traceparent", ""))
        parent = self.propagator.extract(request.headers) if sane else self.context.Context()
        route = request.url_rule.rule if request.url_rule else ""
        known = request.method if request.method.isalpha() else "_OTHER"
        g.span = self.tracer.start_span(
            f"{known} {route}".rstrip(),
            parent,
            self.trace.SpanKind.SERVER,
            {
                "http.request.method": known,
                "url.scheme": request.scheme,
                "url.path": request.path,
                "client.address": request.remote_addr or "",
                "server.address": request.host.partition(":")[0],
            }
            | ({"http.route": route} if route else {}),
        )
        g.span_token = self.context.attach(self.trace.set_span_in_context(g.span, parent))
        span_context = g.span.get_span_context()
        structlog.contextvars.bind_contextvars(
            trace_id=self.trace.format_trace_id(span_context.trace_id)
        )

    def describe(self, response: Response) -> Response:
        """Tell the span how the request went."""
        if "span" in g:
            g.span.set_attribute("http.response.status_code", response.status_code)
            g.span.set_attribute("http.response.header.x-request-id", [g.request_ids["request_id"]])
            if response.status_code >= 500:  # noqa: PLR2004
                g.span.set_attribute("error.type", str(response.status_code))
                g.span.set_status(self.trace.StatusCode.ERROR)
        return response

    def end(self, _error: BaseException | None) -> None:
        """End the request's span."""
        if span := g.pop("span", None):
            self.context.detach(g.pop("span_token"))
            span.end()

    def current_span_context(self) -> "SpanContext | None":
        """Return the current span's context if somebody will see it."""
        context = self.trace.get_current_span().get_span_context()
        return context if context.trace_flags.sampled else None

    def batch_span(self, name: str, traced: list["SpanContext"]) -> AbstractContextManager[Any]:
        """Make the span for `tracing.batch_span`."""
        first, *others = traced
        return self.tracer.start_as_current_span(
            name,
            self.trace.set_span_in_context(self.trace.NonRecordingSpan(first)),
            links=[self.trace.Link(other) for other in others],
            attributes={"slipway.batch.size": len(traced)},
            record_exception=False,
        )

    def begin_statement(
        self, connection: Connection, _cursor: Any, statement: str, *rest: Any
    ) -> None:
        """Begin a statement's span, without its parameters."""
        _parameters, context, _executemany = rest
        if self.trace.get_current_span().get_span_context().is_valid:
            operation = statement.split(maxsplit=1)[0].upper()
            attributes = {
                "db.system.name": connection.dialect.name,
                "db.operation.name": operation,
                "db.query.text": statement[:STATEMENT_LENGTH],
            }
            context.span = self.tracer.start_span(
                operation, kind=self.trace.SpanKind.CLIENT, attributes=attributes
            )

    def end_statement(self, *event: Any) -> None:
        """End a statement's span."""
        context = event[4]
        if span := context.__dict__.pop("span", None):
            span.end()

    def fail_statement(self, failure: ExceptionContext) -> None:
        """End a statement's span with what went wrong."""
        context = failure.execution_context
        if context and (span := context.__dict__.pop("span", None)):
            span.set_attribute("error.type", type(failure.original_exception).__qualname__)
            span.set_status(self.trace.StatusCode.ERROR)
            span.end()
