"""What all pages name is there: targets of make, and other pages."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = re.compile(r"```.*?```|`[^`]+`", flags=re.DOTALL)
LINK = re.compile(r'(?:\]\(|src=")([^)":#]+)[)"]')
LINKS = sorted({(page, to) for page in PAGES for to in LINK.findall(page.read_text())})


def offered() -> set[str]:
    """Return the targets that `make help` lists."""
    listed = subprocess.check_output(["make", "--silent", "help"], cwd=ROOT, text=True)
    return set(re.findall(r"^([a-z-]+)  ", listed, flags=re.MULTILINE))


def test_help_is_complete() -> None:
    """`make help` lists every target that is a task."""
    [tasks] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert offered() == set(tasks.split())


def test_targets_of_make_exist() -> None:
    """Every `make …` in the code of a page is a target."""
    named = {
        (page.name, target)
        for page in PAGES
        for code in CODE.findall(page.read_text())
        for target in re.findall(r"\bmake ([a-z][\w-]*)", code)
    }
    assert ("CONTRIBUTING.md", "lint") in named
    known = offered()
    assert not {(page, target) for page, target in named if target not in known}


@pytest.mark.parametrize(("page", "to"), LINKS, ids=[f"{page.name}-{to}" for page, to in LINKS])
def test_links_lead_somewhere(page: Path, to: str) -> None:
    """What a page points to in the project exists."""
    assert (page.parent / to).is_file()
