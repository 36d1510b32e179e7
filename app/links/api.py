"""`/api/links`: create, read, list, change and delete links, and read their clicks."""

from typing import Any

from flask import Response, g, jsonify, url_for
from flask_smorest import abort as abort_with
from sqlalchemy import Connection, Row
from werkzeug.exceptions import Conflict

from app.api import rate_limit
from app.api.etags import check_if_match, etag, etag_headers, not_modified_or
from app.api.idempotency import once
from app.api.openapi import RATE_LIMIT_HEADERS, named, not_modified, problem_responses
from app.api.resources import Blueprint, body_limit
from app.database import database
from app.links import codes, queries, schemas, service

CODE_TAKEN = "Another link has this code."
TOO_BROAD = "Too many links have these words. Use rarer ones."
BATCH_BODY_LIMIT = 4 * 1024 * 1024  # bytes

CODE_FROM = {"code": "$response.body#/code"}
FOLLOW_UPS = {
    name: {"operationId": f"links.{name}", "parameters": CODE_FROM}
    for name in ("read", "change", "delete", "clicks")
}

# Made once, as those of arguments: to make one costs more than to use it.
link_schema = schemas.LinkSchema()

blueprint = Blueprint("links", __name__, url_prefix="/api/links", description="Manage links.")


@blueprint.route("", methods=["POST"])
@blueprint.arguments(schemas.LinkCreateSchema())
@blueprint.response(201, schemas.LinkSchema, headers=named("ETag", "Location", *RATE_LIMIT_HEADERS))
@blueprint.doc(
    parameters=["Idempotency-Key"], responses={201: {"links": FOLLOW_UPS}} | problem_responses(409)
)
def create(fields: dict[str, Any]) -> Response:
    """Create a link

    409 says that the code is taken, in one spelling or another, or that the first request with
    this Idempotency-Key is still running.
    """

    def work(connection: Connection) -> Response:
        link = queries.create(connection, fields)
        response: Response = jsonify(link_schema.dump(link))
        response.status_code = 201
        response.location = url_for("links.read", code=link.code)
        response.set_etag(etag(link))
        return response

    rate_limit.count("create", str(g.token.id))
    try:
        return service.with_code_retry(lambda: once(work), has_own_code="code" in fields)
    except queries.CodeTakenError:
        raise Conflict(CODE_TAKEN) from None


@blueprint.route(f"/{codes.BATCH}", methods=["POST"])
@body_limit(BATCH_BODY_LIMIT)
@blueprint.arguments(schemas.BatchSchema())
@blueprint.response(201, schemas.CreatedSchema, headers=named(*RATE_LIMIT_HEADERS))
@blueprint.doc(parameters=["Idempotency-Key"], responses=problem_responses(409))
def create_all(batch: dict[str, Any]) -> Response:
    """Create up to 1,000 links: all of them, or none

    Each counts as a creation. What is refused is named by its place: `#/links/3/code`.
    """
    links = batch["links"]
    rate_limit.count("create", str(g.token.id), len(links))

    def work(connection: Connection) -> Response:
        created = queries.create_all(connection, links)
        response: Response = jsonify(schemas.CreatedSchema().dump({"links": created}))
        response.status_code = 201
        return response

    try:
        return service.with_code_retry(lambda: once(work, long=True), has_own_code=False)
    except queries.CodesTakenError as error:
        raise codes_taken(error.refused) from None
    except queries.CodeTakenError:
        raise Conflict("Other clients want the same codes. Try again.") from None


@blueprint.route("", methods=["GET"])
@blueprint.arguments(schemas.PageArgumentsSchema(), location="query")
@blueprint.response(200, schemas.PageSchema, headers=named("Link"))
@blueprint.doc(
    responses={
        200: {
            "links": {
                "next": {
                    "operationId": "links.list_links",
                    "parameters": {"after": "$response.body#/next", "sort": "$request.query.sort"},
                }
            }
        }
    }
)
def list_links(arguments: dict[str, Any]) -> Any:
    """List links, page by page

    `q` finds links by words: each of its words must begin a word of the code, the title or the
    URL. Case and accents don't count, nor does anything between words. A word is letters, digits
    and `_`, and nothing beyond U+FFFF, such as emoji; one of more than 84 characters is not
    found. A search for words that some hundred thousand links have may be refused.

    `tag` is compared exactly, case and accents included.

    `sort=code` goes by what codes are the same by: without case and `-`.
    """
    try:
        page = service.list_links(database(), **arguments)
    except service.TooBroadError:
        abort_with(422, messages={"query": {"q": [TOO_BROAD]}})
    if page.next is None:
        return {"links": page.links, "next": None}
    cursor = schemas.Cursor.encode(page.next)
    url = url_for("links.list_links", **arguments | {"after": cursor})
    return {"links": page.links, "next": cursor}, 200, {"Link": f'<{url}>; rel="next"'}


@blueprint.route("/<code:code>", methods=["GET"])
@blueprint.response(200, schemas.LinkSchema, headers=named("ETag"))
@blueprint.doc(parameters=["If-None-Match"], responses=not_modified())
def read(code: str) -> Any:
    """Read a link and its clicks

    `ETag` is the link's revision. It changes with every edit and never with a click, so a 304
    says nothing about clicks.
    """
    return not_modified_or(service.find(database(), code))


@blueprint.route("/<code:code>", methods=["PATCH"])
@blueprint.arguments(schemas.LinkPatchSchema(), content_type="application/merge-patch+json")
@blueprint.response(200, schemas.LinkSchema, headers=named("ETag"))
@blueprint.doc(
    parameters=["If-Match"],
    requestBody={"content": {"application/json": {"schema": schemas.LinkPatchSchema}}},
    responses=problem_responses(412),
)
def change(fields: dict[str, Any], code: str) -> tuple[Row[Any], int, dict[str, str]]:
    """Change a link

    A JSON merge patch (RFC 7396): what it does not name stays, null gives a field its first
    value back.
    """
    link = service.change(database(), code, fields, check_if_match)
    return link, 200, etag_headers(link)


@blueprint.route("/<code:code>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.doc(parameters=["If-Match"], responses=problem_responses(412))
def delete(code: str) -> None:
    """Delete a link and its clicks

    Its code may be used again.
    """
    service.delete(database(), code, check_if_match)


@blueprint.route("/<code:code>/clicks", methods=["GET"])
@blueprint.arguments(schemas.SeriesArgumentsSchema(), location="query")
@blueprint.response(200, schemas.SeriesSchema)
def clicks(span: dict[str, Any], code: str) -> dict[str, Any]:
    """Count a link's clicks by hour or day

    In UTC, empty buckets included, at most 1,000 of them.
    """
    link = service.find_without_clicks(database(), code)
    buckets = service.click_histogram(database(), link, **span)
    return {
        "total": sum(clicks for _, clicks in buckets),
        "series": [{"at": at, "clicks": clicks} for at, clicks in buckets],
    }


def codes_taken(refused: dict[int, str]) -> Conflict:
    """Return a 409 that names the links of a batch whose codes are taken."""
    error = Conflict("Codes of this batch are taken. No link was created.")
    places = {index: {"code": [reason]} for index, reason in sorted(refused.items())}
    error.data = {"messages": {"json": {"links": places}}}  # type: ignore[attr-defined]
    return error
