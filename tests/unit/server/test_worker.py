"""The worker under overload and during its shutdown, and the listener that accepts for it."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import gevent
import pytest
from gevent.socket import AF_INET, AF_INET6, create_connection, socket
from prometheus_client import REGISTRY

from app.server.connection import Connection
from app.server.worker import MAX_CONCURRENT_REQUESTS, Listener, Worker
from app.telemetry import metrics
from tests.unit.server.conftest import LIMIT, PARSED, PLAIN, Application, redirect, wait_for

PLACES = 3
LIMIT_OF_WAIT = 50.0  # seconds
OLD, YOUNG = LIMIT_OF_WAIT + 5, LIMIT_OF_WAIT - 5


@pytest.fixture(autouse=True)
def _small_limits(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    worker.worker_connections = PLACES
    monkeypatch.setattr("app.server.worker.SLOW_AFTER", LIMIT_OF_WAIT)
    monkeypatch.setattr("app.server.worker.quiet_paths", {"/livez"})


@pytest.fixture
def listening(request: pytest.FixtureRequest) -> Iterator[socket]:
    """A socket that listens at a free port, of 127.0.0.1 or of the address in the parameter."""
    host = getattr(request, "param", "127.0.0.1")
    with socket(AF_INET6 if ":" in host else AF_INET) as listening:
        listening.bind((host, 0))
        listening.listen()
        listening.setblocking(0)
        yield listening


@pytest.fixture
def listener(worker: Worker, listening: socket) -> Iterator[Listener]:
    """A listener that has not been started."""
    listener = Listener(worker, listening)
    yield listener
    listener.close()


class FakeConnection:
    """A connection that records whether it was disconnected."""

    def __init__(self, waited: float, *, is_idle: bool = True) -> None:
        self.since = time.monotonic() - waited
        self.is_idle = is_idle
        self.is_closed = False

    def disconnect(self) -> None:
        """Record the call."""
        self.is_closed = True


def let_wait(worker: Worker, *connections: FakeConnection) -> None:
    """Add connections to the worker's list of those that wait for their clients."""
    waiting: Any = worker.waiting_connections
    waiting.update((connection, connection.since) for connection in connections)


@pytest.mark.parametrize(
    ("came_late", "connections", "active", "shed"),
    [
        pytest.param(False, 1, 0, False, id="idle"),
        pytest.param(False, PLACES, MAX_CONCURRENT_REQUESTS - 1, False, id="nearly full"),
        pytest.param(False, 1, MAX_CONCURRENT_REQUESTS, True, id="requests at the limit"),
        pytest.param(True, PLACES + 1, 0, True, id="connection over the limit"),
        pytest.param(True, PLACES, 0, False, id="place became free"),
        pytest.param(False, PLACES + 1, 0, False, id="others over the limit"),
        pytest.param(True, PLACES, MAX_CONCURRENT_REQUESTS, True, id="free place, many requests"),
    ],
)
def test_load_decides_what_is_shed(
    worker: Worker, *, came_late: bool, connections: int, active: int, shed: bool
) -> None:
    """A request is shed if too many requests are active, or if its connection is over the limit."""
    worker.connections = connections
    worker.active_requests = active
    connection: Any = SimpleNamespace(is_over_capacity=came_late)
    assert worker.should_shed(connection, "/") == shed


@pytest.mark.parametrize(
    ("path", "shed"),
    [
        pytest.param("/livez", False, id="health check"),
        pytest.param("/metrics", False, id="metrics"),
        pytest.param("/livez/", True, id="like a health check"),
        pytest.param("/metricsx", True, id="like metrics"),
    ],
)
@pytest.mark.parametrize(
    "requests",
    [
        pytest.param(0, id="too many connections"),
        pytest.param(MAX_CONCURRENT_REQUESTS, id="too many connections and requests"),
    ],
)
def test_health_checks_and_metrics_are_never_shed(
    worker: Worker, requests: int, path: str, *, shed: bool
) -> None:
    """Exactly the paths of health checks and metrics are answered under any load."""
    worker.connections = PLACES + 1
    worker.active_requests = requests
    connection: Any = SimpleNamespace(is_over_capacity=True)
    assert worker.should_shed(connection, path) == shed


def test_shed_requests_are_counted(worker: Worker) -> None:
    """Each response to a shed request increments the metric."""

    def count() -> float:
        return REGISTRY.get_sample_value("slipway_requests_shed_total") or 0

    before = count()
    assert worker.shed_response().startswith(b"HTTP/1.1 503 ")
    worker.shed_response()
    assert count() == before + 2


@pytest.mark.parametrize(
    ("connections", "waited", "closed"),
    [
        pytest.param(PLACES, [OLD, OLD], [False, False], id="not too many"),
        pytest.param(PLACES + 1, [OLD, OLD], [True, False], id="one too many"),
        pytest.param(PLACES + 2, [OLD, OLD, OLD], [True, True, False], id="two too many"),
        pytest.param(PLACES + 2, [OLD, YOUNG, YOUNG], [True, False, False], id="only one is slow"),
        pytest.param(PLACES + 2, [YOUNG, YOUNG], [False, False], id="none is slow"),
        pytest.param(PLACES + 2, [], [], id="none waits"),
    ],
)
def test_slow_connections_give_way(
    worker: Worker, connections: int, waited: list[float], closed: list[bool]
) -> None:
    """The worker closes as many connections as exceed its limit: the longest wait first.

    It closes only those that have waited for longer than SLOW_AFTER, whether idle or not.
    """
    worker.connections = connections
    waiting = [
        FakeConnection(seconds, is_idle=number % 2 == 0) for number, seconds in enumerate(waited)
    ]
    let_wait(worker, *waiting)
    worker.evict_slow_connections()
    assert [connection.is_closed for connection in waiting] == closed


