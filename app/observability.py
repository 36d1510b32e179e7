"""What the service tells of itself: one log line an event, and an id on each request."""

import logging.config
import re
import sys
import time
import uuid
from typing import Any

import structlog
from flask import Flask, Response, g, request

from app.config import Settings

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
QUIET = {"/livez", "/readyz"}  # asked every few seconds: their lines only at debug level

log = structlog.get_logger()


def init_app(app: Flask) -> None:
    """Give each request an id and a log line."""
    app.before_request(_begin)
    app.after_request(_end)
    # Threads are used again, and what the server logs between requests is of none.
    app.teardown_request(lambda _error: structlog.contextvars.clear_contextvars())


def logging_config(settings: Settings) -> dict[str, Any]:
    """Return the configuration of `logging` under which foreign log lines look like ours."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
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
            }
        },
        "root": {"level": settings.log_level.upper(), "handlers": ["stdout"]},
        # gunicorn would otherwise add handlers of its own
        "loggers": {"gunicorn.error": {"propagate": True, "handlers": []}},
    }


def configure_logging(settings: Settings) -> None:
    """Set the form and the level of all log lines of this process."""
    logging.config.dictConfig(logging_config(settings))
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    structlog.configure(
        processors=[*_shared(), *_rendered(settings)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )


def _shared() -> list[Any]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _rendered(settings: Settings) -> list[Any]:
    if settings.log_format == "console":
        # Rich's tracebacks, the default where it is installed, show the values of variables.
        plain = structlog.dev.plain_traceback
        return [structlog.dev.ConsoleRenderer(exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]


def _begin() -> None:
    g.began = time.perf_counter()
    given = request.headers.get("X-Request-Id", "")
    g.request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    structlog.contextvars.bind_contextvars(request_id=g.request_id)


def _end(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    write = log.debug if request.path in QUIET else log.info
    write(
        "request",
        method=request.method,
        path=request.path,
        route=request.url_rule.rule if request.url_rule else None,
        status=response.status_code,
        ms=round((time.perf_counter() - g.began) * 1000, 1),
    )
    return response
