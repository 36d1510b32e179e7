"""The API at `/api/links`: create, read, list, change and delete links, and read clicks."""

from types import SimpleNamespace
from typing import Any

from flask import Response, g, jsonify, url_for
from flask_smorest import abort as abort_with
from sqlalchemy import Connection, Row
from werkzeug.exceptions import Conflict

from app.api import rate_limit
from app.api.etags import check_if_match, etag_headers, not_modified_or
from app.api.idempotency import Key, once, once_by
from app.api.openapi import RATE_LIMIT_HEADERS, named, not_modified, problem_responses
from app.api.resources import Blueprint, body_limit
from app.database import database
from app.identity.tokens import actor
from app.links import codes, creates, queries, schemas, service
from app.links.cursors import Cursor

CODE_TAKEN = "Another link has this code."
TOO_BROAD = "Too many links contain these words. Use less common words."
BATCH_BODY_LIMIT = 4 * 1024 * 1024  # bytes

CODE_FROM = {"code": "$response.body#/code"}
FOLLOW_UPS = {
    name: {"operationId": f"links.{name}", "parameters": CODE_FROM}
    for name in ("read", "change", "delete", "clicks")
}

# Created once, like the schemas of arguments: creating a schema costs more than using it.
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

    If you give no `code`, the service chooses a random one.

    409 means that another link has this code, possibly in another spelling, that an alias has no
    link to lead to, or that the first request with this `Idempotency-Key` is still running.
    """

    has_own_code = "code" in fields

    def run(key: Key | None) -> Response:
        row, owner = queries.new_row(fields), actor()
        link = SimpleNamespace(**row, clicks=0, owner=owner)
        response: Response = jsonify(link_schema.dump(link))
        response.status_code = 201
        response.location = url_for("links.read", code=link.code)
        creates.create(creates.New(row, owner, response, key), is_random=not has_own_code)
        return response

    rate_limit.count("create", str(g.token.id))
    try:
        return service.with_code_retry(lambda: once_by(run), has_own_code=has_own_code)
    except queries.CodeTakenError:
        raise Conflict(CODE_TAKEN) from None


@blueprint.route(f"/{codes.BATCH}", methods=["POST"])
@body_limit(BATCH_BODY_LIMIT)
@blueprint.arguments(schemas.BatchSchema())
@blueprint.response(201, schemas.CreatedSchema, headers=named(*RATE_LIMIT_HEADERS))
@blueprint.doc(parameters=["Idempotency-Key"], responses=problem_responses(409))
def create_all(batch: dict[str, Any]) -> Response:
    """Create up to 1,000 links, all or none

    The body can have 4 MiB.

    Each link counts towards the rate limit. If any link is invalid, its code is taken, or an alias
    has no link to lead to, no link is created. Each error then points to its field by position,
    counted from 0: `#/links/3/code` is the code of the fourth link.
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
        raise Conflict("Another request used the same codes at the same time. Try again.") from None


@blueprint.route("", methods=["GET"])
@blueprint.arguments(schemas.PageArgumentsSchema(), location="query")
@blueprint.response(200, schemas.PageSchema, headers=named("Link"))
@blueprint.doc(
    responses={
        200: {
            "links": {
                "next": {
                    "operationId": "links.list_links",
                    "parameters": {"after": "$response.body#/next"},
                    "description": "The next page, unless `next` is null.",
                }
            }
        }
    }
)
def list_links(arguments: dict[str, Any]) -> Any:
    """List links, page by page

    The list uses cursor pagination. To get the next page, send `next` as `after`, or follow the
    `Link` header. The cursor contains `q`, `tag`, `sort` and `mine`. On the last page `next` is
    null.

    `q` is a full-text search by prefixes. A link matches if each word of `q` is the beginning of
    a word in its code, title or URL. Case and accents are ignored. A word consists of letters,
    digits and `_`; all other characters separate words, such as emoji. Letters that are younger
    than Unicode 5.0, beyond U+FFFF or Cherokee are not indexed: they are found anywhere in a link,
    and a search for these alone reads all links. Words of more than 84 characters are not indexed,
    and not found. A search can fail with 422 if several hundred thousand links contain its words.

    `tag` must match exactly, including case and accents.

    `sort=-created_at`, the default, lists the newest links first. `sort=code` sorts by code, and
    ignores case and `-`. `sort=-clicks_24h`, `-clicks_7d` and `-clicks_30d` list the links that
    were clicked in the last day, week or month, most clicks first. Of each hour, only the 500 links
    with the most clicks count.
    """
    try:
        page = service.list_links(database(), **arguments)
    except service.TooBroadError:
        abort_with(422, messages={"query": {"q": [TOO_BROAD]}})
    if page.next is None:
        return {"links": page.links, "next": None}
    cursor = Cursor.encode(page.next, arguments)
    url = url_for("links.list_links", **arguments | {"after": cursor})
    return {"links": page.links, "next": cursor}, 200, {"Link": f'<{url}>; rel="next"'}


