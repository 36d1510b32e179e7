"""Malformed and unusual requests get a well-formed answer and one valid log line each."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.api.conftest import Deployment
from tests.support import contract
from tests.support.service import RawAnswer, Service
from tests.support.waiting import wait_until

HOST = b"Host: localhost\r\n"
GET = b"GET /livez HTTP/1.1\r\n" + HOST
POST = b"POST /livez HTTP/1.1\r\n" + HOST


def assert_problem(answer: RawAnswer, status: int) -> None:
    """Check that an answer is problem details (RFC 9457) with this status."""
    assert answer.status == status, answer.body
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-Id"]
    problem = json.loads(answer.body)
    assert problem["status"] == status
    assert not contract.errors(problem, {"$ref": "#/components/schemas/Problem"})


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        # The request line.
        pytest.param(b"\0\1\2\r\n\r\n", 400, id="binary"),
        pytest.param(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400, id="TLS"),
        pytest.param(b"GET /livez\r\n\r\n", 400, id="no version"),
        pytest.param(b"GET  /livez HTTP/1.1\r\n\r\n", 400, id="two spaces"),
        pytest.param(b"GET livez HTTP/1.1\r\n\r\n", 400, id="no leading slash"),
        pytest.param(b"GET /\xff HTTP/1.1\r\n\r\n", 400, id="non-UTF-8 byte"),
        pytest.param(b"GET /\xf0\x9f\x9a\x80 HTTP/1.1\r\n\r\n", 400, id="unencoded emoji"),
        pytest.param(b"GET http://[/livez HTTP/1.1\r\n\r\n", 400, id="broken host in the target"),
        pytest.param(b"GET /livez HTTP/9.9\r\n\r\n", 400, id="unknown version"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 preface"),
        pytest.param(b"get /livez HTTP/1.1\r\n\r\n", 400, id="lower-case method"),
        pytest.param(b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", 414, id="long path"),
        pytest.param(b"GET /?" + b"x" * 10_000 + b" HTTP/1.1\r\n\r\n", 414, id="long query"),
        pytest.param(b"GET /x" + b"/." * 4_000 + b" HTTP/1.1\r\n\r\n", 404, id="many dot segments"),
        pytest.param(b"GET /" + b"%00" * 2_000 + b" HTTP/1.1\r\n\r\n", 404, id="many null bytes"),
        pytest.param(
            b"GET /" + b"%F0%9F%9A%80" * 600 + b" HTTP/1.1\r\n\r\n", 404, id="many encoded emoji"
        ),
        pytest.param(b"GET /%E2%80%AEabc HTTP/1.1\r\n\r\n", 404, id="right-to-left override"),
        pytest.param(b"GET /%ED%A0%80 HTTP/1.1\r\n\r\n", 404, id="half a surrogate pair"),
        pytest.param(b"GET /%zz%%% HTTP/1.1\r\n\r\n", 404, id="malformed percent encoding"),
        pytest.param(
            b"GET /static/../api.py HTTP/1.1\r\n\r\n", 404, id="dot segments below static"
        ),
        pytest.param(
            b"GET /static/%2e%2e/api.py HTTP/1.1\r\n\r\n",
            404,
            id="encoded dot segments below static",
        ),
        pytest.param(
            b"GET /static/" + b"x" * 5_000 + b" HTTP/1.1\r\n\r\n", 404, id="long name below static"
        ),
        pytest.param(b"FROB /livez HTTP/1.1\r\n\r\n", 405, id="unknown method"),
        pytest.param(b"CONNECT /livez HTTP/1.1\r\n\r\n", 405, id="CONNECT"),
        pytest.param(b"TRACE /livez HTTP/1.1\r\n\r\n", 405, id="TRACE"),
        # Headers.
        pytest.param(GET + b"X: " + b"x" * 10_000 + b"\r\n\r\n", 431, id="long header"),
        pytest.param(
            GET + b"".join(b"X%d: x\r\n" % n for n in range(200)) + b"\r\n", 431, id="200 headers"
        ),
        pytest.param(GET + b"X Y: z\r\n\r\n", 400, id="space in a header name"),
        pytest.param(GET + b"X: a\0b\r\n\r\n", 400, id="null byte in a header"),
        pytest.param(GET + b"X: a\rb\r\n\r\n", 400, id="bare CR in a header"),
        pytest.param(GET + b"X: a\r\n b\r\n\r\n", 400, id="folded header"),
        pytest.param(GET + b"no colon\r\n\r\n", 400, id="header without a colon"),
        pytest.param(GET + b"Host: b\r\n\r\n", 400, id="two hosts"),
        pytest.param(b"GET /livez HTTP/1.1\nHost: a\n\n", 400, id="bare LF"),
        pytest.param(
            b"GET /livez HTTP/1.1\r\nHost: " + b"x" * 70 + b".com\r\n\r\n",
            400,
            id="long host label",
        ),
        pytest.param(GET + b"Expect: a miracle\r\n\r\n", 417, id="unknown expectation"),
        # Body framing.
        pytest.param(POST + b"Content-Length: -1\r\n\r\n", 400, id="negative length"),
        pytest.param(POST + b"Content-Length: +1\r\n\r\n", 400, id="length with a sign"),
        pytest.param(POST + b"Content-Length: x\r\n\r\n", 400, id="non-numeric length"),
        pytest.param(
            POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, id="two lengths"
        ),
        pytest.param(
            POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            id="length and chunks",
        ),
        pytest.param(POST + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 405, id="huge length"),
        pytest.param(
            POST + b"Transfer-Encoding: rot13\r\n\r\n", 501, id="unknown transfer encoding"
        ),
        # Tokens.
        pytest.param(b"GET /api/me HTTP/1.1\r\n\r\n", 401, id="no token"),
        pytest.param(b"GET /api/me HTTP/1.1\r\nAuthorization:\r\n\r\n", 401, id="empty token"),
        pytest.param(
            b"GET /api/me HTTP/1.1\r\nAuthorization: Bearer \xff\xfe\r\n\r\n",
            401,
            id="non-UTF-8 token",
        ),
        pytest.param(
            b"GET /api/me HTTP/1.1\r\nAuthorization: Basic !\r\n\r\n", 401, id="broken Basic"
        ),
        pytest.param(
            b"GET /api/me HTTP/1.1\r\nAuthorization: Digest a*=b''%ff\r\n\r\n", 401, id="Digest"
        ),
    ],
)
def test_odd_request_is_a_problem(service: Service, sent: bytes, status: int) -> None:
    """A malformed request gets problem details, whichever layer detects it."""
    assert_problem(service.speak(sent), status)


@pytest.mark.parametrize(
    "host",
    [pytest.param("a..b", id="empty label"), pytest.param("x" * 64, id="long label")],
)
def test_browser_with_an_impossible_host_gets_no_page(
    service: Service, deployment: Deployment, host: str
) -> None:
    """A request of a browser whose host can't exist gets 400 and one log line."""
    answer = service.raw("/sign-in", Host=host, Accept="text/html")
    assert_problem(answer, 400)
    assert deployment.line(answer.headers["X-Request-Id"])["status"] == 400


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /livez HTTP/1.0\r\n\r\n", id="HTTP/1.0"),
        pytest.param(b"GET /livez HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(
            b"GET http://localhost/livez HTTP/1.1\r\n" + HOST + b"\r\n", id="absolute target"
        ),
        pytest.param(b'GET /livez HTTP/1.1\r\nHost: <">{}\r\n\r\n', id="host of punctuation"),
        pytest.param(
            b"GET /livez HTTP/1.1\r\nHost: a:99999999\r\n\r\n", id="host with a huge port"
        ),
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: \xc3\xbc\r\n\r\n", id="non-ASCII host"),
        pytest.param(
            b"GET /livez?%0d%0aX:y&&=&a=%00 HTTP/1.1\r\n" + HOST + b"\r\n", id="odd query"
        ),
        pytest.param(
            GET + b"X-Forwarded-For: \xff, a b\r\nX-Forwarded-Proto: \xff\r\n\r\n",
            id="odd forwarded address",
        ),
        pytest.param(
            GET + b"X-Forwarded-Host: a<b>\r\nX-Forwarded-Proto: javascript\r\n\r\n",
            id="odd forwarded host",
        ),
        pytest.param(GET + b'Cookie: \xff=;;;="\r\n\r\n', id="odd cookie"),
        pytest.param(
            GET + b"Accept: \xff;q=x,,;;\r\nAccept-Encoding: \xff\r\n\r\n", id="odd Accept"
        ),
        pytest.param(GET + b"Range: bytes=5-1,-,x\r\nIf-Range: \xff\r\n\r\n", id="odd range"),
        pytest.param(
            GET + b'If-None-Match: "\xff, W/\r\nIf-Modified-Since: never\r\n\r\n',
            id="odd conditions",
        ),
        pytest.param(
            GET
            + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
            id="upgrade to HTTP/2",
        ),
        pytest.param(GET + b"Content-Length: 200000\r\n\r\n" + b"x" * 200_000, id="long body"),
        pytest.param(
            GET + b"Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx", id="100-continue"
        ),
        pytest.param(
            b"GET /livez HTTP/1.1\r\n"
            + HOST
            + b"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            id="chunked body",
        ),
    ],
)
def test_odd_but_harmless_request_is_answered(service: Service, sent: bytes) -> None:
    """An unusual but harmless request is answered normally."""
    assert service.speak(sent).status == 200


