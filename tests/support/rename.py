"""Replace the service's name in all files of the repository: `make rename NAME=…`."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.checkout import ROOT

PAGES = ":!*.md"  # their prose can use the word
FOREIGN = (":!LICENSE", ":!requirements", ":!findings")  # these are not about the service


def _word(name: str) -> re.Pattern[bytes]:
    """Match a name where it is a whole word, also as the start of a word such as NameDown."""
    capital = name.capitalize()
    text = rf"(?<![a-zA-Z0-9])(?:{name}(?![a-zA-Z0-9])|{capital}(?![a-z0-9]))"
    return re.compile(text.encode())


def _files(root: Path, name: str, *but: str) -> list[Path]:
    """Return the text files that git tracks and that contain a name, as a word or within one."""
    command = ["git", "grep", "-lIzi", name, "--", ".", *FOREIGN, *but]
    found = subprocess.run(command, cwd=root, check=False, stdout=subprocess.PIPE, text=True)
    return [root / path for path in found.stdout.split("\0") if path]


def places(root: Path, name: str, *but: str) -> list[str]:
    """Return file and number of each line that `rename` would change, as in `app/cli.py:3`.

    :param but: pathspecs of git that exclude files.
    """
    return [
        f"{path.relative_to(root)}:{number}"
        for path in _files(root, name, *but)
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if _word(name).search(line)
    ]


def problem(root: Path, name: str) -> str | None:
    """Return why the service can't have this name, or None if it can.

    30 characters leave room for the longest names of Kubernetes objects and containers. A name that
    is a word of the code already can mean something else to MySQL, YAML, Docker or the image, and
    the next rename would replace both.
    """
    if not re.fullmatch("[a-z][a-z0-9]{1,29}", name):
        return "Set NAME to 2 to 30 of a-z and 0-9, starting with a letter: make rename NAME=…"
    if used := places(root, name, PAGES):
        return f"{name} can't be the name: {used[0]} uses this word already. Choose another."
    return None


def rename(root: Path, old: str, new: str) -> None:
    """Replace the name `old` where it is a whole word, and rename the program in bin/."""

    def replacement(found: re.Match[bytes]) -> bytes:
        return (new.capitalize() if found[0][:1].isupper() else new).encode()

    for path in _files(root, old):
        path.write_bytes(_word(old).sub(replacement, path.read_bytes()))
    subprocess.run(["git", "mv", f"bin/{old}", f"bin/{new}"], cwd=root, check=True)


if __name__ == "__main__":
    [program] = (ROOT / "bin").iterdir()
    if sys.argv[1] != program.name:
        if refusal := problem(ROOT, sys.argv[1]):
            sys.exit(refusal)
        rename(ROOT, program.name, sys.argv[1])
