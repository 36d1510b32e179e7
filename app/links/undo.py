"""Read the history of links, undo changes, and restore deleted links."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from app.api.own_url import own_url
from app.database import Database
from app.identity.tokens import check_owner
from app.links import edits, history, queries, rankings, targets
from app.links.aliases import is_alias
from app.links.queries import Check
from app.links.service import known
from app.links.tables import LINK_DELETIONS, LINK_HISTORY, LINKS

# Without the clicks: they can be larger than MySQL's memory for sorting.
DELETED = sa.select(
    *(column for column in LINK_DELETIONS.c if column.name != "clicks"),
    history.owner_column(LINK_DELETIONS.c.id),
)
COPY_CLICKS = {
    "mysql": """
        INSERT INTO link_clicks (link_id, hour, clicks)
        SELECT id, kept.hour, kept.clicks FROM link_deletions, JSON_TABLE(
            link_deletions.clicks, '$[*]' COLUMNS (
                hour DATETIME PATH '$[0]', clicks BIGINT PATH '$[1]')) AS kept
        WHERE id = :id""",
    "sqlite": """
        INSERT INTO link_clicks (link_id, hour, clicks)
        SELECT link_deletions.id, json_extract(value, '$[0]'), json_extract(value, '$[1]')
        FROM link_deletions, json_each(clicks) WHERE link_deletions.id = :id""",
}


class UnknownChangeError(Exception):
    """The link has no such change, or its delete can't be undone any more."""


class NotUndoableError(Exception):
    """The change can't be undone. The message says why."""


def list_changes(
    database: Database, code: str, limit: int, after: int | None = None, *, long: bool = False
) -> tuple[Sequence[Any], int | None]:
    """Return a link's changes, newest first, and `after` for the next page or None.

    If no link has the code, these are the changes of the one that had it last, for 30 days.

    :param after: only changes with a smaller id.
    :param long: use LONG_LIMITS.
    :raises UnknownCodeError: there is no such link.
    """
    key = queries.key_of(code)
    with database.read(long=long) as connection:
        link = connection.execute(sa.select(LINKS.c.id).where(LINKS.c.lookup_key == key)).first()
        if link is None:
            deleted = _deleted().where(LINK_DELETIONS.c.lookup_key == key).limit(1)
            link = connection.execute(deleted).first()
        changes = connection.execute(history.page(known(link, code).id, limit + 1, after)).all()
    return changes[:limit], changes[limit - 1].id if len(changes) > limit else None


def recent_changes(
    database: Database, link: sa.Row[Any], limit: int, *, long: bool = False
) -> Sequence[sa.Row[Any]]:
    """Return the newest changes of a link.

    :param long: use LONG_LIMITS.
    """
    with database.read(long=long) as connection:
        return connection.execute(history.page(link.id, limit)).all()


def list_deleted(database: Database, limit: int) -> Sequence[sa.Row[Any]]:
    """Return the links that were deleted last and can be restored. `entry` is the id to undo."""
    with database.read() as connection:
        return connection.execute(_deleted().limit(limit)).all()


def undo(database: Database, code: str, number: int, check: Check) -> sa.Row[Any]:
    """Undo a change of a link if `check` does not raise, and return the link with its clicks.

    :param number: the id of the change.
    :raises UnknownCodeError: there is no such link.
    :raises UnknownChangeError: the link has no such change, or it is a delete that is too old.
    :raises NotUndoableError: the message says why.
    :raises CodeTakenError: another link has the old code.
    """

    def work(connection: sa.Connection) -> sa.Row[Any] | None:
        this = sa.select(LINK_HISTORY).where(LINK_HISTORY.c.id == number)
        change = connection.execute(this).first()
        if change is None:
            raise UnknownChangeError
        if change.new is None:
            return _restore(connection, code, change, check)

        def check_change(link: sa.Row[Any]) -> None:
            if link.id != change.link_id:
                raise UnknownChangeError
            check(link)
            if change.old is None:
                raise NotUndoableError("This can't be undone. Delete the link instead.")
            now = _fields(change.new).items()
            if any(getattr(link, name) != value for name, value in now):
                raise NotUndoableError("These fields have other values by now.")

        old = _fields(change.old or {})
        _check_target(old.get("url"))
        return edits.change(connection, code, old, check_change, "undo")

    # Clicks of ten years are 87,600 rows.
    return known(database.write(work, long=True), code)


def _restore(
    connection: sa.Connection, code: str, change: sa.Row[Any], check: Check
) -> sa.Row[Any] | None:
    """Restore a deleted link with its id, its clicks and a new revision."""
    this = LINK_DELETIONS.c.id == change.link_id
    link = connection.execute(_deleted().where(this).with_for_update()).first()
    if link is None or link.entry != change.id or link.lookup_key != queries.key_of(code):
        raise UnknownChangeError
    check_owner(link.owner)
    check(link)
    _check_target(link.url)
    row = {name: link._mapping[name] for name in history.COLUMNS}
    with queries.translate_duplicate():
        connection.execute(queries.INSERT, row | {"revision": link.revision + 1})
    queries.index_tags(connection, [row])
    connection.execute(sa.text(COPY_CLICKS[connection.dialect.name]), {"id": link.id})
    rankings.keep_restored(connection, link.id)
    connection.execute(sa.delete(LINK_DELETIONS).where(this))
    connection.execute(history.INSERT, history.entry(row, "undo", None, history.values(row)))
    return queries.find(connection, code)


def _check_target(url: str | None) -> None:
    """Check a target again, because the rules can have changed, or PUBLIC_URL."""
    if url and not is_alias(url) and (reason := targets.rejection_reason(url, own_url())):
        raise NotUndoableError(f"The old target is not allowed any more: {reason}")


def _deleted() -> sa.Select[Any]:
    """Return the query for the links that were deleted in the last 30 days, newest first."""
    query = DELETED.where(LINK_DELETIONS.c.deleted_at >= datetime.now(UTC) - history.TTL)
    return query.order_by(LINK_DELETIONS.c.deleted_at.desc())


def _fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a link from the JSON of a change."""
    time = values.get("expires_at")
    return {**values, "expires_at": datetime.fromisoformat(time)} if time else dict(values)
