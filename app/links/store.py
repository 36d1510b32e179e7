"""Links in the database: what the API does, without HTTP."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.database import is_duplicate
from app.links import codes
from app.links.models import Link, LinkClicks

OPTIONAL: dict[str, Any] = {"title": "", "tags": [], "expires_at": None}
"""The fields that a client may leave out, with their first values."""


class CodeTakenError(Exception):
    """Another link has this code, in one spelling or another."""


class Position(NamedTuple):
    """A link's place in the list."""

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


def page(session: Session, limit: int, after: Position | None) -> tuple[Sequence[Link], bool]:
    """Return up to `limit` links, newest first, and whether more follow."""
    query = select(Link).order_by(Link.created_at.desc(), Link.id.desc()).limit(limit + 1)
    if after:
        # Spelled out, since MySQL reads a comparison of rows without the index.
        query = query.where(
            Link.created_at <= after.created_at,
            or_(Link.created_at < after.created_at, Link.id < after.id),
        )
    links = session.scalars(query).all()
    return links[:limit], len(links) > limit


def clicks(session: Session, link: Link, start: datetime, end: datetime) -> dict[datetime, int]:
    """Return a link's clicks by hour, from `start` up to `end`; hours without any are left out."""
    query = select(LinkClicks.hour, LinkClicks.clicks).where(
        LinkClicks.link_id == link.id, LinkClicks.hour >= start, LinkClicks.hour < end
    )
    return dict(session.execute(query).tuples().all())
