"""`make rename` gives the service any name, and the result still follows the project's rules."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT, copy_project
from tests.support.compose import run
from tests.support.rename import problem

LONGEST = "q" * 30
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
    for name in ("q7", LONGEST):
        rename(project, name)
        assert [path.name for path in (project / "bin").iterdir()] == [name]
        for rule in RULES:
            run(*rule.split(), cwd=project)
    rename(project, program.name)
    assert contents(project) == before


@pytest.mark.parametrize("name", ["", "q", "q" * 31, "7q", "q-q", "q_q", "Queue", "é" * 3])
def test_name_has_a_form_that_fits_everywhere(name: str) -> None:
    """A name has 2 to 30 lower-case letters and digits, and begins with a letter."""
    assert (problem(name) or "").startswith("Set NAME to 2 to 30 of a-z and 0-9")


def test_names_that_break_something_are_refused() -> None:
    """Names of folders, containers, accounts, programs and values of YAML are refused."""
    compose = (ROOT / "docker-compose.yaml").read_text()
    [services] = re.findall(r"^services:\n(.*?)^\w", compose, re.MULTILINE | re.DOTALL)
    taken = [path.name for path in ROOT.iterdir() if path.is_dir() and path.name.isalpha()]
    taken += re.findall(r"^  (\w+):$", services, re.MULTILINE)
    taken += ["links", "root", "migrator", "mysql", "sys", "flask", "null", "on", "default"]
    assert {"tests", "secrets"} <= set(taken)
    assert [name for name in taken if not problem(name)] == []
    assert problem("mysql") == (
        "mysql can't be the name: MySQL has an account or a schema with this name."
        " Choose another one."
    )
    assert not problem("orders")


def test_refused_name_changes_nothing(project: Path) -> None:
    """`make rename` with such a name fails, says why, and leaves the files alone."""
    before = contents(project)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        rename(project, "mysql")
    assert "MySQL has an account or a schema with this name" in failed.value.stderr
    assert contents(project) == before
