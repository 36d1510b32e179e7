"""SQL for links: insert and find them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType, SimpleNamespace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from app.database.errors import violated
from app.identity.tokens import Actor, actor
from app.links import (
    aliases,
    codes,
    history,  # history
)
from app.links.aliases import GoalError
from app.links.click_queries import CLICKS, ROLLED_UP_UNTIL
from app.links.tables import LINK_TAGS, LINKS

# The most frequent queries, built only once.
INSERT = sa.insert(LINKS)
UNIQUE_KEY = "links.lookup_key"  # what MySQL and SQLite both report for a taken code
BY_KEY = sa.select(LINKS).where(LINKS.c.lookup_key == sa.bindparam("key"))
BY_KEY_WITH_CLICKS = BY_KEY.add_columns(CLICKS, ROLLED_UP_UNTIL)
BY_KEY_WITH_CLICKS = BY_KEY_WITH_CLICKS.add_columns(history.OWNER)  # history

OPTIONAL_FIELDS: dict[str, Any] = {"title": "", "tags": [], "expires_at": None}
"""The fields that a client can omit, with their defaults."""

Check = Callable[[sa.Row[Any]], None]
"""A function that raises if a link, in its current state, must not be changed."""


class CodeTakenError(Exception):
    """Another link has this code, possibly in another spelling."""


class CodesTakenError(CodeTakenError):
    """The codes of some links in a batch are taken. `refused` has the reasons by index."""

    def __init__(self, refused: dict[int, str]) -> None:
        super().__init__()
        self.refused = refused


def create(connection: sa.Connection, fields: dict[str, Any]) -> SimpleNamespace:
    """Insert a link, with a random code if `fields` has none.

    :raises CodeTakenError: the code is taken. The transaction must be rolled back.
    :raises GoalError: it is an alias without a goal.
    """
    row = new_row(fields)
    aliases.check(connection, row)
    [stored] = insert_all(connection, [row])
    return SimpleNamespace(**stored, clicks=0, owner=actor())


def create_all(connection: sa.Connection, links: Sequence[dict[str, Any]]) -> list[SimpleNamespace]:
    """Insert links in a few statements, all or none, and return them without ids.

    :raises CodesTakenError: codes that the client chose are taken, by existing links or by other
        links in the batch.
    :raises CodeTakenError: a random code is taken, or another client took a code at the same time.
        A retry can succeed.
    :raises GoalError: links are aliases without a goal.
    """
    rows = [new_row(fields) for fields in links]
    existing = find_by_keys(connection, [row["lookup_key"] for row in rows])
    taken = dict.fromkeys(existing, "Another link has this code.")
    refused = {}
    # Check the codes that clients chose first, since a random code can be replaced.
    for index in sorted(range(len(rows)), key=lambda index: "code" not in links[index]):
        key = rows[index]["lookup_key"]
        if key in taken:
            refused[index] = taken[key]
        taken.setdefault(key, "Another link in this batch has this code.")
    if named := {i: reason for i, reason in refused.items() if "code" in links[i]}:
        raise CodesTakenError(named)
    if refused:
        raise CodeTakenError
    if wrong := aliases.without_goal(connection, rows):
        raise GoalError({"links": {i: {"url": [aliases.NO_GOAL]} for i in wrong}})
    insert_all(connection, rows)
    return [SimpleNamespace(**row, clicks=0, owner=actor()) for row in rows]


def new_row(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the row of a new link, with a random code if `fields` has none."""
    code = fields.get("code") or codes.random_code()
    created_at = fields.get("created_at") or datetime.now(UTC)
    return {
        **OPTIONAL_FIELDS,
        "created_at": created_at,
        "updated_at": created_at,
        **fields,
        "code": code,
        "lookup_key": codes.lookup_key(code),
        "revision": 1,
    }


def find_by_keys(connection: sa.Connection, keys: Collection[str]) -> dict[str, sa.RowMapping]:
    """Return the links that have these lookup keys, by lookup key."""
    rows = connection.execute(sa.select(LINKS).where(LINKS.c.lookup_key.in_(keys)))
    return {row["lookup_key"]: row for row in rows.mappings()}


def insert_all(
    connection: sa.Connection,
    rows: Sequence[dict[str, Any]],
    action: str = "create",
    owners: Mapping[str, Actor] = MappingProxyType({}),
) -> list[dict[str, Any]]:
    """Insert the rows of links, their tags and their history in a few statements.

    :param action: what the history calls it.
    :param owners: who creates them, by lookup key; by default the current actor.
    :return: the rows with their ids, in any order.
    :raises CodeTakenError: one of the codes is taken. The transaction must be rolled back.
    """
    with translate_duplicate():
        # PyMySQL combines the rows into statements of up to 1 MB.
        inserted = connection.execute(INSERT, rows)
    if len(rows) == 1:
        stored = [rows[0] | {"id": inserted.lastrowid}]
    else:
        by_key = {row["lookup_key"]: row for row in rows}
        query = sa.select(LINKS.c.id, LINKS.c.lookup_key).where(LINKS.c.lookup_key.in_(by_key))
        stored = [by_key[key] | {"id": number} for number, key in connection.execute(query)]
    index_tags(connection, stored)
    history.record_new(connection, stored, action, owners)  # history
    return stored


@contextmanager
def translate_duplicate() -> Iterator[None]:
    """Raise CodeTakenError instead of the error of the unique index."""
    try:
        yield
    except IntegrityError as error:
        if violated(error) == UNIQUE_KEY:
            raise CodeTakenError from None
        raise


def find(connection: sa.Connection, code: str, *, clicks: bool = True) -> sa.Row[Any] | None:
    """Return the row of the link with this code, in any spelling, or None.

    :param clicks: also return the columns `clicks` and `rolled_up_until`.
    """
    query = BY_KEY_WITH_CLICKS if clicks else BY_KEY
    return connection.execute(query, {"key": key_of(code)}).first()


def key_of(code: str) -> str:
    """Return the lookup key of a code from a path, or a text that is none."""
    # The column is ASCII, and MySQL can't compare it with other characters.
    return codes.lookup_key(code) if code.isascii() else ""


def index_tags(connection: sa.Connection, links: Iterable[Mapping[str, Any]]) -> None:
    """Insert the tags of links into the table `link_tags`, which serves as their index."""
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
        connection.execute(sa.insert(LINK_TAGS), rows)
