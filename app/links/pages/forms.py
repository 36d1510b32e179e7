"""Convert links to form fields, and submitted form fields to request bodies of the API."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import request
from markupsafe import Markup
from marshmallow import ValidationError
from sqlalchemy import Row

from app.api.etags import etag
from app.api.problems import invalid_fields
from app.links.queries import Check
from app.links.schemas import TITLE_LENGTH, LinkSchema

FIELDS = ("url", "code", "title", "tags", "expires_at")

schema = LinkSchema()


class ChangedError(Exception):
    """The link has changed since its form was shown (optimistic locking)."""


def check_revision(revision: str) -> Check:
    """Return a check that a link still has this revision.

    The check raises ChangedError if the link has another revision.
    """

    def check(link: Row[Any]) -> None:
        if etag(link) != revision:
            raise ChangedError

    return check


def link_for_template(link: Row[Any]) -> dict[str, Any]:
    """Return a link as the API returns it, plus its revision and whether it has expired."""
    shown: dict[str, Any] = schema.dump(link)
    expired = link.expires_at is not None and link.expires_at <= datetime.now(UTC)
    return shown | {"revision": etag(link), "expired": expired}


def submitted_form() -> dict[str, str]:
    """Return the submitted form fields, with line ends as LF."""
    return {name: request.form.get(name, "").replace("\r\n", "\n") for name in FIELDS}


def suggested_form() -> dict[str, str]:
    """Return the form fields that the query suggests, as the bookmarklet sends them."""
    given = {
        name: " ".join(request.args.get(name, "").split()) for name in ("url", "code", "title")
    }
    return given | {"title": given["title"][:TITLE_LENGTH]}


def form_of(link: Row[Any]) -> dict[str, str]:
    """Return a link's fields as its edit form shows them."""
    expires = link.expires_at
    return {
        "url": link.url,
        "code": link.code,
        "title": link.title,
        "tags": "\n".join(link.tags),
        # The format of datetime-local inputs: browsers omit seconds that are zero.
        "expires_at": f"{expires:%Y-%m-%dT%H:%M{':%S' if expires.second else ''}}"
        if expires
        else "",
    }


def api_fields(form: Mapping[str, str]) -> dict[str, Any]:
    """Return the body of the API request that is equivalent to a submitted form."""
    fields: dict[str, Any] = dict(form)
    if "tags" in form:
        fields["tags"] = [tag.strip() for tag in form["tags"].split("\n") if tag.strip()]
    if "expires_at" in form:
        seconds = ":00" if form["expires_at"].count(":") == 1 else ""
        fields["expires_at"] = f"{form['expires_at']}{seconds}Z" if form["expires_at"] else None
    return fields


def field_errors(error: ValidationError) -> dict[str, str]:
    """Return an error message for each invalid field of a form, by the field's name."""
    errors: dict[str, str] = {}
    for invalid in invalid_fields({"json": error.messages_dict}):
        field = invalid["pointer"].removeprefix("#/").split("/")[0]
        errors[field] = f"{errors.get(field, '')} {invalid['detail']}".strip()
    return errors


def time_element(text: str) -> Markup:
    """Return a time from the API as an HTML `<time>` element that is easy to read.

    It is in UTC. With JavaScript, it is in the time zone of the reader.
    """
    time = datetime.fromisoformat(text)
    element = '<time datetime="{}">{:%-d %b %Y, %H:%M} UTC</time>'
    return Markup(element).format(text, time)  # noqa: S704 `format` escapes its arguments


def count_of(number: int, noun: str) -> str:
    """Return a number with a noun in singular or plural, such as "1 click"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
