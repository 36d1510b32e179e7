"""Traces, by OpenTelemetry: off, and not even imported, unless OTEL_* names a receiver.

One span for each request, and one for each of its database statements: docs/observe.md.
"""

import os
import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

TRACEPARENT = re.compile(  # W3C Trace Context, section 3.2
    r"(?!ff|00.{53}-)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)

_spans: ModuleType | None = None  # app.telemetry.spans, once it was imported


def trace_id(traceparent: str) -> str | None:
    """Return the trace that a request says it is part of, or None where that is malformed."""
    found = TRACEPARENT.fullmatch(traceparent)
    return found[1] if found else None


def is_enabled() -> bool:
    """Return whether the environment names a receiver."""
    names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return any(os.environ.get(name) for name in names) and not disabled


def init_app(app: Flask) -> None:
    """Trace the app's requests, and all statements in them, if tracing is on."""
    global _spans  # noqa: PLW0603 one process, one connection to the receiver
    if is_enabled():
        from app.telemetry import spans  # noqa: PLC0415 it imports OpenTelemetry

        _spans = spans
        spans.init_app(app)


def current_span_context() -> "SpanContext | None":
    """Return the current request's part in a trace, for `batch_span`."""
    return _spans.current_span_context() if _spans else None


def batch_span(name: str, requests: Iterable["SpanContext | None"]) -> AbstractContextManager[Any]:
    """Return a span, for a `with` block, of work that is done for many requests at once.

    It belongs to the trace of the first request, and has links to the others.
    """
    traced = [context for context in requests if context]
    return _spans.batch_span(name, traced) if _spans and traced else nullcontext()
