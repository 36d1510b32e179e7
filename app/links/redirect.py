"""`GET /<code>`: off to the link's target, by the rules that users of go-links know."""

import re
from urllib.parse import unquote

from flask import Response, abort, request
from werkzeug.routing import BaseConverter

from app.api import Blueprint
from app.links import clicks, codes, targets
from app.openapi import problems

ORIGIN = re.compile(r"^https?://[^/?#]*", flags=re.IGNORECASE)
REST = {
    "type": "string",
    "description": "Goes on to the target as it is, slashes too; no segment may be `.` or `..`.",
    "examples": ["install/linux"],
}

blueprint = Blueprint("redirect", __name__, description="Follow links.")


class RestOfPath(BaseConverter):
    """Anything, also nothing and slashes in a row."""

    regex = r"[\s\S]*?"
    part_isolating = False


@blueprint.route("/<free:code>/<rest:rest>", endpoint="follow_further")
@blueprint.route("/<free:code>")
@blueprint.doc(
    responses={302: {"description": "The target.", "headers": {"Location": "Location"}}}
    | problems(410)
)
def follow(**_decoded: str) -> Response:
    """Redirect to a link's target

    The click is counted first; `HEAD` counts nothing. What follows the code in the path is
    added to the target's path, and the query to its query.

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
