"""A small SQLite database for links."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import make_url

from app.config import Settings
from app.database import Database
from app.database.types import metadata
from app.links import sources
from tests.unit.conftest import dispose


@contextmanager
def empty_database(folder: Path) -> Iterator[Database]:
    """Make a database in an empty folder."""
    database = Database(Settings(make_url(f"sqlite:///{folder}/links.db")))
    metadata.create_all(database.transactional)
    yield database
    dispose(database)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    with empty_database(tmp_path) as database:
        yield database


@pytest.fixture
def import_app() -> Iterator[Flask]:
    """An application for imports: with the rules of fields, reserved words, and all formats."""
    app = Flask(__name__)
    app.config["PUBLIC_URL"] = "https://go.test"
    for word in ("api", "docs", "links"):
        app.add_url_rule(f"/{word}", word, lambda: "")
    sources.init()
    with app.app_context():
        yield app
