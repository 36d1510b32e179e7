"""Plain GETs, answered ahead of gunicorn's parser and of Flask.

For an answer that is short and wanted very often, both cost many times what the answer does. A
part of the service can register a function for such answers; what it leaves, and what is not
plain, goes on as if nothing had been. Without a function, all does.
"""

import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from gunicorn import util

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

Done = Callable[[Mapping[str, str] | None], None]
Answer = Callable[["WSGIEnvironment", Done], bool]
"""Takes an environ like `environ`'s, begins to answer without waiting for anything, and says
whether it does. Later it calls the second argument once, with the headers of a 302; or with None
to pass, and then the application finds in its environ what was added to this one."""

EXTENSION = "ahead"  # the name of the Flask extension that is an `Answer`

# All of them printable ASCII. Where it is not like this, gunicorn decides what it means.
PLAIN = re.compile(rb"GET (/[!-\"$-~]*) HTTP/1\.1\r\n((?:[A-Za-z0-9-]+:[ -~]*\r\n)+)\r\n")
KNOWN = re.compile(
    r"^(host|connection|content-\w+|transfer-\w+|expect|upgrade|x-request-id|traceparent"
    r"|x-forwarded-for):(.*)\r$",
    re.IGNORECASE | re.MULTILINE,
)
# Those of them that change nothing. A plain request has each once, or not at all.
HARMLESS = {"host", "connection", "x-request-id", "traceparent", "x-forwarded-for"}


def environ(data: bytes, client: str) -> "WSGIEnvironment | None":
    """Return the little of a WSGI environ that an `Answer` needs, or None.

    :param data: all that was received of a connection since its last answer.
    :param client: its other end's address.
    """
    plain = PLAIN.fullmatch(data)
    if not plain:
        return None
    target = plain[1].decode()
    found = KNOWN.findall(plain[2].decode())
    headers = {name.lower(): value.strip() for name, value in found}
    if (
        len(headers) < len(found)
        or not headers.keys() <= HARMLESS
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
        "REMOTE_ADDR": client,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }


def response(headers: Mapping[str, str]) -> bytes:
    """Return a 302 with gunicorn's own headers and these."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{_start(int(time.time()))}{lines}Content-Length: 0\r\n\r\n".encode()


@lru_cache(maxsize=1)
def _start(_second: int) -> str:
    return (
        f"HTTP/1.1 302 FOUND\r\nServer: gunicorn\r\nDate: {util.http_date()}\r\n"
        "Connection: keep-alive\r\n"
    )
