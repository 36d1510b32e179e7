"""A trial of an import: what it would do, without a change of the database."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection

from app.database import Database
from app.links.codes import lookup_key

TAKEN = "Another link has this code."
TIMES = ("created_at", "updated_at")
Sort = Callable[[Connection, Mapping[Any, Any]], tuple[dict[Any, dict[str, Any]], dict[Any, str]]]


class Trial:
    """Sorts the links of an import, batch by batch, as if the batches before were created.

    It remembers their codes, and digests of their fields, in a temporary SQLite database, which is
    on disk or in /tmp if it grows. So the memory of the process is bounded.
    """

    def __init__(self, sort: Sort) -> None:
        import sqlite3  # noqa: PLC0415 until the first trial, it takes no memory

        self._sort = sort
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.row_factory = sqlite3.Row
        self._seen.execute(
            "CREATE TABLE seen (key TEXT PRIMARY KEY, created_at, updated_at, others) WITHOUT ROWID"
        )
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
                "SELECT * FROM seen WHERE key = ?", [lookup_key(link.fields["code"])]
            ).fetchone()
            if not seen:
                new[place] = link
            elif differs(seen, _digests(link.fields)):
                taken[place] = TAKEN
        with database.read(long=True) as connection:
            created, more = self._sort(connection, new)
        self._seen.executemany(
            "INSERT INTO seen VALUES (:key, :created_at, :updated_at, :others)",
            [
                {"key": row["lookup_key"]}
                | _digests(links[at].fields | {name: row[name] for name in TIMES})
                for at, row in created.items()
            ],
        )
        return created, taken | more


def differs(link: Mapping[str, Any], fields: Mapping[str, Any]) -> bool:
    """Return whether a link with the same code differs from the fields that a record has."""
    return any(link[name] != value for name, value in fields.items())


def _digests(fields: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the digests of the times, which a record can lack, and of all other fields."""
    parts: dict[str, Any] = {name: fields[name] for name in TIMES if name in fields}
    parts["others"] = sorted(item for item in fields.items() if item[0] not in TIMES)
    return {
        name: hashlib.blake2b(repr(part).encode(), digest_size=8).digest()
        for name, part in parts.items()
    }
