"""Metrics for Prometheus, on a port of their own: docs/observe.md.

Under gunicorn, each worker keeps its numbers in files, from which any of them answers for all. The
server's configuration sets the folder before it imports this module. Elsewhere, as on the command
line, numbers stay in memory.
"""

import os
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Flask, abort
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

MULTIPROC_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
PATH = "/metrics"

metrics_ports: set[str] = set()
"""The ports that serve metrics and nothing else. The server's configuration adds them."""

_worker_slot = 0  # of this process: a new worker takes a dead one's slot, and counts on from there


def set_worker_slot(number: int) -> None:
    """Make this process the worker with this number. Call it before anything is counted."""
    global _worker_slot  # noqa: PLW0603 one process, one slot
    _worker_slot = number


def release_worker_slot(number: int) -> None:
    """Drop the gauges of a worker that has ended; its counters stay."""
    mark_process_dead(number)  # type: ignore[no-untyped-call]


if MULTIPROC_FOLDER in os.environ:
    # The only patch of prometheus_client. By default files are named after the process's id, so
    # each worker that is replaced would leave files behind.
    values.ValueClass = values.MultiProcessValue(lambda: _worker_slot)  # type: ignore[no-untyped-call]

BUILD = Gauge("slipway_build_info", "Which version this is.", ["version"], multiprocess_mode="max")
REQUESTS = Counter(
    "slipway_requests", "Requests answered.", ["method", "route", "status"]
)  # fmt: skip
REQUEST_SECONDS = Histogram(
    "slipway_request_seconds",
    "Time from a request's headers to the end of its answer.",
    ["method", "route"],
    buckets=SECONDS,
)
IN_FLIGHT = Gauge("slipway_requests_in_flight", "Requests under way.", multiprocess_mode="livesum")
SHED = Counter("slipway_requests_shed", "Requests refused because of overload.")
POOL_SIZE = Gauge(
    "slipway_database_pool_size",
    "Connections that all workers together may open.",
    ["pool"],
    multiprocess_mode="max",
)
POOL_IN_USE = Gauge(
    "slipway_database_pool_in_use", "Connections in use.", ["pool"], multiprocess_mode="livesum"
)
POOL_WAIT_SECONDS = Histogram(
    "slipway_database_pool_wait_seconds",
    "Time to get a connection, which may have to be opened.",
    ["pool"],
    buckets=SECONDS,
)
POOL_TIMEOUTS = Counter(
    "slipway_database_pool_timeouts", "Requests for a connection that got none in time.", ["pool"]
)

# By method, route and status. To look them up costs more than to count.
_cached_metrics: dict[tuple[str, str | None, int], tuple[Counter, Histogram]] = {}


def init_app(app: Flask) -> None:
    """Publish the version, and reserve `/metrics` on the public port, where it is always 404."""
    version = tomllib.loads(PYPROJECT.read_text())["project"]["version"]
    BUILD.labels(version).set(1)
    app.add_url_rule(PATH, "metrics", lambda: abort(404))


def serve(app: Flask, collectors: Iterable[Collector]) -> None:
    """Serve the metrics, and those of `collectors`, which are asked at each scrape.

    Call it last, so that no middleware, such as that for proxies, can change the port.
    """
    if MULTIPROC_FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        for collector in collectors:
            registry.register(collector)
        app.wsgi_app = dispatch_by_port(app.wsgi_app, make_wsgi_app(registry))  # type: ignore[assignment, method-assign]


def dispatch_by_port(service: "WSGIApplication", page: "WSGIApplication") -> "WSGIApplication":
    """Serve `page` as /metrics on the ports for metrics, and `service` on all others.

    The port is the one that the server listens on, whatever a client or a proxy claims.
    """

    def choose(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["SERVER_PORT"] not in metrics_ports:
            return service(environ, start_response)
        if environ["PATH_INFO"] == PATH:
            return page(environ, start_response)
        start_response("404 Not Found", [("Content-Length", "0")])
        return []

    return choose


def count_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count one answered request. What a client can make up gets no label of its own."""
    try:
        count, time = _cached_metrics[method, route, status]
    except KeyError:
        if method not in METHODS:
            method = "other"
        labels: Any = (method, route or "(none)")
        count, time = REQUESTS.labels(*labels, status), REQUEST_SECONDS.labels(*labels)
        _cached_metrics[method, route, status] = count, time
    count.inc()
    time.observe(seconds)
