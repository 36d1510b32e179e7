"""Between two requests: what the loop answers, and what wakes the connection's greenlet."""

from typing import TYPE_CHECKING

import pytest

from app.server.fast_path import Respond
from tests.unit.server.conftest import (
    LIMIT,
    PARSED,
    PLAIN,
    Connect,
    FakeWorker,
    fill,
    wait_for,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HOST = b"Host: a\r\n"
LONG = "/" + "x" * 50_000  # more than the buffers of a connection hold


class FakeHandler:
    """A handler that answers when the test says, and notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[WSGIEnvironment, Respond]] = []

    def __call__(self, environ: "WSGIEnvironment", respond: Respond) -> bool:
        """Answer later."""
        self.asked.append((environ, respond))
        return True


def redirect(environ: "WSGIEnvironment", respond: Respond) -> bool:
    """Answer at once."""
    respond({"Location": f"/to{environ['PATH_INFO']}"})
    return True


def decline(_environ: "WSGIEnvironment", _respond: Respond) -> bool:
    """Leave all requests to gunicorn."""
    return False


def test_plain_gets_are_answered_while_the_greenlet_sleeps(connect: Connect) -> None:
    """The greenlet gets only the first request that the handler can't answer."""
    line = connect(redirect)
    reader = line.next_request()
    for path in ("/a", "/b", "/c"):
        line.client.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        answer = line.receive()
        assert (answer.status, answer.headers["Location"]) == (302, f"/to{path}")
    line.client.sendall(PARSED)
    assert reader.get(timeout=LIMIT) == PARSED


@pytest.mark.parametrize(
    ("data", "one_get"),
    [
        pytest.param(PARSED, False, id="content length"),
        pytest.param(b"POST /plain HTTP/1.1\r\n" + HOST + b"\r\n", False, id="other method"),
        pytest.param(b"GET /plain HTTP/1.0\r\n" + HOST + b"\r\n", False, id="other version"),
        pytest.param(2 * PLAIN, False, id="two pipelined requests"),
        pytest.param(PLAIN + b"G", False, id="the beginning of another request"),
        pytest.param(PLAIN[:-1], False, id="part of a request"),
        pytest.param(b"GET /plain HTTP/1.1\r\nX: a\r\n\r\n", True, id="no host"),
        pytest.param(PLAIN[:-2] + b"Connection: close\r\n\r\n", True, id="last request"),
        pytest.param(PLAIN[:-2] + b"Expect: 100-continue\r\n\r\n", True, id="other header"),
    ],
)
def test_requests_that_are_not_plain_gets_go_to_the_parser(
    connect: Connect, data: bytes, *, one_get: bool
) -> None:
    """The handler is not asked. If more may follow, the loop must not read it either."""
    handler = FakeHandler()
    line = connect(handler)
    line.client.sendall(data)
    assert line.next_request().get(timeout=LIMIT) == data
    assert not handler.asked
    assert line.connection.parser_is_empty == one_get


@pytest.mark.parametrize("handler", [pytest.param(decline, id="declines"), None])
def test_requests_without_a_handler_that_takes_them_go_to_the_parser(
    connect: Connect, handler: FakeHandler | None
) -> None:
    """A request that is declined leaves no trace."""
    line = connect(handler)
    line.client.sendall(PLAIN)
    assert line.next_request().get(timeout=LIMIT) == PLAIN
    assert line.connection.extra_environ == {}
    assert line.connection.parser_is_empty
    assert line.worker.active_requests == 0


def test_handler_can_pass_a_request_on_later(connect: Connect) -> None:
    """The application gets what the handler added to the environ, and the next request does not."""
    handler = FakeHandler()
    line = connect(handler)
    reader = line.next_request()
    line.client.sendall(PLAIN)
    wait_for(lambda: handler.asked)
    [(environ, respond)] = handler.asked
    environ["found"] = 1
    respond(None)
    assert reader.get(timeout=LIMIT) == PLAIN
    assert line.connection.extra_environ["found"] == 1
    assert line.connection.extra_environ["REMOTE_ADDR"] == "192.0.2.7"
    line.client.sendall(PARSED)
    assert line.next_request().get(timeout=LIMIT) == PARSED
    assert line.connection.extra_environ == {}


def test_request_in_two_parts_is_left_to_the_parser(connect: Connect) -> None:
    """Though the second part looks like a whole request."""
    line = connect(redirect)
    begun = PLAIN[:-2] + b"X: "
    line.client.sendall(begun)
    assert line.next_request().get(timeout=LIMIT) == begun
    line.client.sendall(PLAIN)
    assert line.read_more().get(timeout=LIMIT) == PLAIN


def test_what_follows_unparsed_bytes_is_left_to_the_parser(connect: Connect) -> None:
    """Until the parser has read all that came before."""
    line = connect(redirect)
    line.connection.parser_is_empty = False
    for _ in range(3):
        line.client.sendall(PLAIN)
        assert line.next_request().get(timeout=LIMIT) == PLAIN
        assert not line.connection.parser_is_empty
    line.connection.parser_is_empty = True
    line.next_request()
    line.client.sendall(PLAIN)
    assert line.receive().status == 302


def test_shed_request_keeps_its_connection(connect: Connect) -> None:
    """The loop answers it, and the same connection's next request can be served."""
    line = connect(redirect)
    line.worker.paths_to_shed = {"/plain"}
    reader = line.next_request()
    for _ in range(2):
        line.client.sendall(PLAIN[:-2] + b"Connection: keep-alive\r\n\r\n")
        answer = line.receive()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    line.client.sendall(PLAIN.replace(b"/plain", b"/other?/plain"))
    assert line.receive().headers["Location"] == "/to/other"
    assert not reader.dead


@pytest.mark.parametrize("value", ["close", "Close", "keep-alive, close"])
def test_shed_request_that_is_the_last_goes_to_the_parser(connect: Connect, value: str) -> None:
    """Only gunicorn closes the connection after its answer."""
    line = connect(redirect)
    line.worker.paths_to_shed = {"/plain"}
    data = PLAIN[:-2] + f"Connection: {value}\r\n\r\n".encode()
    line.client.sendall(data)
    assert line.next_request().get(timeout=LIMIT) == data


def test_fast_path_ends_when_the_service_begins_to_stop(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only gunicorn tells clients that the connection is about to end. Shedding goes on."""
    line = connect(redirect)
    line.worker.paths_to_shed = {"/shed"}
    monkeypatch.setattr("app.server.shutdown.has_begun", lambda: True)
    reader = line.next_request()
    line.client.sendall(PLAIN.replace(b"/plain", b"/shed"))
    assert line.receive().status == 503
    line.client.sendall(PLAIN)
    assert reader.get(timeout=LIMIT) == PLAIN


def test_fast_path_ends_with_its_worker(connect: Connect) -> None:
    """A worker that stops leaves all requests to gunicorn."""
    line = connect(redirect)
    line.worker.alive = False
    line.client.sendall(PLAIN)
    assert line.next_request().get(timeout=LIMIT) == PLAIN


def test_answer_is_a_connections_last_if_the_worker_stops_meanwhile(connect: Connect) -> None:
    """The client gets its answer, and gunicorn the end of the stream, so that it closes."""
    handler = FakeHandler()
    line = connect(handler)
    reader = line.next_request()
    line.client.sendall(PLAIN)
    wait_for(lambda: handler.asked)
    line.worker.alive = False
    handler.asked[0][1]({"Location": "/last"})
    assert line.receive().headers["Location"] == "/last"
    assert reader.get(timeout=LIMIT) == b""
    assert not line.connection.is_idle


@pytest.mark.parametrize(
    "filled", [pytest.param(False, id="sent in parts"), pytest.param(True, id="nothing sent yet")]
)
def test_slow_client_gets_the_whole_answer(connect: Connect, *, filled: bool) -> None:
    """What the socket does not take at once is sent later, before any other answer."""
    line = connect(lambda _, respond: respond({"Location": LONG}) or True)
    sent = fill(line.connection) if filled else b""
    reader = line.next_request()
    line.client.sendall(PLAIN)
    wait_for(lambda: line.worker.waiting_connections and not line.connection.is_idle)
    line.client.sendall(PLAIN)
    while sent and (part := line.client.recv(len(sent))):
        sent = sent.removeprefix(part)
    assert not sent
    for _ in range(2):
        assert line.receive().headers["Location"] == LONG
    assert not reader.dead


@pytest.mark.parametrize("reset", [False, True])
def test_client_that_is_gone_ends_the_stream(connect: Connect, *, reset: bool) -> None:
    """The loop does not fail when the client resets its connection."""
    line = connect(redirect)
    reader = line.next_request()
    wait_for(lambda: line.connection.is_idle)
    if reset:
        line.connection.sendall(b"never read")
    line.hang_up()
    assert reader.get(timeout=LIMIT) == b""


def test_client_that_is_gone_before_its_answer_ends_the_stream(connect: Connect) -> None:
    """The handler need not know."""
    handler = FakeHandler()
    line = connect(handler)
    reader = line.next_request()
    line.client.sendall(PLAIN)
    wait_for(lambda: handler.asked)
    line.hang_up()
    handler.asked[0][1]({"Location": "/"})
    assert reader.get(timeout=LIMIT) == b""


def test_handlers_error_is_raised_in_the_greenlet(connect: Connect) -> None:
    """There, gunicorn logs it and answers 500."""

    def fail(_environ: "WSGIEnvironment", _respond: Respond) -> bool:
        raise LookupError("not found")

    line = connect(fail)
    line.client.sendall(PLAIN)
    with pytest.raises(LookupError, match="not found"):
        line.connection.recv(8192)
    assert not line.connection.is_idle


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
    """A connection that was answered waits anew."""
    worker = FakeWorker()
    lines = [connect(redirect, worker) for _ in range(3)]
    for line in lines:
        line.next_request()
    wait_for(lambda: len(worker.waiting_connections) == 3)
    lines[0].client.sendall(PLAIN)
    lines[0].receive()
    expected = [lines[number].connection for number in (1, 2, 0)]
    assert list(worker.waiting_connections) == expected
    times = list(worker.waiting_connections.values())
    assert times == sorted(times)
