"""A small SQLite database for links."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.config import Settings
from app.database import Database
from app.database.types import metadata


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    database = Database(Settings(make_url(f"sqlite:///{tmp_path}/links.db")))
    metadata.create_all(database.transactional)
    yield database
    for engine in (database.autocommit, database.transactional, database.long_autocommit):
        engine.dispose()