def test_idle_connections_are_closed(worker: Worker) -> None:
    """A connection that is idle for too long is closed. One with a slow request is not."""
    idle, reading, idle_too = (FakeConnection(OLD, is_idle=idle) for idle in (True, False, True))
    young = FakeConnection(YOUNG)
    let_wait(worker, idle, reading, idle_too, young)
    worker.close_idle(LIMIT_OF_WAIT)
    waiting = (idle, reading, idle_too, young)
    assert [connection.is_closed for connection in waiting] == [True, False, True, False]
    worker.close_idle(0)
    assert [connection.is_closed for connection in waiting] == [True, False, True, True]


def test_search_for_idle_connections_ends_at_the_first_young_one(worker: Worker) -> None:
    """The search stops at the first young connection, since all behind it have waited less.

    So thousands of connections cost nothing.
    """
    young = FakeConnection(YOUNG)
    behind = FakeConnection(OLD)  # never happens; shows where the search stops
    let_wait(worker, young, behind)
    worker.close_idle(LIMIT_OF_WAIT)
    assert not behind.is_closed


def test_busy_worker_accepts_more_at_once(worker: Worker, listener: Listener) -> None:
    """A busy worker accepts more connections at once, so that it can shed their requests.

    An idle worker accepts few, so that other workers get their share.
    """
    idle = listener.max_accept
    worker.active_requests = 100
    assert listener.max_accept == idle + 100
    worker.active_requests = 0
    assert listener.max_accept == idle


def test_nothing_is_accepted_when_nobody_connects(listener: Listener) -> None:
    """If there is no connection, as when another worker was faster, accepting returns None."""
    assert listener.do_read() is None


@pytest.mark.parametrize("listening", ["127.0.0.1", "::"], ids=["IPv4", "both"], indirect=True)
def test_accepted_connection_knows_its_client(listener: Listener) -> None:
    """The listener returns connections of our own class, which know their client's address.

    A client that connects over IPv4 has an IPv4 address.
    """
    accepted: list[tuple[Connection, Any]] = []

    def accept() -> bool:
        accepted.extend(filter(None, [listener.do_read()]))
        return bool(accepted)

    port = listener.socket.getsockname()[1]
    with create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
        wait_for(accept)
        [(connection, address)] = accepted
        with connection:
            assert address[:2] == client.getsockname()
            assert connection.client_address == "127.0.0.1"
            connection.sendall(b"hello")
            assert client.recv(5) == b"hello"


def test_port_for_metrics_has_no_fast_path(
    worker: Worker, listening: socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The metrics port has no fast path, since a handler could take /metrics for its own path."""
    worker.fast_path = lambda _environ, _respond: False
    port = str(listening.getsockname()[1])
    for ports, fast_path in (({"1"}, worker.fast_path), ({"1", port}, None)):
        monkeypatch.setattr(metrics, "metrics_ports", ports)
        assert Listener(worker, listening).fast_path == fast_path


def test_listener_serves_what_it_accepts(worker: Worker, listener: Listener) -> None:
    """A started listener serves two connections at the same time."""
    listener.start()
    address = listener.socket.getsockname()
    with create_connection(address, timeout=LIMIT), create_connection(address, timeout=LIMIT):
        wait_for(lambda: worker.connections == 2)
    wait_for(lambda: worker.connections == 0)
    assert not worker.waiting_connections


def test_greenlet_starts_with_the_first_request_for_gunicorn(
    worker: Worker, listener: Listener, application: Application
) -> None:
    """A connection has no greenlet while the fast path answers. gunicorn gets the first other one.

    That request is answered even if the listening socket has been closed.
    """
    serve = mock.Mock(wraps=listener.serve)
    listener.serve = serve
    listener.fast_path = redirect
    listener.start()
    name = listener.socket.getsockname()
    with create_connection(name, timeout=LIMIT) as client, client.makefile("rb") as answers:
        for _ in range(2):
            client.sendall(PLAIN)
            assert b" 302 " in answers.readline()
            assert list(iter(answers.readline, b"\r\n"))
        serve.assert_not_called()
        listener.close()
        client.sendall(PARSED)
        assert b" 200 " in answers.readline()
        serve.assert_called_once()
    wait_for(lambda: worker.connections == 0)
    assert application.environs[0]["SERVER_PORT"] == str(name[1])


def test_worker_that_stops_waits_for_its_requests(worker: Worker, listening: socket) -> None:
    """A worker that stops closes its listeners and idle connections, and waits for its requests."""
    idle, active = FakeConnection(0), FakeConnection(0, is_idle=False)
    let_wait(worker, idle, active)
    worker.sockets = [listening]
    worker.connections = 2
    worker.alive = False
    address = listening.getsockname()
    running = gevent.spawn(worker.run)
    wait_for(lambda: idle.is_closed)
    with pytest.raises(ConnectionRefusedError):
        create_connection(address, timeout=LIMIT)
    assert not running.dead
    assert not active.is_closed
    worker.connections = 0
    running.get(timeout=LIMIT)


def test_worker_that_stops_does_not_wait_for_ever(worker: Worker) -> None:
    """A worker that stops returns after the grace period, even if a request is still active."""
    worker.cfg.set("graceful_timeout", 0)
    worker.connections = 1
    worker.alive = False
    gevent.spawn(worker.run).get(timeout=LIMIT)
