"""`ETag`, `If-None-Match` and `If-Match` (RFC 9110): caching and optimistic locking."""

from typing import Any, Protocol

from flask import Response, abort, request
from werkzeug.http import quote_etag


class Versioned(Protocol):
    """A row whose revision grows with every edit."""

    id: int
    revision: int


def etag(row: Versioned) -> str:
    """Return a row's ETag, without quotes.

    It contains the id, because a row can be deleted and created again with the same name.
    """
    return f"{row.id}-{row.revision}"


def etag_headers(row: Versioned) -> dict[str, str]:
    """Return the headers of a response with this row."""
    return {"ETag": quote_etag(etag(row))}


def not_modified_or(row: Versioned) -> Any:
    """Return a view's response: the row, or 304 if the client already has this revision."""
    if request.if_none_match.contains_weak(etag(row)):
        return Response(status=304, headers=etag_headers(row), mimetype="application/json")
    return row, 200, etag_headers(row)


def check_if_match(row: Versioned) -> None:
    """Abort with 412 if `If-Match` is for another revision (optimistic locking).

    Call it in the transaction that changes the row, after it has locked the row.
    """
    if "If-Match" in request.headers and not request.if_match.contains(etag(row)):
        abort(412, "The resource has changed since you read it. Read it again, then retry.")
