"""Structured logs: one line for each request, in the same format as the lines of all libraries.

Each line has the id of its request. `log_request` writes the lines of requests, and `log_unparsed`
those of requests that can't be parsed. Requests that are shed because of overload have no line:
only the metric `metrics.SHED` counts them.
"""

import errno
import json
import logging.config
import os
import re
import secrets
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
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
# Key in the WSGI environ: time.perf_counter() at which the fast path began with a request that it
# then passed on to Flask.
STARTED_AT = "slipway.started_at"
SERVER_ERROR = 500
COMPLAINT_INTERVAL = 60  # seconds between two lines of one OpenTelemetry logger

log = structlog.get_logger()

_output = structlog.WriteLogger(line_buffer)  # type: ignore[arg-type]  # it only writes and flushes
_quote = json.JSONEncoder().encode
_is_plain = False  # whether lines at level info are written, and as JSON

_last_complaints: dict[str, float] = {}  # logger's name: time.monotonic() of its last line


def init_app(app: Flask) -> None:
    """Give each request an id and a log line, and count it in the metrics."""
    app.before_request(_start_request)
    app.after_request(_finish_request)
    app.teardown_request(_leave_request)


def add_log_context(**context: Any) -> None:
    """Add fields to the current request's log line, such as the reason for an error."""
    structlog.contextvars.bind_contextvars(**context)


def log_request(
    environ: "WSGIEnvironment", route: str | None, status: int, started_at: float, context: Any
) -> None:
    """Write a request's log line, and count the request in the metrics.

    Any thread or greenlet may call it.

    :param route: the URL rule that the path matched, or None.
    :param started_at: time.perf_counter() at the start of the request.
    :param context: a mapping of fields to add to those of `add_log_context`.
    """
    seconds = time.perf_counter() - started_at
    method, path = environ["REQUEST_METHOD"], _path(environ)
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


def log_plain_request(
    environ: "WSGIEnvironment", route: str, status: int, started_at: float, ids: dict[str, str]
) -> None:
    """Do what `log_request` does, for a request that succeeded and has no context but its ids.

    By hand, a line costs a fifth of structlog's.

    :param ids: what `request_ids` returned, so that no value needs an escape.
    """
    if not _is_plain:
        log_request(environ, route, status, started_at, ids)
        return
    seconds = time.perf_counter() - started_at
    method = environ["REQUEST_METHOD"]
    metrics.count_request(method, route, status, seconds)
    given = "".join([f', "{name}": "{value}"' for name, value in ids.items()])
    _output.msg(
        f'{{"method": {_quote(method)}, "path": {_quote(_path(environ))}, "route": {_quote(route)},'
        f' "status": {status}, "client": {_quote(environ["REMOTE_ADDR"])}{given},'
        f' "ms": {round(seconds * 1000, 1)}, "event": "request", "level": "info",'
        f' "timestamp": "{datetime.now(UTC).isoformat().removesuffix("+00:00")}Z"}}'
    )


def _path(environ: "WSGIEnvironment") -> str:
    path = f"/{environ['PATH_INFO'].lstrip('/')}"
    return path if path.isascii() else path.encode("latin-1").decode(errors="replace")


def log_unparsed(status: int, error: str, request_id: str) -> None:
    """Write the log line of a request that the server couldn't parse, and count it.

    :param error: the reason, without anything that the client sent.
    """
    metrics.REQUESTS.labels("other", "(refused)", status).inc()
    log.warning("refused", status=status, error=error, request_id=request_id)


def request_ids(environ: "WSGIEnvironment") -> dict[str, str]:
    """Return the request's `request_id`, and its `trace_id` if it has one.

    The id is the client's `X-Request-Id`, or a new one if that is missing or malformed.
    """
    given = environ.get("HTTP_X_REQUEST_ID", "")
    found = {"request_id": given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)}
    if trace_id := tracing.request_trace_id(environ):
        found["trace_id"] = trace_id
    return found


