"""This service's own address, for the URLs in its answers."""

from flask import abort, current_app, g, has_request_context, request

HOST_LENGTH = 255  # characters, as DNS has it


def own_url() -> str:
    """Return this service's own address, without a slash at its end.

    Without PUBLIC_URL it is the host that the request asks for, and on the command line "".
    """
    if "own_url" not in g:  # a page of links asks for each
        g.own_url = _own_url()
    url: str = g.own_url
    return url


def _own_url() -> str:
    url: str | None = current_app.config["PUBLIC_URL"]
    if url or not has_request_context():
        return url or ""
    host = request.host  # "" where it has odd characters
    if not 1 <= len(host) <= HOST_LENGTH:
        abort(400, "The Host header is not valid.")
    return f"{request.scheme}://{host}"
