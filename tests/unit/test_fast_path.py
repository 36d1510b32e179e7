"""The fast path's parser: which requests are plain GETs, and what it returns for them."""

import pytest

from app.server import fast_path

HOST = b"Host: a\r\n"
ODD_HEADERS = {
    "second host": b"Host: b",
    "same host in another case": b"hOST: a",
    "request ID twice": b"X-Request-Id: a\r\nX-Request-Id: a",
    "forwarded address twice": b"X-Forwarded-For: a\r\nX-Forwarded-For: b",
    "connection that closes": b"Connection: close",
    "connection that upgrades": b"Connection: keep-alive, Upgrade",
    "upgrade": b"Upgrade: h2c",
    "expectation": b"Expect: 100-continue",
    "empty body": b"Content-Length: 0",
    "body of one byte": b"Content-Length: 1",
    "content type": b"Content-Type: a",
    "chunked": b"Transfer-Encoding: chunked",
    "prefetch": b"Sec-Purpose: prefetch;prerender",
    "prefetch of an older browser": b"purpose: prefetch",
    "prefetch of Firefox": b"X-moz: prefetch",
    "preview of Safari": b"X-Purpose: preview",
    "chunked with an underscore": b"Transfer_Encoding: chunked",
    "space before the colon": b"X : a",
    "empty name": b": a",
    "folded host": b" folded",
    "folded header": b"X: a\r\n folded",
    "folded with a tab": b"X: a\r\n\tfolded",
    "null byte in a name": b"X\x00: a",
    "null byte in a value": b"X: \x00",
    "bare CR": b"X: a\rContent-Length: 1",
    "bare LF": b"X: a\nContent-Length: 1",
    "value that is not ASCII": b"X: \xff",
    "no colon": b"X",
    "impossible forwarded host": b"X-Forwarded-Host: a, .b",
}


def test_plain_request_is_parsed() -> None:
    """For a plain GET, the parser returns the few environ keys that a handler needs."""
    headers = b"host:a\r\nX-Y: x: y\r\nX-Request-ID:  7 \r\nConnection: Keep-Alive\r\n"
    data = b"GET /a%C3%A4/b?c=%20?d HTTP/1.1\r\n" + headers + b"\r\n"
    assert fast_path.parse_plain_get(data, "192.0.2.7") == {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/a%C3%A4/b?c=%20?d",
        "PATH_INFO": "/a\xc3\xa4/b",
        "QUERY_STRING": "c=%20?d",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "a",
        "HTTP_X_REQUEST_ID": "7",
        "HTTP_CONNECTION": "Keep-Alive",
    }


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /a HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: a..b\r\n\r\n", id="empty label in the host"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: .a\r\n\r\n", id="dot before the host"),
        pytest.param(
            b"GET /a HTTP/1.1\r\nHost: " + b"a" * 64 + b"\r\n\r\n", id="long label of the host"
        ),
        pytest.param(b"GET /a HTTP/1.0\r\n" + HOST + b"\r\n", id="HTTP/1.0"),
        pytest.param(b"get /a HTTP/1.1\r\n" + HOST + b"\r\n", id="lower-case method"),
        pytest.param(b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n", id="HEAD"),
        pytest.param(b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", id="target without a slash"),
        pytest.param(b"GET http://a/a HTTP/1.1\r\n" + HOST + b"\r\n", id="absolute target"),
        pytest.param(b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n", id="fragment"),
        pytest.param(b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n", id="target that is not ASCII"),
        pytest.param(b"GET  /a HTTP/1.1\r\n" + HOST + b"\r\n", id="two spaces"),
        pytest.param(b"GET /a HTTP/1.1\r\n" + HOST, id="no empty line at the end"),
        pytest.param(b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nx", id="byte after the end"),
        pytest.param(b"GET /a HTTP/1.1\r\n" + 2 * (HOST + b"\r\n"), id="header after the end"),
        pytest.param(b"GET /a HTTP/1.1\n" + HOST + b"\r\n", id="bare LF after the request line"),
        pytest.param(b"GET /a HTTP/1.1\r\nHost: a\n\r\n", id="bare LF after a header"),
        *(
            pytest.param(b"GET /a HTTP/1.1\r\n" + HOST + more + b"\r\n\r\n", id=name)
            for name, more in ODD_HEADERS.items()
        ),
    ],
)
def test_unusual_requests_are_left_to_gunicorn(data: bytes) -> None:
    """Any request that parsers could read in different ways is left to gunicorn's parser."""
    assert fast_path.parse_plain_get(data, "192.0.2.7") is None


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(b"X: \xff", id="not ASCII"),
        pytest.param(b"X_Y: a", id="underscore in a name"),
        pytest.param(b"Host: b", id="second host"),
        pytest.param(b"X:" + 5000 * b" " + b"\t", id="long value"),
    ],
)
def test_many_headers_are_no_trouble(last: bytes) -> None:
    """Many headers cause no catastrophic backtracking in the parser's regular expressions.

    It would block the whole worker.
    """
    data = b"GET /a HTTP/1.1\r\n" + HOST + 98 * b"A: b\r\n" + last + b"\r\n\r\n"
    assert fast_path.parse_plain_get(data, "192.0.2.7") is None
