"""The fast path: plain GETs that are answered without gunicorn's parser and without Flask.

For a short answer that is requested very often, both cost many times what the answer itself costs.
A feature can register one handler for such answers. Requests that the handler declines, or that
are not plain GETs, take the normal path. Without a handler, all requests do.
"""

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Respond = Callable[[Mapping[str, str] | None], None]
Handler = Callable[["WSGIEnvironment", Respond], bool]
"""Takes an environ as `parse_plain_get` returns it, and starts to answer without waiting. Returns
False to decline. Otherwise it calls the second argument once, with the headers of a 302, or with
None to pass the request on to the application, which also gets what was added to the environ."""

EXTENSION = "fast_path"  # the key in `app.extensions` of the application's `Handler`

# All of it printable ASCII. Where a request looks different, gunicorn decides what it means.
PLAIN_GET = re.compile(rb"GET (/[!-\"$-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+:[ -~]*\r\n)+)\r\n")
RELEVANT_HEADERS = re.compile(
    r"^(host|connection|content-\w+|transfer-\w+|expect|upgrade|x-request-id|traceparent"
    r"|x-forwarded-for):(.*)\r$",
    re.IGNORECASE | re.MULTILINE,
)
# Those of them that a plain request may have, once each.
ALLOWED_HEADERS = {"host", "connection", "x-request-id", "traceparent", "x-forwarded-for"}


def parse_plain_get(data: bytes, client_address: str) -> "WSGIEnvironment | None":
    """Return the few keys of a WSGI environ that a `Handler` needs, or None.

    :param data: everything that a connection has received since its last answer.
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
