"""The migrations, run in SQLite."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from app.health.probes import known_migrations
from tests.support.checkout import ROOT
from tests.support.forked import ALEMBIC, imported, python


def alembic(database: Path, *arguments: str) -> str:
    """Run alembic on a database and return what it prints."""
    return python(ALEMBIC, *arguments, DATABASE_URL=f"sqlite:///{database}")


def test_migrations_make_the_tables_of_the_code_and_take_them_back(tmp_path: Path) -> None:
    """After an upgrade, the schema matches the tables in the code. A downgrade removes them all."""
    database = tmp_path / "test.db"
    alembic(database, "upgrade", "heads")
    assert "No new upgrade operations detected." in alembic(database, "check")
    alembic(database, "downgrade", "base")
    with closing(sqlite3.connect(database)) as connection, connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert {name for (name,) in tables} <= {"alembic_version", "sqlite_sequence"}
    alembic(database, "upgrade", "heads")


def test_old_version_leaves_a_newer_schema_as_it_is(tmp_path: Path) -> None:
    """An upgrade by an older version succeeds and leaves a newer schema unchanged.

    So you can roll back to the older version.
    """
    database = tmp_path / "test.db"
    alembic(database, "upgrade", "heads")
    newer = "UPDATE alembic_version SET version_num = 'f00d' WHERE version_num LIKE '0%'"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(newer)
    assert "the schema is newer than this code" in alembic(database, "upgrade", "heads")
    with closing(sqlite3.connect(database)) as connection, connection:
        revisions = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    assert ("f00d",) in revisions


def test_readiness_knows_the_migrations_as_alembic_does(tmp_path: Path) -> None:
    """The readiness probe finds the same revisions and heads as Alembic, even after a merge."""
    folder = shutil.copytree(ROOT / "db" / "migrations", tmp_path / "migrations")
    heads = ScriptDirectory(folder).get_heads()
    assert known_migrations(folder / "versions").heads == set(heads)
    ScriptDirectory(folder).generate_revision("f00d", "merge", head=tuple(heads))
    scripts = list(ScriptDirectory(folder).walk_revisions())
    assert known_migrations(folder / "versions") == (
        {script.revision for script in scripts},
        {"f00d"},
    )


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param(
            {"DATABASE_URL": "sqlite:///never.db", "LOG_LEVEL": "loud"},
            "LOG_LEVEL: Must be one of: debug, info, warning, error.",
            id="log level",
        ),
        pytest.param(
            {"DATABASE_URL": "mysql://app:s3cret@127.0.0.1:1/x?connection_limit=5"},
            "DATABASE_URL: The service has its own pools and time limits. Remove connection_limit.",
            id="option of the database",
        ),
    ],
)
def test_wrong_setting_stops_a_migration_in_one_line(environ: dict[str, str], message: str) -> None:
    """A wrong setting is named in one line, without a traceback, and the exit status is 1."""
    ran = imported().complete("upgrade", "heads", code=ALEMBIC, **environ)
    assert ran.returncode == 1
    assert (ran.stdout, ran.stderr) == ("", f"slipway: {message}\n")
