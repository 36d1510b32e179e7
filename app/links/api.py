"""`/api/links`: create, read, list, change and delete links, and read their clicks."""

from typing import Any

from flask import Response, abort, g, jsonify, request, url_for
from flask_smorest import abort as abort_with
from sqlalchemy.exc import InternalError
from sqlalchemy.orm import Session
from werkzeug.exceptions import Conflict
from werkzeug.http import quote_etag

from app import rate_limit
from app.api import Blueprint
from app.database import database, is_too_broad
from app.idempotency import once
from app.links import series, store
from app.links.models import Link
from app.links.schemas import (
    Cursor,
    LinkCreateSchema,
    LinkPatchSchema,
    LinkSchema,
    PageArgumentsSchema,
    PageSchema,
    SeriesArgumentsSchema,
    SeriesSchema,
)

RANDOM_ATTEMPTS = 5  # to find a free random code; the first one nearly always is

blueprint = Blueprint("links", __name__, url_prefix="/api/links")


@blueprint.route("", methods=["POST"])
@blueprint.arguments(LinkCreateSchema)
@blueprint.response(201, LinkSchema)
def create(fields: dict[str, Any]) -> Response:
    """Create a link"""
    rate_limit.count("create", str(g.token.id))

    def work(session: Session) -> Response:
        link = store.create(session, fields)
        response: Response = jsonify(LinkSchema().dump(link))
        response.status_code = 201
        response.location = url_for("links.read", code=link.code)
        response.set_etag(etag(link))
        return response

    for _ in range(RANDOM_ATTEMPTS):
        try:
            return once(work)
        except store.CodeTakenError:
            if "code" in fields:
                break
    raise Conflict("Another link has this code.")


@blueprint.route("", methods=["GET"])
@blueprint.arguments(PageArgumentsSchema, location="query")
@blueprint.response(200, PageSchema)
def listing(arguments: dict[str, Any]) -> Any:
    """List links, page by page

    `q` finds links by words: each of its words must begin a word of the code, the title or the
    URL. Case and accents don't count, nor does anything between words. A word is letters, digits
    and `_`, and nothing beyond U+FFFF, such as emoji; one of more than 84 characters is not
    found. A search for words that some hundred thousand links have may be refused.

    `tag` is compared exactly, case and accents included.

    `sort=code` goes by what codes are the same by: without case and `-`.
    """
    try:
        with database().read() as session:
            links, more = store.page(session, **arguments)
    except InternalError as error:
        if not is_too_broad(error):
            raise
        abort_with(
            422, messages={"query": {"q": ["Too many links have these words. Use rarer ones."]}}
        )
    if not more:
        return {"links": links, "next": None}
    cursor = Cursor.encode(links[-1], arguments["sort"])
    following = url_for("links.listing", **arguments | {"after": cursor})
    return {"links": links, "next": cursor}, 200, {"Link": f'<{following}>; rel="next"'}


@blueprint.route("/<code>", methods=["GET"])
@blueprint.response(200, LinkSchema)
def read(code: str) -> Any:
    """Read a link and its clicks"""
    with database().read() as session:
        link = found(store.find(session, code))
    if request.if_none_match.contains_weak(etag(link)):
        return Response(status=304, headers=headers(link))
    return link, 200, headers(link)


@blueprint.route("/<code>", methods=["PATCH"])
@blueprint.arguments(LinkPatchSchema, content_type="application/merge-patch+json")
@blueprint.response(200, LinkSchema)
def change(fields: dict[str, Any], code: str) -> tuple[Link, int, dict[str, str]]:
    """Change a link"""
    link = found(database().write(lambda s: store.change(s, code, fields, if_match)))
    return link, 200, headers(link)


@blueprint.route("/<code>", methods=["DELETE"])
@blueprint.response(204)
def delete(code: str) -> None:
    """Delete a link and its clicks"""
    found(database().write(lambda s: store.delete(s, code, if_match)))


@blueprint.route("/<code>/clicks", methods=["GET"])
@blueprint.arguments(SeriesArgumentsSchema, location="query")
@blueprint.response(200, SeriesSchema)
def clicks(span: dict[str, Any], code: str) -> dict[str, Any]:
    """Count a link's clicks by hour or day"""
    with database().read() as session:
        link = found(store.find(session, code))
        hours = store.clicks(session, link, span["first"], span["last"])
    buckets = series.cut(hours, **span)
    return {
        "total": sum(clicks for _, clicks in buckets),
        "series": [{"at": at, "clicks": clicks} for at, clicks in buckets],
    }


def found(link: Link | None) -> Link:
    """Answer 404 where there is no link."""
    if link is None:
        abort(404, "There is no link with this code.")
    return link


def etag(link: Link) -> str:
    """Return a link's revision; the id tells a link from an earlier one with its code."""
    return f"{link.id}-{link.revision}"


def headers(link: Link) -> dict[str, str]:
    """Return the headers of an answer that shows a link."""
    return {"ETag": quote_etag(etag(link))}


def if_match(link: Link) -> None:
    """Answer 412 where the client wants to change another revision than this one."""
    if "If-Match" in request.headers and not request.if_match.contains(etag(link)):
        abort(412, "The link has changed since.")
