"""What trusted proxies report about a client: its address, and the scheme and host that it used.

This replaces werkzeug's ProxyFix, which keeps the ports that some proxies add to addresses, and
counts all headers alike. Each proxy appends to `X-Forwarded-For`, so an address counts from the
right. But proxies set `X-Forwarded-Proto` and `X-Forwarded-Host`, so there the last value counts.
A client can add values to all three, but only in front of those of the proxies.
"""

from collections.abc import Callable
from ipaddress import IPv4Address, ip_address
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

SCHEMES = {"http", "https"}


def trust(proxies: int, call: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a WSGI application, or a handler of the fast path, that is behind trusted proxies.

    It gets the client's address, scheme and host in its environ. If a header is missing or
    malformed, its part of the environ stays that of the connection.

    :param proxies: how many proxies append to `X-Forwarded-For`; at least 1.
    """

    def call_behind_proxies(environ: "WSGIEnvironment", respond: Any) -> Any:
        addresses = environ.get("HTTP_X_FORWARDED_FOR", "").split(",")
        if len(addresses) >= proxies and (address := plain_address(addresses[-proxies])):
            environ["REMOTE_ADDR"] = address
        if (scheme := _last(environ, "HTTP_X_FORWARDED_PROTO").lower()) in SCHEMES:
            environ["wsgi.url_scheme"] = scheme
        if host := _last(environ, "HTTP_X_FORWARDED_HOST"):
            environ["HTTP_HOST"] = host
        return call(environ, respond)

    return call_behind_proxies


def _last(environ: "WSGIEnvironment", name: str) -> str:
    value: str = environ.get(name, "")
    return value.rpartition(",")[2].strip()


def plain_address(text: str) -> str | None:
    """Return an IP address without its port, or None if the text is no IP address.

    An IPv4 address in IPv6 form (`::ffff:192.0.2.1`) is returned as IPv4.

    :param text: for example `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1` or `[2001:db8::1]:80`.
    """
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return host if isinstance(address, IPv4Address) else str(address.ipv4_mapped or address)
