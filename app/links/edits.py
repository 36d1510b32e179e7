"""SQL that changes, renames and deletes links. Their rows are locked meanwhile."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from app.identity.tokens import check_owner
from app.links import (
    aliases,
    codes,
    history,  # history
    queries,
)
from app.links.tables import LINK_CLICK_ROLLUPS, LINK_CLICKS, LINK_TAGS, LINK_TOP_CLICKS, LINKS

BY_KEY_LOCKED = queries.BY_KEY.with_for_update()
BY_KEY_LOCKED = BY_KEY_LOCKED.add_columns(history.OWNER)  # history


def change(
    connection: sa.Connection,
    code: str,
    fields: dict[str, Any],
    check: queries.Check,
    action: str = "edit",
) -> sa.Row[Any] | None:
    """Change a link if `check` does not raise. Return the changed link with its clicks, or None.

    The revision is incremented if the new value of a field differs. The row is locked meanwhile.

    :raises CodeTakenError: another link has the new code. The transaction must be rolled back.
    :raises GoalError: it would be an alias without a goal.
    """
    link = _locked(connection, code, check)
    if link and any(getattr(link, name) != value for name, value in fields.items()):
        if fields.get("url", link.url) != link.url:
            aliases.check(connection, {**link._mapping, **fields})
        history.record_edit(connection, link, fields, action)  # history
        new = fields | {"revision": link.revision + 1, "updated_at": datetime.now(UTC)}
        code = fields.get("code", code)
        if codes.lookup_key(code) != link.lookup_key:
            _rename(connection, link, new)
            return queries.find(connection, code)
        connection.execute(sa.update(LINKS).where(_is(link)).values(new))
        if "tags" in fields:
            connection.execute(sa.delete(LINK_TAGS).where(LINK_TAGS.c.link_id == link.id))
            queries.index_tags(connection, [{**link._mapping, **new}])
    return link and queries.find(connection, code)


def _rename(connection: sa.Connection, link: sa.Row[Any], new: dict[str, Any]) -> None:
    """Move a link, whose row is locked, to a new row with its new code, because keys never change.

    Clicks wait for the lock on the old row, and then find no link: none is counted there and lost.
    """
    row = {column.name: link._mapping[column.name] for column in LINKS.c} | new
    del row["id"]
    row["lookup_key"] = codes.lookup_key(row["code"])
    with queries.translate_duplicate():
        row["id"] = connection.execute(queries.INSERT, row).lastrowid
    for table in (LINK_CLICKS, LINK_CLICK_ROLLUPS, LINK_TOP_CLICKS):
        own = table.c.link_id == link.id
        connection.execute(sa.update(table).where(own).values(link_id=row["id"]))
    queries.index_tags(connection, [row])
    history.move(connection, link.id, row)  # history
    connection.execute(sa.delete(LINKS).where(_is(link)))


def delete(connection: sa.Connection, code: str, check: queries.Check) -> sa.Row[Any] | None:
    """Delete a link and its clicks if `check` does not raise. Return the deleted link or None.

    A copy is kept: see undo.py.
    """
    link = _locked(connection, code, check)
    if link:
        history.keep(connection, link)  # history
        connection.execute(sa.delete(LINKS).where(_is(link)))
    return link


def _is(link: sa.Row[Any]) -> sa.ColumnElement[bool]:
    # By the key that never changes, not by the id: only it could distribute links over servers.
    return LINKS.c.lookup_key == sa.literal(link.lookup_key)


def _locked(connection: sa.Connection, code: str, check: queries.Check) -> sa.Row[Any] | None:
    link = connection.execute(BY_KEY_LOCKED, {"key": queries.key_of(code)}).first()
    if link:
        check_owner(link.owner)  # history
        check(link)
    return link
