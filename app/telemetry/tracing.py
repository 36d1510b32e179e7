"""The switch for OpenTelemetry traces, which are off unless OTEL_* variables name a receiver.

Each request has a span, except for health checks, and so has each of its database statements: see
docs/observe.md. While tracing is off, OpenTelemetry is not imported.
"""

import os
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from opentelemetry.trace import SpanContext
    from sqlalchemy import Connection

TRACEPARENT = re.compile(  # W3C Trace Context, section 3.2
    r"(?!ff|00.{53}-)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)

SPAN = "slipway.span"  # key in the WSGI environ: what `begin_plain` began

_spans: ModuleType | None = None  # app.telemetry.spans, if tracing is on


def trace_id(traceparent: str) -> str | None:
    """Return the trace id in a `traceparent` header, or None if the header is malformed."""
    found = TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else None


def is_enabled() -> bool:
    """Return whether the environment names a receiver and does not disable OpenTelemetry."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    disabled |= os.environ.get("OTEL_TRACES_EXPORTER", "").lower() == "none"
    return any(os.environ.get(name) for name in names) and not disabled


def check_settings() -> None:
    """Check OpenTelemetry's settings, if tracing is on.

    :raises app.config.SettingsError: settings are wrong.
    """
    if is_enabled():
        from app.telemetry import otel_settings  # noqa: PLC0415 only if tracing is on

        otel_settings.check()


def init_app(app: Flask) -> None:
    """Trace the app's requests and their database statements, if tracing is on.

    :raises app.config.SettingsError: OpenTelemetry's settings are wrong.
    """
    global _spans  # noqa: PLW0603 set once, at start
    check_settings()
    if is_enabled():
        from app.telemetry import spans  # noqa: PLC0415 it imports OpenTelemetry

        _spans = spans
        spans.init_app(app)


def begin_plain(environ: "WSGIEnvironment") -> bool:
    """Begin the span of a request that may not reach Flask. Return False if Flask must do it.

    Without Flask, `end_plain` ends it. Otherwise Flask needs the same environ.
    """
    return not _spans or _spans.begin_plain(environ)


def in_plain(environ: "WSGIEnvironment") -> AbstractContextManager[Any]:
    """Make the span that `begin_plain` began the current one in a `with` block."""
    return _spans.in_plain(environ) if _spans else nullcontext()


def end_plain(environ: "WSGIEnvironment", route: str, status: int, request_id: str) -> None:
    """End the span that `begin_plain` began."""
    if _spans:
        _spans.end_plain(environ, route, status, request_id)


def request_trace_id(environ: "WSGIEnvironment") -> str | None:
    """Return the trace id of a request, or None if it has none."""
    if _spans and SPAN in environ:
        return str(_spans.span_trace_id(environ[SPAN]))
    return trace_id(environ.get("HTTP_TRACEPARENT", ""))


def current_span_context() -> "SpanContext | None":
    """Return the current span's context for `batch_span`, or None if nothing is traced."""
    return _spans.current_span_context() if _spans else None


def statement_span(connection: "Connection", statement: str) -> AbstractContextManager[None]:
    """Return a span for a statement that SQLAlchemy doesn't see. Use it in a `with` block."""
    return _spans.statement_span(connection, statement) if _spans else nullcontext()


def batch_span(name: str, requests: Iterable["SpanContext | None"]) -> AbstractContextManager[Any]:
    """Return a span for work that is done for many requests at once. Use it in a `with` block.

    It belongs to the trace of the first traced request, and has links to the others. If no request
    is traced, it does nothing.

    :param requests: what `current_span_context` returned in each request.
    """
    traced = [context for context in requests if context]
    return _spans.batch_span(name, traced) if _spans and traced else nullcontext()
