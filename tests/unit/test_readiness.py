"""When a replica is ready, and what it says about its database."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app import create_app
from app.health.probes import VERSIONS, known_migrations
from tests.unit.conftest import dispose


def test_replica_waits_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica waits for its migrations when it starts. From then on it stays ready."""
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/test.db")
    app = create_app()
    client = app.test_client()
    with closing(sqlite3.connect(tmp_path / "test.db", isolation_level=None)) as database:
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
        for path in ("/readyz", "/readyz/database"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
            assert "lacks migrations" in answer.get_json()["detail"]

        heads = [(head,) for head in known_migrations(VERSIONS).heads]
        database.executemany("INSERT INTO alembic_version VALUES (?)", heads)
        assert client.get("/readyz").status_code == 200

        database.execute("DELETE FROM alembic_version")
        assert client.get("/readyz").status_code == 200
        assert client.get("/readyz/database").status_code == 503
    dispose(app.extensions["database"])
