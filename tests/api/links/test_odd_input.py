"""Malformed bodies and headers when creating links."""

import json

import pytest

from tests.api.conftest import Deployment
from tests.api.test_odd_input import assert_problem
from tests.support.links.client import TARGET, Links
from tests.support.service import RawAnswer, Service

BODY = json.dumps({"url": TARGET}).encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LARGE = b"10000\r\n" + b" " * 65_536 + b"\r\n"


def post(
    service: Service, rest: bytes, host: bytes = b"localhost", *, ends: bool = True
) -> RawAnswer:
    """Send a request to create a link, with these bytes after its first headers."""
    head = b"POST /api/links HTTP/1.1\r\nContent-Type: application/json\r\nHost: " + host
    token = b"\r\nAuthorization: Bearer " + service.token.encode() + b"\r\n"
    return service.speak(head + token + rest, ends=ends)


def whole(body: bytes) -> bytes:
    """Return a body with its Content-Length header."""
    return b"Content-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        # Body framing.
        pytest.param(CHUNKED + b"xyz\r\n", 400, id="non-numeric chunk size"),
        pytest.param(CHUNKED + b"f" * 20 + b"\r\n", 400, id="huge chunk size"),
        pytest.param(
            CHUNKED + b"%x\r\n" % len(BODY) + BODY + b"XX0\r\n\r\n",
            400,
            id="chunk longer than its size",
        ),
        pytest.param(CHUNKED + b"%x\r\n" % len(BODY) + BODY, 400, id="incomplete chunked body"),
        pytest.param(
            CHUNKED
            + b"10000\r\n"
            + BODY
            + b" " * (65_536 - len(BODY))
            + b"\r\n1\r\n \r\n0\r\n\r\n",
            413,
            id="chunks a byte over the limit",
        ),
        pytest.param(CHUNKED + LARGE * 2 + b"0\r\n\r\n", 413, id="large chunks"),
        pytest.param(CHUNKED + LARGE * 2 + b"xyz\r\n", 413, id="large chunks and a broken one"),
        pytest.param(b"Content-Length: 100\r\n\r\n" + BODY, 400, id="incomplete body"),
        pytest.param(b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 413, id="huge length"),
        pytest.param(b"Content-Encoding: gzip\r\n" + whole(BODY), 415, id="compressed body"),
        # Content of the body.
        pytest.param(whole(b"\xef\xbb\xbf" + BODY), 400, id="byte order mark"),
        pytest.param(whole(b'{"url": "\xed\xa0\x80"}'), 400, id="surrogate in UTF-8"),
        pytest.param(whole(b'{"url": "\0"}'), 400, id="null byte"),
        pytest.param(
            whole(b'{"url": ' + b"[" * 500 + b"]" * 500 + b"}"), 422, id="deeply nested URL"
        ),
        pytest.param(whole(b'{"url": 1e999}'), 422, id="infinite number"),
        pytest.param(whole(b'{"url": -0.0}'), 422, id="negative zero"),
        pytest.param(whole(b'{"\\ud800~/\\n": 1}'), 422, id="odd field name"),
        pytest.param(
            whole(b'{"url": "https://\\u2100.com"}'), 422, id="host that normalizes to a path"
        ),
        pytest.param(whole(b'{"url": "https://xn--\\udc00"}'), 422, id="surrogate in the host"),
        pytest.param(whole(b'{"url": "https://a\\u0000b.com"}'), 422, id="null byte in the host"),
        pytest.param(
            whole(b'{"url": "https://[::1%25\\u0301]/"}'), 422, id="accent in an IPv6 zone"
        ),
        # Headers.
        pytest.param(b"Idempotency-Key:\r\n" + whole(BODY), 400, id="empty key"),
        pytest.param(b"Idempotency-Key: \xff\r\n" + whole(BODY), 400, id="non-ASCII key"),
        pytest.param(
            b"Idempotency-Key: " + b"x" * 256 + b"\r\n" + whole(BODY), 400, id="key too long"
        ),
    ],
)
def test_odd_creation_is_a_problem(service: Service, rest: bytes, status: int) -> None:
    """A body that is incomplete, too long, compressed or invalid gets problem details."""
    assert_problem(post(service, rest), status)


def test_client_that_leaves_at_the_limit_of_a_body_is_no_fault(
    deployment: Deployment, service: Service
) -> None:
    """A chunked body that is cut off exactly at its limit gets 400, and a line without an error."""
    answer = post(service, CHUNKED + LARGE)
    assert_problem(answer, 400)
    line = deployment.line(str(answer.headers["X-Request-Id"]))
    assert (line["level"], "exception" in line) == ("info", False)


@pytest.mark.parametrize(
    "nested",
    [
        pytest.param(b"[" * 32_000 + b"]" * 32_000, id="lists"),
        pytest.param(b'{"url": ' * 6_000 + b"1" + b"}" * 6_000, id="objects"),
    ],
)
def test_deep_body_is_refused(service: Service, nested: bytes) -> None:
    """A deeply nested body is rejected with 400 by the parser or with 422 by the schema.

    Which of them rejects it depends on Python's version.
    """
    answer = post(service, whole(b'{"url": ' + nested + b"}"))
    assert_problem(answer, 422 if answer.status == 422 else 400)


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(b"<script>", id="markup"),
        pytest.param(b"a b", id="space"),
        pytest.param(b"[::", id="half an IPv6 address"),
        pytest.param(b"a:99999", id="huge port"),
        pytest.param(b"a." * 200, id="long host"),
        pytest.param(b"\xff", id="not ASCII"),
    ],
)
def test_odd_host_is_in_no_short_url(service: Service, host: bytes) -> None:
    """An invalid Host header is rejected with 400, because the short URL would contain it."""
    assert_problem(post(service, whole(BODY), host), 400)


def test_body_that_never_comes_is_not_waited_for(service: Service) -> None:
    """A client that announces a body but sends none gets 400 after a time-out."""
    assert_problem(post(service, b"Content-Length: 100\r\n\r\n", ends=False), 400)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("🚀", id="emoji"),
        pytest.param("\u202eabc\u2066", id="direction marks"),
        pytest.param("\ufeff", id="byte order mark"),
        pytest.param("e\u0301", id="combining accent"),
        pytest.param("\ufffd\uffff", id="noncharacter"),
        pytest.param("'\"<&", id="quotes and markup"),
    ],
)
def test_any_text_comes_back_as_it_was(service: Service, links: Links, text: str) -> None:
    """Titles and tags are stored as they were sent, without Unicode normalization."""
    link = links.create(title=text, tags=[text])
    assert (link["title"], link["tags"]) == (text, [text])
    assert service.get(f"/api/links/{link['code']}").json() == link


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param("1_0", id="underscore"),
        pytest.param("%D9%A2", id="Arabic digit"),
        pytest.param("+5", id="plus sign"),
        pytest.param("%205", id="leading space"),
        "5.0",
        "1e1",
        "0x10",
        pytest.param("", id="empty"),
        "-0",
    ],
)
def test_only_digits_are_a_number(service: Service, limit: str) -> None:
    """Numbers in the query are digits only, although Python's int() accepts more."""
    assert service.get(f"/api/links?limit={limit}").status_code == 422
