"""Metrics for Prometheus, served on a separate port: see docs/observe.md.

Under gunicorn, prometheus_client runs in its multiprocess mode: each worker keeps its numbers in
files, and any worker can answer a scrape for all of them. gunicorn.conf.py sets the folder in
PROMETHEUS_MULTIPROC_DIR before it imports this module. Without that variable, as on the command
line, numbers stay in memory.

Under gunicorn, any greenlet of the worker may change a metric; elsewhere, any thread.
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
"""The ports that serve only metrics. gunicorn.conf.py adds them."""

# The number in the names of this process's files. A worker that replaces another one takes over
# its slot, and continues its counters.
_worker_slot = 0
_unwritten: set[Any] = set()  # numbers that differ from those in this worker's files


def set_worker_slot(number: int) -> None:
    """Set the slot of this worker process. Call it before any metric is changed."""
    global _worker_slot  # noqa: PLW0603 one process, one slot
    _worker_slot = number


def write() -> None:
    """Put the numbers of this worker into its files, where a scrape finds them.

    Its worker calls it once a second, so a worker that is killed loses what it counted since.
    """
    while _unwritten:
        value = _unwritten.pop()
        value.set(value.get())


def release_worker_slot(number: int) -> None:
    """Remove what a dead worker added to `livesum` gauges, and keep its counters."""
    mark_process_dead(number)  # type: ignore[no-untyped-call]


def _add(value: Any, amount: float) -> None:
    value._value += amount
    _unwritten.add(value)


if MULTIPROC_FOLDER in os.environ:
    # The only patches of prometheus_client. By default it names files after the process id, so each
    # replaced worker would leave files behind. And it writes to the file at each change, which
    # costs three times as much as all else that a request needs for its metrics.
    values.ValueClass = values.MultiProcessValue(lambda: _worker_slot)  # type: ignore[no-untyped-call]
    values.ValueClass.inc = _add

BUILD = Gauge(
    "slipway_build_info",
    "Always 1. The label is the version of the service.",
    ["version"],
    multiprocess_mode="max",
)
REQUESTS = Counter(
    "slipway_requests", "Requests answered.", ["method", "route", "status"]
)  # fmt: skip
REQUEST_SECONDS = Histogram(
    "slipway_request_seconds",
    "Seconds from a request's headers until its response is ready, or if streamed, until it ends.",
    ["method", "route"],
    buckets=SECONDS,
)
IN_FLIGHT = Gauge(
    "slipway_requests_in_flight", "Requests in progress.", multiprocess_mode="livesum"
)
IN_FLIGHT_LIMIT = Gauge(
    "slipway_requests_in_flight_limit",
    "Requests that all workers together can have in progress. Each sheds at its own limit.",
    multiprocess_mode="livesum",
)
SHED = Counter("slipway_requests_shed", "Requests answered with 503 because of overload.")
POOL_SIZE = Gauge(
    "slipway_database_pool_size",
    "Maximum number of database connections of all workers together.",
    ["pool"],
    multiprocess_mode="max",
)
POOL_IN_USE = Gauge(
    "slipway_database_pool_in_use",
    "Database connections in use.",
    ["pool"],
    multiprocess_mode="livesum",
)
POOL_WAIT_SECONDS = Histogram(
    "slipway_database_pool_wait_seconds",
    "Seconds to get a database connection, including the time to open it if needed.",
    ["pool"],
    buckets=SECONDS,
)
POOL_TIMEOUTS = Counter(
    "slipway_database_pool_timeouts",
    "Attempts to get a database connection that timed out.",
    ["pool"],
)

# By method, route and status. Cached, because looking them up by label costs more than counting.
_cached_metrics: dict[tuple[str, str | None, int], tuple[Counter, Histogram]] = {}


def init_app(app: Flask) -> None:
    """Report the version, and reserve `/metrics` on the public port, where it returns 404."""
    version = tomllib.loads(PYPROJECT.read_text())["project"]["version"]
    BUILD.labels(version).set(1)
    app.add_url_rule(PATH, "metrics", lambda: abort(404))


def serve(app: Flask, collectors: Iterable[Collector]) -> None:
    """Serve all workers' metrics on the metrics ports, if gunicorn runs the app.

    Call it after all other middleware is installed.

    :param collectors: more metrics, which are computed at each scrape.
    """
    if MULTIPROC_FOLDER in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        for collector in collectors:
            registry.register(collector)
        app.wsgi_app = dispatch_by_port(app.wsgi_app, make_wsgi_app(registry))  # type: ignore[assignment, method-assign]


def dispatch_by_port(service: "WSGIApplication", page: "WSGIApplication") -> "WSGIApplication":
    """Return an application that serves `page` on the metrics ports, and `service` on all others.

    On the metrics ports, every path but /metrics returns 404. The port is the one that gunicorn
    listens on, so a client can't choose it by a header.
    """

    def choose(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["SERVER_PORT"] not in metrics_ports:
            return service(environ, start_response)
        if environ["PATH_INFO"] == PATH:
            write()
            return page(environ, start_response)
        start_response("404 Not Found", [("Content-Length", "0")])
        return []

    return choose


def count_request(method: str, route: str | None, status: int, seconds: float) -> None:
    """Count one answered request.

    All unknown methods share one label, and so do all paths without a route. Otherwise clients
    could create any number of time series.
    """
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
