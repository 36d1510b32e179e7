"""The fast path: plain GETs that are answered without gunicorn's parser and without Flask.

For a short response that is requested very often, both cost many times what the response itself
costs. A feature can register one handler for such responses. Requests that the handler declines,
or that are not plain GETs, take the normal path. Without a handler, all requests do.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Respond = Callable[[Mapping[str, str] | None], None]
"""Sends a 302 with the given headers. None passes the request on to the application instead.

Call it exactly once. Any greenlet of the worker may call it, and it doesn't wait."""

Handler = Callable[["WSGIEnvironment", Respond], bool]
"""Begins to answer a request and returns True, or returns False to decline it.

It gets the environ that `parse_plain_get` returns, and a `Respond` to call, at once or later. A
callback of gevent's loop calls the handler, so the handler must not wait. If `Respond` passes the
request on, or the handler declines it, the application also gets the keys that the handler added to
the environ."""

EXTENSION = "fast_path"  # the key of the `Handler` in `app.extensions`

# A request of printable ASCII, with no more headers than gunicorn accepts (`limit_request_fields`).
# gunicorn parses all requests that look different.
PLAIN_GET = re.compile(rb"GET (/[!-\"$-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+:[ -~]*\r\n){1,100})\r\n")
# Grouped by their beginnings: a pattern with more alternatives would cost more for each header.
RELEVANT_HEADERS = re.compile(
    r"^(host|content-\w+|connection|expect|t(?:ransfer-\w+|race(?:parent|state))|upgrade"
    r"|x-(?:request-id|forwarded-(?:for|proto|host)|moz|purpose)|sec-purpose|purpose):(.*)\r$",
    re.IGNORECASE | re.MULTILINE,
)
# Those of RELEVANT_HEADERS that a plain request can have, each at most once.
ALLOWED_HEADERS = {
    *("host", "connection", "x-request-id", "traceparent", "tracestate"),
    *("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"),
}
# A host with a label that is empty or longer than 63 characters, to which Flask answers 400.
IMPOSSIBLE_HOST = re.compile(r"(?:^|[., ])\.|[^.:, ]{64}")


def parse_plain_get(data: bytes, client_address: str) -> "WSGIEnvironment | None":
    """Return the few keys of a WSGI environ that a `Handler` needs, or None if it is no plain GET.

    :param data: everything that the connection has received since its last response.
    """
    plain = PLAIN_GET.fullmatch(data)
    if not plain:
        return None
    target = plain[1].decode()
    found = RELEVANT_HEADERS.findall(plain[2].decode())
    headers = {name.lower(): value.strip() for name, value in found}
    if (
        len(headers) < len(found)
        or not headers.keys() <= ALLOWED_HEADERS
        or "host" not in headers
        or headers.get("connection", "keep-alive").lower() != "keep-alive"
        or IMPOSSIBLE_HOST.search(f"{headers['host']},{headers.get('x-forwarded-host', '')}")
    ):
        return None
    path, _, query = target.partition("?")
    return {
        "REQUEST_METHOD": "GET",
        "RAW_URI": target,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": client_address,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
