"""The example's migrations work in SQLite."""

import sqlite3
from pathlib import Path

from tests.unit.test_migrations import alembic


def test_older_links_get_their_tags(tmp_path: Path) -> None:
    """The migration that adds the table of tags fills it with the tags of existing links."""
    database = tmp_path / "test.db"
    alembic(database, "upgrade", "links_0002")
    with sqlite3.connect(database) as connection:
        connection.execute(
            """
            INSERT INTO links
                (code, lookup_key, url, title, tags, created_at, updated_at, revision)
            VALUES ('Old-1', 'old1', '', '', '["Old", "ä🚀"]', '2026-01-01 00:00', '', 1)
            """
        )
    alembic(database, "upgrade", "heads")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT * FROM link_tags ORDER BY tag").fetchall()
    assert rows == [(1, tag, "2026-01-01 00:00", "old1") for tag in ("Old", "ä🚀")]