@blueprint.route("/<code:code>", methods=["GET"])
@blueprint.response(200, schemas.LinkSchema, headers=named("ETag"))
@blueprint.doc(parameters=["If-None-Match"], responses=not_modified())
def read(code: str) -> Any:
    """Read a link and its number of clicks

    `ETag` is the link's revision. It changes with every edit, but not with clicks. So 304 means
    that the link was not edited; its number of clicks can have changed.
    """
    return not_modified_or(service.find(database(), code))


@blueprint.route("/<code:code>", methods=["PATCH"])
@blueprint.arguments(schemas.LinkPatchSchema(), content_type="application/merge-patch+json")
@blueprint.response(200, schemas.LinkSchema, headers=named("ETag"))
@blueprint.doc(
    parameters=["If-Match"],
    requestBody={"content": {"application/json": {"schema": schemas.LinkPatchSchema}}},
    responses=problem_responses(409, 412),
)
def change(fields: dict[str, Any], code: str) -> tuple[Row[Any], int, dict[str, str]]:
    """Change a link

    The body is a JSON merge patch (RFC 7396): fields that you leave out keep their value, and
    null resets a field to its default. Send `If-Match` to change the link only if nobody else has
    changed it (optimistic locking).

    `code` renames the link. It keeps its clicks, its owner and its history. The old code is free
    from then on, and short URLs with it get 404. While the clicks of many hours move, redirects of
    this link can get 503 for some seconds. 409 means that another link has the new code, or that
    the link would be an alias without a link that it leads to.
    """
    try:
        link = service.change(database(), code, fields, check_if_match)
    except queries.CodeTakenError:
        raise Conflict(CODE_TAKEN) from None
    return link, 200, etag_headers(link)


@blueprint.route("/<code:code>", methods=["DELETE"])
@blueprint.response(204)
@blueprint.doc(parameters=["If-Match"], responses=problem_responses(412))
def delete(code: str) -> None:
    """Delete a link and its clicks

    Afterwards, a new link can use the code. The delete can be undone for 30 days: see the link's
    history. After that, deletes of other links remove the link, its clicks and its history for
    good. Send `If-Match` to delete the link only if nobody else has changed it.
    """
    service.delete(database(), code, check_if_match)


@blueprint.route("/<code:code>/clicks", methods=["GET"])
@blueprint.arguments(schemas.SeriesArgumentsSchema(), location="query")
@blueprint.response(200, schemas.SeriesSchema)
def clicks(span: dict[str, Any], code: str) -> dict[str, Any]:
    """Count a link's clicks by hour or day

    Hours and days are in UTC. The range is widened to whole hours or days, at most 1,000 of them.
    Hours and days without clicks are included.
    """
    link = service.find_without_clicks(database(), code)
    buckets = service.click_histogram(database(), link, **span)
    return {
        "total": sum(clicks for _, clicks in buckets),
        "series": [{"at": at, "clicks": clicks} for at, clicks in buckets],
    }


def codes_taken(refused: dict[int, str]) -> Conflict:
    """Return a 409 with an error for each link of a batch whose code is taken."""
    error = Conflict("Some codes in this batch are already taken. No links were created.")
    places = {index: {"code": [reason]} for index, reason in sorted(refused.items())}
    error.data = {"messages": {"json": {"links": places}}}  # type: ignore[attr-defined]
    return error
