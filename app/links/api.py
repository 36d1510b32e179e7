"""`/api/links`: create, read, list, change and delete links, and read their clicks."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Response, abort, g, jsonify, url_for
from flask_smorest import abort as abort_with
from sqlalchemy import Connection, Row
from sqlalchemy.exc import InternalError
from werkzeug.exceptions import Conflict

from app import rate_limit
from app.api import Blueprint, body_limit
from app.database import database, is_too_broad
from app.idempotency import once
from app.links import codes, series, store
from app.links.rollups import roll_up
from app.links.schemas import (
    BatchSchema,
    CreatedSchema,
    Cursor,
    LinkCreateSchema,
    LinkPatchSchema,
    LinkSchema,
    PageArgumentsSchema,
    PageSchema,
    SeriesArgumentsSchema,
    SeriesSchema,
)
from app.openapi import COUNTED, problems, unchanged
from app.revisions import etag, headers, if_match, unless_known

T = TypeVar("T")

TOO_BROAD = "Too many links have these words. Use rarer ones."
RANDOM_ATTEMPTS = 5  # to find a free random code; the first one nearly always is
BATCH_BODY_LIMIT = 4 * 1024 * 1024  # bytes

CODE_FROM = {"code": "$response.body#/code"}
FOLLOW_UPS = {
    name: {"operationId": f"links.{name}", "parameters": CODE_FROM}
    for name in ("read", "change", "delete", "clicks")
}

shown = LinkSchema()  # made once, and so are those of arguments: that costs more than their use

blueprint = Blueprint("links", __name__, url_prefix="/api/links", description="Manage links.")


@blueprint.route("", methods=["POST"])
@blueprint.arguments(LinkCreateSchema())
@blueprint.response(201, LinkSchema, headers={h: h for h in ("ETag", "Location", *COUNTED)})
@blueprint.doc(
    parameters=["Idempotency-Key"], responses={201: {"links": FOLLOW_UPS}} | problems(409)
)
def create(fields: dict[str, Any]) -> Response:
    """Create a link

    409 says that the code is taken, in one spelling or another, or that the first request with
    this Idempotency-Key is still running.
    """

    def work(connection: Connection) -> Response:
        link = store.create(connection, fields)
        response: Response = jsonify(shown.dump(link))
        response.status_code = 201
        response.location = url_for("links.read", code=link.code)
        response.set_etag(etag(link))
        return response

    return creating(fields, lambda: once(work))


@blueprint.route(f"/{codes.BATCH}", methods=["POST"])
@body_limit(BATCH_BODY_LIMIT)
@blueprint.arguments(BatchSchema())
@blueprint.response(201, CreatedSchema, headers={h: h for h in COUNTED})
@blueprint.doc(parameters=["Idempotency-Key"], responses=problems(409))
def create_all(batch: dict[str, Any]) -> Response:
    """Create up to 1,000 links: all of them, or none

    Each counts as a creation. What is refused is named by its place: `#/links/3/code`.
    """
    links = batch["links"]
    rate_limit.count("create", str(g.token.id), len(links))

    def work(connection: Connection) -> Response:
        created = store.create_all(connection, links)
        response: Response = jsonify(CreatedSchema().dump({"links": created}))
        response.status_code = 201
        return response

    for _ in range(RANDOM_ATTEMPTS):
        try:
            return once(work, long=True)
        except store.CodesTakenError as error:
            raise conflict(error.refused) from None
        except store.CodeTakenError:
            pass
    raise Conflict("Other clients want the same codes. Try again.")


@blueprint.route("", methods=["GET"])
@blueprint.arguments(PageArgumentsSchema(), location="query")
@blueprint.response(200, PageSchema, headers={"Link": "Link"})
@blueprint.doc(
    responses={
        200: {
            "links": {
                "next": {
                    "operationId": "links.listing",
                    "parameters": {
                        "after": "$response.body#/next",
                        "sort": "$request.query.sort",
                    },
                }
            }
        }
    }
)
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
        with database().read(long="q" in arguments, stale=True) as connection:
            links, more = store.page(connection, **arguments)
    except InternalError as error:
        if not is_too_broad(error):
            raise
        abort_with(422, messages={"query": {"q": [TOO_BROAD]}})
    roll_up(links)
    if not more:
        return {"links": links, "next": None}
    cursor = Cursor.encode(links[-1], arguments["sort"])
    following = url_for("links.listing", **arguments | {"after": cursor})
    return {"links": links, "next": cursor}, 200, {"Link": f'<{following}>; rel="next"'}


@blueprint.route("/<code:code>", methods=["GET"])
@blueprint.response(200, LinkSchema, headers={"ETag": "ETag"})
@blueprint.doc(parameters=["If-None-Match"], responses=unchanged())
def read(code: str) -> Any:
    """Read a link and its clicks

    `ETag` is the link's revision. It changes with every edit and never with a click, so a 304
    says nothing about clicks.
    """
    with database().read() as connection:
        link = found(store.find(connection, code))
    roll_up([link])
    return unless_known(link)


@blueprint.route("/<code:code>", methods=["PATCH"])
@blueprint.arguments(LinkPatchSchema(), content_type="application/merge-patch+json")
@blueprint.response(200, LinkSchema, headers={"ETag": "ETag"})
@blueprint.doc(
    parameters=["If-Match"],
    requestBody={"content": {"application/json": {"schema": LinkPatchSchema}}},
    responses=problems(412),
)
def change(fields: dict[str, Any], code: str) -> tuple[Row[Any], int, dict[str, str]]:
    """Change a link

    A JSON merge patch (RFC 7396): what it does not name stays, null gives a field its first
    value back.
    """
    link = found(database().write(lambda c: store.change(c, code, fields, if_match)))
    return link, 200, headers(link)


@blueprint.route("/<code:code>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.doc(parameters=["If-Match"], responses=problems(412))
def delete(code: str) -> None:
    """Delete a link and its clicks

    Its code may be used again.
    """
    found(database().write(lambda c: store.delete(c, code, if_match)))


@blueprint.route("/<code:code>/clicks", methods=["GET"])
@blueprint.arguments(SeriesArgumentsSchema(), location="query")
@blueprint.response(200, SeriesSchema)
def clicks(span: dict[str, Any], code: str) -> dict[str, Any]:
    """Count a link's clicks by hour or day

    In UTC, empty buckets included, at most 1,000 of them.
    """
    with database().read() as connection:
        link = found(store.find(connection, code, clicks=False))
    with database().read(long=True, stale=True) as connection:
        hours = store.clicks(connection, link, span["first"], span["last"])
    buckets = series.cut(hours, **span)
    return {
        "total": sum(clicks for _, clicks in buckets),
        "series": [{"at": at, "clicks": clicks} for at, clicks in buckets],
    }


def creating(fields: dict[str, Any], run: Callable[[], T]) -> T:
    """Run what creates a link: within the token's limit, and again for another random code.

    :raises Conflict: the code is taken.
    :raises TooManyRequests: the token has created too many.
    """
    rate_limit.count("create", str(g.token.id))
    for _ in range(RANDOM_ATTEMPTS):
        try:
            return run()
        except store.CodeTakenError:
            if "code" in fields:
                break
    raise Conflict("Another link has this code.")


def found(link: T | None) -> T:
    """Answer 404 where there is no link."""
    if link is None:
        abort(404, "There is no link with this code.")
    return link


def conflict(refused: dict[int, str]) -> Conflict:
    """Return a 409 that names the links of a batch whose codes are taken."""
    error = Conflict("Codes of this batch are taken. No link was created.")
    places = {index: {"code": [reason]} for index, reason in sorted(refused.items())}
    error.data = {"messages": {"json": {"links": places}}}  # type: ignore[attr-defined]
    return error
