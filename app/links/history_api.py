"""The API at `/api/links/<code>/history`: read a link's changes, and undo them."""

from typing import Any

from flask import url_for
from marshmallow import Schema, fields, validate
from sqlalchemy import Row
from werkzeug.exceptions import Conflict, NotFound

from app.api import resources
from app.api.etags import check_if_match, etag_headers
from app.api.openapi import named, problem_responses
from app.database import database
from app.identity.tokens import Actor, ActorSchema
from app.links import history, queries, schemas, undo
from app.links.api import CODE_TAKEN

UNKNOWN_CHANGE = "The link has no such change, or its delete was undone or is over 30 days old."
CHANGED_FIELDS = {
    "type": ["object", "null"],
    "additionalProperties": True,
    "examples": [{"title": "Docker Compose"}],
}

blueprint = resources.Blueprint(
    "history", __name__, url_prefix="/api/links", description="See and undo changes of links."
)


class HistoryArgumentsSchema(Schema):
    """Which page of the history to return."""

    limit = resources.WholeNumber(
        load_default=20,
        validate=validate.Range(min=1, max=100),
        metadata={"description": "The largest number of changes on a page."},
    )
    after = resources.WholeNumber(
        validate=validate.Range(min=1, max=resources.LARGEST_ID),
        metadata={"description": "A cursor: `next` of the previous page.", "examples": [42]},
    )


class ChangeSchema(resources.ResponseSchema):
    """One change of a link. `old` and `new` have only the fields that it changed."""

    id = fields.Integer(metadata=resources.ID_SCHEMA)
    at = resources.Timestamp(metadata=schemas.CREATED_AT)
    action = fields.String(metadata={"enum": history.ACTIONS, "examples": ["edit"]})
    actor = fields.Nested(ActorSchema)
    old = fields.Raw(metadata=CHANGED_FIELDS | {"description": "Before. null: a new link."})
    new = fields.Raw(metadata=CHANGED_FIELDS | {"description": "After. null: a deleted link."})

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:  # noqa: ARG002
        """Read attributes only, and put the actor together from its columns."""
        return Actor(obj.actor, obj.name) if attr == "actor" else getattr(obj, attr)


class HistorySchema(resources.ResponseSchema):
    """A page of a link's history. `next` is the cursor for the next page, or null on the last."""

    changes = fields.Nested(ChangeSchema, many=True)
    next = fields.Integer(allow_none=True, metadata={"examples": [42]})


@blueprint.route("/<code:code>/history", methods=["GET"])
@blueprint.arguments(HistoryArgumentsSchema(), location="query")
@blueprint.response(200, HistorySchema, headers=named("Link"))
def list_changes(arguments: dict[str, Any], code: str) -> Any:
    """List the changes of a link, newest first

    To get the next page, send `next` as `after`, or follow the `Link` header. On the last page
    `next` is null. For 30 days, this also works for the link that had the code last and was
    deleted. Changes that were made by versions without a history are missing.
    """
    changes, after = undo.list_changes(database(), code, **arguments)
    page = {"changes": changes, "next": after}
    if after is None:
        return page
    url = url_for("history.list_changes", code=code, **arguments | {"after": after})
    return page, 200, {"Link": f'<{url}>; rel="next"'}


@blueprint.route("/<code:code>/history/<id:number>/undo", methods=["POST"])
@blueprint.response(200, schemas.LinkSchema, headers=named("ETag"))
@blueprint.doc(parameters=["If-Match"], responses=problem_responses(409, 412))
def undo_change(code: str, number: int) -> tuple[Row[Any], int, dict[str, str]]:
    """Undo a change of a link

    The fields that the change set get their old values. This is recorded as a change, and can be
    undone too. Undoing a delete restores the link with its clicks, for up to 30 days. Creating,
    importing and restoring a link can't be undone: delete the link instead.

    409 means that these fields have other values by now, that the change can't be undone, that the
    old target is not allowed any more or does not exist, or that another link has the old code.
    Send `If-Match` to undo the change only if nobody else has changed the link.
    """
    try:
        link = undo.undo(database(), code, number, check_if_match)
    except undo.UnknownChangeError:
        raise NotFound(UNKNOWN_CHANGE) from None
    except undo.NotUndoableError as error:
        raise Conflict(str(error)) from None
    except queries.CodeTakenError:
        raise Conflict(CODE_TAKEN) from None
    return link, 200, etag_headers(link)
