"""Reads of links that many requests share (leader/follower batching).

Requests that arrive while a statement runs share the next one. It starts after they have arrived,
so what they get is never out of date. A request that comes alone does not wait.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from flask import Flask, current_app

from app.database import Database
from app.database.batching import Batcher
from app.links import lists, queries


def init_app(app: Flask) -> None:
    """Create the app's batchers."""
    database = app.extensions["database"]
    app.extensions["reads"] = Batcher("reads", partial(_find_all, database))
    app.extensions["first_pages"] = Batcher("first pages", partial(_first_pages, database))


def find(code: str) -> Any:
    """Return the link with this code, in any spelling, with its clicks, or None."""
    return current_app.extensions["reads"](code)


def first_page(sort: str, limit: int) -> tuple[Sequence[Any], bool]:
    """Return what `lists.list_links` returns for the first page of all links."""
    found: tuple[Sequence[Any], bool] = current_app.extensions["first_pages"]((sort, limit))
    return found


def _find_all(database: Database, codes: Sequence[str]) -> list[Any]:
    with database.read() as connection:
        return queries.find_all(connection, codes)


def _first_pages(
    database: Database, wanted: Sequence[tuple[str, int]]
) -> list[tuple[Sequence[Any], bool]]:
    with database.read(replica=True) as connection:
        found = {
            (sort, limit): lists.list_links(connection, limit, sort=sort, after=None)
            for sort, limit in {*wanted}
        }
    return [found[page] for page in wanted]
