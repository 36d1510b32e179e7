"""What a worker holds in memory for its clients is limited, in sum and in time."""

import json
from collections.abc import Callable

import gevent
import pytest
from flask import Flask, request

from app import server
from app.api import problems
from app.server import connection as module
from app.server.worker import Worker
from app.telemetry import logs
from tests.unit.server.conftest import LIMIT, PARSED, Connect, Line, fill, wait_for

MAX, SMALL = 100_000, 1000  # bytes: the limits in these tests
LARGE = 60_000
POST = b"POST /%s HTTP/1.1\r\nHost: a\r\n"


@pytest.fixture(autouse=True)
def _limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SMALL", SMALL)
    monkeypatch.setattr(module, "LINGER_TIMEOUT", 0.1)


@pytest.fixture
def worker(worker: Worker) -> Worker:
    """A worker with a low limit, and with views that read a body, stream it to disk, or do not."""
    app = Flask(__name__)
    logs.init_app(app)
    problems.init_app(app)

    @app.post("/read")
    def _read() -> str:
        return str(len(request.get_data()))

    @app.post("/upload")
    def _upload() -> str:
        server.accept_upload()
        return str(len(request.stream.read()))

    @app.post("/unread")
    def _unread() -> str:
        return "unread"

    worker.app.wsgi = lambda: app
    worker.load_wsgi()
    worker.max_held_bytes = MAX
    return worker


@pytest.fixture
def line(connect: Connect, worker: Worker) -> Callable[[], Line]:
    """A function that makes a connection, which the worker serves."""

    def begin() -> Line:
        made = connect(worker=worker)
        made.serve()
        return made

    return begin


def post(path: bytes, length: int, *lines: bytes) -> bytes:
    """Return the head of a request with a body of this length."""
    fields = b"\r\n".join((*lines, b"Content-Length: %d" % length))
    return POST % path + fields + b"\r\n\r\n"


def chunk(size: int) -> bytes:
    """Return a chunk of a body."""
    return b"%x\r\n%s\r\n" % (size, b"x" * size)


def refused(line: Line) -> None:
    """Check that the service answers with a problem that says to retry, and then closes."""
    answer = line.receive()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert "memory" in json.loads(answer.body)["detail"]
    assert line.client.recv(1) == b""


CHUNKED = POST % b"read" + b"Transfer-Encoding: chunked\r\n\r\n"
EXPECT = post(b"read", LARGE + 1, b"Expect: 100-continue")


