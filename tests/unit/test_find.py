"""db/find.sh names the member of a group that accepts writes."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

# Takes the place of Docker: it knows the services, and which primary each member knows.
DOCKER = """#!/bin/sh
case "$*" in
  "compose config --services") printf '%s\\n' app {members} ;;
  "compose exec -T {answers} "*) echo "{primary}" ;;
  *) exit 1 ;;
esac
"""


def find(folder: Path, **known: str) -> "subprocess.CompletedProcess[str]":
    """Run the script, and return its result."""
    docker = folder / "docker"
    docker.write_text(DOCKER.format(**known))
    docker.chmod(0o755)
    env = os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [ROOT / "db" / "find.sh"], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("members", "answers", "primary", "found"),
    [
        ("db", "", "", "db"),
        ("db db-2 db-3", "db", "db", "db"),
        ("db db-2 db-3", "db-3", "db-2", "db-2"),
    ],
    ids=["one server", "first member is the primary", "two members do not answer"],
)
def test_primary_is_found(
    tmp_path: Path, members: str, answers: str, primary: str, found: str
) -> None:
    """One server needs no search, and of a group any member can name the primary."""
    done = find(tmp_path, members=members, answers=answers, primary=primary)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{found}\n", "")


@pytest.mark.parametrize("answers", ["db-4", "db-2"])
def test_no_primary_is_found(tmp_path: Path, answers: str) -> None:
    """If no member answers, or none knows a primary, the script says so and prints no name."""
    done = find(tmp_path, members="db db-2 db-3", answers=answers, primary="")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "No member of the group is its primary. See docs/group.md\n"
