"""What comes in and what goes out: each field's rules and its form in JSON."""

import base64
import re
from datetime import UTC, datetime
from typing import Any

from flask import current_app, request
from marshmallow import Schema, ValidationError, fields, post_load, pre_load, validate, validates

from app.database import WORD_LENGTH, words
from app.links import codes, series, store, targets
from app.links.models import Link

# What no text may hold: control characters, and half characters, which UTF-8 can't say.
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", flags=re.ASCII
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOOKUP_KEY = re.compile("[a-z0-9_]{1,64}")
WORDS = 20  # of a search: each costs


def own_url() -> str:
    """Return this service's own address, without a slash at its end."""
    url: str | None = current_app.config["PUBLIC_URL"]
    return url or f"{request.scheme}://{request.host}"


def is_printable(text: str) -> None:
    """Refuse control characters and lone surrogates."""
    if CONTROL.search(text):
        raise ValidationError("Must not contain control characters.")


def is_searchable(text: str) -> None:
    """Refuse a search for nothing, for too much, and for what no index has."""
    found = words(text)
    if not found:
        raise ValidationError("Must contain a word: letters, digits or _.")
    if len(found) > WORDS:
        raise ValidationError(f"Must not contain more than {WORDS} words.")
    if max(map(len, found)) > WORD_LENGTH:
        raise ValidationError(f"Must not contain a word of more than {WORD_LENGTH} characters.")


class Timestamp(fields.Field[datetime]):
    """An RFC 3339 time: any offset comes in, UTC with `Z` goes out."""

    def _serialize(self, value: datetime | None, *_args: Any, **_kwargs: Any) -> str | None:
        return value.isoformat().replace("+00:00", "Z") if value else None

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> datetime:
        try:
            if not RFC3339.fullmatch(value):
                raise ValueError
            time = datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (TypeError, ValueError, OverflowError):
            raise ValidationError("Must be an RFC 3339 time with an offset.") from None
        if time < EPOCH:
            raise ValidationError("Must not be before 1970.")
        return time


class Cursor(fields.Field[store.Position | str]):
    """The place in a list where a page ended; only this service knows what it means."""

    @staticmethod
    def encode(link: Link, sort: str) -> str:
        """Return the place of a link."""
        place = link.lookup_key if sort == "code" else f"{link.created_at.isoformat()} {link.id}"
        return base64.urlsafe_b64encode(place.encode()).decode()

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> store.Position | str:
        try:
            place = base64.urlsafe_b64decode(value).decode()
            if LOOKUP_KEY.fullmatch(place):
                return place
            time, number = place.split(" ")
            created_at = datetime.fromisoformat(time).astimezone(UTC)
            position = store.Position(created_at, int(number))
        except (ValueError, OverflowError):
            raise ValidationError("Is no page of this list.") from None
        if not 0 <= position.id < 2**63:
            raise ValidationError("Is no page of this list.")
        return position


TAG = (validate.Length(min=1, max=50), is_printable)


class LinkPatchSchema(Schema):
    """What can be changed of a link; null gives a field its first value back (RFC 7396)."""

    url = fields.String()
    title = fields.String(validate=[validate.Length(max=200), is_printable])
    tags = fields.List(
        fields.String(validate=TAG),
        validate=validate.Length(max=20),
    )
    expires_at = Timestamp(allow_none=True)

    @pre_load
    def null_is_default(self, data: Any, **_kwargs: Any) -> Any:
        """Read null as the merge patch that removes a field."""
        if not isinstance(data, dict):
            return data
        return {k: store.OPTIONAL.get(k) if v is None else v for k, v in data.items()}

    @validates("url")
    def leads_somewhere_else(self, url: str, **_kwargs: Any) -> None:
        """Refuse a target that is no place for a browser, or is this service."""
        if problem := targets.problem(url, own_url()):
            raise ValidationError(problem)

    @validates("tags")
    def differ(self, tags: list[str], **_kwargs: Any) -> None:
        """Refuse a tag that stands twice."""
        if len(set(tags)) != len(tags):
            raise ValidationError("Must not contain a tag twice.")


class LinkCreateSchema(LinkPatchSchema):
    """A new link. Its code is made where it has none."""

    url = fields.String(required=True)
    code = fields.String()

    @validates("code")
    def is_free_for_use(self, code: str, **_kwargs: Any) -> None:
        """Refuse a code that no link can have."""
        if not codes.CODE.fullmatch(code):
            raise ValidationError(
                "Must be 1 to 64 letters, digits, - and _, and begin with a letter or digit."
            )
        if codes.lookup_key(code) in codes.reserved(current_app):
            raise ValidationError("Is a word of this service.")


class LinkSchema(Schema):
    """A link as it is told."""

    code = fields.String()
    short_url = fields.Function(lambda link: f"{own_url()}/{link.code}")
    url = fields.String()
    title = fields.String()
    tags = fields.List(fields.String())
    expires_at = Timestamp()
    created_at = Timestamp()
    updated_at = Timestamp()
    clicks = fields.Integer()


class PageArgumentsSchema(Schema):
    """Which page of the list."""

    limit = fields.Integer(load_default=20, validate=validate.Range(min=1, max=100))
    after = Cursor()
    q = fields.String(validate=[validate.Length(max=200), is_printable, is_searchable])
    tag = fields.String(validate=TAG)
    sort = fields.String(load_default=store.SORTS[0], validate=validate.OneOf(store.SORTS))

    @post_load
    def fit_together(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Refuse the place of one order in another."""
        if "after" in data and isinstance(data["after"], str) != (data["sort"] == "code"):
            raise ValidationError("Is no page of this list.", "after")
        return data


class PageSchema(Schema):
    """A page of the list, and where the next one begins: null on the last."""

    links = fields.List(fields.Nested(LinkSchema))
    next = fields.String(allow_none=True)


class SeriesArgumentsSchema(Schema):
    """Which hours or days of a link's clicks."""

    class Meta:
        """`from` is a word of Python's."""

        include = {"from": Timestamp()}  # noqa: RUF012 marshmallow's form

    to = Timestamp()
    by = fields.String(load_default="day", validate=validate.OneOf(list(series.SIZES)))

    @post_load
    def to_buckets(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Turn times into the span of whole buckets that they touch."""
        by = data["by"]
        try:
            first, last = series.span(data.get("from"), data.get("to"), by)
        except ValueError as error:
            raise ValidationError(str(error), "from") from None
        return {"first": first, "last": last, "by": by}


class BucketSchema(Schema):
    """The clicks of one hour or day."""

    at = Timestamp()
    clicks = fields.Integer()


class SeriesSchema(Schema):
    """All buckets of a span, empty ones too, and their sum."""

    total = fields.Integer()
    series = fields.List(fields.Nested(BucketSchema))
