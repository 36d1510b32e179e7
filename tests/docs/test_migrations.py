"""The commands and the example in docs/migrations.md work."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from tests.support.checkout import ROOT, copy_project
from tests.support.pages import blocks

PAGE = (ROOT / "docs" / "migrations.md").read_text()


def test_revision_is_written_as_documented(tmp_path: Path) -> None:
    """The page's commands make a revision that, with the page's example, runs on SQLite."""
    project = copy_project(tmp_path)
    (project / "data").mkdir()
    [commands] = blocks(PAGE, "sh")
    [example] = blocks(PAGE, "python")
    alembic = f"{sys.executable} -m alembic"
    script = commands.replace(".venv/bin/alembic", alembic)

    def run(script: str) -> None:
        environ = {"PATH": os.environ["PATH"], "DATABASE_URL": "sqlite:///data/slipway.db"}
        subprocess.run(["bash", "-ec", script], cwd=project, env=environ, check=True)

    run(script)
    revision = project / "db" / "migrations" / "versions" / "0006_teams.py"
    head, _, _ = revision.read_text().partition("def upgrade")
    revision.write_text(head + example)
    run(f"{alembic} upgrade heads")
    with closing(sqlite3.connect(project / "data" / "slipway.db")) as database:
        columns = {row[1] for row in database.execute("PRAGMA table_info(tokens)")}
    assert "team" in columns
    run(f"{alembic} downgrade service@0003")
