"""Logs: one line for each request, with an id, in the same form as the lines of all libraries.

`log_request` is the one place where a request's line is made.
"""

import errno
import logging.config
import re
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, g, request

from app.config import Settings
from app.telemetry import metrics, quiet_paths, tracing
from app.telemetry.stdout import line_buffer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
STARTED_AT = "slipway.started_at"  # in the environ: when the fast path began, if it passed on
SERVER_ERROR = 500
COMPLAINT_INTERVAL = 60  # seconds between two complaints of a library that can't send its traces

log = structlog.get_logger()

_last_complaints: dict[str, float] = {}  # time.monotonic() by the logger's name


def init_app(app: Flask) -> None:
    """Give each request an id and a log line, and count it."""
    app.before_request(_start_request)
    app.after_request(_finish_request)
    app.teardown_request(_leave_request)


def add_log_context(**context: Any) -> None:
    """Add fields to the current request's line, such as the reason of an error."""
    structlog.contextvars.bind_contextvars(**context)


def log_request(
    environ: "WSGIEnvironment", route: str | None, status: int, started_at: float, context: Any
) -> None:
    """Write a request's line, and count the request in the metrics.

    :param route: the rule that its path matched, if one did.
    :param started_at: time.perf_counter() at its start.
    :param context: a mapping of more fields, besides those of `add_log_context`.
    """
    seconds = time.perf_counter() - started_at
    method = environ["REQUEST_METHOD"]
    path = f"/{environ['PATH_INFO'].lstrip('/')}"
    if not path.isascii():
        path = path.encode("latin-1").decode(errors="replace")
    metrics.count_request(method, route, status, seconds)
    if "exc_info" in context or status == SERVER_ERROR:
        write = log.error
    elif status > SERVER_ERROR:
        write = log.warning
    else:
        write = log.debug if path in quiet_paths else log.info
    line = {"method": method, "path": path, "route": route, "status": status}
    line |= {"client": environ.get("REMOTE_ADDR"), **context, "ms": round(seconds * 1000, 1)}
    write("request", **line)


def log_unparsed(status: int, error: str, request_id: str) -> None:
    """Write the line of a request that the server could not parse, and count it."""
    metrics.REQUESTS.labels("other", "(refused)", status).inc()
    log.warning("refused", status=status, error=error, request_id=request_id)


def request_ids(environ: "WSGIEnvironment") -> dict[str, str]:
    """Return the request's `request_id`, and its `trace_id` if it is part of a trace."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    found = {"request_id": given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)}
    if trace_id := tracing.trace_id(environ.get("HTTP_TRACEPARENT", "")):
        found["trace_id"] = trace_id
    return found


def configure_logging(settings: Settings) -> None:
    """Set the form and the level of all log lines of this process."""
    logging.config.dictConfig(logging_config(settings))
    logging.captureWarnings(True)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*_shared_processors(), *_renderers(settings)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(line_buffer),  # type: ignore[arg-type]  # it only writes and flushes
        cache_logger_on_first_use=True,
    )


def logging_config(settings: Settings) -> dict[str, Any]:
    """Return the configuration of `logging` that gives libraries' lines the form of ours."""
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    line = {
        "()": structlog.stdlib.ProcessorFormatter,
        "foreign_pre_chain": [*_shared_processors(), structlog.stdlib.add_logger_name],
        "processors": [remove_meta, *_renderers(settings)],
    }
    stdout = {"class": "logging.StreamHandler", "stream": sys.stdout, "formatter": "line"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "opentelemetry": {"()": lambda: throttle_opentelemetry},
            "queries": {"()": lambda: strip_query_strings},
        },
        "formatters": {"line": line},
        "handlers": {"stdout": stdout | {"filters": ["opentelemetry"]}},
        "root": {"level": settings.log_level.upper(), "handlers": ["stdout"]},
        "loggers": {
            # gunicorn would otherwise add handlers of its own
            "gunicorn.error": {"propagate": True, "handlers": [], "filters": ["queries"]},
            # as SQLAlchemy does for its own pools
            "app.database.engines.Pool": {"level": "WARNING"},
        },
    }


def escape_control_characters(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Keep what a client sent from controlling a terminal, or from looking like a line of its own.

    JSON does that by itself.
    """
    for name, value in line.items():
        if isinstance(value, str) and not value.isprintable():
            texts = (ascii(text)[1:-1] for text in value.split("\n"))
            line[name] = "\n    ".join(texts) if name == "exception" else "\\n".join(texts)
    return line


def throttle_opentelemetry(record: logging.LogRecord) -> bool:
    """Let OpenTelemetry complain once in a while, and not with every batch of spans."""
    if not record.name.startswith("opentelemetry"):
        return True
    now = time.monotonic()
    if now < _last_complaints.get(record.name, -COMPLAINT_INTERVAL) + COMPLAINT_INTERVAL:
        return False
    _last_complaints[record.name] = now
    return True


def strip_query_strings(record: logging.LogRecord) -> bool:
    """Keep queries and headers out of gunicorn's lines; rejected requests have a line of ours."""
    if isinstance(record.args, tuple):
        record.args = tuple(a.partition("?")[0] if isinstance(a, str) else a for a in record.args)
    return not str(record.msg).startswith("Invalid request from ip=")


def _shared_processors() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _renderers(settings: Settings) -> list[Any]:
    exceptions = structlog.processors.format_exc_info
    if settings.log_format == "console":
        return [exceptions, escape_control_characters, structlog.dev.ConsoleRenderer()]
    return [exceptions, structlog.processors.JSONRenderer()]


def _start_request() -> None:
    g.started_at = request.environ.get(STARTED_AT) or time.perf_counter()
    metrics.IN_FLIGHT.inc()
    g.request_ids = request_ids(request.environ)
    structlog.contextvars.bind_contextvars(**g.request_ids)


def _finish_request(response: Response) -> Response:
    response.headers.add("X-Request-Id", g.request_ids["request_id"])
    route = request.url_rule.rule if request.url_rule else None
    write = partial(log_request, request.environ, route, response.status_code, g.started_at)
    if response.is_streamed:
        context = structlog.contextvars.get_contextvars()
        response.response = _observe_stream(response.response, context)
        response.call_on_close(partial(write, context))
    else:
        write({})
    return response


def _leave_request(_error: BaseException | None) -> None:
    metrics.IN_FLIGHT.dec()
    # Threads are reused, and what the server logs between requests belongs to none.
    structlog.contextvars.clear_contextvars()


def _observe_stream(body: Iterable[Any], context: dict[str, Any]) -> Iterator[Any]:
    """Yield a streamed body, and add the reason to the request's line if it breaks off.

    :raises BrokenPipeError: it did. On this error gunicorn closes the connection without a line
        of its own, which would not name the request.
    """
    try:
        yield from body
    except GeneratorExit:
        context["error"] = "The client has gone."
        raise
    except Exception as error:
        context |= {"error": "The answer broke off.", "exc_info": error}
        raise BrokenPipeError(errno.EPIPE, "The answer broke off.") from error
