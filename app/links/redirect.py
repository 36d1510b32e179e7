"""Redirect `GET /<code>` to the link's target, by the usual rules of go-links."""

import re
from urllib.parse import unquote

from flask import Flask, Response, request
from werkzeug.exceptions import Conflict, Gone, NotFound
from werkzeug.routing import BaseConverter

from app.api.openapi import named, problem_responses
from app.api.problems import http_error
from app.api.resources import Blueprint
from app.links import aliases, codes, targets
from app.links.aliases import GoalError
from app.links.click_counts import Target
from app.links.clicks import resolver
from app.links.service import UnknownCodeError

ORIGIN = re.compile(r"^https?://[^/?#]*", flags=re.IGNORECASE)
END_OF_PATH = re.compile("[?#]")
CACHE_CONTROL = "private, max-age=0"
# Key in the WSGI environ: the exception that the fast path met.
FAILURE = "slipway.links.failure"
ROUTE, ROUTE_WITH_REST = "/<unreserved:code>", "/<unreserved:code>/<rest:rest>"
REST = {
    "type": "string",
    "description": "Replaces `%s` in the target. Without `%s`, it is added unchanged to the"
    " target's path, unless it is empty. No segment can be `.` or `..`.",
    "examples": ["install/linux"],
}

FOUND = {302: {"description": "Follow `Location` to the target.", "headers": named("Location")}}

blueprint = Blueprint("redirect", __name__, description="Follow links to their targets.")


class LinkNotFound(NotFound):
    """A 404 response. For a user who can write, its page offers to create the link."""

    page = "unknown_code.html"
    description = "There is no link with this code."

    def __init__(self, code: str) -> None:
        super().__init__()
        self.unknown = code


class RestOfPath(BaseConverter):
    """A converter that matches any rest of a path: also nothing, or several slashes in a row."""

    regex = r"[\s\S]*?"
    part_isolating = False


def init_app(app: Flask) -> None:
    """Answer 404 if a view finds no link, and 409 if an alias would have no goal."""
    app.register_error_handler(UnknownCodeError, lambda error: http_error(LinkNotFound(error.code)))
    app.register_error_handler(GoalError, no_goal)


def no_goal(error: GoalError) -> Response:
    """Return a 409 that names the target of the alias."""
    conflict = Conflict("An alias needs a link that it leads to.")
    conflict.data = {"messages": {"json": error.messages}}  # type: ignore[attr-defined]
    return http_error(conflict)


@blueprint.route(ROUTE_WITH_REST, endpoint="follow_further")
@blueprint.route(ROUTE)
@blueprint.doc(responses=FOUND | problem_responses(410))
def follow(**_decoded: str) -> Response:
    """Redirect to a link's target

    The click is counted before the response is sent. `HEAD` counts no click. Any path after the
    code replaces `%s` in the target, or else is added to the target's path. The query is added to
    the target's query. Case and `-` in the
    code are ignored, and so is a single slash after it.

    :raises NotFound: there is no such link, or a "." or ".." segment follows the code.
    :raises Gone: the link has expired.
    """
    if failure := request.environ.get(FAILURE):
        raise failure.with_traceback(None)  # many requests raise it
    code, rest = as_received(request.environ["RAW_URI"])
    target = resolver().resolve(key(code, rest), counts=request.method == "GET")
    response = Response(status=302)
    response.headers["Location"] = location(target, code, rest, request.environ["QUERY_STRING"])
    response.headers["Cache-Control"] = CACHE_CONTROL
    del response.headers["Content-Type"]
    return response


def key(code: str, rest: str) -> str:
    """Return the lookup key of the link that a request asks for.

    :param rest: the path after the code, as received.
    :raises NotFound: no link can have this path.
    """
    lookup_key = codes.lookup_key(code)
    if (
        not codes.CODE.fullmatch(code)
        or lookup_key.endswith(codes.QR_CODES)
        or targets.has_dot_segment(rest)
    ):
        raise NotFound("There is no link with this path.")
    return lookup_key


def location(target: Target | None, code: str, rest: str, query: str) -> str:
    """Return the `Location` header of a redirect.

    :param rest: the path after the code, as received.
    :param query: the query, as received, without "?".
    :raises UnknownCodeError: there is no such link.
    :raises Gone: the link has expired.
    """
    if target is None:
        raise UnknownCodeError(code)
    if target.expired:
        if aliases.is_alias(target.url):
            raise NotFound(f"This link leads to {target.url}, but that leads nowhere.")
        raise Gone("This link has expired.")
    return targets.location_of(target.url, rest, query)


def as_received(uri: str) -> tuple[str, str]:
    """Split a request target into the decoded code and the undecoded rest of the path.

    WSGI's PATH_INFO is not enough, since it is decoded: in it, `/a%2Fb` looks like `/a/b`.
    """
    path = END_OF_PATH.split(ORIGIN.sub("", uri, count=1), maxsplit=1)[0]
    code, slash, rest = path.removeprefix("/").partition("/")
    return unquote(code), slash + rest
