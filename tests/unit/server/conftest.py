"""Both ends of a connection, the server's and the client's, in one process and one gevent hub.

Nothing is monkey-patched, so tests must wait with gevent: time.sleep would stop the server too.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import parse_headers
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import gevent
import pytest
from gevent.socket import SO_SNDBUF, SOL_SOCKET, socket, socketpair
from gunicorn.config import Config

from app.server import responses
from app.server.connection import Connection
from app.server.fast_path import Handler, Respond
from app.server.worker import Listener, Worker
from tests.support.service import RawAnswer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

LIMIT = 20  # seconds to wait before a test fails; normally everything here is fast
PLAIN = b"GET /plain HTTP/1.1\r\nHost: a\r\n\r\n"
PARSED = b"GET /parsed HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"  # not a plain GET


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """Fail if a test leaves watchers in gevent's loop."""
    loop = gevent.get_hub().loop
    before = loop.activecnt
    yield
    wait_for(lambda: loop.activecnt == before)


def wait_for(condition: Callable[[], object]) -> None:
    """Let the server work until the condition holds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline
        gevent.sleep(0.001)


def fill(connection: socket) -> bytes:
    """Send until the socket's buffer is full, and return the bytes that were sent."""
    sent = b""
    with suppress(BlockingIOError):
        while True:
            sent += b"." * connection._sock.send(b"." * 1000)
    return sent


class FakeHandler:
    """A fast-path handler that records its calls, so that the test can answer them later."""

    def __init__(self) -> None:
        self.asked: list[tuple[WSGIEnvironment, Respond]] = []

    def __call__(self, environ: "WSGIEnvironment", respond: Respond) -> bool:
        """Record the call and accept the request."""
        self.asked.append((environ, respond))
        return True


def redirect(environ: "WSGIEnvironment", respond: Respond) -> bool:
    """Redirect to /to followed by the path, as a fast-path handler that answers immediately."""
    respond({"Location": f"/to{environ['PATH_INFO']}"})
    return True


class FakeWorker:
    """The part of a worker that its connections use."""

    def __init__(self) -> None:
        self.alive = True
        self.active_requests = 0
        self.waiting_connections: dict[Connection, float] = {}
        self.paths_to_shed: set[str] = set()
        self.shed_response = responses.overloaded
        self.held_bytes = 0

    def has_room(self) -> bool:
        """Return that there is always room."""
        return True

    drop_unread_answers = has_room

    def should_shed(self, _connection: Connection, path: str) -> bool:
        """Return whether the test has chosen this path."""
        return path in self.paths_to_shed


class Application:
    """A WSGI application that records its environs, and reads the body only at /read."""

    def __init__(self) -> None:
        self.extensions: dict[str, Any] = {}
        self.environs: list[WSGIEnvironment] = []
        self.meanwhile: Callable[[], object] = lambda: None  # called during each request

    def __call__(self, environ: "WSGIEnvironment", start_response: Any) -> list[bytes]:
        """Answer 200."""
        self.environs.append(environ)
        if environ["PATH_INFO"] == "/read":
            environ["wsgi.input"].read()
        self.meanwhile()
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]


@pytest.fixture
def application() -> Application:
    """The application that the worker serves."""
    return Application()


@pytest.fixture
def worker(application: Application) -> Iterator[Worker]:
    """A worker with gunicorn's default settings, without an arbiter, that is not running yet."""
    loader = SimpleNamespace(wsgi=lambda: application)
    worker = Worker(1, os.getppid(), [], loader, 30, Config(), Mock())
    worker.load_wsgi()
    yield worker
    worker.tmp.close()


class Line:
    """A connection, its client, and the greenlets that read requests in gunicorn's place."""

    def __init__(self, worker: Any, fast_path: Handler | None) -> None:
        self.worker = worker
        self.client, server = socketpair()
        self.client.settimeout(LIMIT)
        self.answers = self.client.makefile("rb")
        server.setsockopt(SOL_SOCKET, SO_SNDBUF, 1)  # the smallest buffer that the system allows
        kind = server.family, server.type, server.proto
        listener: Any = SimpleNamespace(worker=worker, fast_path=fast_path)
        self.connection = Connection(listener, ("192.0.2.7", 1), *kind, fileno=server.detach())
        self.readers: list[gevent.Greenlet] = []
        self.is_served = False

    def receive(self) -> RawAnswer:
        """Receive the next answer and return it."""
        version, status, _reason = self.answers.readline().split(maxsplit=2)
        assert version == b"HTTP/1.1"
        headers = parse_headers(self.answers)
        return RawAnswer(int(status), headers, self.answers.read(int(headers["Content-Length"])))

    def next_request(self) -> gevent.Greenlet:
        """Start a greenlet that reads the next request and returns its first bytes."""
        self.connection.deadline = None
        return self.read_more()

    def read_more(self) -> gevent.Greenlet:
        """Start a greenlet that reads the next part of a request and returns it."""
        self.readers.append(gevent.spawn(self.connection.recv, 8192))
        return self.readers[-1]

    def serve(self) -> None:
        """Serve the connection with a real worker and gunicorn's parser, as a listener does."""
        listening: Any = SimpleNamespace(
            accept=None, family=None, getsockname=lambda: ("127.0.0.1", 8000)
        )
        Listener(self.worker, listening).do_handle(self.connection, ("192.0.2.7", 1))
        self.is_served = True

    def hang_up(self) -> None:
        """Close the client's end."""
        self.answers.close()
        self.client.close()

    def end(self) -> None:
        """Close the client's end, and check that the server's end closes, and all greenlets end."""
        self.hang_up()
        wait_for(lambda: self.connection.closed or not self.is_served)
        gevent.joinall(self.readers, timeout=LIMIT)
        left = [reader for reader in self.readers if not reader.dead]
        gevent.killall(left)
        self.connection.close()
        assert not left


Connect = Callable[..., Line]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """A function that makes a connection, by default with a fake worker and no fast path."""
    lines: list[Line] = []

    def begin(fast_path: Handler | None = None, worker: FakeWorker | Worker | None = None) -> Line:
        lines.append(Line(worker or FakeWorker(), fast_path))
        return lines[-1]

    yield begin
    for line in lines:
        line.end()
    assert not any(line.worker.waiting_connections for line in lines)
    assert not any(line.worker.active_requests for line in lines)
    assert not any(line.worker.held_bytes for line in lines if isinstance(line.worker, Worker))
