"""Every error becomes a problem document (RFC 9457), or a page for browsers outside `/api`."""

from collections.abc import Iterator
from contextlib import suppress
from itertools import islice, starmap
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, jsonify, render_template, request
from marshmallow import Schema, fields
from sqlalchemy.exc import DBAPIError
from werkzeug import exceptions
from werkzeug.datastructures import Headers
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wsgi import LimitedStream

from app.api.headers import is_api, prefers_html
from app.database.errors import UNAVAILABLE, info_of_violated
from app.telemetry.logs import add_log_context

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 1  # seconds
DRAIN_LIMIT = 1024 * 1024  # bytes to read beyond the limit of a body that is too large
LOG_LIMIT = 500  # characters about invalid fields in a log line
MAX_ERRORS = 100  # invalid fields that a response names
NAME_LIMIT = 100  # characters of a field's name in a pointer

# In place of werkzeug's descriptions, which address the user of a browser.
DETAILS = {
    400: "The request is not valid.",
    404: "Nothing exists at this URL.",
    405: "This URL does not support {method}. The Allow header lists the supported methods.",
    413: "The body is too large.",
}


class FieldErrorSchema(Schema):
    """An error in one field of the body (`pointer`, RFC 6901) or in one parameter."""

    pointer = fields.String(
        metadata={"description": "A JSON Pointer to the field.", "examples": ["#/name"]}
    )
    parameter = fields.String(metadata={"examples": ["limit"]})
    detail = fields.String(required=True, metadata={"examples": ["Unknown field."]})


class ProblemSchema(Schema):
    """A problem document (RFC 9457). `detail` explains the error; `errors` lists invalid fields."""

    type = fields.String(
        required=True,
        metadata={
            "description": "Always `about:blank`: `status` tells errors apart.",
            "examples": ["about:blank"],
        },
    )
    title = fields.String(required=True, metadata={"examples": ["Not Found"]})
    status = fields.Integer(required=True, metadata={"examples": [404]})
    detail = fields.String(required=True, metadata={"examples": ["Nothing exists at this URL."]})
    instance = fields.String(
        required=True, metadata={"description": "The path of the request.", "examples": ["/api/me"]}
    )
    errors = fields.Nested(FieldErrorSchema, many=True, metadata={"maxItems": MAX_ERRORS})
    more_errors = fields.Integer(
        metadata={
            "description": "How many other errors there are. Absent if `errors` has all.",
            "minimum": 1,
            "examples": [1],
        }
    )


def init_app(app: Flask) -> None:
    """Register the error handlers."""
    app.register_error_handler(exceptions.HTTPException, http_error)
    app.register_error_handler(exceptions.RequestEntityTooLarge, body_too_large)
    app.register_error_handler(Exception, unexpected)
    app.register_error_handler(DBAPIError, database_error)
    for error in UNAVAILABLE:
        app.register_error_handler(error, database_unavailable)


def http_error(error: exceptions.HTTPException) -> Response:
    """Turn an HTTP error into a response, and keep its headers (Allow, WWW-Authenticate, …)."""
    details = getattr(error, "data", None) or {}
    status, detail = error.code or 500, error.description or ""
    if detail == getattr(exceptions.default_exceptions.get(status), "description", None):
        detail = DETAILS.get(status, detail).format(method=request.method)
    body = problem_body(status, detail, quote(request.path))
    if "messages" in details:
        if error.code == exceptions.UnprocessableEntity.code:
            body["detail"] = "The request has invalid fields."
        leaves = _leaves(details["messages"])
        body["errors"] = [_field_error(*leaf) for leaf in islice(leaves, MAX_ERRORS)]
        if more := sum(1 for _ in leaves):
            body["more_errors"] = more
        add_log_context(
            fields="; ".join(" ".join(field.values()) for field in body["errors"])[:LOG_LIMIT]
        )
    add_log_context(error=body["detail"])
    # For an impossible host, Flask can't build the URLs of a page.
    can_link = not isinstance(request.routing_exception, exceptions.BadHost)
    if can_link and not is_api() and prefers_html():
        # An exception can name a template that shows more.
        page = render_template(getattr(error, "page", "error.html"), problem=body, error=error)
        response = Response(page)
    else:
        response = jsonify(body)
        response.content_type = MEDIA_TYPE
    response.status_code = body["status"]
    headers = Headers([*error.get_headers(), *(details.get("headers") or {}).items()])
    del headers["Content-Type"]
    response.headers.extend(headers)
    if not is_api():
        response.vary.add("Accept")
    return response


