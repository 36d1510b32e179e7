"""What the service tells of itself: one log line a request, and an id on each.

Metrics and traces are next door. docs/observe.md says how to read all three.
"""

import errno
import logging.config
import re
import secrets
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import structlog
from flask import Flask, Response, g, request

from app import metrics, tracing
from app.config import Settings

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
BEGAN = "slipway.began"  # in the environ: when the request began, where not with Flask
SERVER_ERROR = 500
PATIENCE = 60  # seconds between two complaints of a library that can't send its traces

log = structlog.get_logger()


class Output:
    """Standard output; a server can put lines off for a moment, to write many at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.due = False
        self.later: Callable[[Callable[[], None]], object] = lambda write: write()

    def write(self, line: str) -> None:
        """Take one line."""
        self.lines.append(line)

    def flush(self) -> None:
        """Write what is there, or soon."""
        if not self.due:
            self.due = True
            self.later(self._write)

    def _write(self) -> None:
        self.due = False  # before the lines are taken: what comes later is due again
        lines, self.lines = self.lines, []
        sys.stdout.write("".join(lines))
        sys.stdout.flush()


output = Output()
_complaints: dict[str, float] = {}  # when a logger was last heard


def init_app(app: Flask) -> None:
    """Give each request an id and a log line, and count it."""
    app.before_request(_begin)
    app.after_request(_end)
    app.teardown_request(_leave)


def because(**reasons: Any) -> None:
    """Let the request's line tell why it ends in an error."""
    structlog.contextvars.bind_contextvars(**reasons)


def logging_config(settings: Settings) -> dict[str, Any]:
    """Return the configuration of `logging` under which foreign log lines look like ours."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"calm": {"()": lambda: _calm}, "discreet": {"()": lambda: _discreet}},
        "formatters": {
            "line": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": [*_shared(), structlog.stdlib.add_logger_name],
                "processors": [
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    *_rendered(settings),
                ],
            }
        },
        "handlers": {
            "stdout": {
                "class": "logging.StreamHandler",
                "stream": sys.stdout,
                "formatter": "line",
                "filters": ["calm"],
            }
        },
        "root": {"level": settings.log_level.upper(), "handlers": ["stdout"]},
        "loggers": {
            # gunicorn would otherwise add handlers of its own
            "gunicorn.error": {"propagate": True, "handlers": [], "filters": ["discreet"]},
            # as SQLAlchemy does for its own pools
            "app.database.Pool": {"level": "WARNING"},
        },
    }


def configure_logging(settings: Settings) -> None:
    """Set the form and the level of all log lines of this process."""
    logging.config.dictConfig(logging_config(settings))
    logging.captureWarnings(True)
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*_shared(), *_rendered(settings)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(output),  # type: ignore[arg-type]  # it only writes and flushes
        cache_logger_on_first_use=True,
    )


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _rendered(settings: Settings) -> list[Any]:
    exceptions = structlog.processors.format_exc_info
    if settings.log_format == "console":
        return [exceptions, _harmless, structlog.dev.ConsoleRenderer()]
    return [exceptions, structlog.processors.JSONRenderer()]


def _harmless(_logger: Any, _method: str, line: dict[str, Any]) -> dict[str, Any]:
    """Let nothing that a client sent steer a terminal, or look like a line of its own.

    JSON does that by itself.
    """
    for name, value in line.items():
        if isinstance(value, str) and not value.isprintable():
            texts = (ascii(text)[1:-1] for text in value.split("\n"))
            line[name] = "\n    ".join(texts) if name == "exception" else "\\n".join(texts)
    return line


def _calm(record: logging.LogRecord) -> bool:
    """Let OpenTelemetry complain now and then, and not with every batch of spans."""
    if not record.name.startswith("opentelemetry"):
        return True
    now = time.monotonic()
    if now < _complaints.get(record.name, -PATIENCE) + PATIENCE:
        return False
    _complaints[record.name] = now
    return True


def _discreet(record: logging.LogRecord) -> bool:
    """Let gunicorn tell no queries and no headers; what it refuses has a line of ours."""
    if isinstance(record.args, tuple):
        record.args = tuple(a.partition("?")[0] if isinstance(a, str) else a for a in record.args)
    return not str(record.msg).startswith("Invalid request from ip=")


def _begin() -> None:
    g.began = request.environ.get(BEGAN) or time.perf_counter()
    metrics.IN_FLIGHT.inc()
    g.ids = ids(request.environ)
    structlog.contextvars.bind_contextvars(**g.ids)


def ids(environ: "WSGIEnvironment") -> dict[str, str]:
    """Return the request's `request_id`, and its `trace_id` if it is part of a trace."""
    given = environ.get("HTTP_X_REQUEST_ID", "")
    found = {"request_id": given if REQUEST_ID.fullmatch(given) else secrets.token_hex(16)}
    if trace_id := tracing.trace_id(environ.get("HTTP_TRACEPARENT", "")):
        found["trace_id"] = trace_id
    return found


def _end(response: Response) -> Response:
    response.headers.add("X-Request-Id", g.ids["request_id"])
    line = {
        "method": request.method,
        "path": request.path,
        "route": request.url_rule.rule if request.url_rule else None,
        "status": response.status_code,
        "client": request.remote_addr,
    }
    if response.is_streamed:
        line |= structlog.contextvars.get_contextvars()
        response.response = _watched(response.response, line)
        response.call_on_close(partial(tell, line, g.began))
    else:
        tell(line, g.began)
    return response


def _leave(_error: BaseException | None) -> None:
    metrics.IN_FLIGHT.dec()
    # Threads are used again, and what the server logs between requests is of none.
    structlog.contextvars.clear_contextvars()


def _watched(body: Iterable[Any], line: dict[str, Any]) -> Iterator[Any]:
    """Yield a streamed body, and note in the request's line if it breaks off.

    :raises BrokenPipeError: it did. That is what gunicorn closes the connection at without a
        line of its own, which would not know the request.
    """
    try:
        yield from body
    except GeneratorExit:
        line["error"] = "The client has gone."
        raise
    except Exception as error:
        line |= {"error": "The answer broke off.", "exc_info": error}
        raise BrokenPipeError(errno.EPIPE, "The answer broke off.") from error


def tell(line: dict[str, Any], began: float) -> None:
    """Write a request's line, and count it.

    :param line: with method, path, route (or None), status and client.
    """
    seconds = time.perf_counter() - began
    metrics.answered(line["method"], line["route"], line["status"], seconds)
    if "exc_info" in line or line["status"] == SERVER_ERROR:
        write = log.error
    elif line["status"] > SERVER_ERROR:
        write = log.warning
    else:
        write = log.debug if line["path"] in tracing.QUIET else log.info
    write("request", **line, ms=round(seconds * 1000, 1))
