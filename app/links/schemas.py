"""Schemas of requests and responses: the rules of each field, and its format in JSON."""

import base64
import re
from datetime import UTC, datetime
from typing import Any

from flask import current_app
from marshmallow import Schema, ValidationError, fields, post_load, pre_load, validate, validates

from app.api import resources
from app.api.own_url import own_url
from app.links import codes, histogram, queries, targets
from app.links.search import WORD_LENGTH, search_terms

MAX_BATCH_LINKS = 1000  # links

# The checks of the schemas, as far as JSON Schema can express them.
CODE = {
    "type": "string",
    "pattern": f"^{codes.CODE.pattern}$",
    "description": "Case and `-` make no difference. The service's own words are none.",
    "examples": ["compose"],
}
URL = {
    "pattern": r"^[Hh][Tt][Tt][Pp][Ss]?://[^\s\\\u0000-\u0020\u007f-\u009f]+$",
    "maxLength": targets.URL_LENGTH,
    "description": "Where the link leads: http or https, with a host, and not to this service.",
    "examples": ["https://docs.docker.com/compose/"],
}
NEW_URL = {**URL, "format": "iri"}  # browsers take more than IRIs, and so do we
TITLE = {**resources.TEXT_SCHEMA, "examples": ["Docker Compose"]}
TAG = {**resources.TEXT_SCHEMA, "examples": ["docs"]}
Q = {
    "description": "Words, each of which must begin a word of the code, the title or the URL.",
    "examples": ["docker compose"],
}
CURSOR = {
    "type": "string",
    "description": "Where the page before ended: its `next`.",
    "examples": ["MjAyNi0xMS0yM1QxMjowMDowMCswMDowMCAx"],
}
TIME = {
    "pattern": f"^{resources.RFC3339.pattern}$",
    "description": "From 1970 on. Of the fraction of a second, six digits count.",
    "examples": ["2030-01-01T00:00:00Z"],
}
CREATED_AT = {"examples": ["2026-11-23T12:00:00.000000Z"]}
LOOKUP_KEY = re.compile("[a-z0-9_]{1,64}")
MAX_TERMS = 20  # of a search: each one costs


def validate_search(text: str) -> None:
    """Reject a search without words, with too many, or with one that no index has."""
    found = search_terms(text)
    if not found:
        raise ValidationError("Must contain a word: letters, digits or _.")
    if len(found) > MAX_TERMS:
        raise ValidationError(f"Must not contain more than {MAX_TERMS} words.")
    if max(map(len, found)) > WORD_LENGTH:
        raise ValidationError(f"Must not contain a word of more than {WORD_LENGTH} characters.")


class Cursor(fields.Field[queries.Position | str]):
    """An opaque cursor: the place in a list where a page ended."""

    @staticmethod
    def encode(position: queries.Position | str) -> str:
        """Return the cursor for a place."""
        if isinstance(position, queries.Position):
            position = f"{position.created_at.isoformat()} {position.id}"
        return base64.urlsafe_b64encode(position.encode()).decode()

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> queries.Position | str:
        try:
            place = base64.urlsafe_b64decode(value).decode()
            if LOOKUP_KEY.fullmatch(place):
                return place
            time, number = place.split(" ")
            created_at = datetime.fromisoformat(time).astimezone(UTC)
            position = queries.Position(created_at, int(number))
        except (ValueError, OverflowError):
            raise ValidationError("Is no page of this list.") from None
        if not 0 <= position.id < 2**63:
            raise ValidationError("Is no page of this list.")
        return position


TITLE_RULES = (validate.Length(max=200), resources.validate_printable)
TAG_RULES = (validate.Length(min=1, max=50), resources.validate_printable)


class LinkPatchSchema(Schema):
    """What can be changed of a link; null gives a field its first value back (RFC 7396)."""

    url = fields.String(metadata=NEW_URL)
    title = fields.String(allow_none=True, validate=TITLE_RULES, metadata=TITLE)
    tags = fields.List(
        fields.String(validate=TAG_RULES, metadata=TAG),
        allow_none=True,
        validate=validate.Length(max=20),
        metadata={"uniqueItems": True},
    )
    expires_at = resources.Timestamp(allow_none=True, metadata=TIME)

    @pre_load
    def read_null_as_default(self, data: Any, **_kwargs: Any) -> Any:
        """Read null as the removal of a field, as a merge patch does."""
        if not isinstance(data, dict):
            return data
        return {k: queries.OPTIONAL_FIELDS.get(k) if v is None else v for k, v in data.items()}

    @validates("url")
    def validate_target(self, url: str, **_kwargs: Any) -> None:
        """Reject a target that browsers can't open, or that is this service."""
        if reason := targets.rejection_reason(url, own_url()):
            raise ValidationError(reason)

    @validates("tags")
    def validate_unique(self, tags: list[str], **_kwargs: Any) -> None:
        """Reject a tag that occurs twice."""
        if len(set(tags)) != len(tags):
            raise ValidationError("Must not contain a tag twice.")


