"""Schemas of requests and responses: the rules for each field and its format in JSON."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask import current_app
from marshmallow import Schema, ValidationError, fields, post_load, pre_load, validate, validates

from app.api import resources
from app.api.own_url import own_url
from app.identity.tokens import Actor, ActorSchema
from app.links import codes, histogram, lists, queries, targets
from app.links.cursors import Cursor
from app.links.search import WORD_LENGTH, search_terms

MAX_BATCH_LINKS = 1000  # links
QR_CODE_SIZES = (64, 1000)  # the least and the largest, in pixels

# What the schemas check, as far as JSON Schema can express it, and texts for the OpenAPI document.
CODE = {
    "type": "string",
    "pattern": f"^{codes.CODE.pattern}$",
    "description": "The part of the short URL after the slash. Codes that differ only by case or"
    " `-` are the same. Words that the service itself uses, such as `api` and `favicon.ico`, are"
    " reserved, and so are codes that end with `.qr`, `.qr.png` or `.qr.svg`.",
    "examples": ["compose"],
}
URL_PATTERN = r"[Hh][Tt][Tt][Pp][Ss]?://[^\s\\\u0000-\u0020\u007f-\u009f]+"
URL = {
    "pattern": rf"^({URL_PATTERN}|{targets.ALIAS.pattern})$",
    "maxLength": targets.URL_LENGTH,
    "description": "Target: an absolute http or https URL, or another link here: `/` and its code,"
    " or its short URL. Then this link is an alias, and the other link must exist and be none."
    " `%s` in its path, query or fragment is replaced by what follows the code in the request's"
    " path; without `%s`, that is added to the target's path.",
    "examples": ["https://docs.docker.com/compose/"],
}
NEW_URL = {
    **URL,
    "pattern": f"^[{targets.SPACES}]*({URL_PATTERN}|{targets.ALIAS.pattern})[{targets.SPACES}]*$",
    "description": f"{URL['description']} White space and invisible characters around it are"
    " dropped.",
    "format": "iri-reference",  # only a hint: like browsers, we also accept other URLs
}
TITLE = resources.TEXT_SCHEMA | {
    "description": "A name for people, shown in lists and previews.",
    "examples": ["Docker Compose"],
}
TAGS = {"description": "Labels for the link. `GET /api/links?tag=…` lists the links with a tag."}
TAG = {**resources.TEXT_SCHEMA, "examples": ["docs"]}
Q = {
    "description": "Words to find. Each must be the beginning of a word in the code, title or URL.",
    "examples": ["docker compose"],
}
CURSOR = {
    "type": "string",
    "description": "The cursor for the next page: send it as `after`. null on the last page.",
    "examples": ["MjAyNi0xMS0yM1QxMjowMDowMCswMDowMCAx"],
}
TIME = {
    "pattern": f"^{resources.RFC3339.pattern}$",
    "description": "An RFC 3339 time with an offset, from 1970 UTC on, precise to a microsecond.",
    "examples": ["2030-01-01T00:00:00Z"],
}
EXPIRES_AT = TIME | {
    "description": f"From then on, the short URL gets 410. null: never. {TIME['description']}"
}
# All of these times are accepted. At both ends, an offset can lead beyond the years 1970 to 9999.
NEW_EXPIRES_AT = EXPIRES_AT | {
    "pattern": rf"^(?!1969|1970-01-01.*\+|9999-12-31.*-..:..$){resources.RFC3339.pattern}$"
}
CREATED_AT = {"examples": ["2026-11-23T12:00:00.000000Z"]}
OWNER = {"description": "Who created the link. null if an older version did."}
CLICKS = {"minimum": 0, "examples": [42]}
MAX_TERMS = 20  # words in one search: each word makes it more expensive


def validate_search(text: str) -> None:
    """Reject a search with no words, too many words, or a word too long for MySQL's index.

    :raises ValidationError: the search is rejected.
    """
    words, unindexed = search_terms(text)
    if not words and not unindexed:
        raise ValidationError("Must contain at least one word of letters, digits or _.")
    if len(words) + len(unindexed) > MAX_TERMS:
        raise ValidationError(f"Must not contain more than {MAX_TERMS} words.")
    if max(map(len, words), default=0) > WORD_LENGTH:
        raise ValidationError(f"Must not contain a word longer than {WORD_LENGTH} characters.")


TITLE_LENGTH = 200  # characters
TITLE_RULES = (validate.Length(max=TITLE_LENGTH), resources.validate_printable)
TAG_RULES = (validate.Length(min=1, max=50), resources.validate_printable)


class LinkPatchSchema(Schema):
    """The fields of a link that can be changed. null resets the optional ones to their default."""

    url = fields.String(metadata=NEW_URL)
    code = fields.String(metadata=CODE)
    title = fields.String(allow_none=True, validate=TITLE_RULES, metadata=TITLE)
    tags = resources.LimitedList(
        fields.String(validate=TAG_RULES, metadata=TAG),
        allow_none=True,
        validate=validate.Length(max=20),
        metadata=TAGS | {"uniqueItems": True},
    )
    expires_at = resources.Timestamp(allow_none=True, metadata=NEW_EXPIRES_AT)

    @pre_load
    def normalise(self, data: Any, **_kwargs: Any) -> Any:
        """Replace null by the field's default, since null removes a value in a merge patch.

        Also drop spaces around the target, and replace the short URL of a link here by the target
        of an alias.
        """
        if not isinstance(data, dict):
            return data
        given = {k: queries.OPTIONAL_FIELDS.get(k) if v is None else v for k, v in data.items()}
        if isinstance(url := given.get("url"), str):
            given["url"] = targets.relative(url.strip(targets.SPACES), own_url())
        return given

    @validates("url")
    def validate_target(self, url: str, **_kwargs: Any) -> None:
        """Reject a target that browsers can't open, or that leads back to this service."""
        is_alias = targets.ALIAS.fullmatch(url)
        if not is_alias and (reason := targets.rejection_reason(url, own_url())):
            raise ValidationError(reason)

    @validates("code")
    def validate_code(self, code: str, **_kwargs: Any) -> None:
        """Reject a code that is malformed or reserved."""
        if not codes.CODE.fullmatch(code):
            raise ValidationError(
                "Must be 1 to 64 letters, digits, -, _ or dots, begin with a letter or digit, and"
                " not end with a dot."
            )
        if codes.is_reserved(current_app, code):
            raise ValidationError("Is reserved by this service.")

    @validates("tags")
    def validate_unique(self, tags: list[str], **_kwargs: Any) -> None:
        """Reject a list that contains the same tag twice."""
        if len(set(tags)) != len(tags):
            raise ValidationError("Must not contain the same tag twice.")


