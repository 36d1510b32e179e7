"""Copies of the project, with the same files as a fresh clone."""

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def copy_project(target: Path, mode: str = "") -> Path:
    """Copy all files that git tracks or does not ignore into a folder, and return the folder.

    :param mode: change the mode of every file and folder like this, in the notation of chmod.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    if mode:
        subprocess.run(["chmod", "-R", mode, target], check=True)
    return target
