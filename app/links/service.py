"""The operations on links, independent of HTTP: shared by the API and the pages.

Each function takes the database to use, and can be called from any thread or greenlet. `find` and
`list_links` also need the context of the app, whose database it must be.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import Row
from sqlalchemy.exc import InternalError

from app.database import Database
from app.links import (
    click_queries,
    codes,
    edits,
    histogram,
    history,  # history
    lists,
    queries,
    rankings,
    reads,
    search,
)
from app.links.queries import Check, CodesTakenError, CodeTakenError
from app.links.rollups import roll_up

T = TypeVar("T")

CODE_ATTEMPTS = 5  # to find a free random code; the first attempt nearly always succeeds


class UnknownCodeError(Exception):
    """No link has this code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class TooBroadError(Exception):
    """Too many links contain the words of a search."""


class Page(NamedTuple):
    """One page of a list, and the positions where the next and the previous page begin, or None."""

    links: Sequence[Any]
    next: lists.Position | None
    previous: lists.Position | None


def find(database: Database, code: str) -> Any:
    """Return the link with this code, in any spelling, with its clicks.

    :raises UnknownCodeError: there is no such link.
    """
    link = known(reads.find(code), code)
    roll_up(database, [link])
    return link


def find_without_clicks(database: Database, code: str, *, long: bool = False) -> Row[Any]:
    """Return the link with this code, in any spelling.

    :param long: use LONG_LIMITS.
    :raises UnknownCodeError: there is no such link.
    """
    with database.read(long=long) as connection:
        return known(queries.find(connection, code, clicks=False), code)


def with_code_retry(create: Callable[[], T], *, has_own_code: bool) -> T:
    """Run `create`, which adds links, and retry it if a random code is already taken.

    :param has_own_code: the client chose the code, so a retry can't succeed.
    :raises CodeTakenError: the client chose the code, or no free code was found.
    """
    for _ in range(CODE_ATTEMPTS - 1):
        try:
            return create()
        except CodesTakenError:
            raise
        except CodeTakenError:
            if has_own_code:
                raise
    return create()


def create(database: Database, fields: dict[str, Any]) -> Any:
    """Create a link, with a random code if `fields` has none.

    :raises CodeTakenError: another link has the code.
    """

    def run() -> Any:
        return database.write(lambda connection: queries.create(connection, fields))

    return with_code_retry(run, has_own_code="code" in fields)


def change(database: Database, code: str, fields: Mapping[str, Any], check: Check) -> Row[Any]:
    """Change a link if `check` does not raise, and return the changed link with its clicks.

    :raises UnknownCodeError: there is no such link.
    :raises CodeTakenError: another link has the new code.
    """
    # A rename moves the clicks of all hours.
    is_rename = "code" in fields and codes.lookup_key(fields["code"]) != queries.key_of(code)
    changed = database.write(lambda c: edits.change(c, code, dict(fields), check), long=is_rename)
    return known(changed, code)


def delete(database: Database, code: str, check: Check) -> None:
    """Delete a link and its clicks if `check` does not raise.

    It can be restored: see undo.py.

    :raises UnknownCodeError: there is no such link.
    """
    known(database.write(lambda c: edits.delete(c, code, check)), code)
    history.purge(database)  # history


def list_links(
    database: Database, *, sort: str, after: lists.Position | None = None, **arguments: Any
) -> Page:
    """Return one page of the list.

    It can come from a read replica, so the newest changes can be missing (replication lag).

    :param arguments: the page's `limit`, and those of `lists.list_query`.
    :raises TooBroadError: too many links contain the words of `q`.
    """
    long = "q" in arguments or sort in rankings.RANGES
    if sort in rankings.RANGES:
        rankings.keep(database)
    if after is None and not long and arguments.keys() == {"limit"}:
        links, more = reads.first_page(sort, **arguments)
    else:
        with _reject_too_broad(), database.read(long=long, replica=True) as connection:
            links, more = lists.list_links(connection, sort=sort, after=after, **arguments)
    roll_up(database, links)
    backwards = after is not None and after.backwards
    ends = [lists.position(link, sort) for link in (*links[:1], *links[-1:])]
    has_next, has_previous = (True, more) if backwards else (more, after is not None)
    return Page(
        links,
        ends[-1] if links and has_next else None,
        lists.Position(*ends[0][:2], backwards=True) if links and has_previous else None,
    )


def count_links(database: Database, *, limit: int, after: Any = None, **arguments: Any) -> int:  # noqa: ARG001
    """Return the number of links in a list, or `lists.MAX_COUNT` + 1 if there are more.

    :param arguments: those of `list_links`.
    :raises TooBroadError: too many links contain the words of `q`.
    """
    with _reject_too_broad(), database.read(long=True, replica=True) as connection:
        return lists.count_links(connection, **arguments)


def list_tags(database: Database, limit: int) -> list[str]:
    """Return the first `limit` tags."""
    with database.read(replica=True) as connection:
        return lists.list_tags(connection, limit)


@contextmanager
def _reject_too_broad() -> Iterator[None]:
    try:
        yield
    except InternalError as error:
        if search.is_too_broad(error):
            raise TooBroadError from error
        raise


def count_clicks(
    database: Database, link: Row[Any], first: datetime, last: datetime
) -> dict[datetime, int]:
    """Return a link's clicks by hour, from `first` up to but excluding `last`.

    They can come from a read replica, so the newest clicks can be missing (replication lag).
    """
    with database.read(long=True, replica=True) as connection:
        return click_queries.clicks_by_hour(connection, link, first, last)


def click_histogram(
    database: Database, link: Row[Any], first: datetime, last: datetime, by: str
) -> list[tuple[datetime, int]]:
    """Return a link's clicks in buckets of an hour or a day, including empty buckets."""
    return histogram.bucketize(count_clicks(database, link, first, last), first, last, by)


def known(link: T | None, code: str) -> T:
    """Return the link.

    :raises UnknownCodeError: it is None.
    """
    if link is None:
        raise UnknownCodeError(code)
    return link
