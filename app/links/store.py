"""Links in the database: what the API does, without HTTP."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, insert, or_, select
from sqlalchemy import delete as delete_from
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.database import has_words, is_duplicate, words
from app.links import codes
from app.links.models import Link, LinkClicks, LinkTag

OPTIONAL: dict[str, Any] = {"title": "", "tags": [], "expires_at": None}
"""The fields that a client may leave out, with their first values."""

SORTS = ("-created_at", "code")
"""How a list can be sorted: newest first, or by what codes are the same by."""


class CodeTakenError(Exception):
    """Another link has this code, in one spelling or another."""


class Position(NamedTuple):
    """A link's place in the list by time. In that by code, its lookup key is its place."""

    created_at: datetime
    id: int


def create(session: Session, fields: dict[str, Any]) -> Link:
    """Add a new link, with a random code where `fields` has none.

    :raises CodeTakenError: the code is taken; the transaction can't go on.
    """
    code = fields.get("code") or codes.random_code()
    now = datetime.now(UTC)
    values = {
        **OPTIONAL,
        **fields,
        "code": code,
        "lookup_key": codes.lookup_key(code),
        "created_at": now,
        "updated_at": now,
        "revision": 1,
        "clicks": 0,
    }
    link = Link(**values)
    session.add(link)
    try:
        session.flush()
    except IntegrityError as error:
        if is_duplicate(error):
            raise CodeTakenError from None
        raise
    _index_tags(session, link)
    return link


def find(session: Session, code: str) -> Link | None:
    """Return the link with this code, in whatever spelling."""
    return session.scalar(_by_code(code))


def change(
    session: Session, code: str, fields: dict[str, Any], check: Callable[[Link], None]
) -> Link | None:
    """Change a link after `check` has let it pass; its revision grows if anything differs."""
    link = _locked(session, code, check)
    if link and any(getattr(link, name) != value for name, value in fields.items()):
        for name, value in fields.items():
            setattr(link, name, value)
        link.revision += 1
        link.updated_at = datetime.now(UTC)
        if "tags" in fields:
            session.execute(delete_from(LinkTag).where(LinkTag.link_id == link.id))
            _index_tags(session, link)
    return link


def delete(session: Session, code: str, check: Callable[[Link], None]) -> Link | None:
    """Delete a link and its clicks after `check` has let it pass; return what was deleted."""
    link = _locked(session, code, check)
    if link:
        session.delete(link)
    return link


def _by_code(code: str) -> Select[Link]:
    # MySQL can't compare the keys, which are ASCII, with other characters.
    key = codes.lookup_key(code) if code.isascii() else ""
    return select(Link).where(Link.lookup_key == key)


def _locked(session: Session, code: str, check: Callable[[Link], None]) -> Link | None:
    link = session.scalar(_by_code(code).with_for_update(of=Link))
    if link:
        check(link)
    return link


def _index_tags(session: Session, link: Link) -> None:
    rows = [
        {
            "link_id": link.id,
            "tag": tag,
            "created_at": link.created_at,
            "lookup_key": link.lookup_key,
        }
        for tag in link.tags
    ]
    if rows:
        session.execute(insert(LinkTag), rows)


def page(session: Session, limit: int, **which: Any) -> tuple[Sequence[Link], bool]:
    """Return up to `limit` links, and whether more follow; `which` ones: see `listed`."""
    query = listed(session.get_bind().dialect.name, **which).limit(limit + 1)
    links = session.scalars(query).all()
    return links[:limit], len(links) > limit


def listed(
    dialect: str,
    sort: str,
    after: Position | str | None = None,
    tag: str | None = None,
    q: str | None = None,
) -> Select[Link]:
    """Return the query for all links in the order of `sort`.

    :param after: only those behind this place, which is one of the same order.
    :param tag: only those with this tag.
    :param q: only those with these words: see `has_words`.
    """
    query = select(Link)
    time, number, key = Link.created_at, Link.id, Link.lookup_key
    if q:
        query = query.where(has_words(dialect, words(q), Link.code, Link.title, Link.url))
    elif tag:
        # From the index that has the tag's links in order. What words have found is sorted
        # instead, by columns of its own: MySQL then looks at the tags of one page only.
        time, number, key = LinkTag.created_at, LinkTag.link_id, LinkTag.lookup_key
    if tag:
        query = query.join(LinkTag, LinkTag.link_id == Link.id).where(LinkTag.tag == tag)
    if isinstance(after, Position):
        # Spelled out, since MySQL reads a comparison of rows without the index.
        older = or_(time < after.created_at, number < after.id)
        query = query.where(time <= after.created_at, older)
    elif after:
        query = query.where(key > after)
    return query.order_by(key) if sort == "code" else query.order_by(time.desc(), number.desc())


def clicks(session: Session, link: Link, start: datetime, end: datetime) -> dict[datetime, int]:
    """Return a link's clicks by hour, from `start` up to `end`; hours without any are left out."""
    query = select(LinkClicks.hour, LinkClicks.clicks).where(
        LinkClicks.link_id == link.id, LinkClicks.hour >= start, LinkClicks.hour < end
    )
    return dict(session.execute(query).tuples().all())
