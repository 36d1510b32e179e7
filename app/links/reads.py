"""Reads of links that many requests share (leader/follower batching).

Requests that arrive while a statement runs share the next one. It starts after they have arrived,
so they get nothing older than from a statement of their own. A request that comes alone does not
wait. If a shared statement fails or takes long, its requests go on alone.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from flask import Flask, current_app

from app.database import Database
from app.database.batching import Batcher
from app.database.errors import UNAVAILABLE
from app.links import lists, queries

WAIT = 0.3  # seconds that a request waits for a shared statement

Page = tuple[Sequence[Any], bool]
"""Links, and whether more follow."""


def init_app(app: Flask) -> None:
    """Create the app's batchers."""
    database = app.extensions["database"]
    app.extensions["reads"] = Batcher("reads", partial(_find_all, database))
    app.extensions["first_pages"] = Batcher("first_pages", partial(_first_pages, database))


def find(code: str) -> Any:
    """Return the link with this code, in any spelling, with its clicks, or None."""
    return _shared("reads", _find_all, code)


def first_page(sort: str, limit: int) -> Page:
    """Return what `lists.list_links` returns for the first page of all links."""
    found: Page = _shared("first_pages", _first_pages, (sort, limit))
    return found


def _shared(name: str, work: Any, item: Any) -> Any:
    try:
        return current_app.extensions[name](item, within=WAIT)
    except UNAVAILABLE:
        [found] = work(current_app.extensions["database"], [item])
        return found


def _find_all(database: Database, codes: Sequence[str]) -> list[Any]:
    with database.read() as connection:
        if len(codes) == 1:
            return [queries.find(connection, codes[0])]  # this costs less
        keys = [queries.key_of(code) for code in codes]
        found = lists.by_keys(connection, keys)
        return [found.get(key) for key in keys]


def _first_pages(database: Database, wanted: Sequence[tuple[str, int]]) -> list[Page]:
    largest: dict[str, int] = {}
    for sort, limit in wanted:
        largest[sort] = max(limit, largest.get(sort, 0))
    with database.read(replica=True) as connection:
        found = {
            sort: lists.list_links(connection, limit, sort=sort, after=None)
            for sort, limit in largest.items()
        }
    return [
        (links[:limit], more or len(links) > limit)
        for sort, limit in wanted
        for links, more in [found[sort]]
    ]
