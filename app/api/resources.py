"""flask-smorest, adapted for this service: strict JSON, field types, body limits, error format.

It relies on private names of flask-smorest and apispec: see tests/unit/test_private_parts.py.
"""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import wraps
from itertools import islice
from typing import Any, NoReturn, TypeVar

import flask_smorest
from flask import Flask, Request, request
from marshmallow import Schema, ValidationError, fields, validate
from webargs.flaskparser import FlaskParser
from werkzeug import exceptions
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response
from werkzeug.wsgi import LimitedStream

from app.api import problems
from app.api.openapi import ABOUT, CommonParts

T = TypeVar("T")

JSON_TYPES = {"application/json", "application/merge-patch+json"}
# Not allowed in any text: control characters, and lone surrogates, which UTF-8 can't encode.
CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
LINE_BREAK = re.compile(r"\r\n?")  # of Windows and of HTML forms, and of old systems
# Hours and minutes as in RFC 3339, section 5.6: Python's versions differ in what else they accept.
TIME_OF_DAY = r"([01]\d|2[0-3]):[0-5]\d"
# With an offset, the first hours of 1970 in UTC can be on the last day of 1969.
RFC3339 = re.compile(
    r"(1969-12-31|(19[7-9]\d|[2-9]\d{3})-\d\d-\d\d)[Tt]"
    rf"{TIME_OF_DAY}:[0-5]\d(\.\d+)?([Zz]|[+-]{TIME_OF_DAY})",
    flags=re.ASCII,
)

LARGEST_ID = 10**18 - 1

# Limits of one JSON document. Parsing and checking can't be interrupted, so they must be short.
MAX_VALUES = 50_000
MAX_FIELDS = 100  # in one object
# Text up to the next value, or up to the end. The possessive quantifiers never backtrack, so the
# time is linear whatever the text is.
BEFORE_VALUE = re.compile(rb'(?:[^",\[{]++|"(?:[^"\\]++|\\.)*+"?+)*+[,\[{]?+', flags=re.DOTALL)
TURN = 0.05  # seconds of work until other requests of the process get a turn

# The validation rules of fields, as far as JSON Schema can express them.
ID_SCHEMA = {"type": "integer", "minimum": 1, "maximum": LARGEST_ID, "examples": [1]}
TEXT_SCHEMA = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}
MULTILINE_SCHEMA = {
    "pattern": r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$",
    "description": "Text of one or more lines. Line breaks are returned as `\\n`.",
}


class StrictJsonParser(FlaskParser):
    """A parser for strict JSON: in UTF-8, without NaN, and without repeated names in an object.

    RFC 8259 requires the first two. The third is from I-JSON (RFC 7493, section 2.3).
    """

    def load_json(self, req: Request, schema: Schema) -> Any:  # noqa: ARG002 webargs's signature
        """Return the request's body, parsed.

        :raises exceptions.HTTPException: 400, it is incomplete or not valid JSON; 413, it is too
            large; 415, it has another media type or is compressed.
        :raises ValidationError: it has too many values or fields.
        """
        if req.mimetype not in JSON_TYPES or req.content_encoding:
            raise exceptions.UnsupportedMediaType(
                "The body must be JSON (Content-Type: application/json), not compressed."
            )
        body = req.get_data()
        if len(body) < (req.content_length or 0):
            raise exceptions.BadRequest("The body is shorter than its Content-Length.")
        # werkzeug cuts chunked bodies at the limit. LimitedStream gives 400 if the client has left.
        # At the end of other bodies, Flask's development server would wait for the client.
        is_chunked = req.content_length is None and "wsgi.input_terminated" in req.environ
        if is_chunked and LimitedStream(req.environ["wsgi.input"], 1, is_max=True).read(1):
            raise exceptions.RequestEntityTooLarge
        try:
            return strict_json(body)
        except ValueError as error:
            raise exceptions.BadRequest(f"The body is not valid JSON: {error}") from None


class Blueprint(flask_smorest.Blueprint):
    """A blueprint whose views read their arguments with `StrictJsonParser`.

    A view's docstring is its summary and description in the OpenAPI document, up to the first line
    that begins with a colon.
    """

    ARGUMENTS_PARSER = StrictJsonParser()
    DOCSTRING_INFO_DELIMITER = ":"


class IdConverter(IntegerConverter):
    """A URL converter for the id of a row, as in `<id:number>`. Other text matches no route."""

    regex = "[1-9][0-9]{0,17}"


