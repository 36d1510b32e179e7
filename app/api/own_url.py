"""This service's own address, for the URLs in its responses."""

from flask import abort, current_app, g, has_request_context, request

HOST_LENGTH = 255  # characters: the limit of DNS


def own_url() -> str:
    """Return this service's own address, without a slash at the end.

    Without PUBLIC_URL, it is the address that the request was sent to, or "" on the command line,
    which has no request.

    :raises werkzeug.exceptions.BadRequest: the request's `Host` header is not valid.
    """
    if "own_url" not in g:  # cached, because a list needs it for each row
        g.own_url = _own_url()
    url: str = g.own_url
    return url


def _own_url() -> str:
    url: str | None = current_app.config["PUBLIC_URL"]
    if url or not has_request_context():
        return url or ""
    host = request.host  # werkzeug returns "" for invalid characters
    if not 1 <= len(host) <= HOST_LENGTH:
        abort(400, "The Host header is not valid.")
    return f"{request.scheme}://{host}"