@pytest.mark.parametrize(
    ("data", "is_kept_alive"),
    [
        pytest.param(post(b"read", LARGE + 1) + b"x" * LARGE, False, id="length"),
        pytest.param(CHUNKED + chunk(LARGE), False, id="chunk"),
        pytest.param(CHUNKED + chunk(1) * (LARGE // 6), False, id="chunks of one byte"),
        pytest.param(post(b"read", LARGE + 1) + b"x" * LARGE, True, id="keep-alive"),
    ],
)
def test_body_beyond_the_limit_is_refused(
    worker: Worker, line: Callable[[], Line], data: bytes, *, is_kept_alive: bool
) -> None:
    """If bodies would need more memory than the worker's limit, a large one gets 503.

    Small ones are still read. Memory is free again as soon as its connection has ended.
    """
    first, second, small = line(), line(), line()
    for client in (first, second):
        if is_kept_alive:
            client.client.sendall(PARSED)
            assert client.receive().status == 404
        client.client.sendall(data)
        wait_for(lambda: worker.held_bytes >= LARGE)
    refused(second)
    wait_for(lambda: worker.held_bytes < 2 * LARGE)
    small.client.sendall(post(b"read", 5) + b"small")
    assert small.receive().body == b"5"
    first.hang_up()
    wait_for(lambda: worker.held_bytes == 0)


def test_expected_body_is_counted(worker: Worker, line: Callable[[], Line]) -> None:
    """A body that the client sends only after 100 Continue is counted, too."""
    worker.max_held_bytes = LARGE // 2
    client = line()
    client.client.sendall(EXPECT)
    assert client.answers.readline() == b"HTTP/1.1 100 Continue\r\n"
    assert client.answers.readline() == b"\r\n"
    client.client.sendall(b"x" * LARGE)
    refused(client)
    wait_for(lambda: worker.held_bytes == 0)


def test_declared_length_takes_no_memory(worker: Worker, line: Callable[[], Line]) -> None:
    """Only bytes that have arrived count, so a client can't reserve memory by declaring it."""
    first, second = line(), line()
    first.client.sendall(post(b"read", 50_000_000))
    wait_for(lambda: worker.active_requests == 1)
    second.client.sendall(post(b"read", LARGE) + b"x" * LARGE)
    assert second.receive().body == b"%d" % LARGE
    wait_for(lambda: worker.held_bytes < SMALL)


def test_skipped_body_is_not_counted(worker: Worker, line: Callable[[], Line]) -> None:
    """A body that no view has read takes no memory while the worker skips it."""
    client = line()
    client.client.sendall(post(b"unread", 3 * MAX))
    assert client.receive().body == b"unread"
    sender = gevent.spawn(client.client.sendall, b"x" * 3 * MAX + PARSED)
    assert client.receive().status == 404
    sender.get(timeout=LIMIT)
    wait_for(lambda: worker.held_bytes == 0)


def test_upload_is_not_counted(worker: Worker, line: Callable[[], Line]) -> None:
    """A body that a view writes to a file does not count."""
    client = line()
    sender = gevent.spawn(client.client.sendall, post(b"upload", 3 * MAX) + b"x" * 3 * MAX)
    assert client.receive().body == b"%d" % (3 * MAX)
    sender.get(timeout=LIMIT)
    wait_for(lambda: worker.held_bytes == 0)


def test_large_headers_are_counted(worker: Worker, line: Callable[[], Line]) -> None:
    """Headers count as well, and large ones get 503 beyond the limit."""
    worker.max_held_bytes = SMALL
    client = line()
    client.client.sendall(PARSED[:-2] + b"X: %s\r\n" % (b"x" * 7000) * 2)
    assert client.receive().status == 503
    assert client.client.recv(1) == b""
    wait_for(lambda: worker.held_bytes == 0)


@pytest.mark.parametrize(
    "limit", [pytest.param(0.05, id="while it waits"), pytest.param(0, id="before it waits")]
)
def test_request_has_a_time_limit(
    line: Callable[[], Line], monkeypatch: pytest.MonkeyPatch, limit: float
) -> None:
    """A body that is still incomplete after REQUEST_TIMEOUT gets 400, however fast it comes."""
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", limit)
    monkeypatch.setattr(module, "MINIMUM_BYTE_RATE", 1e-9)
    client = line()
    client.client.sendall(post(b"read", LARGE) + b"x" * SMALL)
    answer = client.receive()
    assert answer.status == 400
    assert json.loads(answer.body)["detail"] == "The body did not arrive in time."
    assert client.client.recv(1) == b""


def test_upload_has_a_longer_time_limit(
    line: Callable[[], Line], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A body that a view writes to a file has more time, since it can be much larger."""
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0)
    monkeypatch.setattr(module, "UPLOAD_TIMEOUT", LIMIT)
    client = line()
    client.client.sendall(post(b"upload", SMALL))
    client.client.sendall(b"x" * SMALL)
    assert client.receive().body == b"%d" % SMALL


def test_unread_answers_are_dropped_for_new_ones(
    connect: Connect, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If unread answers need more memory than the limit, those that wait longest are dropped."""
    monkeypatch.setattr("app.server.worker.SLOW_AFTER", 0)
    old, new = connect(worker=worker), connect(worker=worker)
    for line in (old, new):
        fill(line.connection)
        line.readers.append(gevent.spawn(line.connection.sendall, b"." * LARGE))
    wait_for(lambda: new.connection in worker.waiting_connections)
    wait_for(lambda: old.connection not in worker.waiting_connections)
    assert worker.held_bytes == LARGE
    assert isinstance(old.readers[0].exception, ConnectionResetError)
    assert new.connection in worker.waiting_connections
    new.hang_up()
    wait_for(lambda: worker.held_bytes == 0)


def test_unread_answer_is_dropped_if_there_is_no_room(
    connect: Connect, worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If no other answer can be dropped, the new one is."""
    monkeypatch.setattr("app.server.worker.SLOW_AFTER", LIMIT)
    old, new = connect(worker=worker), connect(worker=worker)
    for line in (old, new):
        fill(line.connection)
        line.readers.append(gevent.spawn(line.connection.sendall, b"." * LARGE))
    wait_for(lambda: new.readers[0].dead)
    assert isinstance(new.readers[0].exception, ConnectionResetError)
    assert old.connection in worker.waiting_connections
    assert worker.held_bytes == LARGE
