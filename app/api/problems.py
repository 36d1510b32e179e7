"""Every error becomes RFC 9457 `application/problem+json`, in one format; browsers get a page."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

from flask import Flask, Response, jsonify, render_template, request
from marshmallow import Schema, fields
from sqlalchemy.exc import ProgrammingError
from werkzeug import exceptions
from werkzeug.datastructures import Headers
from werkzeug.http import HTTP_STATUS_CODES

from app.api.headers import is_api, prefers_html
from app.database.errors import NO_SUCH_TABLE, UNAVAILABLE, error_code
from app.telemetry.logs import add_log_context

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = 1  # seconds
DRAIN_LIMIT = 1024 * 1024  # bytes of a body, beyond its own limit
LOG_LIMIT = 500  # characters about invalid fields


class FieldErrorSchema(Schema):
    """What is wrong with one field of the body, or with one parameter."""

    pointer = fields.String(metadata={"examples": ["#/name"]})
    parameter = fields.String(metadata={"examples": ["limit"]})
    detail = fields.String(required=True, metadata={"examples": ["Unknown field."]})


class ProblemSchema(Schema):
    """An error (RFC 9457)."""

    type = fields.String(required=True, metadata={"examples": ["about:blank"]})
    title = fields.String(required=True, metadata={"examples": ["Not Found"]})
    status = fields.Integer(required=True, metadata={"examples": [404]})
    detail = fields.String(required=True, metadata={"examples": ["There is nothing here."]})
    instance = fields.String(required=True, metadata={"examples": ["/api/me"]})
    errors = fields.Nested(FieldErrorSchema, many=True)


def init_app(app: Flask) -> None:
    """Answer every error in the one format."""
    app.register_error_handler(exceptions.HTTPException, http_error)
    app.register_error_handler(exceptions.RequestEntityTooLarge, body_too_large)
    app.register_error_handler(Exception, unexpected)
    app.register_error_handler(ProgrammingError, no_schema)
    for error in UNAVAILABLE:
        app.register_error_handler(error, database_unavailable)


def http_error(error: exceptions.HTTPException) -> Response:
    """Turn an HTTP error into a problem; its headers (Allow, WWW-Authenticate, …) stay."""
    details = getattr(error, "data", None) or {}
    body = problem_body(error.code or 500, error.description or "", quote(request.path))
    if "messages" in details:
        if error.code == exceptions.UnprocessableEntity.code:
            body["detail"] = "The request has invalid fields."
        body["errors"] = list(invalid_fields(details["messages"]))
        add_log_context(
            fields="; ".join(" ".join(field.values()) for field in body["errors"])[:LOG_LIMIT]
        )
    add_log_context(error=body["detail"])
    if not is_api() and prefers_html():
        # An exception may name a page that says more.
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
    """Return an error in the one format, as it is in JSON."""
    return {
        "type": "about:blank",
        "title": HTTP_STATUS_CODES[status],
        "status": status,
        "detail": detail,
        "instance": instance,
    }


def body_too_large(error: exceptions.RequestEntityTooLarge) -> Response:
    """Answer 413 after reading on for a while: a client that still sends would only see a reset."""
    body = request.environ["wsgi.input"]
    with suppress(Exception):  # the rest may stop or be malformed: the answer stays the same
        for _ in range(0, (request.max_content_length or 0) + DRAIN_LIMIT, 65_536):
            if not body.read(65_536):
                break
    return http_error(error)


def database_unavailable(error: Exception) -> Response:
    """Answer 503: the database can't do this now, for whatever reason."""
    response = http_error(
        exceptions.ServiceUnavailable(
            "The database does not answer. Try again.", retry_after=RETRY_AFTER
        )
    )
    add_log_context(error=str(getattr(error, "orig", error)))
    return response


def no_schema(error: ProgrammingError) -> Response:
    """Answer 503 where a table is missing: the migrations have not run yet."""
    return database_unavailable(error) if error_code(error) == NO_SUCH_TABLE else unexpected(error)


def unexpected(error: Exception) -> Response:
    """Answer 500 and log the trace, which the client does not see."""
    add_log_context(exc_info=error)
    return http_error(
        exceptions.InternalServerError("This is a fault of the service. It has been logged.")
    )


def invalid_fields(messages: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield an error for each message in marshmallow's tree: location, then fields."""
    for place, tree in messages.items():
        for path, detail in _leaves(tree):
            if place == "json":
                where = {"pointer": "#" + "".join(f"/{_escape(part)}" for part in path)}
            else:
                where = {"parameter": path[0]} if path else {}
            yield where | {"detail": detail}


def _escape(part: str) -> str:
    """Escape one part of a JSON pointer (RFC 6901, sections 3 and 6).

    A name can contain lone surrogates, which UTF-8 can't encode.
    """
    return quote(part.replace("~", "~0").replace("/", "~1"), safe="~", errors="replace")


def _leaves(tree: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(tree, dict):
        for key, branch in tree.items():
            yield from _leaves(branch, path if key == "_schema" else (*path, str(key)))
    elif isinstance(tree, list):
        for branch in tree:
            yield from _leaves(branch, path)
    else:
        yield path, str(tree)