def configure_logging(settings: Settings) -> None:
    """Set the format and the level of all log lines of this process."""
    global _is_plain  # noqa: PLW0603 one process, one format
    logging.config.dictConfig(logging_config(settings))
    logging.captureWarnings(True)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    _is_plain = settings.log_format == "json" and level <= logging.INFO
    structlog.configure(
        processors=[*_shared_processors(), *_renderers(settings)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(line_buffer),  # type: ignore[arg-type]  # it only writes and flushes
        cache_logger_on_first_use=True,
    )


def logging_config(settings: Settings) -> dict[str, Any]:
    """Return a configuration of `logging` that formats libraries' lines like the service's own."""
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
            "development": {"()": lambda: tidy_development_server},
        },
        "formatters": {"line": line},
        "handlers": {"stdout": stdout | {"filters": ["opentelemetry"]}},
        "root": {"level": settings.log_level.upper(), "handlers": ["stdout"]},
        "loggers": {
            # Without this, gunicorn adds its own handlers, which use another format.
            "gunicorn.error": {"propagate": True, "handlers": [], "filters": ["queries"]},
            "werkzeug": {"filters": ["development"]},
            # SQLAlchemy sets this level for its own loggers. Our pool has another logger.
            "app.database.engines.Pool": {"level": "WARNING"},
        },
    }


def escape_control_characters(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Escape control characters in all values, for LOG_FORMAT=console. JSON escapes them itself.

    Otherwise a client could send text that controls the reader's terminal or forges a log line.
    """
    for name, value in line.items():
        if isinstance(value, str) and not value.isprintable():
            texts = (ascii(text)[1:-1] for text in value.split("\n"))
            line[name] = "\n    ".join(texts) if name == "exception" else "\\n".join(texts)
    return line


def throttle_opentelemetry(record: logging.LogRecord) -> bool:
    """Return whether to log a record: from each OpenTelemetry logger, one per interval.

    While the receiver is unavailable, OpenTelemetry logs an error for every batch of spans.
    """
    if not record.name.startswith("opentelemetry"):
        return True
    now = time.monotonic()
    if now < _last_complaints.get(record.name, -COMPLAINT_INTERVAL) + COMPLAINT_INTERVAL:
        return False
    _last_complaints[record.name] = now
    return True


def strip_query_strings(record: logging.LogRecord) -> bool:
    """Cut query strings from a record of gunicorn, and return whether to log it.

    Records about malformed requests are dropped, since they can contain headers with tokens.
    `log_unparsed` logs the same requests without headers.
    """
    if isinstance(record.args, tuple):
        record.args = tuple(a.partition("?")[0] if isinstance(a, str) else a for a in record.args)
    return not str(record.msg).startswith("Invalid request from ip=")


def tidy_development_server(record: logging.LogRecord) -> bool:
    """Return whether to log a record of Flask's development server.

    Its lines of requests are dropped, since `log_request` writes one for each. It knows only the
    address in the container, so the line with it gets the published one.
    """
    text = str(record.msg)
    address = published_address()
    if " * Running on " in text and address:
        record.msg, record.args = "Open %s", (address,)
    return " - - [" not in text


def published_address() -> str | None:
    """Return the address to open in a browser, or None if whoever started the service sent none.

    PUBLISHED is ADDRESS:PORT, as Compose and `make run` publish the service. Of a range of ports,
    for several replicas, the first one is used.
    """
    host, _, ports = os.environ.get("PUBLISHED", "").rpartition(":")
    if not host:
        return None
    host = "localhost" if host in {"127.0.0.1", "0.0.0.0", "[::1]", "[::]"} else host  # noqa: S104
    return f"http://{host}:{ports.partition('-')[0]}"


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
        response.direct_passthrough = False  # else werkzeug calls nothing at the end of a file
        response.call_on_close(partial(write, context))
    else:
        write({})
    return response


def _leave_request(_error: BaseException | None) -> None:
    metrics.IN_FLIGHT.dec()
    # A thread or greenlet serves many requests. What it logs between two of them must not have the
    # id of the first.
    structlog.contextvars.clear_contextvars()


def _observe_stream(body: Iterable[Any], context: dict[str, Any]) -> Iterator[Any]:
    """Yield a streamed body, and add the reason to the request's log line if it ends early.

    :raises BrokenPipeError: the body raised an error. On a broken pipe, gunicorn closes the
        connection and logs nothing. For any other error it logs a line without the request's id.
    """
    try:
        yield from body
    except GeneratorExit:
        context["error"] = "The client disconnected or read too slowly."
        raise
    except Exception as error:
        context |= {"error": "The response was cut off by an error.", "exc_info": error}
        raise BrokenPipeError(errno.EPIPE, "The response was cut off by an error.") from error
