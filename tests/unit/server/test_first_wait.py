"""A new connection waits for its first request without a greenlet."""

import pytest

from app.server.worker import MAX_CONCURRENT_REQUESTS, Worker
from tests.unit.server.conftest import PLAIN, Connect, FakeHandler, wait_for


def test_slow_client_without_a_greenlet_gets_the_whole_answer(
    connect: Connect, worker: Worker
) -> None:
    """If a client reads its first answer slowly, a greenlet sends the rest."""
    worker.max_held_bytes = 1_000_000
    long = "/" + "x" * 50_000  # more than the buffers of a connection hold
    line = connect(lambda _, respond: respond({"Location": long}) or True, worker)
    line.serve()
    for _ in range(2):
        line.client.sendall(PLAIN)
        wait_for(lambda: worker.waiting_connections and not line.connection.is_idle)
        assert line.receive().headers["Location"] == long


def test_first_answer_is_the_last_if_the_worker_stops(connect: Connect, worker: Worker) -> None:
    """A worker that stops closes a connection without a greenlet after its answer."""
    handler = FakeHandler()
    line = connect(handler, worker)
    line.serve()
    line.client.sendall(PLAIN)
    wait_for(lambda: handler.asked)
    worker.alive = False
    handler.asked[0][1]({"Location": "/last"})
    assert line.receive().headers["Location"] == "/last"
    assert line.client.recv(1) == b""
    wait_for(lambda: worker.connections == 0)


@pytest.mark.parametrize("path", ["/plain", "/close"])
def test_request_beyond_the_limit_never_reaches_the_fast_path(
    connect: Connect, worker: Worker, path: str
) -> None:
    """A request is shed whatever words it has."""
    handler = FakeHandler()
    line = connect(handler, worker)
    line.serve()
    worker.active_requests = MAX_CONCURRENT_REQUESTS
    line.client.sendall(PLAIN.replace(b"/plain", path.encode()))
    assert line.receive().status == 503
    worker.active_requests = 0
    assert not handler.asked
