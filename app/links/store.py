"""Links in the database: what the API does, without HTTP."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple, cast

from sqlalchemy import RowMapping, Select, Table, insert, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.database import is_duplicate
from app.links import codes
from app.links.models import Link, LinkClicks

TABLE = cast(Table, Link.__table__)

OPTIONAL: dict[str, Any] = {"title": "", "tags": [], "expires_at": None}
"""The fields that a client may leave out, with their first values."""


class CodeTakenError(Exception):
    """Another link has this code, in one spelling or another."""


class CodesTakenError(CodeTakenError):
    """Links that can't be created, by their place among others, with the reason of each."""

    def __init__(self, refused: dict[int, str]) -> None:
        super().__init__()
        self.refused = refused


class Position(NamedTuple):
    """A link's place in the list."""

    created_at: datetime
    id: int


def create(session: Session, fields: dict[str, Any]) -> Link:
    """Add a new link, with a random code where `fields` has none.

    :raises CodeTakenError: the code is taken; the transaction can't go on.
    """
    link = Link(**new_row(fields), clicks=0)
    session.add(link)
    with _unless_taken():
        session.flush()
    return link


def create_all(session: Session, links: Sequence[dict[str, Any]]) -> list[Link]:
    """Add new links in a few statements, all or none; what it returns has no ids.

    :raises CodesTakenError: some of their own codes are taken, by links or by each other.
    :raises CodeTakenError: a random code is taken, or another client was faster; a second try
        can succeed.
    """
    rows = [new_row(fields) for fields in links]
    there = known(session, [row["lookup_key"] for row in rows])
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
    add_all(session, rows)
    return [Link(**row, clicks=0) for row in rows]


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


def known(session: Session, keys: Collection[str]) -> dict[str, RowMapping]:
    """Return those links that have one of these lookup keys, by it."""
    rows = session.execute(select(TABLE).where(Link.lookup_key.in_(keys)))
    return {row["lookup_key"]: row for row in rows.mappings()}


def add_all(session: Session, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows in a few statements.

    :raises CodeTakenError: one of their codes is taken; the transaction can't go on.
    """
    with _unless_taken():
        # Into the table, since the ORM would make a statement for each run of links that have
        # the same fields. From this, PyMySQL makes statements of up to 1 MB.
        session.execute(insert(TABLE), rows)


@contextmanager
def _unless_taken() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        if is_duplicate(error):
            raise CodeTakenError from None
        raise


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


def following(session: Session, after: int, limit: int) -> Sequence[RowMapping]:
    """Return up to `limit` links whose ids follow one, in the order of ids, with their clicks."""
    query = select(TABLE, Link.clicks).where(Link.id > after).order_by(Link.id).limit(limit)
    return session.execute(query).mappings().all()


def clicks(session: Session, link: Link, start: datetime, end: datetime) -> dict[datetime, int]:
    """Return a link's clicks by hour, from `start` up to `end`; hours without any are left out."""
    query = select(LinkClicks.hour, LinkClicks.clicks).where(
        LinkClicks.link_id == link.id, LinkClicks.hour >= start, LinkClicks.hour < end
    )
    return dict(session.execute(query).tuples().all())
