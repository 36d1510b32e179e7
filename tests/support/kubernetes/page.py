"""Runs the commands of docs/kubernetes.md with a fake kubectl, which uses Docker."""

import os
import subprocess
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.compose import output
from tests.support.environ import SET_BY_MAKE
from tests.support.kubernetes.pods import Pod
from tests.support.pages import blocks

# Runs commands in the database's container, and answers all others like a healthy cluster.
FAKE = """#!/bin/sh
echo "$*" >>"$FAKE_LOG"
case "$*" in
    *" exec -i slipway-db-0 -- "*)
        shift 6
        exec docker exec -i "$FAKE_DB" "$@" ;;
    "kustomize "*)
        exec docker run --rm --network=none --volume="$PWD:$PWD:ro" --workdir="$PWD" \\
            "$FAKE_TOOLS" kubectl "$@" ;;
esac
"""


def commands(heading: str) -> list[str]:
    """Return the code blocks of shell commands in the section with this heading."""
    page = (ROOT / "docs/kubernetes.md").read_text()
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return blocks(section, "sh")


class Shell:
    """A shell in a copy of the project, whose kubectl reaches one database's pod."""

    def __init__(self, folder: Path, project: Path, tools: str, db: Pod) -> None:
        self.project = project
        self.log = folder / "log"
        (folder / "kubectl").write_text(FAKE)
        (folder / "kubectl").chmod(0o755)
        mine = {name: value for name, value in os.environ.items() if name not in SET_BY_MAKE}
        self.env = mine | {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "FAKE_LOG": str(self.log),
            "FAKE_DB": db.id("mysql"),
            "FAKE_TOOLS": tools,
        }

    def try_to(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script, whose first command that fails ends it."""
        command = ["bash", "-euc", script]
        return subprocess.run(
            command, cwd=self.project, env=self.env, capture_output=True, text=True, check=False
        )

    def run(self, script: str) -> str:
        """Run a script that must succeed, and return what it prints."""
        return output(self.try_to(script))

    def calls(self) -> list[str]:
        """Return the arguments of each call of kubectl."""
        return self.log.read_text().splitlines()