class WholeNumber(fields.Integer):
    """An integer in a query: digits, after an optional `-`. Python's `int` accepts `1_0` too."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> int:
        if not re.fullmatch("-?[0-9]{1,18}", str(value)):
            raise self.make_error("invalid")
        return super()._deserialize(value, *args, **kwargs)


class Timestamp(fields.DateTime):
    """An RFC 3339 time, with any offset in requests, and in UTC with `Z` in responses."""

    earliest = datetime(1970, 1, 1, tzinfo=UTC)

    def _serialize(self, value: datetime | None, *_args: Any, **_kwargs: Any) -> str | None:
        return value.isoformat().replace("+00:00", "Z") if value else None

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> datetime:
        try:
            if not RFC3339.fullmatch(value):
                raise ValueError
            time = datetime.fromisoformat(value.upper()).astimezone(UTC)
            if time < self.earliest:
                raise ValueError
        except (TypeError, ValueError, OverflowError):
            raise ValidationError(
                "Must be an RFC 3339 time with an offset, from 1970 on: 2030-01-01T00:00:00Z."
            ) from None
        return time


class LimitedList(fields.List[Any]):
    """A list whose length is checked before its items.

    So a list that is too long costs little, and gives one error instead of one for each item. While
    the items of a long list are checked, other requests get their turns.
    """

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list):
            validate.And(*self.validators)(value)
            value = in_turns(value)
        return super()._deserialize(value, *args, **kwargs)


class MultilineText(fields.String):
    """Text of one or more lines, without control characters other than line breaks and tabs.

    Every line break becomes one LF, as browsers normalise text (WHATWG Infra, "normalize
    newlines"), so the same text is stored however a client sent it. Validators see the result.
    """

    def __init__(self, *, metadata: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(metadata={**MULTILINE_SCHEMA, **(metadata or {})}, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> str:
        text = LINE_BREAK.sub("\n", super()._deserialize(value, *args, **kwargs))
        if CONTROL_CHARACTERS.search(text.translate({ord("\n"): None, ord("\t"): None})):
            raise ValidationError("Must contain no control characters but line breaks and tabs.")
        return text


class ResponseSchema(Schema):
    """The base class for schemas of responses, in which every field is always present."""

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:  # noqa: ARG002
        """Mark each field as required in the OpenAPI document."""
        field_obj.required = True


class Api(flask_smorest.Api):
    """The object that registers and documents blueprints. `app.api.problems` handles errors."""

    ERROR_SCHEMA = problems.ProblemSchema
    DEFAULT_ERROR_RESPONSE_NAME = None  # `CommonParts` documents each error

    def __init__(self, app: Flask) -> None:
        info = {"description": ABOUT}
        super().__init__(app, spec_kwargs={"extra_plugins": [CommonParts()], "info": info})
        app.url_map.converters["id"] = IdConverter
        self.register_converter(IdConverter, lambda _: ID_SCHEMA)
        # The schema of flask-smorest's own pagination, which the service does not use.
        del self.spec.components.schemas["PaginationMetadata"]

    def handle_http_exception(self, error: exceptions.HTTPException) -> Response:
        """Return the error as a problem document."""
        return problems.http_error(error)


def strict_json(text: bytes) -> Any:
    """Parse strict JSON: see `StrictJsonParser`.

    :raises ValueError: it is not strict JSON, is nested too deeply, or has an integer that is too
        long (see `sys.get_int_max_str_digits`). The message is for the client.
    :raises ValidationError: it has more than MAX_VALUES values, or an object with more than
        MAX_FIELDS fields. Nothing is parsed if it has too many values.
    """
    if sum(1 for _ in islice(BEFORE_VALUE.finditer(text), MAX_VALUES + 2)) > MAX_VALUES + 1:
        raise ValidationError(f"Must not contain more than {MAX_VALUES:,} values.")
    try:
        return json.loads(
            text.decode(),
            object_pairs_hook=_unique_names,
            parse_constant=_reject_constant,
            parse_int=_integer,
        )
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def validate_printable(text: str) -> None:
    """Reject control characters and lone surrogates.

    :raises ValidationError: the text contains one.
    """
    if CONTROL_CHARACTERS.search(text):
        raise ValidationError("Must not contain control characters.")


def body_limit(size: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Limit the size in bytes of one view's request bodies.

    Put this decorator above `arguments`, which reads the body.
    """

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def limited(*args: Any, **kwargs: Any) -> Any:
            request.max_content_length = size
            return view(*args, **kwargs)

        return limited

    return decorate


def in_turns(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, and let other requests of this process run after each TURN of work."""
    end = time.perf_counter() + TURN
    for item in items:
        if time.perf_counter() > end:
            time.sleep(0.001)  # after a sleep of 0, gevent might not read sockets first
            end = time.perf_counter() + TURN
        yield item


def _unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MAX_FIELDS:
        raise ValidationError(f"Must not contain an object with more than {MAX_FIELDS} fields.")
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same name twice")
    return found


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not allowed")


def _integer(digits: str) -> int:
    try:
        return int(digits)
    except ValueError:
        raise ValueError("a number has too many digits") from None
