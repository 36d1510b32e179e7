"""Revisions of what the API shows: `ETag`, `If-None-Match` and `If-Match` (RFC 9110)."""

from typing import Any, Protocol

from flask import Response, abort, request
from werkzeug.http import quote_etag


class Revised(Protocol):
    """A row whose revision grows with every edit."""

    id: int
    revision: int


def etag(row: Revised) -> str:
    """Return a row's revision; the id tells a row from an earlier one with its name."""
    return f"{row.id}-{row.revision}"


def headers(row: Revised) -> dict[str, str]:
    """Return the headers of an answer that shows a row."""
    return {"ETag": quote_etag(etag(row))}


def unless_known(row: Revised) -> Any:
    """Answer with a row, or 304 where the client has this revision already."""
    if request.if_none_match.contains_weak(etag(row)):
        return Response(status=304, headers=headers(row), mimetype="application/json")
    return row, 200, headers(row)


def if_match(row: Revised) -> None:
    """Answer 412 where the client wants to change another revision than this one."""
    if "If-Match" in request.headers and not request.if_match.contains(etag(row)):
        abort(412, "It has changed since.")
