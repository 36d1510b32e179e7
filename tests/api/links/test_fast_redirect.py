"""Redirects on the fast path, without gunicorn's parser and Flask."""

import secrets
import socket
import time
from http.client import HTTPResponse
from pathlib import Path

import pytest

from tests.api.conftest import Deployment, embed
from tests.support.links.client import TARGET, Links
from tests.support.service import Service

# A meaningless header that the fast path declines, so the request takes the normal path.
LONG_WAY = b"X-Odd: \xff\r\n"

ALL = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in "#?")


def head(target: str, more: bytes = b"") -> bytes:
    """Return a GET request with these extra headers."""
    return f"GET {target} HTTP/1.1\r\nHost: localhost\r\n".encode() + more + b"\r\n"


def connect(service: Service) -> socket.socket:
    """Open a connection that sends each part at once, in its own packet."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def location(connection: socket.socket) -> str | None:
    """Read an answer, and return its Location header."""
    answer = HTTPResponse(connection)
    answer.begin()
    answer.read()
    return answer.headers["Location"]


def told(service: Service, *sent: bytes) -> list[str | None]:
    """Send parts one by one, and return the Location of the answer to each."""
    locations = []
    with connect(service) as connection:
        for part in sent:
            connection.sendall(part)
            locations.append(location(connection))
    return locations


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param("", id="code alone"),
        pytest.param("?", id="empty query"),
        pytest.param("/", id="slash"),
        pytest.param("/?x=1", id="slash and query"),
        pytest.param("//b/%C3%A4%FF?x=%2B&y", id="odd path and query"),
        pytest.param("/a%2Fb", id="encoded slash"),
        pytest.param("/..", id="dot segment"),
        pytest.param(f"/{ALL}?{ALL}", id="all characters"),
        pytest.param("/@:8000/", id="at sign and port"),
    ],
)
@pytest.mark.parametrize("exists", [True, False], ids=["known code", "unknown code"])
def test_both_ways_are_alike(
    deployment: Deployment, service: Service, links: Links, rest: str, *, exists: bool
) -> None:
    """Status, headers, body, log line and clicks are the same on both paths."""
    code = links.create()["code"] if exists else links.new_code()
    seen = []
    for more in (b"", LONG_WAY):
        request_id = secrets.token_hex(8)
        names = f"X-Request-Id: {request_id}\r\nX-Forwarded-For: 192.0.2.7\r\n"
        traced = f"traceparent: 00-{'a' * 32}-{'b' * 16}-01\r\n"
        answer = service.speak(head(f"/{code}{rest}", f"{names}{traced}".encode() + more))
        line = deployment.line(request_id)
        headers = {name: value for name, value in answer.headers.items() if name != "Date"}
        assert headers.pop("X-Request-Id") == line.pop("request_id") == request_id
        assert answer.headers["Date"]
        assert line["client"] == "192.0.2.7"
        line = {name: value for name, value in line.items() if name not in {"ms", "timestamp"}}
        body = answer.body.replace(request_id.encode(), b"")
        seen.append((answer.status, headers, body, line))
    assert seen[0] == seen[1]
    if exists:
        clicks = service.get(f"/api/links/{code}").json()["clicks"]
        assert clicks == (2 if seen[0][0] == 302 else 0)


@pytest.mark.parametrize("more", [b"", LONG_WAY], ids=["fast path", "normal path"])
@pytest.mark.parametrize(("count", "status"), [(100, 302), (101, 431)], ids=["100", "101"])
def test_both_ways_have_one_limit_of_headers(
    service: Service, links: Links, more: bytes, count: int, status: int
) -> None:
    """A request with more than 100 header fields is rejected on both paths."""
    names = more + b"X-Filler: a\r\n" * (count - 1 - more.count(b"\n"))  # and Host
    assert service.speak(head(f"/{links.create()['code']}", names)).status == status


@pytest.mark.parametrize("more", [b"", LONG_WAY], ids=["fast path", "normal path"])
@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("a..b", 400, id="empty label"),
        pytest.param(".a", 400, id="dot at the start"),
        pytest.param("a.", 302, id="dot at the end"),
        pytest.param("x" * 64, 400, id="label of 64"),
        pytest.param("x" * 63 + ":8000", 302, id="label of 63"),
    ],
)
def test_both_ways_accept_the_same_hosts(
    service: Service, links: Links, host: str, more: bytes, status: int
) -> None:
    """A host that can't exist is rejected on both paths."""
    sent = f"GET /{links.create()['code']} HTTP/1.1\r\nHost: {host}\r\n".encode()
    assert service.speak(sent + more + b"\r\n").status == status


def test_one_connection_can_go_both_ways(service: Service, links: Links) -> None:
    """Requests on one connection can alternate between the fast path and the normal path."""
    targets = [f"{TARGET}/{number}" for number in range(4)]
    codes = [links.create(url=target)["code"] for target in targets]
    requests = [head(f"/{codes[0]}"), head(f"/{codes[1]}", LONG_WAY)]
    requests += [head(f"/{codes[2]}"), head("/livez"), head(f"/{codes[3]}")]
    assert told(service, *requests) == [*targets[:3], None, targets[3]]


@pytest.mark.parametrize("cut", [1, 4, 30, -3, -1])
def test_request_in_two_parts_is_one(service: Service, links: Links, cut: int) -> None:
    """A request that arrives in two parts is answered once it is complete."""
    whole = head(f"/{links.create()['code']}")
    with connect(service) as connection:
        connection.sendall(whole[:cut])
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        connection.settimeout(30)
        connection.sendall(whole[cut:])
        assert connection.recv(1000).startswith(b"HTTP/1.1 302 ")


def test_nothing_hides_behind_a_request(service: Service, links: Links) -> None:
    """Request smuggling: an incomplete request is completed by the bytes that follow.

    Those bytes do not count as a request of their own, even if they look like one.
    """
    one, two, hidden = (links.create(url=f"{TARGET}/{n}")["code"] for n in range(3))
    begun = head(f"/{one}") + f"GET /{two} HTTP/1.1\r\nX-Hidden: ".encode()
    assert told(service, begun, head(f"/{hidden}")) == [f"{TARGET}/0", f"{TARGET}/1"]
    assert service.get(f"/api/links/{hidden}").json()["clicks"] == 0


def test_unread_body_is_not_parsed_as_a_request(service: Service, links: Links) -> None:
    """Request smuggling: an unread body that arrives late is not taken for a request."""
    code, hidden = (links.create(url=f"{TARGET}/{n}")["code"] for n in range(2))
    body = head(f"/{hidden}")
    refused = f"POST /api/me HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    with connect(service) as connection:
        connection.sendall(refused.encode())
        location(connection)
        time.sleep(0.1)
        connection.sendall(body)
        time.sleep(0.1)
        connection.sendall(head(f"/{code}"))
        assert location(connection) == f"{TARGET}/0"
    assert service.get(f"/api/links/{hidden}").json()["clicks"] == 0


def test_idle_time_ends_with_each_request(tmp_path: Path) -> None:
    """A keep-alive connection is closed only after it has been idle for the whole time-out."""
    with embed(tmp_path, GUNICORN_CMD_ARGS="--keep-alive=2") as deployment:
        service = Service(deployment.url, deployment.token())
        code = service.post("/api/links", json={"url": TARGET}).json()["code"]
        with connect(service) as connection:
            for _ in range(8):
                connection.sendall(head(f"/{code}"))
                assert connection.recv(1000).startswith(b"HTTP/1.1 302 ")
                time.sleep(0.5)
            assert connection.recv(1000) == b""