def problem_body(status: int, detail: str, instance: str) -> dict[str, Any]:
    """Return the members of a problem document (RFC 9457, section 3.1)."""
    return {
        "type": "about:blank",
        "title": HTTP_STATUS_CODES[status],
        "status": status,
        "detail": detail,
        "instance": instance,
    }


def body_too_large(error: exceptions.RequestEntityTooLarge) -> Response:
    """Return 413, after reading up to DRAIN_LIMIT bytes beyond the limit of the body.

    Without this, a client that is still sending sees a connection reset instead of the response.
    """
    body = request.environ["wsgi.input"]
    if request.content_length is not None:  # at its end, Flask's development server would wait
        body = LimitedStream(body, request.content_length)
    with suppress(Exception):  # whatever is wrong with the rest, the response is 413
        for _ in range(0, (request.max_content_length or 0) + DRAIN_LIMIT, 65_536):
            if not body.read(65_536):
                break
    return http_error(error)


def database_unavailable(error: Exception) -> Response:
    """Return 503 and log why the database can't do this now."""
    response = http_error(
        exceptions.ServiceUnavailable(
            "The database is not available. Try again.", retry_after=RETRY_AFTER
        )
    )
    add_log_context(error=str(getattr(error, "orig", error)))
    return response


def database_error(error: DBAPIError) -> Response:
    """Return what the `info` of a violated constraint says, or else 500.

    `info` has a `status`, a `detail`, and optionally the `field` of the body that is wrong.
    """
    rule = info_of_violated(error)
    if "status" not in rule:
        return unexpected(error)
    failure = exceptions.default_exceptions[rule["status"]](rule["detail"])
    if "field" in rule:
        failure.data = {"messages": {"json": {rule["field"]: [rule["detail"]]}}}  # type: ignore[attr-defined]
    return http_error(failure)


def unexpected(error: Exception) -> Response:
    """Return 500 and log the traceback, which the client does not see."""
    add_log_context(exc_info=error)
    return http_error(
        exceptions.InternalServerError(
            "The service failed. The error is logged under the request's id (X-Request-Id)."
        )
    )


def invalid_fields(messages: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Return one error for each of marshmallow's messages.

    :param messages: by location ("json", "query", …), then by field name or index, at any depth.
    """
    return starmap(_field_error, _leaves(messages))


def _field_error(path: tuple[str, ...], detail: str) -> dict[str, str]:
    place, *names = path
    if place == "json":
        where = {"pointer": "#" + "".join(f"/{_escape(name)}" for name in names)}
    else:
        where = {"parameter": names[0]} if names else {}
    return where | {"detail": detail}


def _escape(part: str) -> str:
    """Escape one part of a JSON Pointer in a URI fragment (RFC 6901, sections 3 and 6).

    A name can contain lone surrogates, which UTF-8 can't encode: they become `%3F`. The end of a
    name that is too long is cut off: no field of a schema has such a name.
    """
    part = part[:NAME_LIMIT].replace("~", "~0").replace("/", "~1")
    return quote(part, safe="~", errors="replace")


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(tree, dict):
        for key, branch in tree.items():
            yield from _leaves(branch, path if key == "_schema" else (*path, str(key)))
    elif isinstance(tree, list):
        for branch in tree:
            yield from _leaves(branch, path)
    else:
        yield path, str(tree)
