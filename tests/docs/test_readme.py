"""The commands of the README and of other pages, run as a user would, print what these say."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.checkout import ROOT, copy_project
from tests.support.compose import Stack, docker
from tests.support.pages import blocks
from tests.support.service import Service

README = (ROOT / "README.md").read_text()

# What differs from one run to the next, and how both sides are made to look alike.
VARIABLE = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME"),
    (r"(?<=Date: ).*", "DATE"),
    (r"(?<=X-Request-Id: ).*", "ID"),
    (r"(?<=MySQL version: )9\.7\.\d+\S*", "VERSION"),
]


def commands(markdown: str) -> Iterator[tuple[str, str]]:
    """Give each command of the console blocks, and what it is said to print."""
    for block in blocks(markdown, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, output = re.split(r"(?<!\\)\n", part, maxsplit=1)  # a \ continues a line
            yield command, output


def comparable(output: str) -> str:
    """Return output without what differs between runs."""
    for pattern, name in VARIABLE:
        output = re.sub(pattern, name, output)
    return output.replace("\r\n", "\n")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh copy of the project."""
    return copy_project(tmp_path / "slipway")


@pytest.fixture
def own(checkout: Path) -> Iterator[Stack]:
    """A stack of the copy's, not started; what a page makes by hand beside it goes too."""
    with Stack(checkout) as stack:
        yield stack
        # First, since these containers hold the stack's image.
        for kind, every in (("container", ["--all"]), ("network", []), ("volume", [])):
            named = f"name={stack.project}-"
            if left := docker(kind, "ls", *every, "--quiet", "--filter", named).split():
                docker(kind, "rm", "--force", *left)


@pytest.mark.usefixtures("stack")  # its image is in the build cache then
@pytest.mark.parametrize(
    "pages", ["README.md", "docs/operate.md", "docs/scale.md", "docs/learn/*.md"]
)
def test_console_blocks(checkout: Path, own: Stack, pages: str) -> None:
    """Every command succeeds and prints what the page shows; some pages share a stack."""
    if pages != "README.md":  # the others are about a stack that runs
        own.up("--build")
    told = [told for page in sorted(ROOT.glob(pages)) for told in commands(page.read_text())]
    # One shell for all, since a later command uses what an earlier one has set.
    script = "".join(f"{{ {command}\n}} > {n}.out\n" for n, (command, _) in enumerate(told))
    names = {  # the reader's, and what takes their place here
        "localhost:8000": f"localhost:{own.port}",
        "127.0.0.1:8000": f"127.0.0.1:{own.port}",
        "slipway-": f"{own.project}-",
        "slipway_": f"{own.project}_",
        "slipway:latest": own.image,
    }
    for theirs, ours in names.items():
        script = script.replace(theirs, ours)
    subprocess.run(
        ["bash", "-ec", script],
        cwd=checkout,
        env=own.env | {"COMPOSE_DISABLE_ENV_FILE": "1"},
        check=True,
    )
    for number, (command, output) in enumerate(told):
        printed = (checkout / f"{number}.out").read_text()
        if output:  # where it shows nothing, only success counts: docker tells of progress
            for theirs, ours in reversed(names.items()):
                printed = printed.replace(ours, theirs)
            assert comparable(printed) == comparable(output), command


def test_make_run(checkout: Path) -> None:
    """`make run` needs only Python: it says which database it uses, and serves.

    The key of the web page's cookies is made in its folder, for its user alone.
    """
    own = Stack(checkout)  # for its settings: a port, and nothing of the user's
    with subprocess.Popen(
        ["make", "run"], cwd=checkout, env=own.env, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            own.wait_ready(limit=120)
            greeting = requests.get(own.url, timeout=5).text
            token = subprocess.check_output(
                ["make", "--silent", "token"], cwd=checkout, env=own.env, text=True
            ).strip()
            with Service(own.url, token) as client:
                assert client.get("/api/me").json() == {"name": "me", "scope": "write"}
            assert requests.get(f"{own.url}/sign-in", timeout=5).ok
        finally:
            server.terminate()
        assert server.stdout
        printed = server.stdout.read()
    assert greeting.startswith("Hello, World! SQLite version: 3.")
    assert "Database: sqlite" in printed
    assert "docker compose up" in printed
    assert (checkout / "data/secret_key").stat().st_mode & 0o777 == 0o600


def test_ci_runs_the_readmes_test_command() -> None:
    """What CI runs is what the README tells the reader to run."""
    told = blocks(README, "sh")
    last_line = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert [last_line.removeprefix("CI=true ") + "\n"] == told
