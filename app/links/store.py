"""Links in the database: what the API does, without HTTP."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Integer,
    Row,
    RowMapping,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import IntegrityError

from app.database import has_words, is_duplicate, words
from app.links import codes
from app.links.tables import HOURS, LINKS, ROLLUPS, TAGS


def _sum_of_hours(*which: ColumnElement[bool]) -> ScalarSelect[int]:
    return select(func.coalesce(func.sum(HOURS.c.clicks), 0)).where(*which).scalar_subquery()


def _clicks(rolled_up: ColumnElement[int]) -> ColumnElement[int]:
    """Return what there is of a link's roll-up, or the sum of all its hours."""
    found = _ROLLUP.with_only_columns(rolled_up).scalar_subquery()
    return func.coalesce(found, _sum_of_hours(HOURS.c.link_id == LINKS.c.id)).label("clicks")


# What is asked for most, made once.
NEW = insert(LINKS)
BY_KEY = select(LINKS).where(LINKS.c.lookup_key == bindparam("key"))
_ROLLUP = select(ROLLUPS.c.until).where(ROLLUPS.c.link_id == LINKS.c.id)
UNTIL = _ROLLUP.label("rolled_up_until")
LOCKED = BY_KEY.with_for_update()
_SINCE = _sum_of_hours(HOURS.c.link_id == ROLLUPS.c.link_id, HOURS.c.hour >= ROLLUPS.c.until)
BY_KEY_WITH_CLICKS = BY_KEY.add_columns(_clicks(ROLLUPS.c.clicks + _SINCE), UNTIL)
# For lists: only those of the roll-up, where there is one. See `_with_recent_clicks`.
MANY = select(LINKS, _clicks(ROLLUPS.c.clicks), UNTIL)

OPTIONAL: dict[str, Any] = {"title": "", "tags": [], "expires_at": None}
"""The fields that a client may leave out, with their first values."""

SORTS = ("-created_at", "code")
"""How a list can be sorted: newest first, or by what codes are the same by."""


class CodeTakenError(Exception):
    """Another link has this code, in one spelling or another."""


class CodesTakenError(CodeTakenError):
    """Links that can't be created, by their place among others, with the reason of each."""

    def __init__(self, refused: dict[int, str]) -> None:
        super().__init__()
        self.refused = refused


class Position(NamedTuple):
    """A link's place in the list by time. In that by code, its lookup key is its place."""

    created_at: datetime
    id: int


def create(connection: Connection, fields: dict[str, Any]) -> SimpleNamespace:
    """Add a new link, with a random code where `fields` has none.

    :raises CodeTakenError: the code is taken; the transaction can't go on.
    """
    row = new_row(fields)
    with _unless_taken():
        row["id"] = connection.execute(NEW, row).lastrowid
    _index_tags(connection, [row])
    return SimpleNamespace(**row, clicks=0)


def create_all(connection: Connection, links: Sequence[dict[str, Any]]) -> list[SimpleNamespace]:
    """Add new links in a few statements, all or none; what it returns has no ids.

    :raises CodesTakenError: some of their own codes are taken, by links or by each other.
    :raises CodeTakenError: a random code is taken, or another client was faster; a second try
        can succeed.
    """
    rows = [new_row(fields) for fields in links]
    there = known(connection, [row["lookup_key"] for row in rows])
    taken = dict.fromkeys(there, "Another link has this code.")
    refused = {}
    # Their own codes first, since a random one can give way.
    for index in sorted(range(len(rows)), key=lambda index: "code" not in links[index]):
        key = rows[index]["lookup_key"]
        if key in taken:
            refused[index] = taken[key]
        taken.setdefault(key, "Another link of this batch has this code.")
    if named := {i: reason for i, reason in refused.items() if "code" in links[i]}:
        raise CodesTakenError(named)
    if refused:
        raise CodeTakenError
    add_all(connection, rows)
    return [SimpleNamespace(**row, clicks=0) for row in rows]


