"""`make remove-example` takes out the whole example, and what remains works.

The tests of docs/your-own-service.md run the linters and some tests of what remains, and a stack.
`make check-rest` runs all its tests.
"""

import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.checkout import ROOT
from tests.support.environ import bare_environ
from tests.support.links.remove import GONE, without_example
from tests.support.links.rest import clone_project

READY = "from app import create_app; print(create_app().test_client().get('/readyz').get_data())"
EXAMPLE = """\
first

{begin}
cut
{end}

kept, for {begin}, as an example
cut {begin}{cell}
last
"""
PAGE = (ROOT / "docs" / "your-own-service.md").read_text()


class Clone:
    """A clone of the project, with a SQLite database."""

    def __init__(self, folder: Path) -> None:
        self.root = clone_project(folder / "clone")
        self.database = folder / "test.db"

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in the clone, with its database, and return what it prints."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=bare_environ(DATABASE_URL=f"sqlite:///{self.database}"),
            check=check,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ).stdout

    def query(self, sql: str) -> set[str]:
        """Return the first column of what a query finds in the database."""
        with closing(sqlite3.connect(self.database)) as connection:
            return {name for (name,) in connection.execute(sql)}


@pytest.fixture(scope="module")
def rest(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """A clone without the example, whose database has run with the example."""
    clone = Clone(tmp_path_factory.mktemp("rest"))
    clone.run(".venv/bin/alembic", "upgrade", "heads")
    left_over = clone.root / "app" / "links" / "__pycache__"  # as Python leaves it in a used clone
    left_over.mkdir(exist_ok=True)
    clone.run("make", "remove-example")
    return clone


@pytest.mark.parametrize(
    ("begin", "end", "cell"),
    [
        pytest.param("# example", "# /example", "", id="comment"),
        pytest.param("<!-- example -->", "<!-- /example -->", "", id="Markdown"),
        pytest.param("<!-- example -->", "<!-- /example -->", " |", id="table"),
    ],
)
def test_marked_parts_and_lines_are_cut(begin: str, end: str, cell: str) -> None:
    """Marked parts and lines are cut, with the blank lines before them, and nothing else."""
    text = EXAMPLE.format(begin=begin, end=end, cell=cell)
    assert without_example(text) == f"first\n\nkept, for {begin}, as an example\nlast\n"


def test_every_file_of_the_example_is_gone(rest: Clone) -> None:
    """No file or folder of the example is left, and no other file names one, or has a mark."""
    kept = [pattern.removeprefix(":!") for pattern in GONE if pattern.startswith(":!")]
    gone = [pattern for pattern in GONE if not pattern.startswith((":!", "db/"))]
    assert set(rest.run("git", "ls-files", "--", *gone).split()) == set(kept)
    assert list(rest.root.glob("**/links")) == []
    assert not (rest.root / "tests" / "faults").exists()
    traces = r"(#|<!--) /?example\b|app[./]links|\.support\.(links|faults)|bench/[a-hj-z]"
    assert rest.run("git", "grep", "-nE", traces, "--", ":!CHANGELOG.md", check=False) == ""


def test_every_test_can_be_collected(rest: Clone) -> None:
    """All test modules of the rest can be imported, and its documents are consistent."""
    collected = rest.run(".venv/bin/pytest", "-q", "--collect-only", "tests")
    assert "tests/docs/test_readme.py::" in collected
    rest.run(".venv/bin/pytest", "-q", "tests/docs/test_pages.py")


def test_makefile_offers_what_there_is(rest: Clone) -> None:
    """`make help` has no target of the example, and one that it has runs."""
    offered = set(re.findall(r"^([a-z-]+)  ", rest.run("make", "help"), flags=re.MULTILINE))
    assert {"test", "rename", "settings"} < offered
    assert not offered & {"bench", "faults", "screenshots", "remove-example", "check-rest"}
    rest.run("make", "--dry-run", "lock")


def test_database_of_the_example_keeps_starting(rest: Clone) -> None:
    """A database that has run the example gets new migrations, and becomes ready again.

    The tables of the example stay. docs/your-own-service.md names all of them, to delete them.
    """
    alembic = ".venv/bin/alembic"
    before = rest.query("SELECT name FROM sqlite_master WHERE type = 'table'")
    rest.run(alembic, "upgrade", "heads")
    new = ("--head", "service@head", "--rev-id", "0006", "--message", "new")
    rest.run(alembic, "revision", *new)
    assert "newer than this code" not in rest.run(alembic, "upgrade", "heads")
    assert "0006" in rest.query("SELECT version_num FROM alembic_version")
    assert '{"status":"ok"}' in rest.run(".venv/bin/python", "-c", READY)
    assert rest.query("SELECT name FROM sqlite_master WHERE type = 'table'") == before
    [named] = re.findall("^DROP TABLE (.*);$", PAGE, flags=re.MULTILINE)
    assert set(named.split(", ")) == {name for name in before if name.startswith("link")}


def test_files_with_changes_are_not_removed(tmp_path: Path) -> None:
    """If a file of the example has changes that are not committed, nothing is removed."""
    clone = Clone(tmp_path)
    changed = clone.root / "app" / "links" / "api.py"
    changed.write_text(changed.read_text() + "# my own work\n")
    with pytest.raises(subprocess.CalledProcessError) as caught:
        clone.run("make", "remove-example")
    assert "app/links/api.py" in caught.value.output
    assert clone.run("git", "status", "--short").split() == ["M", "app/links/api.py"]
