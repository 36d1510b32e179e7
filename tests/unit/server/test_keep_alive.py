"""Between two requests, gevent's loop answers plain GETs or wakes the connection's greenlet."""

from typing import TYPE_CHECKING

import pytest

from app.server.fast_path import Respond
from tests.unit.server.conftest import (
    LIMIT,
    PARSED,
    PLAIN,
    Connect,
    FakeHandler,
    fill,
    redirect,
    wait_for,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HOST = b"Host: a\r\n"
LONG = "/" + "x" * 50_000  # more than the buffers of a connection hold


def decline(_environ: "WSGIEnvironment", _respond: Respond) -> bool:
    """Decline every request, so that gunicorn serves it."""
    return False


def test_plain_gets_are_answered_while_the_greenlet_sleeps(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop answers plain GETs. The greenlet gets the first request that is not one."""
    line = connect(redirect)
    monkeypatch.setattr(line.connection, "sendall", None)  # only the greenlet would call it
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
    """Data that is not one plain GET goes to the parser, and the handler is not called.

    After one whole GET, the loop can read the next request. Otherwise the parser must.
    """
    handler = FakeHandler()
    line = connect(handler)
    line.client.sendall(data)
    assert line.next_request().get(timeout=LIMIT) == data
    assert not handler.asked
    assert line.connection.parser_is_empty == one_get


@pytest.mark.parametrize(
    "handler", [pytest.param(decline, id="handler declines"), pytest.param(None, id="no handler")]
)
def test_requests_without_a_handler_that_takes_them_go_to_the_parser(
    connect: Connect, handler: FakeHandler | None
) -> None:
    """Without a handler, or if it declines, the parser gets the request, without any changes.

    The application gets what a handler that declines has added to the environ.
    """
    line = connect(handler)
    line.client.sendall(PLAIN)
    assert line.next_request().get(timeout=LIMIT) == PLAIN
    assert bool(line.connection.extra_environ) == bool(handler)
    assert line.connection.parser_is_empty
    assert line.worker.active_requests == 0


def test_handler_can_pass_a_request_on_later(connect: Connect) -> None:
    """A handler can pass a request on later, with keys that it added to the environ.

    The next request does not get these keys.
    """
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


def test_request_that_comes_early_waits_for_its_turn(connect: Connect) -> None:
    """The loop reads a request only after it has answered the one before."""
    handler = FakeHandler()
    line, other = connect(handler), connect(redirect)
    line.next_request()
    other.next_request()
    line.client.sendall(PLAIN)
    wait_for(lambda: handler.asked)
    line.client.sendall(PLAIN)
    other.client.sendall(PLAIN)
    other.receive()  # by now, the loop had the opportunity to read the early request
    assert len(handler.asked) == 1
    for number in range(2):
        handler.asked[number][1]({"Location": f"/{number}"})
        assert line.receive().headers["Location"] == f"/{number}"
        wait_for(lambda: len(handler.asked) == 2)


def test_request_in_two_parts_goes_to_the_parser(connect: Connect) -> None:
    """The parser gets both parts of a request, even if the second looks like a whole one."""
    line = connect(redirect)
    begun = PLAIN[:-2] + b"X: "
    line.client.sendall(begun)
    assert line.next_request().get(timeout=LIMIT) == begun
    line.client.sendall(PLAIN)
    assert line.read_more().get(timeout=LIMIT) == PLAIN


def test_bytes_behind_unparsed_ones_go_to_the_parser(connect: Connect) -> None:
    """While the parser holds unparsed bytes, the loop passes everything on and answers nothing."""
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


def test_shed_request_keeps_its_connection(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop answers a shed request with 503, and serves the connection's next request."""
    line = connect(redirect)
    monkeypatch.setattr(line.connection, "sendall", None)  # only the greenlet would call it
    line.worker.paths_to_shed = {"/plain"}
    reader = line.next_request()
    for _ in range(2):
        line.client.sendall(PLAIN[:-2] + b"Connection: keep-alive\r\n\r\n")
        answer = line.receive()
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    line.client.sendall(PLAIN.replace(b"/plain", b"/other?/plain"))
    assert line.receive().headers["Location"] == "/to/other"
    assert not reader.dead


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Connection: close", id="close"),
        pytest.param("Connection: Close", id="capitals"),
        pytest.param("Connection: keep-alive, close", id="list"),
        pytest.param("X: close", id="other header"),
    ],
)
def test_shed_request_that_may_be_the_last_goes_to_the_parser(
    connect: Connect, header: str
) -> None:
    """A request to shed with `Connection: close` goes to gunicorn, which closes after its 503.

    Other requests with that word are never answered by the fast path instead.
    """
    line = connect(redirect)
    line.worker.paths_to_shed = {"/plain"}
    data = PLAIN[:-2] + f"{header}\r\n\r\n".encode()
    line.client.sendall(data)
    assert line.next_request().get(timeout=LIMIT) == data


def test_fast_path_ends_when_the_service_begins_to_stop(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once shutdown has begun, gunicorn gets plain GETs, since only it sends `Connection: close`.

    The loop still sheds requests.
    """
    line = connect(redirect)
    line.worker.paths_to_shed = {"/shed"}
    monkeypatch.setattr("app.server.shutdown.has_begun", lambda: True)
    reader = line.next_request()
    line.client.sendall(PLAIN.replace(b"/plain", b"/shed"))
    assert line.receive().status == 503
    line.client.sendall(PLAIN)
    assert reader.get(timeout=LIMIT) == PLAIN


def test_fast_path_ends_with_its_worker(connect: Connect) -> None:
    """In a worker that is stopping, all requests go to gunicorn."""
    line = connect(redirect)
    line.worker.alive = False
    line.client.sendall(PLAIN)
    assert line.next_request().get(timeout=LIMIT) == PLAIN


def test_answer_is_a_connections_last_if_the_worker_stops_meanwhile(connect: Connect) -> None:
    """If the worker stops during a request, the client still gets its answer.

    Then gunicorn sees the end of the stream, so it closes the connection.
    """
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
    """If the socket's buffer is full, the rest of an answer is sent later, before the next one."""
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


@pytest.mark.parametrize(
    "reset", [pytest.param(False, id="closed"), pytest.param(True, id="reset")]
)
def test_client_that_is_gone_ends_the_stream(connect: Connect, *, reset: bool) -> None:
    """If an idle client closes or resets its connection, gunicorn sees the end of the stream."""
    line = connect(redirect)
    reader = line.next_request()
    wait_for(lambda: line.connection.is_idle)
    if reset:
        line.connection.sendall(b"never read")
    line.hang_up()
    assert reader.get(timeout=LIMIT) == b""


def test_client_that_is_gone_before_its_answer_ends_the_stream(connect: Connect) -> None:
    """If a handler answers a client that is gone, gunicorn sees the end of the stream."""
    handler = FakeHandler()
    line = connect(handler)
    reader = line.next_request()
    line.client.sendall(PLAIN)
    wait_for(lambda: handler.asked)
    line.hang_up()
    handler.asked[0][1]({"Location": "/"})
    assert reader.get(timeout=LIMIT) == b""


def test_handlers_error_is_raised_in_the_greenlet(connect: Connect) -> None:
    """A handler's error is raised in the connection's greenlet, where gunicorn logs it.

    A loop callback would swallow it.
    """

    def fail(_environ: "WSGIEnvironment", _respond: Respond) -> bool:
        raise LookupError("not found")

    line = connect(fail)
    line.client.sendall(PLAIN)
    with pytest.raises(LookupError, match="not found"):
        line.connection.recv(8192)
    assert not line.connection.is_idle
