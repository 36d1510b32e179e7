"""The rules for targets: which URLs are accepted, and how a request's path is added to them."""

import re
from functools import lru_cache
from urllib.parse import quote, unquote, urlsplit

from werkzeug.urls import iri_to_uri

from app.links import codes

URL_LENGTH = 3000
ALIAS = re.compile(f"/{codes.CODE.pattern}")  # the target of an alias: see aliases.py
UNSAFE = re.compile(r"[\s\ufeff\\\x00-\x20\x7f-\x9f\ud800-\udfff]")  # \ufeff as in JavaScript's \s
# What people paste around a URL, and do not see.
SPACES = " \t\r\n\u00a0\u200b\u2060\u3000\ufeff"
# A slash, or a backslash, which browsers and some servers read as a slash.
SEPARATOR = re.compile(r"[/\\]|%5c", flags=re.IGNORECASE)
# User, host and port. Python 3.11 finds a host in some URLs that have none, and ignores brackets.
AUTHORITY = re.compile(r"([^\[\]]*@)?(\[[0-9A-Fa-f:.]+\]|[^\[\]:@]+)(:[0-9]*)?")
HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]*:[0-9a-f:.]*")  # a name or an IPv6 address
# Characters that older rules for domain names (IDNA 2003) map to others, and so to other domains.
AMBIGUOUS = re.compile("[\u00df\u1e9e\u03c2\u200c\u200d]")
DEFAULT_PORTS = {"http": 80, "https": 443}
# The characters allowed in the path and query of a URI (RFC 3986, appendix A), and `%`.
ALLOWED = "".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"<>[\\]^`{|}')
# The place in a target for the rest of the path. No valid URI contains it, because `s` is no
# hexadecimal digit. After `%` or `%2`, it could complete another escape, so it is none there.
PLACEHOLDER = r"(?<!%)(?<!%[0-9A-Fa-f])%s"
TEMPLATE = re.compile(rf"((?i:https?)://[^/?#]*[/?#].*?){PLACEHOLDER}(.*)", flags=re.DOTALL)
IN_QUERY = "".join(c for c in ALLOWED if c not in "&+;=")  # they have a meaning in a query
# Most targets already are URIs. This check costs a tenth of `iri_to_uri`.
PLAIN_URI = re.compile(
    r"https?://[a-z0-9.-]+(:[1-9][0-9]*)?(/[\w!$%&'()*+,/:;=@.~-]*(\?[\w!$%&'()*+,/:;=?@.~-]+)?)?",
    re.ASCII,
)


def rejection_reason(url: str, own_url: str) -> str | None:
    """Return why a URL can't be a target, as one sentence, or None if it can.

    :param own_url: this service's own address. A target there could be a redirect loop.
    """
    if len(url) > URL_LENGTH:
        return f"Must have at most {URL_LENGTH:,} characters."
    if UNSAFE.search(url):
        return "Must not contain spaces, control characters or backslashes."
    try:
        scheme, host, port = _origin(url)
        own_host_and_port = _own_origin(own_url)[1:]
        authority = urlsplit(url).netloc
    except ValueError:
        return "Must be a valid URL."
    valid = AUTHORITY.fullmatch(authority) and not AMBIGUOUS.search(authority)
    valid = valid and not re.search(PLACEHOLDER, authority)
    if scheme not in DEFAULT_PORTS or not valid or not HOST.fullmatch(host):
        return "Must be an absolute http or https URL with a valid host."
    if (host, port) == own_host_and_port:
        return "Must not lead back to this service."
    is_repeated = len(re.findall(PLACEHOLDER, url)) > 1
    return "Must not contain %s more than once." if is_repeated else None


def relative(url: str, own_url: str) -> str:
    """Return the target of an alias if a URL is that of a link here, and else the URL."""
    if len(url) > URL_LENGTH or UNSAFE.search(url):
        return url
    try:
        scheme, host, port = _origin(url)
        is_own = host and scheme in DEFAULT_PORTS and (host, port) == _own_origin(own_url)[1:]
        parts = urlsplit(url)
    except ValueError:
        return url
    is_bare = not (parts.query or parts.fragment or parts.username)
    return parts.path if is_own and is_bare and ALIAS.fullmatch(parts.path) else url


def _origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port.

    The port is None if it is 80 or 443, since one of them often redirects to the other.
    """
    parts = urlsplit(iri_to_uri(url))
    host = (parts.hostname or "").rstrip(".")
    return parts.scheme, host, None if parts.port in DEFAULT_PORTS.values() else parts.port


_own_origin = lru_cache(_origin)  # it is parsed for each new link


def has_dot_segment(rest: str) -> bool:
    """Return whether a path contains a "." or ".." segment, encoded or not (path traversal)."""
    return any(unquote(segment) in {".", ".."} for segment in SEPARATOR.split(rest))


def location_of(url: str, rest: str = "", query: str = "") -> str:
    """Return a link's target in ASCII, with the rest of the request's path and its query added.

    The rest replaces `%s` in the target. Without `%s`, it follows the target's path.

    :param rest: the request's path after the code, as received: "" or "/…". A slash alone counts
        as nothing: people and programs add it, and a target that is a file would break.
    :param query: the request's query, as received, without "?".
    """
    target = _uri(url)
    rest = "" if rest == "/" else rest
    if "%s" in target and (template := TEMPLATE.fullmatch(target)):
        before, after = template.groups()
        is_in_query = "?" in before and "#" not in before
        target = before + _ascii(rest[1:], IN_QUERY if is_in_query else ALLOWED) + after
        rest = ""
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


def _ascii(received: str, allowed: str = ALLOWED) -> str:
    """Percent-encode the characters that a client should have encoded, and keep the rest.

    This includes the backslash, which browsers treat as a slash.
    """
    return quote(received, safe=allowed, encoding="latin-1")
