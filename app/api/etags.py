"""`ETag`, `If-None-Match` and `If-Match` (RFC 9110): caching and optimistic locking."""

from typing import Any, Protocol

from flask import Response, abort, request
from werkzeug.http import quote_etag


class Versioned(Protocol):
    """A row whose revision grows with every edit."""

    id: int
    revision: int


def etag(row: Versioned) -> str:
    """Return a row's ETag. The id tells a row from an earlier one with the same name."""
    return f"{row.id}-{row.revision}"


def etag_headers(row: Versioned) -> dict[str, str]:
    """Return the headers of an answer that shows a row."""
    return {"ETag": quote_etag(etag(row))}


def not_modified_or(row: Versioned) -> Any:
    """Answer with a row, or 304 where the client already has this revision."""
    if request.if_none_match.contains_weak(etag(row)):
        return Response(status=304, headers=etag_headers(row), mimetype="application/json")
    return row, 200, etag_headers(row)


def check_if_match(row: Versioned) -> None:
    """Answer 412 where the client wants to change another revision than this one."""
    if "If-Match" in request.headers and not request.if_match.contains(etag(row)):
        abort(412, "It has changed since.")
