"""The history of links: who changed what and when, who owns a link, and what can be undone.

Each change adds a row to `link_history` in its own transaction. A deleted link moves to
`link_deletions` with its clicks, for 30 days: see undo.py. Links without a row were made by an
older version.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from app.database import SWEEP_LIMIT, Database
from app.database.errors import UNAVAILABLE
from app.database.types import UTCDateTime
from app.identity.tokens import Actor, actor
from app.links.tables import LINK_CLICKS, LINK_DELETIONS, LINK_HISTORY, LINKS

ACTIONS = ("create", "import", "edit", "delete", "undo")
FIELDS = ("code", "url", "title", "tags", "expires_at")
MARGIN = timedelta(hours=1)  # a delete that is being undone, maybe by a clock behind, is kept
TTL = timedelta(days=30)  # in which a delete can be undone
PURGED = 100  # deleted links that one purge looks at

INSERT = sa.insert(LINK_HISTORY)
CREATED = LINK_HISTORY  # only rows of new links have an owner
COLUMNS = [column.name for column in LINKS.c]


def owner_column(link_id: sa.ColumnElement[int]) -> sa.ColumnElement[Any]:
    """Return the column `owner` of a link: key and name of the actor who created it, or NULL."""
    who = sa.func.json_array(LINK_HISTORY.c.owner, LINK_HISTORY.c.name, type_=sa.JSON)
    created = sa.select(who).where(LINK_HISTORY.c.new_link_id == link_id)
    return created.correlate(link_id.table).scalar_subquery().label("owner")


OWNER = owner_column(LINKS.c.id)


def values(link: Mapping[Any, Any], names: Iterable[str] = FIELDS) -> dict[str, Any]:
    """Return fields of a link as JSON."""
    return {
        name: value.isoformat() if isinstance(value := link[name], datetime) else value
        for name in names
    }


def entry(
    link: Mapping[Any, Any], action: str, old: Any, new: Any, who: Actor | None = None
) -> dict[str, Any]:
    """Return the row of a change.

    :param old: the values before, or None for a new link.
    :param new: the values after, or None for a deleted link.
    :param who: by default the current actor.
    """
    who, is_new = who or actor(), action in ("create", "import")
    return {
        "link_id": link["id"],
        "at": datetime.now(UTC),
        "action": action,
        "actor": who.key,
        "name": who.name,
        "old": old,
        "new": new,
        "new_link_id": link["id"] if is_new else None,
        "owner": who.key if is_new else None,
        "created_at": link["created_at"] if is_new else None,
        "lookup_key": link["lookup_key"] if is_new else None,
    }


def record_new(
    connection: sa.Connection,
    links: Sequence[Mapping[Any, Any]],
    action: str,
    owners: Mapping[str, Actor],
) -> None:
    """Record that links were created, in one statement. See `queries.insert_all`."""
    rows = [
        entry(link, action, None, values(link), owners.get(link["lookup_key"])) for link in links
    ]
    connection.execute(INSERT, rows)


def record_edit(
    connection: sa.Connection, link: sa.Row[Any], fields: Mapping[Any, Any], action: str = "edit"
) -> None:
    """Record that fields of a link, whose row is locked, get new values."""
    old = link._mapping
    changed = [name for name in fields if fields[name] != old[name]]
    change = entry(old, action, values(old, changed), values(fields, changed))
    connection.execute(INSERT, change)


def move(connection: sa.Connection, old_id: int, link: Mapping[str, Any]) -> None:
    """Give the history of a link, and with it the owner, to the link's new row."""
    changes, columns, new = sa.update(LINK_HISTORY), LINK_HISTORY.columns, link["id"]
    connection.execute(changes.where(columns.link_id == old_id).values(link_id=new))
    created = changes.where(columns.new_link_id == old_id)
    connection.execute(created.values(new_link_id=new, lookup_key=link["lookup_key"]))


def keep(connection: sa.Connection, link: sa.Row[Any]) -> None:
    """Record that a link, whose row is locked, is deleted, and keep it with its clicks.

    The lock on the row also stops clicks, so none is lost.
    """
    deletion = entry(link._mapping, "delete", values(link._mapping), None)
    number = connection.execute(INSERT, deletion).lastrowid
    mysql = connection.dialect.name == "mysql"
    aggregate = sa.func.json_arrayagg if mysql else sa.func.json_group_array
    hours = sa.select(aggregate(sa.func.json_array(LINK_CLICKS.c.hour, LINK_CLICKS.c.clicks)))
    clicks = hours.where(LINK_CLICKS.c.link_id == link.id).scalar_subquery()
    deleted_at = sa.literal(datetime.now(UTC), UTCDateTime(6))
    kept = sa.select(*LINKS.c, deleted_at, sa.literal(number), clicks)
    kept = kept.where(LINKS.c.lookup_key == sa.literal(link.lookup_key))
    names = [*COLUMNS, "deleted_at", "entry", "clicks"]
    connection.execute(sa.insert(LINK_DELETIONS).from_select(names, kept))


def page(link_id: int, limit: int, after: int | None = None) -> sa.Select[Any]:
    """Return the query for up to `limit` changes of a link, newest first.

    :param after: only changes with a smaller id.
    """
    query = sa.select(LINK_HISTORY).where(LINK_HISTORY.c.link_id == link_id)
    # If one link has most of the changes, MySQL would rather read all changes in the order of ids.
    query = query.with_hint(LINK_HISTORY, "FORCE INDEX (ix_link_history_link_id)", "mysql")
    if after is not None:
        query = query.where(LINK_HISTORY.c.id < after)
    return query.order_by(LINK_HISTORY.c.id.desc()).limit(limit)


def old_deletions(before: datetime) -> sa.Select[int]:
    """Return the query for the ids of links that were deleted before a time."""
    query = sa.select(LINK_DELETIONS.c.id).where(LINK_DELETIONS.c.deleted_at < before)
    return query.order_by(LINK_DELETIONS.c.deleted_at).limit(PURGED)


def purge(database: Database) -> None:
    """Delete what is left of links that were deleted more than `TTL` and `MARGIN` ago.

    At most SWEEP_LIMIT changes are deleted, and a link after the last of them. A failure is
    ignored, as in `Database.sweep`.
    """
    old = old_deletions(datetime.now(UTC) - TTL - MARGIN)
    with suppress(*UNAVAILABLE), database.autocommit.connect() as connection:
        if ids := connection.scalars(old).all():
            changes = sa.delete(LINK_HISTORY).where(LINK_HISTORY.c.link_id.in_(ids))
            connection.execute(changes.with_dialect_options(mysql_limit=SWEEP_LIMIT))
            left = sa.exists().where(LINK_HISTORY.c.link_id == LINK_DELETIONS.c.id)
            done = sa.delete(LINK_DELETIONS).where(LINK_DELETIONS.c.id.in_(ids), ~left)
            connection.execute(done)
