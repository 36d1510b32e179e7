"""The make targets, files and other pages that the documentation names exist."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
CODE = re.compile(r"```.*?```|`[^`]+`", flags=re.DOTALL)
LINK = re.compile(r'(?:\]\(|src=")([^)":]+)[)"]')
PATH = re.compile(r"`((?:app|bench|db|deploy|findings|tests)/[\w./-]+\.(?:cnf|py|sh|yaml))`")
# Files that the reader of docs/your-own-service.md creates.
THEIRS = {
    f"{folder}{name}.py"
    for folder in ("app/", "tests/api/test_")
    for name in ("incidents", "incident_updates")
}
TREE = re.compile(r"```\n(app/.*?)```", flags=re.DOTALL)
LINKS = sorted({(page, to) for page in PAGES for to in LINK.findall(page.read_text())})


def offered() -> set[str]:
    """Return the targets that `make help` lists."""
    listed = subprocess.check_output(["make", "--silent", "help"], cwd=ROOT, text=True)
    return set(re.findall(r"^([a-z-]+)  ", listed, flags=re.MULTILINE))


def test_help_is_complete() -> None:
    """`make help` lists every phony target of the Makefile, and no other."""
    tasks = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert offered() == set(" ".join(tasks).split())


def test_targets_of_make_exist() -> None:
    """Every `make …` in the code of a page names an existing target."""
    named = {
        (page.name, target)
        for page in PAGES
        for code in CODE.findall(page.read_text())
        for target in re.findall(r"\bmake ([a-z][\w-]*)", code)
    }
    assert ("CONTRIBUTING.md", "lint") in named
    known = offered()
    assert not {(page, target) for page, target in named if target not in known}


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    text = CODE.sub(lambda code: "" if code[0].startswith("```") else code[0], page.read_text())
    headings = re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(("page", "to"), LINKS, ids=[f"{page.name}-{to}" for page, to in LINKS])
def test_links_lead_somewhere(page: Path, to: str) -> None:
    """Every relative link leads to an existing file; its anchor, if any, to a heading in it."""
    name, _, anchor = to.partition("#")
    target = page.parent / name if name else page
    assert target.is_file()
    assert not anchor or anchor in anchors(target)


def test_every_page_is_in_the_index() -> None:
    """docs/README.md leads to every page of the documentation; lessons have their own index."""
    index = {to.partition("#")[0] for page, to in LINKS if page == ROOT / "docs/README.md"}
    assert {page.name for page in ROOT.glob("docs/*.md")} - {"README.md"} == {
        name for name in index if "/" not in name
    }


def test_messages_in_troubleshooting_exist() -> None:
    """Every message of ours in docs/troubleshooting.md is in the sources, word for word."""
    rows = re.findall(r"^\| (.*?) \|", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
    quoted = [text for row in rows for text in re.findall(r"`([A-Z][^`]* [^`]*\.)`", row)]
    sources = [*ROOT.glob("app/**/*.py"), *ROOT.glob("db/**/*.py"), *ROOT.glob("db/*.sh")]
    written = "\n".join(path.read_text() for path in sources)
    # Names vary: the sources have {name!r} or $table where the page has 'me' or an ellipsis.
    parts = [part for text in quoted for part in re.split(r"'\w+'|…", text)]
    assert len(parts) > 8
    assert [part for part in parts if part not in written] == []


def listed_in_tree(tree: str) -> set[str]:
    """Return the files and folders of a tree, in which each level is indented by two spaces."""
    folders: list[str] = []
    found = set()
    for line in tree.splitlines():
        level = (len(line) - len(line.lstrip())) // 2
        name = line.split()[0]
        found.add("".join([*folders[:level], name]))
        folders[level:] = [name]
    return found


def test_tree_of_the_code_is_complete() -> None:
    """docs/code.md lists every Python file and every folder of app/, and no others."""
    trees = TREE.findall((ROOT / "docs" / "code.md").read_text())
    listed = set().union(*map(listed_in_tree, trees))
    code = {str(path.relative_to(ROOT)) for path in ROOT.glob("app/**/*.py")}
    assert {name for name in listed if not name.endswith("/")} == code
    folders = {
        f"{path.relative_to(ROOT)}/" for path in ROOT.glob("app/**/") if path.name != "__pycache__"
    }
    assert {name for name in listed if name.endswith("/")} == folders


def test_readme_lists_what_is_at_the_top() -> None:
    """The README's table names every top-level folder and program, and every folder of tests/."""
    rows = re.findall(r"^\| `(.+)$", (ROOT / "README.md").read_text(), re.MULTILINE)
    named = {row.partition("`")[0].removesuffix("/") for row in rows}
    listed = subprocess.check_output(["git", "ls-files", "--cached"], cwd=ROOT, text=True)
    top = {name.partition("/")[0] for name in listed.splitlines() if "/" in name or "." not in name}
    assert {name for name in top if name[0] != "."} - {"LICENSE", "Makefile"} <= named
    folders = {path.name for path in ROOT.glob("tests/*/") if path.name != "__pycache__"}
    [tests] = [row for row in rows if row.startswith("tests/`")]
    own_row = {name.removeprefix("tests/") for name in named if name.startswith("tests/")}
    assert folders == set(re.findall(r"`(\w+)`", tests)) | own_row


def test_commands_work_with_old_curl() -> None:
    """No command uses curl's --json, which is new in 7.82: RHEL 9 has 7.76."""
    curl = re.compile(r"\bcurl\b.* --json\b")
    assert [page.name for page in PAGES if curl.search(page.read_text())] == []
    assert curl.search("curl localhost --json '{}'")


def test_paths_exist() -> None:
    """Every path into the code that a page names exists."""
    named = {(page.name, path) for page in PAGES for path in PATH.findall(page.read_text())}
    assert len(named) > 20
    missing = {path for _, path in named if not (ROOT / path).exists()}
    assert missing == {path for path in THEIRS if not (ROOT / path).exists()}
