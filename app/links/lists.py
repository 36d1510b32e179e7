"""SQL for lists of links: page by page, in several orders, with filters."""

import operator
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from app.identity.tokens import actor
from app.links import (
    history,  # history
    rankings,
    search,
)
from app.links.click_queries import ROLLED_UP_CLICKS, ROLLED_UP_UNTIL, add_recent_clicks
from app.links.tables import LINK_TAGS, LINKS

LIST = sa.select(LINKS, ROLLED_UP_CLICKS, ROLLED_UP_UNTIL)
BY_KEYS = LIST.where(LINKS.c.lookup_key.in_(sa.bindparam("keys", expanding=True)))
BY_KEYS = BY_KEYS.add_columns(history.OWNER)  # history

SORTS = ("-created_at", "code", *rankings.RANGES)
"""How a list can be sorted: newest first, by lookup key, or by the clicks of a time range."""
MAX_COUNT = 1000  # links that are counted: above, a page says "more than 1,000"


class Position(NamedTuple):
    """The position of a link in a list.

    `value` is what the list is sorted by: the time, the lookup key or the clicks. Lookup keys are
    unique; for the others, the id decides between equal links.
    """

    value: datetime | str | int
    id: int = 0
    backwards: bool = False  # continue with the links before this one


def list_links(
    connection: sa.Connection, limit: int, *, sort: str, after: Position | None, **filters: Any
) -> tuple[Sequence[Any], bool]:
    """Return up to `limit` links, and whether more follow in the same direction.

    :param filters: see `list_query`.
    """
    query = list_query(connection.dialect.name, sort, after, **filters)
    values = {"count": limit + 1} | _values(connection, sort, **filters)
    found = connection.execute(query, values).all()
    links = add_recent_clicks(connection, found[:limit])
    backwards = after is not None and after.backwards
    return links[::-1] if backwards else links, len(found) > limit


def count_links(connection: sa.Connection, sort: str, **filters: Any) -> int:
    """Return the number of links in a list, or `MAX_COUNT` + 1 if there are more."""
    query = list_query(connection.dialect.name, sort, **filters).with_only_columns(LINKS.c.id)
    some = query.order_by(None).subquery()
    values = {"count": MAX_COUNT + 1} | _values(connection, sort, **filters)
    count = sa.select(sa.func.count()).select_from(some)
    return connection.scalar(count, values) or 0


def _values(
    connection: sa.Connection, sort: str, *, mine: str | None = None, **_filters: Any
) -> dict[str, Any]:
    """Return the parameters of a list's query."""
    owner = {"owner": actor().key} if mine == "true" else {}
    ranges = rankings.hours(connection, sort) if sort in rankings.RANGES else {}
    return {**owner, **ranges}


def list_tags(connection: sa.Connection, limit: int) -> list[str]:
    """Return the first `limit` tags in the order of the index."""
    return list(connection.scalars(sa.select(LINK_TAGS.c.tag).distinct().limit(limit)))


def after_id(connection: sa.Connection, after: int, limit: int) -> Sequence[Any]:
    """Return up to `limit` links with ids greater than `after`, in order of id, with clicks."""
    query = LIST.where(LINKS.c.id > after).order_by(LINKS.c.id).limit(limit)
    return add_recent_clicks(connection, connection.execute(query).all())


def by_keys(connection: sa.Connection, keys: Iterable[str]) -> dict[str, Any]:
    """Return the links with these lookup keys, with clicks, by lookup key.

    As in all lists, clicks since the roll-up are missing if a link is renamed meanwhile.
    """
    links = connection.execute(BY_KEYS, {"keys": list(set(keys))}).all()
    return {link.lookup_key: link for link in add_recent_clicks(connection, links)}


@lru_cache  # for the first page, which is requested most often
def list_query(  # noqa: PLR0913, PLR0917 they are the key of the cache
    dialect: str,
    sort: str,
    after: Position | None = None,
    tag: str | None = None,
    q: str | None = None,
    mine: str | None = None,
) -> sa.Select[Any]:
    """Return the query for the first `count` links in the order of `sort`.

    :param after: return only links after this position, which must be from the same sort order.
    :param tag: return only links with this tag.
    :param q: return only links that match this search: see `search.matches`.
    :param mine: if it is "true", return only links whose owner has the key `owner`.
    """
    query = LIST.limit(sa.bindparam("count", type_=sa.Integer))
    links, tags = LINKS.columns, LINK_TAGS.columns
    time, number, key = links.created_at, links.id, links.lookup_key
    if q:
        query = query.where(search.matches(dialect, q, links.code, links.title, links.url))
    elif tag:
        # Sort by the columns of `link_tags`, so that MySQL reads its index in order. The results
        # of a search are sorted by columns of `links` instead, so that MySQL looks up the tags of
        # one page only.
        time, number, key = tags.created_at, tags.link_id, tags.lookup_key
    if tag:
        query = query.join(LINK_TAGS, tags.link_id == links.id).where(tags.tag == tag)
    # history
    query = query.add_columns(history.OWNER)
    if mine == "true":
        created = history.CREATED.columns
        is_mine = created.owner == sa.bindparam("owner")
        query = query.join(history.CREATED, created.link_id == links.id).where(is_mine)
        if not q:
            time, number, key = created.created_at, created.link_id, created.lookup_key
    # /history
    if sort in rankings.RANGES:
        ranking = rankings.ranking()
        query = query.join(ranking, ranking.c.link_id == links.id)
        query = query.add_columns(ranking.c.clicks.label("recent"))
        return _in_order(query, [ranking.c.clicks, ranking.c.link_id], after, descending=True)
    if sort == "code":
        return _in_order(query, [key], after, descending=False)
    return _in_order(query, [time, number], after, descending=True)


def _in_order(
    query: sa.Select[Any],
    columns: Sequence[sa.ColumnElement[Any]],
    after: Position | None,
    *,
    descending: bool,
) -> sa.Select[Any]:
    """Sort a query by a column, and by the id if there is a second one, from a position on."""
    if after:
        descending ^= after.backwards
        compare = operator.lt if descending else operator.gt
        beyond = [compare(column, value) for column, value in zip(columns, after, strict=False)]
        # Written as two conditions, since MySQL uses no index for `(time, id) < (x, y)`.
        query = query.where(sa.or_(*beyond))
        if len(columns) > 1:
            query = query.where(
                (operator.le if descending else operator.ge)(columns[0], after.value)
            )
    return query.order_by(*(column.desc() if descending else column for column in columns))


def position(link: sa.Row[Any], sort: str) -> Position:
    """Return a link's position in a list with this sort order."""
    if sort == "code":
        return Position(link.lookup_key)
    return Position(int(link.recent) if sort in rankings.RANGES else link.created_at, link.id)
