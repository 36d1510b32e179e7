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
    """Reads of a begun request time out immediately, apart from the time that body bytes earn."""
    monkeypatch.setattr(module, "HEAD_TIMEOUT", 0)


def test_headers_must_come_in_time(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that begins a request but does not complete its headers in time is cut off."""
    monkeypatch.setattr(module, "HEAD_TIMEOUT", 0.02)
    assert line.next_request().get(timeout=LIMIT) == PARSED[:20]
    with pytest.raises(ConnectionResetError):
        line.read_more().get(timeout=LIMIT)
    assert line.worker.waiting_connections == {}


@pytest.mark.usefixtures("no_head_timeout")
def test_idle_client_is_not_hurried(connect: Connect) -> None:
    """The time-out for the headers starts with the first byte, so an idle client has none."""
    line = connect()
    reader = line.next_request()
    wait_for(lambda: line.connection.is_idle)
    line.client.sendall(PARSED)
    assert reader.get(timeout=LIMIT) == PARSED


@pytest.mark.usefixtures("no_head_timeout")
def test_bytes_that_come_fast_enough_earn_more_time(
    line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte of a body extends the deadline, so a client that is fast enough can finish."""
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
    """A client that sends its body below the minimum rate is cut off."""
    monkeypatch.setattr(module, "MINIMUM_BYTE_RATE", 1_000_000_000)
    line.next_request().get(timeout=LIMIT)
    line.client.sendall(b"x")
    assert line.read_more().get(timeout=LIMIT) == b"x"
    with pytest.raises(ConnectionResetError):
        line.read_more().get(timeout=LIMIT)


def test_end_of_a_request_that_is_cut_off_is_read(line: Line) -> None:
    """If the client closes in the middle of a request, gunicorn sees the end of the stream."""
    line.next_request().get(timeout=LIMIT)
    line.hang_up()
    assert line.read_more().get(timeout=LIMIT) == b""


def test_reset_while_a_request_is_read_is_one_error(line: Line) -> None:
    """A reset during a read raises ConnectionResetError, which gunicorn ignores."""
    line.next_request().get(timeout=LIMIT)
    line.connection.sendall(b"never read")
    line.hang_up()
    with pytest.raises(ConnectionResetError):
        line.read_more().get(timeout=LIMIT)
    assert line.worker.waiting_connections == {}


@pytest.mark.parametrize(
    "filled", [pytest.param(False, id="buffer empty"), pytest.param(True, id="buffer full")]
)
def test_client_must_read_its_answer_in_time(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, *, filled: bool
) -> None:
    """A client that does not read its answer is cut off, so it can't hold a greenlet for ever."""
    monkeypatch.setattr(module, "SEND_TIMEOUT", 0.02)
    line = connect()
    if filled:
        fill(line.connection)
    with gevent.Timeout(LIMIT), pytest.raises(ConnectionResetError):
        line.connection.sendall(b"." * 1_000_000)
    assert line.worker.waiting_connections == {}


def test_client_that_reads_slowly_gets_all_of_its_answer(connect: Connect) -> None:
    """The whole answer is sent. Until then, the connection waits for its client and is not idle."""
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


def test_wait_for_a_body_is_not_idle(connect: Connect) -> None:
    """A connection that waits for a body is not idle, even if it has not read the headers itself.

    They can have come together with the end of the request before.
    """
    line = connect()
    line.connection.has_request = True
    reader = line.next_request()
    wait_for(lambda: line.connection in line.worker.waiting_connections)
    assert not line.connection.is_idle
    assert line.connection.deadline is not None
    line.client.sendall(b"body")
    assert reader.get(timeout=LIMIT) == b"body"


def test_client_that_is_gone_is_an_error_that_gunicorn_ignores(connect: Connect) -> None:
    """Sending to a client that has closed raises ConnectionResetError."""
    line = connect()
    line.hang_up()
    with pytest.raises(ConnectionResetError):
        line.connection.sendall(b"answer")


def test_disconnecting_ends_the_stream_for_both(connect: Connect) -> None:
    """After `disconnect`, the client and the reading greenlet both see the end of the stream."""
    line = connect()
    reader = line.next_request()
    wait_for(lambda: line.connection.is_idle)
    line.connection.disconnect()
    assert line.client.recv(1) == b""
    assert reader.get(timeout=LIMIT) == b""


def test_disconnecting_twice_does_no_harm(connect: Connect) -> None:
    """`disconnect` does no harm if the connection is shut down or closed, or its client is gone."""
    line = connect()
    line.connection.disconnect()
    line.hang_up()
    line.connection.disconnect()
    line.connection.close()
    line.connection.disconnect()


def test_others_run_while_a_body_is_read(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other greenlets get their turns even if the next bytes of a body are always there."""
    monkeypatch.setattr(module, "TURN", -1)
    others: list[str] = []
    line.next_request().get(timeout=LIMIT)
    line.client.sendall(b"x")
    reader = gevent.spawn(lambda: (line.connection.recv(1), *others))
    line.readers += [reader, gevent.spawn(others.append, "ran")]
    assert reader.get(timeout=LIMIT) == (b"x", "ran")
