"""Clients that hoard the service's memory get 503, and do not affect others."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.client import HTTPResponse

import pytest

from tests.support.compose import Stack
from tests.support.links.client import TARGET, Links
from tests.support.waiting import wait_until

pytestmark = pytest.mark.alone

CLIENTS = 30
BODIES = 2 * 32 // 4  # the most bodies of a batch's size that two workers hold
EXPORTS = 2 * 4  # the most exports that two workers run
BATCH_LIMIT = 4 * 1024 * 1024
COUNT = 20_000  # links with long URLs: much more data than socket buffers can hold
Ask = Callable[[bytes], socket.socket]


@pytest.fixture
def ask(stack: Stack, links: Links) -> Iterator[Ask]:
    """A function that sends a request over a new connection, which is closed after the test."""
    token = str(links.service.headers["Authorization"]).encode()

    with ExitStack() as opened:

        def send(request: bytes) -> socket.socket:
            client = opened.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(30)
            client.connect(("127.0.0.1", stack.port))
            head, _, body = request.partition(b"\r\n")
            client.sendall(
                head + b"\r\nHost: localhost\r\nAuthorization: " + token + b"\r\n" + body
            )
            return client

        yield send


def statuses(clients: list[socket.socket]) -> list[int]:
    """Return the statuses that clients have received so far. Check the answers with 503."""
    found = []
    for client in clients:
        client.settimeout(0.1)
        try:
            client.recv(1, socket.MSG_PEEK)
        except TimeoutError:
            continue
        client.settimeout(30)
        answer = HTTPResponse(client)
        answer.begin()
        found.append(answer.status)
        if answer.status == 503:
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert json.loads(answer.read())["status"] == 503
    return found


def test_bodies_that_never_end(links: Links, ask: Ask) -> None:
    """Large bodies that exceed the memory for them get 503, while a small one is accepted."""
    head = b"POST /api/links/batch HTTP/1.1\r\nContent-Type: application/json\r\n"
    whole = head + b"Content-Length: %d\r\n\r\n" % BATCH_LIMIT + b" " * (BATCH_LIMIT - 1)
    clients = [ask(whole) for _ in range(CLIENTS)]
    refused = statuses(clients)
    assert set(refused) == {503}
    assert CLIENTS - BODIES <= len(refused) < CLIENTS
    links.create()
    for client in clients:
        client.close()
    batch = {"links": [], "": " " * (BATCH_LIMIT // 2)}
    wait_until(lambda: links.service.post("/api/links/batch", json=batch).status_code == 422)


def test_exports_that_nobody_reads(stack: Stack, links: Links, ask: Ask) -> None:
    """Exports whose clients don't read them get 503 beyond a number, and a link can be created."""
    prefix = links.new_code()
    url = f"{TARGET}?{'x' * 2000}"
    lines = (json.dumps({"code": f"{prefix}{n}", "url": url}) + "\n" for n in range(COUNT))
    stack.exec("app", "slipway", "links", "import", "-", text="".join(lines))
    try:
        one = {"links": [{"url": TARGET, "code": f"{prefix}x"}]}
        clients = [ask(b"GET /api/export HTTP/1.1\r\n\r\n") for _ in range(CLIENTS)]
        for client in clients:
            client.settimeout(30)
            client.recv(1, socket.MSG_PEEK)
        found = statuses(clients)
        assert set(found) == {200, 503}
        assert found.count(503) >= CLIENTS - EXPORTS
        # 409 if an earlier attempt got no answer in time.
        made = {201, 409}
        wait_until(lambda: links.service.post("/api/links/batch", json=one).status_code in made)
        for client in clients:
            client.close()
        with links.service.get("/api/export", stream=True) as answer:
            assert answer.status_code == 200
    finally:
        stack.mysql_root(f"DELETE FROM links WHERE code LIKE '{prefix}%'")