def test_requests_in_a_row_are_answered_in_order(service: Service) -> None:
    """Pipelined requests (RFC 9112, section 9.3.2) are answered in order."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(GET + b"\r\n" + b"GET /no/link.html HTTP/1.1\r\n" + HOST + b"\r\n")
        connection.shutdown(socket.SHUT_WR)
        answers = connection.makefile("rb").read()
    assert answers.index(b"HTTP/1.1 200") < answers.index(b"HTTP/1.1 404")


def test_client_that_stops_is_let_go(service: Service) -> None:
    """A client that stalls in the middle of a request is disconnected."""
    with pytest.raises(ConnectionError):
        service.speak(GET + b"Con", ends=False)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("a\nb", id="newline"),
        pytest.param("a\r\nX-Injected: b", id="injected header"),
        pytest.param("a\x00", id="null byte"),
        pytest.param("a\x1b[31m", id="escape sequence"),
        pytest.param("\u2028", id="line separator"),
    ],
)
def test_nothing_breaks_out_of_a_log_line(
    service: Service, deployment: Deployment, given: str
) -> None:
    """Log injection: every log line is one JSON object, whatever the request contains."""
    encoded = "".join(f"%{byte:02x}" for byte in given.encode())
    not_found = service.raw(f"/{encoded}.html?{encoded}")
    assert (not_found.status, not_found.headers["X-Injected"]) == (404, None)
    refused = service.speak(f"GET /{given} HTTP/1.1\r\n{given}: {given}\r\n\r\n".encode())
    assert refused.status == 400
    ids = {answer.headers["X-Request-Id"] for answer in (not_found, refused)}

    def logged() -> bool:
        lines = [json.loads(line) for line in deployment.log().splitlines()]
        return ids < {line.get("request_id") for line in lines}

    wait_until(logged)


def test_body_in_many_parts_keeps_nobody_waiting(alone: Deployment) -> None:
    """While a worker reads a body that comes in chunks of one byte, it answers others."""
    body = b"1\r\n \r\n" * 200_000
    with ThreadPoolExecutor() as threads:
        service, answers = Service(alone.url), 0
        head = b"POST /livez HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        # The worker reads the whole body before the next request of the connection.
        rest = b"0\r\n\r\nGET /livez HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
        with socket.create_connection(("127.0.0.1", int(alone.url.rpartition(":")[2]))) as client:
            sender = threads.submit(client.sendall, head + body + rest)
            reader = threads.submit(lambda: b"".join(iter(lambda: client.recv(9999), b"")))
            while not reader.done():
                answers += service.get("/livez").ok
            sender.result()
        assert reader.result().count(b"HTTP/1.1 ") == 2
        assert answers > 5
