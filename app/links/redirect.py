"""Redirect `GET /<code>` to the link's target, by the usual rules of go-links."""

import re
from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import unquote

from flask import Flask, Response, request
from sqlalchemy import RowMapping
from werkzeug.exceptions import Conflict, Gone, NotFound
from werkzeug.routing import BaseConverter

from app.api.headers import is_api, prefers_html
from app.api.openapi import named, problem_responses
from app.api.problems import http_error
from app.api.resources import Blueprint
from app.database import database
from app.database.errors import UNAVAILABLE
from app.identity import sessions
from app.links import aliases, codes, nearest, pasted, targets
from app.links.aliases import GoalError
from app.links.click_counts import Target
from app.links.clicks import resolver
from app.links.service import UnknownCodeError

ORIGIN = re.compile(r"^https?://[^/?#]*", flags=re.IGNORECASE)
END_OF_PATH = re.compile("[?#]")
CACHE_CONTROL = "private, max-age=0"
# Headers of a browser that loads a page before anybody asks for it, or shows it as a thumbnail.
PREFETCH_HEADERS = ("Sec-Purpose", "Purpose", "X-Moz", "X-Purpose")
PREFETCH = re.compile("prefetch|preview", flags=re.IGNORECASE)
# Key in the WSGI environ: the exception that the fast path met.
FAILURE = "slipway.links.failure"
ROUTE, ROUTE_WITH_REST = "/<unreserved:code>", "/<unreserved:code>/<rest:rest>"
PASTED_CODE = {
    "type": "string",
    "pattern": "^[^/]+$",
    "description": "The code of a link. Case and `-` are ignored, and so is what comes along when a"
    " link is pasted from a text: invisible characters, and punctuation and spaces at the end.",
    "examples": ["compose"],
}
REST = {
    "type": "string",
    "description": "Replaces `%s` in the target. Without `%s`, it is added unchanged to the"
    " target's path, unless it is empty. No segment can be `.` or `..`.",
    "examples": ["install/linux"],
}

FOUND = {302: {"description": "Follow `Location` to the target.", "headers": named("Location")}}

blueprint = Blueprint("redirect", __name__, description="Follow links to their targets.")


class LinkNotFound(NotFound):
    """A 404 response, whose page offers similar links, and to create the link that is missing.

    `unknown` is the code of that link, or "" if no link can have it.
    """

    page = "unknown_code.html"
    description = "There is no link with this code."

    def __init__(self, code: str, similar: Sequence[RowMapping]) -> None:
        super().__init__()
        self.unknown = code
        self.similar = similar


class PastedCode(BaseConverter):
    """A converter for the first segment of a path, which can have more characters than a code."""

    regex = r"[\s\S]+"  # without a slash in it, werkzeug matches segments one by one


class RestOfPath(BaseConverter):
    """A converter that matches any rest of a path: also nothing, or several slashes in a row."""

    regex = r"[\s\S]*?"
    part_isolating = False


def init_app(app: Flask) -> None:
    """Answer 404 if a view finds no link, and 409 if an alias would have no goal."""

    def not_found(error: UnknownCodeError) -> Response:
        unknown = "" if codes.is_reserved(app, error.code) else error.code
        return http_error(LinkNotFound(unknown, similar_links(error.code)))

    app.register_error_handler(UnknownCodeError, not_found)
    app.register_error_handler(GoalError, no_goal)


def no_goal(error: GoalError) -> Response:
    """Return a 409 that names the target of the alias."""
    conflict = Conflict("An alias needs a link that it leads to.")
    conflict.data = {"messages": {"json": error.messages}}  # type: ignore[attr-defined]
    return http_error(conflict)


def similar_links(code: str) -> Sequence[RowMapping]:
    """Return links to offer in place of an unknown one, to people who can list all links.

    Others get none: they could guess codes from them.
    """
    with suppress(*UNAVAILABLE):  # the page is useful without them
        if prefers_html() and not is_api() and sessions.is_signed_in():
            with database().read() as connection:
                return nearest.similar(connection, code)
    return []


@blueprint.route(ROUTE_WITH_REST, endpoint="follow_further")
@blueprint.route(ROUTE)
@blueprint.doc(responses=FOUND | problem_responses(410))
def follow(**_decoded: str) -> Response:
    """Redirect to a link's target

    The click is counted before the response is sent. `HEAD` counts no click, and neither does a
    browser that only prefetches or previews the target. Any path after the code replaces `%s` in
    the target, or else is added to the target's path. The query is added to the target's query. A
    single slash after the code is ignored.

    :raises NotFound: there is no such link, or a "." or ".." segment follows the code.
    :raises Gone: the link has expired.
    """
    if failure := request.environ.get(FAILURE):
        raise failure.with_traceback(None)  # many requests raise it
    received, rest = as_received(request.environ["RAW_URI"])
    code = pasted.clean(received)
    is_early = any(PREFETCH.match(request.headers.get(name, "")) for name in PREFETCH_HEADERS)
    counts = request.method == "GET" and not is_early
    target = resolver().resolve(key(code, rest), counts=counts)
    response = Response(status=302)
    response.headers["Location"] = location(target, code, rest, request.environ["QUERY_STRING"])
    # If a browser kept a prefetched response, it would not send the click that follows.
    response.headers["Cache-Control"] = "no-store" if is_early else CACHE_CONTROL
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
    :raises NotFound: it is an alias that leads nowhere.
    :raises Gone: the link has expired.
    """
    if target is None:
        raise UnknownCodeError(code)
    if target.expired:
        raise Gone("This link has expired.")
    if aliases.is_alias(target.url):
        raise NotFound(f"This link leads to {target.url}, but that leads nowhere.")
    return targets.location_of(target.url, rest, query)


def as_received(uri: str) -> tuple[str, str]:
    """Split a request target into the decoded code and the undecoded rest of the path.

    WSGI's PATH_INFO is not enough, since it is decoded: in it, `/a%2Fb` looks like `/a/b`.
    """
    path = END_OF_PATH.split(ORIGIN.sub("", uri, count=1), maxsplit=1)[0]
    code, slash, rest = path.removeprefix("/").partition("/")
    return unquote(code), slash + rest
