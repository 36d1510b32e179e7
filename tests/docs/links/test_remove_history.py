"""The history comes out in one cut, and the rest of the example works without it."""

import subprocess
from pathlib import Path

from tests.support.environ import bare_environ
from tests.support.links.rest import clone_project
from tests.support.marks import without

FOLDER = Path("app", "links")
TEMPLATES = FOLDER / "pages" / "templates"
GONE = [FOLDER / name for name in ("history.py", "undo.py", "history_api.py")]
GONE += [TEMPLATES / name for name in ("changes.html", "deleted.html")]
TESTS = ("test_change.py", "test_list.py", "test_export.py", "pages/test_edit.py")


def test_history_comes_out_in_one_cut(tmp_path: Path) -> None:
    """Without these files and the marked lines, no name is missing, and the tests pass."""
    root = clone_project(tmp_path / "clone")
    for path in GONE:
        (root / path).unlink()
    for path in (*root.glob("app/links/**/*.py"), *root.glob("app/links/**/*.html")):
        path.write_text(without(path.read_text(), "history"))
    undefined = ["ruff", "check", "--select", "F821,F823,E9", "app"]
    tests = [str(Path("tests", "api", "links", name)) for name in TESTS]
    pytest = ["pytest", "-q", "-n", "0", "-p", "no:cacheprovider", "-k", "embedded", *tests]
    for program, *arguments in (undefined, pytest):
        done = subprocess.run(
            [root / ".venv" / "bin" / program, *arguments],
            cwd=root,
            env=bare_environ(),
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
