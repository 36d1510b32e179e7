"""The worker tracks which connections wait for their clients and how many requests are active."""

import time

import gevent

from tests.unit.server.conftest import (
    LIMIT,
    PARSED,
    PLAIN,
    Connect,
    FakeHandler,
    FakeWorker,
    redirect,
    wait_for,
)


def test_connection_whose_greenlet_is_killed_does_not_wait(connect: Connect) -> None:
    """When a connection's greenlet is killed, the loop stops watching the connection."""
    watchers = gevent.get_hub().loop.activecnt
    line = connect(redirect)
    reader = line.next_request()
    wait_for(lambda: line.connection.is_idle)
    reader.kill()
    assert line.worker.waiting_connections == {}
    assert gevent.get_hub().loop.activecnt == watchers


def test_worker_knows_what_waits_and_what_is_active(connect: Connect) -> None:
    """A connection waits for its client or has an active request, and is idle between requests."""
    handler = FakeHandler()
    line = connect(handler)
    connection, worker = line.connection, line.worker

    def state() -> tuple[bool, bool, int]:
        waits = list(worker.waiting_connections) == [connection]
        return waits, connection.is_idle, worker.active_requests

    assert state() == (False, False, 0)
    reader = line.next_request()
    wait_for(lambda: state() == (True, True, 0))
    line.client.sendall(PLAIN)
    wait_for(lambda: handler.asked)
    assert state() == (False, False, 1)
    handler.asked[0][1]({"Location": "/"})
    assert state() == (True, True, 0)
    line.client.sendall(PARSED)
    reader.get(timeout=LIMIT)
    assert state() == (False, False, 0)


def test_longest_wait_comes_first(connect: Connect) -> None:
    """When a client sends something, its connection moves behind all others that wait."""
    worker = FakeWorker()
    lines = [connect(redirect, worker) for _ in range(3)]
    for line in lines:
        line.next_request()
    wait_for(lambda: len(worker.waiting_connections) == 3)
    answered = time.monotonic()
    lines[0].client.sendall(PLAIN)
    lines[0].receive()
    lines[1].client.sendall(PARSED)
    lines[1].readers[0].get(timeout=LIMIT)
    lines[1].read_more()
    wait_for(lambda: len(worker.waiting_connections) == 3)
    expected = [lines[number].connection for number in (2, 0, 1)]
    assert list(worker.waiting_connections) == expected
    times = list(worker.waiting_connections.values())
    assert times == sorted(times)
    assert times[0] < answered < times[1]
