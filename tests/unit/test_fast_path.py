"""Which requests are plain, and what is told of them."""

import pytest

from app.server import fast_path

HOST = b"Host: a\r\n"


def test_plain_request_is_told() -> None:
    """As a WSGI server would."""
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
        b"",
        b"GET /a HTTP/1.1\r\n\r\n",
        b"GET /a HTTP/1.0\r\n" + HOST + b"\r\n",
        b"get /a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"HEAD /a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://a/a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /a#b HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET  /a HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /a HTTP/1.1\r\n" + HOST,
        b"GET /a HTTP/1.1\r\n" + HOST + b"\r\nx",
        b"GET /a HTTP/1.1\r\n" + 2 * (HOST + b"\r\n"),
        b"GET /a HTTP/1.1\n" + HOST + b"\r\n",
        b"GET /a HTTP/1.1\r\nHost: a\n\r\n",
        *(
            b"GET /a HTTP/1.1\r\n" + HOST + more + b"\r\n\r\n"
            for more in (
                b"Host: b",
                b"hOST: a",
                b"X-Request-Id: a\r\nX-Request-Id: a",
                b"X-Forwarded-For: a\r\nX-Forwarded-For: b",
                b"Connection: close",
                b"Connection: keep-alive, Upgrade",
                b"Upgrade: h2c",
                b"Expect: 100-continue",
                b"Content-Length: 0",
                b"Content-Length: 1",
                b"Content-Type: a",
                b"Transfer-Encoding: chunked",
                b"Transfer_Encoding: chunked",
                b"X : a",
                b": a",
                b" folded",
                b"X: a\r\n folded",
                b"X: a\r\n\tfolded",
                b"X\x00: a",
                b"X: \x00",
                b"X: a\rContent-Length: 1",
                b"X: a\nContent-Length: 1",
                b"X: \xff",
                b"X",
            )
        ),
    ],
)
def test_what_is_not_plain_is_left_to_gunicorn(data: bytes) -> None:
    """Whatever there could be two opinions about."""
    assert fast_path.parse_plain_get(data, "192.0.2.7") is None


@pytest.mark.parametrize("last", [b"X: \xff", b"X_Y: a", b"Host: b", b"X:" + 5000 * b" " + b"\t"])
def test_many_headers_are_no_trouble(last: bytes) -> None:
    """The whole worker waits meanwhile: an expression that goes back and forth never ends here."""
    data = b"GET /a HTTP/1.1\r\n" + HOST + 300 * b"A: b\r\n" + last + b"\r\n\r\n"
    assert fast_path.parse_plain_get(data, "192.0.2.7") is None
