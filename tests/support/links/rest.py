"""Run all tests on a copy of the project without the example: `make check-rest`."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.checkout import ROOT, copy_project
from tests.support.environ import SET_BY_MAKE

YOU = {"GIT_AUTHOR_NAME": "You", "GIT_AUTHOR_EMAIL": "you@example.com"}
YOU |= {name.replace("AUTHOR", "COMMITTER"): value for name, value in YOU.items()}


def clone_project(target: Path) -> Path:
    """Copy the project into a folder, as a git repository with one commit, and return the folder.

    It uses the virtual environment of the tests, and what mypy knows already.
    """
    copy_project(target)
    (target / ".venv").symlink_to(sys.prefix)
    if (ROOT / ".mypy_cache").exists():
        shutil.copytree(ROOT / ".mypy_cache", target / ".mypy_cache")
    for command in ("init --quiet", "add .", "commit --quiet --message All"):
        subprocess.run(["git", *command.split()], cwd=target, env=os.environ | YOU, check=True)
    return target


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        project = clone_project(Path(folder) / "rest")
        env = {name: value for name, value in os.environ.items() if name not in SET_BY_MAKE}
        subprocess.run(["make", "remove-example"], cwd=project, env=env, check=True)
        sys.exit(subprocess.run(["make", "test"], cwd=project, env=env, check=False).returncode)
