"""flask-smorest as this service uses it: strict JSON, and errors in our one shape."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn

import flask_smorest
from flask import Flask, Request, request
from marshmallow import Schema
from marshmallow.fields import Field
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import BadRequest, HTTPException, UnsupportedMediaType
from werkzeug.wrappers import Response

from app import errors
from app.openapi import ABOUT, Common


class Parser(FlaskParser):
    """Reads JSON as RFC 8259 has it: UTF-8, no NaN, and no name twice in one object."""

    def _raw_load_json(self, req: Request) -> Any:
        if not req.is_json:
            raise UnsupportedMediaType("The body must be application/json.")
        try:
            return strict_json(req.get_data())
        except ValueError as error:
            raise BadRequest(f"The body is not JSON: {error}") from None


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose views read their arguments with `Parser`.

    A view's docstring is its text in the OpenAPI document, up to a line that begins with a colon.
    """

    ARGUMENTS_PARSER = Parser()
    DOCSTRING_INFO_DELIMITER = ":"


class Output(Schema):
    """The base of schemas of what goes out: no field is ever left out."""

    def on_bind_field(self, field_name: str, field_obj: Field[Any]) -> None:  # noqa: ARG002
        """Say so in the OpenAPI document."""
        field_obj.required = True


class Api(flask_smorest.Api):
    """Registers blueprints and documents them, and leaves errors to `app.errors`."""

    ERROR_SCHEMA = errors.ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None  # `Common` names each error

    def __init__(self, app: Flask) -> None:
        info = {"description": ABOUT}
        super().__init__(app, spec_kwargs={"extra_plugins": [Common()], "info": info})
        del self.spec.components.schemas["PaginationMetadata"]  # flask-smorest's, not used here

    def handle_http_exception(self, error: HTTPException) -> Response:
        """Give the service's one shape of error."""
        return errors.http_error(error)


def strict_json(text: bytes) -> Any:
    """Read JSON as RFC 8259 has it.

    :raises ValueError: wrong JSON or UTF-8, a number of 5,000 digits, or nested too deeply.
    """
    try:
        return json.loads(text.decode(), object_pairs_hook=_unique, parse_constant=_not_a_number)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def body_limit(size: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let the bodies of one view have up to `size` bytes; goes above `arguments`, which reads."""

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def limited(*args: Any, **kwargs: Any) -> Any:
            request.max_content_length = size
            return view(*args, **kwargs)

        return limited

    return decorate


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _not_a_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
