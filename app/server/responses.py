"""Complete HTTP responses as bytes, for requests that don't reach Flask."""

import json
import random
import time
from collections.abc import Mapping
from functools import lru_cache

from gunicorn import util
from werkzeug.http import HTTP_STATUS_CODES

from app.api.headers import BASE_HEADERS
from app.api.problems import MEDIA_TYPE, RETRY_AFTER, problem_body


def redirect(headers: Mapping[str, str]) -> bytes:
    """Return a 302 response with these headers, and with those that gunicorn adds."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{_head_of_302(int(time.time()))}{lines}Content-Length: 0\r\n\r\n".encode()


@lru_cache(maxsize=1)
def _head_of_302(_second: int) -> str:
    return (
        f"HTTP/1.1 302 FOUND\r\nServer: gunicorn\r\nDate: {util.http_date()}\r\n"
        "Connection: keep-alive\r\n"
    )


def overloaded(method: str = "GET") -> bytes:
    """Return a 503 response for a shed request. The connection stays open."""
    request_id = b"%032x" % random.getrandbits(128)  # no secret, and cheap
    response = _OVERLOADED_HEAD if method == "HEAD" else _OVERLOADED
    return response.replace(_PLACEHOLDER.encode(), request_id)


def problem(status: int, detail: str, request_id: str, header: str) -> bytes:
    """Return an error response in the format of RFC 9457 (problem details).

    :param header: one more header line, without its line end.
    """
    body = json.dumps(problem_body(status, detail, ""))
    lines = [
        f"HTTP/1.1 {status} {HTTP_STATUS_CODES[status]}",
        *(f"{name}: {value}" for name, value in BASE_HEADERS.items()),
        f"Content-Length: {len(body)}",
        f"Content-Type: {MEDIA_TYPE}",
        f"X-Request-Id: {request_id}",
        header,
        "",
        body,
    ]
    return "\r\n".join(lines).encode()


_PLACEHOLDER = "0" * 32  # each response has its own request id here
_DETAIL = "The service is overloaded. Try again."
_OVERLOADED = problem(503, _DETAIL, _PLACEHOLDER, f"Retry-After: {RETRY_AFTER}")
_OVERLOADED_HEAD = _OVERLOADED.partition(b"{")[0]  # without the body
