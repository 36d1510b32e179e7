"""The page that lists links."""

from collections.abc import Mapping
from typing import Any

from flask import render_template
from marshmallow import EXCLUDE, ValidationError

from app.database import database
from app.links import lists, queries, service
from app.links.api import TOO_BROAD
from app.links.cursors import Cursor
from app.links.pages import forms
from app.links.schemas import PageArgumentsSchema

MAX_TAGS = 200  # to pick from
ORDERS = {
    "-created_at": "Newest first",
    "code": "By code",
    "-clicks_24h": "Clicks, 24 hours",
    "-clicks_7d": "Clicks, 7 days",
    "-clicks_30d": "Clicks, 30 days",
}


def page(arguments: Mapping[str, str]) -> Any:
    """Return the page of a list, or with a message if the arguments are not valid."""
    given = {name: value for name, value in arguments.items() if value}
    shown: dict[str, Any] = {"links": [], "errors": {}, "count": 0}
    # First what is fast: after a long search, a request has no time for it.
    shown["tags"] = service.list_tags(database(), MAX_TAGS)
    shown["created"] = _created(arguments.get("created", ""))
    shown["later"] = "after" in given
    try:
        wanted = PageArgumentsSchema(unknown=EXCLUDE).load(given)
        found = service.list_links(database(), **wanted)
        shown["links"] = [
            forms.link_for_template(link) | {"recent": getattr(link, "recent", None)}
            for link in found.links
        ]
        for name, position in (("next", found.next), ("previous", found.previous)):
            if position:
                shown[name] = Cursor.encode(position, wanted)
        shown["count"] = _count(found, wanted)
    except ValidationError as error:
        shown["errors"] = forms.field_errors(error)
    except service.TooBroadError:
        shown["errors"] = {"q": TOO_BROAD}
    # A new list begins at its first page.
    given = {name: value for name, value in given.items() if name not in {"after", "created"}}
    shown |= {"given": given, "orders": ORDERS, "max_count": lists.MAX_COUNT}
    return render_template("listing.html", **shown), 422 if shown["errors"] else 200


def _count(found: service.Page, wanted: Mapping[str, Any]) -> int:
    """Return how many links the whole list has. A list of one page needs no query for it."""
    if found.next or found.previous:
        return service.count_links(database(), **wanted)
    return len(found.links)


def _created(code: str) -> dict[str, Any] | None:
    """Return the link that was just created, to copy its short URL."""
    with database().read() as connection:
        link = queries.find(connection, code) if code else None
    return forms.link_for_template(link) if link else None
