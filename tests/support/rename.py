"""Replace the service's name in all files of the repository: `make rename NAME=…`."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.checkout import ROOT

# Names that would break something, by reason.
TAKEN = {
    "the project uses this word for something else": (
        "app bench bin db deploy dev docs findings links main migrate requirements secrets test"
        " tests"
    ),
    "MySQL has an account or a schema with this name": "migrator mysql replicator root sys",
    "the images have a program with this name": "alembic flask gunicorn pip python python3",
    "Kubernetes has a namespace with this name": "default",
    "YAML reads this word as a value that is not a text": "false no null off on true yes",
}


def problem(name: str) -> str | None:
    """Return why the service can't have this name, or None if it can.

    The longest names of Kubernetes objects, such as NAME-smoke-…, leave room for 30 characters.
    """
    if not re.fullmatch("[a-z][a-z0-9]{1,29}", name):
        example = "make rename NAME=beacon"
        return f"Set NAME to 2 to 30 of a-z and 0-9, starting with a letter: {example}"
    reasons = [reason for reason, words in TAKEN.items() if name in words.split()]
    return f"{name} can't be the name: {reasons[0]}. Choose another one." if reasons else None


def rename(root: Path, new: str) -> None:
    """Replace the present name, which is that of the program in bin/, where it is a whole word.

    The name of the program changes last, so that the same call completes an interrupted one.
    """
    [program] = (root / "bin").iterdir()
    old = program.name
    if old == new:
        return
    word = re.compile(
        rf"(?<![a-zA-Z0-9])(?:{old}(?![a-zA-Z0-9])|{old.capitalize()}(?![a-z0-9]))".encode()
    )

    def replacement(found: re.Match[bytes]) -> bytes:
        return (new.capitalize() if found[0][:1].isupper() else new).encode()

    search = ["git", "grep", "-lIzi", old, "--", ".", ":!LICENSE", ":!requirements"]
    listed = subprocess.run(search, cwd=root, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        path = root / name
        path.write_bytes(word.sub(replacement, path.read_bytes()))
    subprocess.run(["git", "mv", f"bin/{old}", f"bin/{new}"], cwd=root, check=True)


if __name__ == "__main__":
    name = sys.argv[1]
    if refusal := problem(name):
        sys.exit(refusal)
    rename(ROOT, name)
