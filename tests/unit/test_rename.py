"""`make rename` gives the service any name, and the result still follows the project's rules."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, copy_project
from tests.support.compose import run
from tests.support.rename import problem

SHORTEST = "q" + "j"  # this file must not contain the name itself
LONGEST = SHORTEST * 15
RULES = [
    "ruff format --check",
    "ruff check",
    "yamllint --strict .",
    f"{sys.executable} -m pytest -q tests/unit/test_rooms.py -k short",
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the project, in which git knows all files."""
    folder = copy_project(tmp_path_factory.mktemp("clone"))
    (folder / ".venv").symlink_to(sys.prefix)
    run("git", "init", "--quiet", cwd=folder)
    run("git", "add", ".", cwd=folder)
    return folder


def rename(project: Path, name: str) -> None:
    """Rename the service in a clone, without an update of the environment."""
    run("make", "--old-file=.venv/dev", "rename", f"NAME={name}", cwd=project)


def contents(project: Path) -> dict[str, bytes]:
    """Return all files but the Python files, which the formatter changes."""
    names = run("git", "ls-files", "-z", cwd=project).split("\0")
    return {
        name: (project / name).read_bytes() for name in names if name and not name.endswith(".py")
    }


def test_every_name_follows_the_rules(project: Path) -> None:
    """With the shortest and the longest name, no line is too long, and no module or function.

    Renamed back, the project is as before. So a rename changes only the name.
    """
    [program] = (project / "bin").iterdir()
    before = contents(project)
    for name in (SHORTEST, LONGEST):
        rename(project, name)
        assert [path.name for path in (project / "bin").iterdir()] == [name]
        for rule in RULES:
            run(*rule.split(), cwd=project)
    rename(project, program.name)
    assert contents(project) == before


@pytest.mark.parametrize("name", ["", "q", "q" * 31, "7q", "q-q", "q_q", "Queue", "é" * 3])
def test_name_has_a_form_that_fits_everywhere(name: str) -> None:
    """A name has 2 to 30 lower-case letters and digits, and begins with a letter."""
    assert (problem(ROOT, name) or "").startswith("Set NAME to 2 to 30 of a-z and 0-9")


def test_names_that_mean_something_else_are_refused() -> None:
    """Folders, containers, accounts, schemas, programs and YAML's values are no names."""
    taken = [
        *("app", "db", "deploy", "docs", "main", "migrate", "secrets", "test", "tests"),
        *("root", "migrator", "replicator", "mysql", "sys", "default"),
        *("alembic", "flask", "gunicorn", "pip", "python", "python3"),
        *("false", "no", "null", "off", "on", "true", "yes"),
    ]
    refused = [name for name in taken if problem(ROOT, name)]
    assert refused == taken


def test_refused_name_changes_nothing(project: Path) -> None:
    """`make rename` with such a name fails, says why, and leaves the files alone."""
    before = contents(project)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        rename(project, "mysql")
    reason = r"mysql can't be the name: \S+:\d+ uses this word already\."
    assert re.search(reason, failed.value.stderr)
    assert contents(project) == before


def test_same_name_changes_nothing(project: Path) -> None:
    """`make rename` with the present name succeeds."""
    before = contents(project)
    [program] = (project / "bin").iterdir()
    rename(project, program.name)
    assert contents(project) == before
