"""Take the example out of the project, with all that only it needs.

`make remove-example` runs this once, in a fresh clone. It needs only Python and git.

In files that stay, the parts of the example are marked: see tests/support/marks.py.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.marks import without

# Patterns of git for what goes as a whole. Each must match a file.
GONE = [
    "app/links",
    "bench",
    ":!bench/image",
    "db/migrations/versions/links_*",
    "deploy/observe/dashboards/links.json",
    "docs/compare.*",
    "docs/dashboards*",
    "docs/faults.md",
    "docs/follow.md",
    "docs/move-in.md",
    "docs/overload.svg",
    "docs/page",
    "docs/performance.md",
    "docs/redirect-flame.svg",
    "docs/transfer.md",
    "requirements/bench.txt",
    "tests/*/links/*",
    "tests/support/faults",
]

# Without this revision, a database that has it would seem to have a newer schema than the code, and
# no migration would run.
PLACEHOLDER = '''\
"""Do nothing, in place of the migrations of the example that this service began with.

A database that has run them has this revision. If you have no such database, delete this file.
"""

revision = "{head}"
down_revision = None
branch_labels = ("links",)
depends_on = None


def upgrade() -> None:
    """Leave a new database without the tables of the example."""


def downgrade() -> None:
    """Leave the tables of the example, if they exist."""
'''


def git(*arguments: str) -> list[str]:
    """Run git in the project, and return the lines that it prints."""
    output = subprocess.check_output(["git", *arguments], cwd=ROOT, text=True)
    return output.splitlines()


def without_example(text: str) -> str:
    """Return a text without its marked parts and lines."""
    return without(text, "example")


def clean(top: Path) -> None:
    """Delete byte code in a folder, and the folders that are empty without it."""
    for folder in sorted(top.glob("**/"), reverse=True):  # those inside others first
        if folder.name == "__pycache__":
            shutil.rmtree(folder)
        elif not any(folder.iterdir()):
            folder.rmdir()


def remove() -> None:
    """Delete the files of the example, cut its parts from all others, and keep its revision.

    :raises subprocess.CalledProcessError: a file to delete has changes that are not committed. Git
        says which; nothing has been removed.
    """
    folder = ROOT / "db" / "migrations" / "versions"
    head = max(path.stem for path in folder.glob("links_*.py"))
    git("rm", "-rq", "--", *GONE)
    for name in ("app", "bench", "tests"):
        clean(ROOT / name)
    for path in (ROOT / name for name in git("grep", "-lIE", "(#|<!--) /?example( |$)")):
        path.write_text(without_example(path.read_text()))
    (folder / f"{head}.py").write_text(PLACEHOLDER.format(head=head))
    git("add", "--", str(folder))


if __name__ == "__main__":
    try:
        remove()
    except subprocess.CalledProcessError:
        sys.exit("The example could not be removed. The message of git above says why.")
    print("The example is removed. See the changes with git diff HEAD, then commit them.")
