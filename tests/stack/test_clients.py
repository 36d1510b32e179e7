"""Slow, silent or very many clients do not affect other clients."""

import http.client
import json
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
import requests

from tests.support.compose import Stack, docker
from tests.support.service import RawAnswer
from tests.support.waiting import wait_until

PLACES = 2 * 900  # the most connections that two workers keep open
BUSY = 2 * 400  # the most requests that two workers process at once
HEAD = b"GET %s HTTP/1.1\r\nHost: localhost\r\n"
# Runs in the container: counts open connections whose client has not read all sent bytes.
STUCK = """
rows = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/net/{name}")]
print(sum(row[1].endswith(":1F40") and row[3] == "01" and row[4][:8] != "0" * 8 for row in rows))
"""
Connect = Callable[[], socket.socket]


@pytest.fixture
def connect(stack: Stack) -> Iterator[Connect]:
    """A function that opens connections, even thousands, which are closed after the test."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    with ExitStack() as opened:
        yield lambda: opened.enter_context(
            socket.create_connection(("127.0.0.1", stack.port), timeout=30)
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def lives(stack: Stack) -> bool:
    """Return whether a new client gets an answer from /livez."""
    return requests.get(f"{stack.url}/livez", timeout=5).ok


@pytest.mark.alone
def test_slow_and_idle_clients_give_way(stack: Stack, connect: Connect) -> None:
    """More slow and idle connections than the service can keep do not shut out new clients."""
    for number in range(PLACES + 400):
        connection = connect()
        if number % 2:
            connection.sendall(HEAD % b"/livez" + b"X: ")
    for _ in range(20):
        assert lives(stack)
    wait_until(lambda: requests.get(stack.url, timeout=5).ok)


def test_body_that_only_drips_is_refused(stack: Stack, connect: Connect) -> None:
    """A client that sends its body very slowly gets an answer before the body ends."""
    token = stack.exec("app", "slipway", "tokens", "create", "drip").strip()
    connection = connect()
    connection.sendall(
        b"POST /api/me HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nContent-Length: 60000\r\n\r\n" % token.encode()
    )
    connection.settimeout(0.2)

    def answered() -> bool:
        connection.send(b" ")
        try:
            return bool(connection.recv(1))
        except TimeoutError:
            return False

    try:
        wait_until(answered, limit=30)
    finally:
        stack.exec("app", "slipway", "tokens", "revoke", "drip")


def test_client_that_reads_nothing_is_let_go(stack: Stack, connect: Connect) -> None:
    """A client that never reads its answers is disconnected, and does not block others."""
    connection = connect()
    connection.settimeout(1)
    with suppress(TimeoutError):
        connection.sendall((HEAD % b"/openapi.json" + b"\r\n") * 1000)
    wait_until(lambda: stack.python("app", STUCK).strip() != "0")
    wait_until(lambda: lives(stack) and stack.python("app", STUCK).strip() == "0")


@pytest.mark.alone
def test_more_requests_than_it_can_serve_are_refused_at_once(
    stack: Stack, connect: Connect
) -> None:
    """Load shedding: above its limit, the service answers 503 at once; /livez still works."""
    connections = [connect() for _ in range(BUSY + 400)]
    docker("pause", stack.id("db"))
    try:
        for connection in connections:
            connection.sendall(HEAD % b"/" + b"\r\n")
        assert lives(stack)
        answers = [_answer(connection) for connection in connections]
    finally:
        docker("unpause", stack.id("db"))
        stack.wait_ready()
    assert {answer.status for answer in answers} == {503}
    assert {answer.headers["Retry-After"] for answer in answers} == {"1"}
    assert len({answer.headers["X-Request-Id"] for answer in answers}) == len(answers)
    problems = [json.loads(answer.body) for answer in answers]
    details = {problem["detail"].partition(".")[0] for problem in problems}
    assert details == {"The database is not available", "The service is overloaded"}


def _answer(connection: socket.socket) -> RawAnswer:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return RawAnswer(answer.status, answer.msg, answer.read())
