"""Find codes that are like a code that no link has, or that begin with what somebody types.

The work does not grow with the number of links: MySQL looks up VARIANTS keys and 2 * NEIGHBOURS
more in the unique index, and Python compares at most 3 * NEIGHBOURS.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from itertools import islice
from string import ascii_lowercase, digits
from typing import Any

import sqlalchemy as sa

from app.links import codes, queries
from app.links.tables import LINKS

CHARACTERS = f"{ascii_lowercase}{digits}_."  # of lookup keys
VARIANTS = 1000  # all for up to 12 characters; a later mistake has the right key as a neighbour
NEIGHBOURS = 50  # keys before, and after
OFFERED = 5  # links

_key = LINKS.c.lookup_key
EXISTING = sa.select(_key).where(_key.in_(sa.bindparam("keys", expanding=True)))
BEFORE = sa.select(_key).where(_key < sa.bindparam("key")).order_by(_key.desc())
AFTER = sa.select(_key).where(_key >= sa.bindparam("key")).order_by(_key)


def similar(connection: sa.Connection, code: str) -> list[sa.RowMapping]:
    """Return the links whose codes are most like this one, the most similar first.

    Codes that only begin with it come last. Links that have expired are left out.
    """
    key = codes.lookup_key(code)
    variants = list(dict.fromkeys(islice(_variants(key), VARIANTS)))
    existing = connection.scalars(EXISTING.limit(NEIGHBOURS), {"keys": variants}).all()
    before = connection.scalars(BEFORE.limit(NEIGHBOURS), {"key": key}).all()
    after = connection.scalars(AFTER.limit(NEIGHBOURS), {"key": key}).all()
    close = get_close_matches(key, {*existing, *before, *after}, OFFERED)
    longer = [other for other in after if other.startswith(key)]
    return _links(connection, [*close, *longer])


def beginning_with(connection: sa.Connection, text: str) -> list[sa.RowMapping]:
    """Return links whose codes begin with a text, in any spelling, in the order of their codes."""
    key = queries.key_of(text)
    found = connection.scalars(AFTER.limit(OFFERED), {"key": key}).all() if key else []
    return _links(connection, [other for other in found if other.startswith(key)])


def _variants(key: str) -> Iterator[str]:
    """Yield the keys that differ by one typing mistake, those with a mistake at the start first."""
    for position in range(len(key) + 1):
        before, after = key[:position], key[position:]
        yield before + after[1:]
        yield before + after[1:2] + after[:1] + after[2:]
        for character in CHARACTERS:
            yield before + character + after
            yield before + character + after[1:]


def _links(connection: sa.Connection, keys: Iterable[str]) -> list[Any]:
    """Return the links with the first of these lookup keys, in their order."""
    wanted = list(islice(dict.fromkeys(keys), OFFERED))
    found = queries.find_by_keys(connection, wanted) if wanted else {}
    links = [found[key] for key in wanted if key in found]
    now = datetime.now(UTC)
    return [link for link in links if not link["expires_at"] or link["expires_at"] > now]