def new_row(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a new link, with a random code where `fields` has none."""
    code = fields.get("code") or codes.random_code()
    created_at = fields.get("created_at") or datetime.now(UTC)
    return {
        **OPTIONAL,
        "created_at": created_at,
        "updated_at": created_at,
        **fields,
        "code": code,
        "lookup_key": codes.lookup_key(code),
        "revision": 1,
    }


def known(connection: Connection, keys: Collection[str]) -> dict[str, RowMapping]:
    """Return those links that have one of these lookup keys, by it."""
    rows = connection.execute(select(LINKS).where(LINKS.c.lookup_key.in_(keys)))
    return {row["lookup_key"]: row for row in rows.mappings()}


def add_all(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows in a few statements.

    :raises CodeTakenError: one of their codes is taken; the transaction can't go on.
    """
    with _unless_taken():
        connection.execute(NEW, rows)  # of which PyMySQL makes statements of up to 1 MB
    tagged = {row["lookup_key"]: row for row in rows if row["tags"]}
    query = select(LINKS.c.id, LINKS.c.lookup_key).where(LINKS.c.lookup_key.in_(tagged))
    _index_tags(
        connection, [tagged[key] | {"id": number} for number, key in connection.execute(query)]
    )


@contextmanager
def _unless_taken() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if is_duplicate(error):
            raise CodeTakenError from None
        raise


def find(connection: Connection, code: str, *, clicks: bool = True) -> Row[Any] | None:
    """Return the row of the link with this code, in whatever spelling.

    :param clicks: with its clicks, and until when they are rolled up.
    """
    query = BY_KEY_WITH_CLICKS if clicks else BY_KEY
    return connection.execute(query, {"key": _key(code)}).first()


def change(
    connection: Connection, code: str, fields: dict[str, Any], check: Callable[[Row[Any]], None]
) -> Row[Any] | None:
    """Change a link after `check` has let it pass, and return it as it is now.

    Its revision grows if anything differs.
    """
    link = _locked(connection, code, check)
    if link and any(getattr(link, name) != value for name, value in fields.items()):
        new = fields | {"revision": link.revision + 1, "updated_at": datetime.now(UTC)}
        connection.execute(update(LINKS).where(LINKS.c.id == link.id).values(new))
        if "tags" in fields:
            connection.execute(delete_from(TAGS).where(TAGS.c.link_id == link.id))
            _index_tags(connection, [{**link._mapping, **new}])
    return link and find(connection, code)


def delete(connection: Connection, code: str, check: Callable[[Row[Any]], None]) -> Row[Any] | None:
    """Delete a link and its clicks after `check` has let it pass; return what was deleted."""
    link = _locked(connection, code, check)
    if link:
        connection.execute(delete_from(LINKS).where(LINKS.c.id == link.id))
    return link


def _key(code: str) -> str:
    # MySQL can't compare the keys, which are ASCII, with other characters.
    return codes.lookup_key(code) if code.isascii() else ""


def _locked(
    connection: Connection, code: str, check: Callable[[Row[Any]], None]
) -> Row[Any] | None:
    link = connection.execute(LOCKED, {"key": _key(code)}).first()
    if link:
        check(link)
    return link


def _index_tags(connection: Connection, links: Iterable[Mapping[str, Any]]) -> None:
    """Add the tags of links to the index."""
    rows = [
        {
            "link_id": link["id"],
            "tag": tag,
            "created_at": link["created_at"],
            "lookup_key": link["lookup_key"],
        }
        for link in links
        for tag in link["tags"]
    ]
    if rows:
        connection.execute(insert(TAGS), rows)


def page(connection: Connection, limit: int, **which: Any) -> tuple[Sequence[Any], bool]:
    """Return up to `limit` links, and whether more follow; `which` ones: see `listed`."""
    query = listed(connection.dialect.name, **which)
    links = connection.execute(query, {"count": limit + 1}).all()
    return _with_recent_clicks(connection, links[:limit]), len(links) > limit


def following(connection: Connection, after: int, limit: int) -> Sequence[Any]:
    """Return up to `limit` links whose ids follow one, in the order of ids, with their clicks."""
    query = MANY.where(LINKS.c.id > after).order_by(LINKS.c.id).limit(limit)
    return _with_recent_clicks(connection, connection.execute(query).all())


def _with_recent_clicks(connection: Connection, links: Sequence[Row[Any]]) -> Sequence[Any]:
    """Add to the roll-ups of links the clicks since.

    In a statement that says since when: MySQL finds hours by an index only if it knows that
    before it runs. From a row of another table, it would read all hours of the link.
    """
    since = {link.id: link.rolled_up_until for link in links if link.rolled_up_until}
    if not since:
        return links
    clicks = dict(connection.execute(recent_clicks(since)).all())
    return [
        SimpleNamespace(**{**link._mapping, "clicks": link.clicks + clicks.get(link.id, 0)})
        for link in links
    ]


def recent_clicks(since: Mapping[int, datetime]) -> Select[int, int]:
    """Return the query for the clicks of links, given by their ids, each from an hour on."""
    links_by_hour = defaultdict(list)
    for link, hour in since.items():
        links_by_hour[hour].append(link)
    spans = (
        and_(HOURS.c.link_id.in_(links), HOURS.c.hour >= hour)
        for hour, links in links_by_hour.items()
    )
    clicks = func.sum(HOURS.c.clicks)
    return select(HOURS.c.link_id, clicks).where(or_(*spans)).group_by(HOURS.c.link_id)


@lru_cache  # the first page is asked for most
def listed(
    dialect: str,
    sort: str,
    after: Position | str | None = None,
    tag: str | None = None,
    q: str | None = None,
) -> Select[Any]:
    """Return the query for the first `count` links in the order of `sort`.

    :param after: only those behind this place, which is one of the same order.
    :param tag: only those with this tag.
    :param q: only those with these words: see `has_words`.
    """
    query = MANY.limit(bindparam("count", type_=Integer))
    links, tags = LINKS.columns, TAGS.columns
    time, number, key = links.created_at, links.id, links.lookup_key
    if q:
        query = query.where(has_words(dialect, words(q), links.code, links.title, links.url))
    elif tag:
        # From the index that has the tag's links in order. What words have found is sorted
        # instead, by columns of its own: MySQL then looks at the tags of one page only.
        time, number, key = tags.created_at, tags.link_id, tags.lookup_key
    if tag:
        query = query.join(TAGS, tags.link_id == links.id).where(tags.tag == tag)
    if isinstance(after, Position):
        # Spelled out, since MySQL reads a comparison of rows without the index.
        older = or_(time < after.created_at, number < after.id)
        query = query.where(time <= after.created_at, older)
    elif after:
        query = query.where(key > after)
    return query.order_by(key) if sort == "code" else query.order_by(time.desc(), number.desc())


def clicks(
    connection: Connection, link: Row[Any], start: datetime, end: datetime
) -> dict[datetime, int]:
    """Return a link's clicks by hour, from `start` up to `end`; hours without any are left out."""
    query = select(HOURS.c.hour, HOURS.c.clicks).where(
        HOURS.c.link_id == link.id, HOURS.c.hour >= start, HOURS.c.hour < end
    )
    return dict(connection.execute(query).all())


def most_clicked(start: datetime, limit: int) -> Select[Any]:
    """Return the query for the links with the most clicks from an hour on: their `recent` ones."""
    clicks = func.sum(HOURS.c.clicks).label("recent")
    top = (
        select(HOURS.c.link_id, clicks)
        .where(HOURS.c.hour >= start)
        .group_by(HOURS.c.link_id)
        .order_by(clicks.desc(), HOURS.c.link_id)
        .limit(limit)
        .subquery()
    )
    return (
        select(LINKS, top.c.recent)
        .join(top, top.c.link_id == LINKS.c.id)
        .order_by(top.c.recent.desc(), LINKS.c.id)
    )