class LinkCreateSchema(LinkPatchSchema):
    """A new link. Its code is made where it has none."""

    url = fields.String(required=True, metadata=NEW_URL)
    code = fields.String(metadata=CODE)

    @validates("code")
    def validate_code(self, code: str, **_kwargs: Any) -> None:
        """Reject a code that no link can have."""
        if not codes.CODE.fullmatch(code):
            raise ValidationError(
                "Must be 1 to 64 letters, digits, - and _, and begin with a letter or digit."
            )
        if codes.lookup_key(code) in codes.reserved_keys(current_app):
            raise ValidationError("Is a word of this service.")


class LinkImportSchema(LinkCreateSchema):
    """A link from an export. Without a code, each import would create another link."""

    code = fields.String(required=True)
    created_at = resources.Timestamp()
    updated_at = resources.Timestamp()
    clicks = fields.Raw()

    @post_load
    def without_clicks(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Drop the clicks: an export has only their sum, not the hours."""
        data.pop("clicks", None)
        return data


class LimitedList(fields.List[Any]):
    """A list whose length is checked before its items."""

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> list[Any]:
        if isinstance(value, list):
            validate.And(*self.validators)(value)
        return super()._deserialize(value, *args, **kwargs)


class BatchSchema(Schema):
    """Links that are created together."""

    links = LimitedList(
        fields.Nested(LinkCreateSchema),
        required=True,
        validate=validate.Length(min=1, max=MAX_BATCH_LINKS),
    )


class PreviewSchema(resources.ResponseSchema):
    """A link as everyone may see it."""

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read attributes only: marshmallow's own way tries keys first, and rows have none."""
        return getattr(obj, attr, default)

    code = fields.String(metadata=CODE)
    short_url = fields.Function(
        lambda link: f"{own_url()}/{link.code}",
        metadata={"type": "string", "examples": ["http://localhost:8000/compose"]},
    )
    url = fields.String(metadata=URL)
    title = fields.String(metadata=TITLE)


class LinkSchema(PreviewSchema):
    """A link as it is told to those with a token."""

    tags = fields.List(fields.String(metadata=TAG))
    expires_at = resources.Timestamp(allow_none=True, metadata=TIME)
    created_at = resources.Timestamp(metadata=CREATED_AT)
    updated_at = resources.Timestamp(metadata=CREATED_AT)
    clicks = fields.Integer(metadata={"minimum": 0, "examples": [42]})


class CreatedSchema(resources.ResponseSchema):
    """The links of a batch, in the order in which they came."""

    links = fields.Nested(LinkSchema, many=True)


class ExportArgumentsSchema(Schema):
    """The form of an export; the Accept header says it where this does not."""

    format = fields.String(validate=validate.OneOf(["jsonl", "csv"]))


class PageArgumentsSchema(Schema):
    """Which page of the list."""

    limit = resources.WholeNumber(load_default=20, validate=validate.Range(min=1, max=100))
    after = Cursor(metadata=CURSOR)
    q = fields.String(validate=[*TITLE_RULES, validate_search], metadata=Q)
    tag = fields.String(validate=TAG_RULES, metadata=TAG)
    sort = fields.String(load_default=queries.SORTS[0], validate=validate.OneOf(queries.SORTS))

    @post_load
    def fit_together(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Reject the cursor of one order in another."""
        if "after" in data and isinstance(data["after"], str) != (data["sort"] == "code"):
            raise ValidationError("Is no page of this list.", "after")
        return data


class PageSchema(resources.ResponseSchema):
    """A page of the list, and where the next one begins: null on the last."""

    links = fields.Nested(LinkSchema, many=True)
    next = fields.String(allow_none=True, metadata=CURSOR)


class SeriesArgumentsSchema(Schema):
    """Which hours or days of a link's clicks."""

    class Meta:
        """`from` is a keyword of Python, so it can't be an attribute."""

        start = TIME | {"description": "If absent, a day or 30 days ago."}
        include = {"from": resources.Timestamp(metadata=start)}  # noqa: RUF012 marshmallow's form

    to = resources.Timestamp(metadata=TIME | {"description": "If absent, now."})
    by = fields.String(load_default="day", validate=validate.OneOf(list(histogram.BUCKET_SIZES)))

    @post_load
    def to_buckets(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Turn times into the range of whole buckets that they touch."""
        by = data["by"]
        try:
            first, last = histogram.bucket_range(data.get("from"), data.get("to"), by)
        except ValueError as error:
            raise ValidationError(str(error), "from") from None
        return {"first": first, "last": last, "by": by}


class BucketSchema(resources.ResponseSchema):
    """The clicks of one hour or day."""

    at = resources.Timestamp(metadata={"examples": ["2026-11-23T00:00:00Z"]})
    clicks = fields.Integer(metadata={"minimum": 0, "examples": [42]})


class SeriesSchema(resources.ResponseSchema):
    """All buckets of a span, empty ones too, and their sum."""

    total = fields.Integer(metadata={"minimum": 0, "examples": [42]})
    series = fields.Nested(BucketSchema, many=True)
