"""`GET /<code>`: off to the link's target, by the rules that users of go-links know."""

import re
from urllib.parse import unquote

from flask import Flask, Response, abort, request
from werkzeug.routing import BaseConverter

from app.links import clicks, codes, targets

ORIGIN = re.compile(r"[a-z]+://[^/?#]*", flags=re.IGNORECASE)


class RestOfPath(BaseConverter):
    """Anything, also nothing and slashes in a row."""

    regex = ".*?"
    part_isolating = False


def init_app(app: Flask) -> None:
    """Add the routes; whatever else the service answers goes before them."""
    app.url_map.converters["rest"] = RestOfPath
    app.add_url_rule("/<code>", view_func=follow)
    app.add_url_rule("/<code>/<rest:rest>", view_func=follow)


def follow(**_decoded: str) -> Response:
    """Redirect to a link's target, once the click is counted; HEAD counts nothing.

    :raises NotFound: no such link, or a "." or ".." segment follows its code.
    :raises Gone: the link has expired.
    """
    code, rest = _as_received(request.environ["RAW_URI"])
    if not codes.CODE.fullmatch(code) or targets.has_dot_segment(rest):
        abort(404, "No link can have this path.")
    target = clicks.resolve(codes.lookup_key(code), counts=request.method == "GET")
    if target is None:
        abort(404, "There is no link with this code.")
    if target.expired:
        abort(410, "This link has expired.")
    query = request.environ["QUERY_STRING"]
    response = Response(status=302)
    response.headers["Location"] = targets.location(target.url, rest, query)
    response.headers["Cache-Control"] = "private, max-age=0"
    del response.headers["Content-Type"]
    return response


def _as_received(uri: str) -> tuple[str, str]:
    """Split a request's target into the code and what follows it, which is not decoded.

    The decoded path would not do: in it, `/a%2Fb` looks like `/a/b`.
    """
    path = re.split("[?#]", ORIGIN.sub("", uri, count=1), maxsplit=1)[0]
    code, slash, rest = path.removeprefix("/").partition("/")
    return unquote(code), slash + rest
