"""The rules of targets: which URLs are accepted, and how a request's path is added to them."""

import re
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from werkzeug.urls import iri_to_uri

URL_LENGTH = 2048
UNSAFE = re.compile(r"[\s\ufeff\\\x00-\x20\x7f-\x9f\ud800-\udfff]")  # with JavaScript's \s
SEPARATOR = re.compile(r"[/\\]|%5c", flags=re.IGNORECASE)  # as browsers read a path
HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")  # a name or an IPv6 address
# Letters that older rules for names map to other letters, and so to other domains.
AMBIGUOUS = re.compile("[\u00df\u1e9e\u03c2\u200c\u200d]")
DEFAULT_PORTS = {"http": 80, "https": 443}
# What may be in a URI's path and query (RFC 3986, appendix A), and `%`.
ALLOWED = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"<>[\\]^`{|}')
# Most targets are URIs already. `iri_to_uri` would find that out at ten times the cost.
PLAIN_URI = re.compile(
    r"https?://[a-z0-9.-]+(:[1-9][0-9]*)?(/[\w!$%&'()*+,/:;=@.~-]*(\?[\w!$%&'()*+,/:;=?@.~-]+)?)?",
    re.ASCII,
)


def rejection_reason(url: str, own_url: str) -> str | None:
    """Return in one sentence why a URL can't be a target, or None if it can.

    :param own_url: this service's own address: a target there could be a loop.
    """
    if len(url) > URL_LENGTH:
        return f"Must have at most {URL_LENGTH} characters."
    if UNSAFE.search(url):
        return "Must not contain spaces, control characters or backslashes."
    try:
        scheme, host, port = _origin(url)
        own_host_and_port = _origin(own_url)[1:]
        ambiguous = AMBIGUOUS.search(urlsplit(url).netloc)
    except ValueError:
        return "Must be a valid URL."
    if scheme not in DEFAULT_PORTS or ambiguous or not HOST.fullmatch(host):
        return "Must be an absolute http or https URL with a valid host."
    if (host, port) == own_host_and_port:
        return "Must not lead back to this service."
    return None


@lru_cache  # for the service's own address, with each new link
def _origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port; None for a default port, which often redirects to the other."""
    parts = urlsplit(iri_to_uri(url))
    host = (parts.hostname or "").rstrip(".")
    return parts.scheme, host, None if parts.port in DEFAULT_PORTS.values() else parts.port


def has_dot_segment(rest: str) -> bool:
    """Return whether a path could leave the path that it is added to, encoded or not."""
    return any(unquote(segment) in {".", ".."} for segment in SEPARATOR.split(rest))


def location_of(url: str, rest: str = "", query: str = "") -> str:
    """Return a link's target with the rest of the request's path and query added, as ASCII.

    :param rest: what followed the code in the request's path, as received: "" or "/…".
    :param query: the request's query, as received, without "?".
    """
    target = _uri(url)
    if not rest and not query:
        return target
    before, hash_mark, fragment = target.partition("#")
    path, _, own_query = before.partition("?")
    if rest and path.endswith("/"):
        path = path[:-1]
    queries = "&".join(q for q in (own_query, _ascii(query)) if q)
    return path + _ascii(rest) + (f"?{queries}" if queries else "") + hash_mark + fragment


def _uri(url: str) -> str:
    return url if PLAIN_URI.fullmatch(url) else iri_to_uri(url)


def _ascii(received: str) -> str:
    """Escape what a client should have escaped, and leave the rest as it is.

    A backslash too, which browsers read as a slash.
    """
    return quote(received, safe=ALLOWED, encoding="latin-1")
