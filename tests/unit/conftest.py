"""No unit test leaves a connection to SQLite open: Python 3.13 and newer warns of those."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Pool, event

from app.database import Database


def dispose(database: Database) -> None:
    """Close the connections of all engines."""
    for engine in vars(database).values():
        engine.dispose()


@pytest.fixture(scope="module", autouse=True)
def _no_connection_is_left() -> Iterator[None]:
    """At the end of a module, no connection is open that was opened in it."""
    left: set[int] = set()

    def opened(connection: Any, _record: object) -> None:
        if isinstance(connection, sqlite3.Connection):
            left.add(id(connection))

    def closed(connection: Any, _record: object) -> None:
        left.discard(id(connection))

    event.listen(Pool, "connect", opened)
    event.listen(Pool, "close", closed)
    yield
    event.remove(Pool, "connect", opened)
    event.remove(Pool, "close", closed)
    assert not left