class LinkCreateSchema(LinkPatchSchema):
    """A new link. Without a `code`, the service chooses a random one."""

    url = fields.String(required=True, metadata=NEW_URL)


class BatchSchema(Schema):
    """Links to create in one transaction."""

    links = resources.LimitedList(
        fields.Nested(LinkCreateSchema),
        required=True,
        validate=validate.Length(min=1, max=MAX_BATCH_LINKS),
    )


class PreviewSchema(resources.ResponseSchema):
    """The public part of a link, which anyone can see."""

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Read attributes only: marshmallow would try keys first, which a row does not have."""
        return getattr(obj, attr, default)

    code = fields.String(metadata=CODE)
    short_url = fields.Function(
        lambda link: f"{own_url()}/{link.code}",
        metadata={"type": "string", "examples": ["http://localhost:8000/compose"]},
    )
    url = fields.String(metadata=URL)
    title = fields.String(metadata=TITLE)


class QRCodeArgumentsSchema(Schema):
    """The size of a QR code."""

    size = resources.WholeNumber(validate=validate.Range(*QR_CODE_SIZES))


class LinkSchema(PreviewSchema):
    """All fields of a link, for clients with a token."""

    def get_attribute(self, obj: Any, attr: str, default: Any) -> Any:
        """Name the parts of the owner, which the database returns as a list."""
        found = super().get_attribute(obj, attr, default)
        return Actor(*found) if attr == "owner" and found else found

    tags = fields.List(fields.String(metadata=TAG), metadata=TAGS)
    expires_at = resources.Timestamp(allow_none=True, metadata=EXPIRES_AT)
    created_at = resources.Timestamp(metadata=CREATED_AT)
    updated_at = resources.Timestamp(metadata=CREATED_AT)
    clicks = fields.Integer(metadata=CLICKS | {"description": "All clicks counted so far."})
    owner = fields.Nested(ActorSchema, allow_none=True, metadata=OWNER)  # history


class CreatedSchema(resources.ResponseSchema):
    """The links that were created, in the order of the request."""

    links = fields.Nested(LinkSchema, many=True)


class ExportArgumentsSchema(Schema):
    """The format of an export. Without it, the `Accept` header decides; the default is jsonl."""

    format = fields.String(validate=validate.OneOf(["jsonl", "csv"]))


class PageArgumentsSchema(Schema):
    """Which page of the list to return."""

    limit = resources.WholeNumber(
        load_default=20,
        validate=validate.Range(min=1, max=100),
        metadata={"description": "The largest number of links on a page."},
    )
    after = Cursor(metadata=CURSOR | {"description": "A cursor: `next` of the previous page."})
    q = fields.String(validate=[*TITLE_RULES, validate_search], metadata=Q)
    tag = fields.String(validate=TAG_RULES, metadata=TAG | {"description": "Filter by a tag."})
    sort = fields.String(load_default=lists.SORTS[0], validate=validate.OneOf(lists.SORTS))
    # history
    mine = fields.String(
        validate=validate.OneOf(["true", "false"]),
        metadata={"description": "`true`: only links of which you are the owner."},
    )
    # /history

    @pre_load
    def continue_list(self, data: Mapping[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Take the arguments that are not given from the cursor."""
        given = dict(data)
        return Cursor.arguments(given.get("after", "")) | given

    @post_load
    def fit_together(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Reject a cursor from a list that was sorted differently."""
        kind = {"-created_at": datetime, "code": str}.get(data["sort"], int)
        if "after" in data and not isinstance(data["after"].value, kind):
            raise ValidationError("Is a cursor for another sort order.", "after")
        return data


class PageSchema(resources.ResponseSchema):
    """A page of the list. `next` is the cursor for the next page, or null on the last one."""

    links = fields.Nested(LinkSchema, many=True)
    next = fields.String(allow_none=True, metadata=CURSOR)


class SeriesArgumentsSchema(Schema):
    """The time range and the size of the buckets."""

    class Meta:
        """Declares `from`: as a keyword of Python, it can't be an attribute of the class."""

        start = TIME | {"description": "The start. Default: 24 hours or 30 days before the end."}
        include = {"from": resources.Timestamp(metadata=start)}  # noqa: RUF012 marshmallow's form

    to = resources.Timestamp(metadata=TIME | {"description": "The end. Default: now."})
    by = fields.String(
        load_default="day",
        validate=validate.OneOf(list(histogram.BUCKET_SIZES)),
        metadata={"description": "Count the clicks of each hour or of each day."},
    )

    @post_load
    def to_buckets(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Widen the range to whole buckets."""
        by = data["by"]
        try:
            first, last = histogram.bucket_range(data.get("from"), data.get("to"), by)
        except (ValueError, OverflowError) as error:
            wrong = "to" if isinstance(error, OverflowError) else "from"
            raise ValidationError(str(error), wrong) from None
        return {"first": first, "last": last, "by": by}


class BucketSchema(resources.ResponseSchema):
    """The clicks of the hour or day that begins `at` this time."""

    at = resources.Timestamp(metadata={"examples": ["2026-11-23T00:00:00Z"]})
    clicks = fields.Integer(metadata=CLICKS)


class SeriesSchema(resources.ResponseSchema):
    """The buckets of a time range, including empty ones, and the sum of their clicks."""

    total = fields.Integer(metadata=CLICKS)
    series = fields.Nested(BucketSchema, many=True)
