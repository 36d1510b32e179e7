"""flask-smorest as this service uses it: strict JSON, field types, body limits, one error format.

It relies on private parts of flask-smorest and apispec, see tests/unit/test_private_parts.py.
"""

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Any, NoReturn

import flask_smorest
from flask import Flask, Request, request
from marshmallow import Schema, ValidationError, fields
from webargs.flaskparser import FlaskParser
from werkzeug import exceptions
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response

from app.api import problems
from app.api.openapi import ABOUT, CommonParts

JSON_TYPES = {"application/json", "application/merge-patch+json"}
# Not allowed in any text: control characters, and lone surrogates, which UTF-8 can't encode.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
RFC3339 = re.compile(
    r"(19[7-9]\d|[2-9]\d{3})-\d\d-\d\d[Tt]\d\d:\d\d:[0-5]\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)",
    flags=re.ASCII,
)

LARGEST_ID = 10**18 - 1

# The checks of the fields, as far as JSON Schema can express them.
ID_SCHEMA = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID, "examples": [1]}
TEXT_SCHEMA = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}


class StrictJsonParser(FlaskParser):
    """Reads JSON as RFC 8259 defines it: UTF-8, no NaN, and no name twice in one object."""

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002 webargs's signature
        """Return the request's body.

        :raises exceptions.HTTPException: it is not JSON, is incomplete, or is too large.
        """
        if req.mimetype not in JSON_TYPES or req.content_encoding:
            raise exceptions.UnsupportedMediaType(
                "The body must be application/json, not compressed."
            )
        body = req.get_data()
        if len(body) < (req.content_length or 0):
            raise exceptions.BadRequest("The body is shorter than its Content-Length.")
        if req.environ["wsgi.input"].read(1):  # werkzeug truncates chunked bodies
            raise exceptions.RequestEntityTooLarge
        try:
            return strict_json(body)
        except ValueError as error:
            raise exceptions.BadRequest(f"The body is not JSON: {error}") from None


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose views read their arguments with `StrictJsonParser`.

    A view's docstring is its text in the OpenAPI document, up to a line that begins with a colon.
    """

    ARGUMENTS_PARSER = StrictJsonParser()
    DOCSTRING_INFO_DELIMITER = ":"


class IdConverter(IntegerConverter):
    """A row's number in a path, `<id:id>`. Anything else in its place matches no route."""

    regex = "[1-9][0-9]{0,17}"


class WholeNumber(fields.Integer):
    """A number in a query: digits only. Python's `int` accepts more, such as `1_0`."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if not re.fullmatch("-?[0-9]{1,18}", str(value)):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **kwargs)


class Timestamp(fields.DateTime):
    """An RFC 3339 time: any offset in requests, UTC with `Z` in responses."""

    def _serialize(self, value: datetime | None, *_args: Any, **_kwargs: Any) -> str | None:
        return value.isoformat().replace("+00:00", "Z") if value else None

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> datetime:
        try:
            if not RFC3339.fullmatch(value):
                raise ValueError
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            raise ValidationError(
                "Must be an RFC 3339 time with an offset, not before 1970."
            ) from None


class ResponseSchema(Schema):
    """The base of all schemas of responses: no field is ever left out."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:  # noqa: ARG002
        """Mark each field as required in the OpenAPI document."""
        field_obj.required = True


class Api(flask_smorest.Api):
    """Registers blueprints and documents them, and leaves errors to `app.api.problems`."""

    ERROR_SCHEMA = problems.ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None  # `CommonParts` names each error

    def __init__(self, app: Flask) -> None:
        info = {"description": ABOUT}
        super().__init__(app, spec_kwargs={"extra_plugins": [CommonParts()], "info": info})
        app.url_map.converters["id"] = IdConverter
        self.register_converter(IdConverter, lambda _: ID_SCHEMA)
        # flask-smorest's own pagination, which the service does not use.
        del self.spec.components.schemas["PaginationMetadata"]

    def handle_http_exception(self, error: exceptions.HTTPException) -> Response:
        """Return the error in the service's one format."""
        return problems.http_error(error)


def strict_json(text: bytes) -> Any:
    """Read JSON as RFC 8259 defines it.

    :raises ValueError: invalid JSON or UTF-8, a number of 5,000 digits, or nested too deeply.
    """
    try:
        return json.loads(
            text.decode(), object_pairs_hook=_unique_names, parse_constant=_reject_constant
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def validate_printable(text: str) -> None:
    """Reject control characters and lone surrogates.

    :raises ValidationError: there is one.
    """
    if CONTROL_CHARACTERS.search(text):
        raise ValidationError("Must not contain control characters.")


def body_limit(size: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Set the limit of one view's bodies, in bytes. Put it above `arguments`, which reads them."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def limited(*args: Any, **kwargs: Any) -> Any:
            request.max_content_length = size
            return view(*args, **kwargs)

        return limited

    return decorate


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
