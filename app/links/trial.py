"""A trial of an import: what it would do, without a change of the database."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from app.database import Database
from app.links.codes import lookup_key

TAKEN = "Another link has this code."
Sort = Callable[[Connection, Mapping[Any, Any]], tuple[dict[Any, dict[str, Any]], dict[Any, str]]]


class Trial:
    """Sorts the links of an import, batch by batch, as if the batches before were created.

    It remembers the codes of those in a temporary SQLite database, which is on disk or in /tmp if
    it grows. So the memory of the process is bounded.
    """

    def __init__(self, sort: Sort) -> None:
        import sqlite3  # noqa: PLC0415 until the first trial, it takes no memory

        self._sort = sort
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY, digest BLOB) WITHOUT ROWID")
        self._seen.execute("BEGIN")  # one transaction, so that no statement waits for the disk

    def __del__(self) -> None:
        """Delete the temporary database."""
        self._seen.close()

    def sort(
        self, database: Database, links: Mapping[Any, Any]
    ) -> tuple[dict[Any, dict[str, Any]], dict[Any, str]]:
        """Return the rows that would be created, and why records would be refused."""
        new, taken = {}, {}
        for place, link in links.items():
            seen = self._seen.execute(
                "SELECT digest FROM seen WHERE key = ?", [lookup_key(link.fields["code"])]
            ).fetchone()
            if not seen:
                new[place] = link
            elif seen[0] != _digest(link.fields):
                taken[place] = TAKEN
        with database.read(long=True) as connection:
            created, more = self._sort(connection, new)
        self._seen.executemany(
            "INSERT INTO seen VALUES (?, ?)",
            [(row["lookup_key"], _digest(links[at].fields)) for at, row in created.items()],
        )
        return created, taken | more


def _digest(fields: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(repr(sorted(fields.items())).encode(), digest_size=8).digest()
