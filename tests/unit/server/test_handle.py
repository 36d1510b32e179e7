"""The worker serves connections and requests with gunicorn's parser."""

import json
import signal
from http.client import parse_headers
from typing import TYPE_CHECKING, Any

import pytest

from app.server.fast_path import Respond
from app.server.worker import MAX_CONCURRENT_REQUESTS, SLOW_AFTER, Worker
from tests.unit.server.conftest import (
    PARSED,
    PLAIN,
    Application,
    Connect,
    Line,
    wait_for,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

READ, UNREAD = b"POST /read HTTP/1.1\r\nHost: a\r\n", b"POST /unread HTTP/1.1\r\nHost: a\r\n"
FOUR, CHUNKED = b"Content-Length: 4\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n"
CHUNKS = b"4\r\nbody\r\n0\r\n\r\n"
LAST = PARSED[:-2] + b"Connection: close\r\n\r\n"


@pytest.fixture
def line(connect: Connect, worker: Worker) -> Line:
    """A connection that a real worker serves, within the worker's limit of connections."""
    line = connect(worker=worker)
    line.serve()
    return line


def test_connections_are_counted(connect: Connect, worker: Worker) -> None:
    """A connection is counted until it is closed, in whatever way it ends."""
    lines = [connect(worker=worker) for _ in range(3)]
    for line in lines:
        line.serve()
    wait_for(lambda: worker.connections == 3)
    lines[0].hang_up()
    lines[1].client.sendall(LAST)
    lines[2].client.sendall(b"\0\r\n\r\n")
    wait_for(lambda: worker.connections == 0)
    assert all(line.connection.closed for line in lines)


def test_connection_is_shed_only_as_long_as_there_are_too_many(
    connect: Connect, worker: Worker
) -> None:
    """A connection over the limit gets 503, and does not affect the others.

    When one of the others ends, the service also answers this connection's requests.
    """
    worker.worker_connections = 1
    first, second = (connect(worker=worker) for _ in range(2))
    for line, status in ((first, 200), (second, 503)):
        line.serve()
        line.client.sendall(PARSED)
        assert line.receive().status == status
    first.client.sendall(PARSED)
    assert first.receive().status == 200
    first.hang_up()
    wait_for(lambda: worker.connections == 1)
    second.client.sendall(PARSED)
    assert second.receive().status == 200


def test_new_connection_closes_a_slow_one(connect: Connect, worker: Worker, line: Line) -> None:
    """If a new connection exceeds the limit, the worker closes one that waits for a slow client."""
    worker.worker_connections = 1
    wait_for(lambda: line.connection.is_idle)
    worker.waiting_connections[line.connection] -= SLOW_AFTER + 1
    second = connect(worker=worker)
    second.serve()
    second.client.sendall(PARSED)
    assert line.client.recv(1) == b""
    wait_for(lambda: worker.connections == 1)


@pytest.mark.parametrize(
    ("data", "answers", "is_empty"),
    [
        pytest.param(PARSED, 1, True, id="no body"),
        pytest.param(READ + FOUR + b"body", 1, True, id="body read"),
        pytest.param(UNREAD + FOUR + b"body", 1, False, id="body not read"),
        pytest.param(UNREAD + FOUR, 1, False, id="body not sent yet"),
        pytest.param(READ + FOUR + b"bodyGET /", 1, False, id="next request begun"),
        pytest.param(2 * PARSED, 2, True, id="two requests"),
        pytest.param(READ + CHUNKED + CHUNKS, 1, False, id="chunks read"),
        pytest.param(UNREAD + CHUNKED + CHUNKS, 1, False, id="chunks not read"),
    ],
)
def test_parser_is_empty_only_if_the_next_request_is_still_in_the_socket(
    line: Line, data: bytes, answers: int, *, is_empty: bool
) -> None:
    """The parser counts as empty only if gunicorn has read nothing beyond the last request.

    Otherwise the loop would read on in the middle of a body or of the next request.
    """
    line.client.sendall(data)
    for _ in range(answers):
        assert line.receive().status == 200
    wait_for(lambda: line.connection.is_idle)
    assert line.connection.parser_is_empty == is_empty


def test_body_that_looks_like_a_request_is_none(
    connect: Connect, worker: Worker, application: Application
) -> None:
    """A body that nobody has read never reaches the fast path, nor does the request after it."""
    asked = []

    def note(environ: "WSGIEnvironment", _respond: Respond) -> bool:
        asked.append(environ["PATH_INFO"])
        return False

    line = connect(note, worker)
    line.serve()
    length = f"Content-Length: {len(PLAIN)}\r\n\r\n".encode()
    line.client.sendall(UNREAD + length)
    line.receive()
    wait_for(lambda: line.connection.is_idle)
    line.client.sendall(PLAIN)
    wait_for(lambda: line.connection.is_counted)  # the body has been skipped
    line.client.sendall(PARSED)
    line.receive()
    assert [environ["PATH_INFO"] for environ in application.environs] == ["/unread", "/parsed"]
    assert not asked
    line.client.sendall(PLAIN)
    line.receive()
    assert asked == ["/plain"]


def test_skipped_body_does_not_hurry_the_next_request(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a body that nobody has read, the connection is idle and has its whole idle time."""
    monkeypatch.setattr("app.server.connection.HEAD_TIMEOUT", 0)
    line.client.sendall(UNREAD + FOUR)
    line.receive()
    wait_for(lambda: line.connection.is_idle)
    line.client.sendall(b"body")
    wait_for(lambda: line.connection.is_counted)  # the body has been skipped
    assert line.connection.is_idle
    line.client.sendall(PARSED)
    assert line.receive().status == 200


def test_requests_beyond_the_limit_are_shed(
    worker: Worker, line: Line, application: Application
) -> None:
    """A shed request gets 503 and does not reach the application.

    Its body is skipped, and its connection stays open.
    """
    worker.active_requests = MAX_CONCURRENT_REQUESTS
    line.client.sendall(READ + FOUR + b"body")
    answer = line.receive()
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert worker.active_requests == MAX_CONCURRENT_REQUESTS
    assert not application.environs
    worker.active_requests = 0
    line.client.sendall(PARSED)
    assert line.receive().status == 200


def test_shed_head_gets_no_body(worker: Worker, line: Line) -> None:
    """A shed HEAD gets only headers, so the next answer begins where its client expects it."""
    worker.active_requests = MAX_CONCURRENT_REQUESTS
    line.client.sendall(PARSED.replace(b"GET", b"HEAD"))
    assert line.answers.readline().startswith(b"HTTP/1.1 503 ")
    assert parse_headers(line.answers)["Retry-After"] == "1"
    worker.active_requests = 0
    line.client.sendall(PARSED)
    assert line.receive().status == 200


def test_shed_request_that_is_the_last_ends_its_connection(worker: Worker, line: Line) -> None:
    """After a 503 for a request with `Connection: close`, gunicorn closes the connection."""
    worker.active_requests = MAX_CONCURRENT_REQUESTS
    line.client.sendall(LAST)
    assert line.receive().status == 503
    assert line.client.recv(1) == b""
    worker.active_requests = 0


def test_active_requests_are_counted(worker: Worker, line: Line, application: Application) -> None:
    """A request counts as active until it is answered, even if it fails."""
    seen = []

    def fail() -> None:
        seen.append(worker.active_requests)
        raise LookupError("not found")

    application.meanwhile = fail
    line.client.sendall(PARSED)
    assert line.receive().status == 500
    assert seen == [1]
    assert worker.active_requests == 0


def test_handlers_error_is_logged_and_answered(connect: Connect, worker: Worker) -> None:
    """An error in the fast path's handler is logged and answered with 500."""

    def fail(_environ: "WSGIEnvironment", _respond: Respond) -> bool:
        raise LookupError("not found")

    line = connect(fail, worker)
    line.serve()
    line.client.sendall(PLAIN)
    answer = line.receive()
    assert (answer.status, answer.headers["Connection"]) == (500, "close")
    worker.log.exception.assert_called_once()


def test_application_gets_what_the_fast_path_found(
    connect: Connect, worker: Worker, application: Application
) -> None:
    """The application gets the keys that the fast path added to the environ.

    They do not override gunicorn's keys, and the next request does not get them.
    """

    def pass_on(environ: "WSGIEnvironment", respond: Respond) -> bool:
        environ |= {"found": 1, "SERVER_PORT": "made up"}
        respond(None)
        return True

    line = connect(pass_on, worker)
    line.serve()
    for data in (PLAIN, PARSED):
        line.client.sendall(data)
        line.receive()
    first, second = application.environs
    assert (first["found"], first["SERVER_PORT"]) == (1, "8000")
    assert "found" not in second


def test_connection_ends_with_its_answer_when_the_service_begins_to_stop(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once shutdown has begun, an answer has `Connection: close`, and the connection ends."""
    monkeypatch.setattr("app.server.shutdown.has_begun", lambda: True)
    line.client.sendall(PARSED)
    answer = line.receive()
    assert (answer.status, answer.headers["Connection"]) == (200, "close")
    assert line.client.recv(1) == b""


def test_worker_that_is_to_stop_closes_idle_connections_at_once(
    connect: Connect, worker: Worker, line: Line, application: Application
) -> None:
    """On SIGTERM the worker closes idle connections, but not those with an active request."""
    active = connect(worker=worker)
    active.serve()
    wait_for(lambda: len(worker.waiting_connections) == 2)
    application.meanwhile = lambda: worker.handle_exit(signal.SIGTERM, None)
    active.client.sendall(PARSED)
    assert active.receive().status == 200
    assert not worker.alive
    assert line.client.recv(1) == b""


@pytest.mark.parametrize(
    ("data", "status", "logged"),
    [
        pytest.param(b"\0\r\n\r\n", 400, "Invalid Request Line", id="not HTTP"),
        pytest.param(
            PARSED[:-2] + b"Authorization secret\r\n\r\n",
            400,
            "Invalid HTTP Header",
            id="malformed header",
        ),
        pytest.param(
            PARSED[:-2] + b"Transfer-Encoding: secret\r\n\r\n",
            501,
            "Unsupported transfer coding",
            id="unknown transfer coding",
        ),
    ],
)
def test_malformed_http_gets_a_problem(
    line: Line, monkeypatch: pytest.MonkeyPatch, data: bytes, status: int, logged: str
) -> None:
    """Malformed HTTP gets a problem (RFC 9457), and the connection is closed.

    Its log line has the answer's request id, but nothing that the client sent.
    """
    lines: list[tuple[Any, ...]] = []
    monkeypatch.setattr("app.telemetry.logs.log_unparsed", lambda *line: lines.append(line))
    line.client.sendall(data)
    answer = line.receive()
    assert (answer.status, answer.headers["Connection"]) == (status, "close")
    assert json.loads(answer.body)["status"] == status
    assert lines == [(status, logged, answer.headers["X-Request-Id"])]
    assert line.client.recv(1) == b""
