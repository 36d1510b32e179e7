"""Time limits for the client while its request is read and answered."""

import gevent
import pytest

from app.server import connection as module
from tests.unit.server.conftest import LIMIT, PARSED, Connect, Line, fill, wait_for


@pytest.fixture
def line(connect: Connect) -> Line:
    """A connection whose client has begun a request."""
    line = connect()
    line.client.sendall(PARSED[:20])
    return line


@pytest.fixture
def no_head_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is not there yet is too late, except for the time that a body is given."""
    monkeypatch.setattr(module, "HEAD_TIMEOUT", 0)


def test_headers_must_come_in_time(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that begins a request and does not end its headers is cut off."""
    monkeypatch.setattr(module, "HEAD_TIMEOUT", 0.02)
    assert line.next_request().get(timeout=LIMIT) == PARSED[:20]
    with pytest.raises(ConnectionResetError):
        line.read_more().get(timeout=LIMIT)
    assert line.worker.waiting_connections == {}


@pytest.mark.usefixtures("no_head_timeout")
def test_idle_client_is_not_hurried(connect: Connect) -> None:
    """The time for the headers begins with the first byte."""
    line = connect()
    reader = line.next_request()
    wait_for(lambda: line.connection.is_idle)
    line.client.sendall(PARSED)
    assert reader.get(timeout=LIMIT) == PARSED


@pytest.mark.usefixtures("no_head_timeout")
def test_bytes_that_come_fast_enough_earn_more_time(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte of a body gives the client time for the next."""
    monkeypatch.setattr(module, "MINIMUM_BYTE_RATE", 1 / LIMIT)
    line.next_request().get(timeout=LIMIT)
    line.client.sendall(b"x")
    assert line.read_more().get(timeout=LIMIT) == b"x"
    reader = line.read_more()
    wait_for(lambda: line.connection in line.worker.waiting_connections)
    assert not line.connection.is_idle
    line.client.sendall(b"y")
    assert reader.get(timeout=LIMIT) == b"y"
    assert line.worker.waiting_connections == {}


@pytest.mark.usefixtures("no_head_timeout")
def test_bytes_that_come_too_slowly_earn_no_time(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that sends a byte now and then is cut off."""
    monkeypatch.setattr(module, "MINIMUM_BYTE_RATE", 1_000_000_000)
    line.next_request().get(timeout=LIMIT)
    line.client.sendall(b"x")
    assert line.read_more().get(timeout=LIMIT) == b"x"
    with pytest.raises(ConnectionResetError):
        line.read_more().get(timeout=LIMIT)


def test_end_of_a_request_that_is_cut_off_is_read(line: Line) -> None:
    """gunicorn sees the end of the stream, and no error."""
    line.next_request().get(timeout=LIMIT)
    line.hang_up()
    assert line.read_more().get(timeout=LIMIT) == b""


def test_reset_while_a_request_is_read_is_one_error(line: Line) -> None:
    """gunicorn ignores ConnectionResetError, whatever the system's error is."""
    line.next_request().get(timeout=LIMIT)
    line.connection.sendall(b"never read")
    line.hang_up()
    with pytest.raises(ConnectionResetError):
        line.read_more().get(timeout=LIMIT)
    assert line.worker.waiting_connections == {}


@pytest.mark.parametrize(
    "filled", [pytest.param(False, id="takes a part"), pytest.param(True, id="takes nothing")]
)
def test_client_must_read_its_answer_in_time(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, *, filled: bool
) -> None:
    """A client that does not read costs a greenlet for a while, and not for ever."""
    monkeypatch.setattr(module, "SEND_TIMEOUT", 0.02)
    line = connect()
    if filled:
        fill(line.connection)
    with gevent.Timeout(LIMIT), pytest.raises(ConnectionResetError):
        line.connection.sendall(b"." * 1_000_000)
    assert line.worker.waiting_connections == {}


def test_client_that_reads_slowly_gets_all_of_its_answer(connect: Connect) -> None:
    """The connection waits for its client until the last byte is sent, and is not idle."""
    line = connect()
    answer = bytes(range(256)) * 1000
    sender = gevent.spawn(line.connection.sendall, answer)
    wait_for(lambda: line.connection in line.worker.waiting_connections)
    assert not line.connection.is_idle
    received = b""
    while len(received) < len(answer) and (part := line.client.recv(65_536)):
        received += part
    assert received == answer
    sender.get(timeout=LIMIT)
    assert line.worker.waiting_connections == {}


def test_client_that_is_gone_is_an_error_that_gunicorn_ignores(connect: Connect) -> None:
    """An answer that nobody wants is no fault of the service."""
    line = connect()
    line.hang_up()
    with pytest.raises(ConnectionResetError):
        line.connection.sendall(b"answer")


def test_disconnecting_ends_the_stream_for_both(connect: Connect) -> None:
    """The greenlet that reads the connection is the one that closes it."""
    line = connect()
    reader = line.next_request()
    wait_for(lambda: line.connection.is_idle)
    line.connection.disconnect()
    assert line.client.recv(1) == b""
    assert reader.get(timeout=LIMIT) == b""


def test_disconnecting_twice_does_no_harm(connect: Connect) -> None:
    """The client, or another part of the worker, can be faster."""
    line = connect()
    line.connection.disconnect()
    line.hang_up()
    line.connection.disconnect()
    line.connection.close()
    line.connection.disconnect()
