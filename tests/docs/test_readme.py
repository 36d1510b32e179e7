"""The commands in the README and in other pages work and print what the pages show."""

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

# Parts of the output that differ between runs. For the comparison, a name replaces each of them.
VARIABLE = [
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", "TIME"),
    (r"(?<=Date: ).*", "DATE"),
    (r"(?<=X-Request-Id: ).*", "ID"),
    (r"(?<=MySQL version: )9\.7\.\d+\S*", "VERSION"),
]


def commands(markdown: str) -> Iterator[tuple[str, str]]:
    """Yield each command of the console blocks, with the output that the page shows."""
    for block in blocks(markdown, "console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, output = re.split(r"(?<!\\)\n", part, maxsplit=1)  # a \ continues a line
            yield command, output


def comparable(output: str) -> str:
    """Return the output with names in place of the parts that differ between runs."""
    for pattern, name in VARIABLE:
        output = re.sub(pattern, name, output)
    return output.replace("\r\n", "\n")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A fresh copy of the project."""
    return copy_project(tmp_path / "slipway")


@pytest.fixture
def own(checkout: Path) -> Iterator[Stack]:
    """A stack of the copy, not started. Objects that a page creates beside it are removed too."""
    with Stack(checkout) as stack:
        yield stack
        # Before the stack is removed, since these containers use its image.
        for kind, every in (("container", ["--all"]), ("network", []), ("volume", [])):
            named = f"name={stack.project}-"
            if left := docker(kind, "ls", *every, "--quiet", "--filter", named).split():
                docker(kind, "rm", "--force", *left)
        if left := docker("image", "ls", "--quiet", f"{stack.project}-*").split():
            docker("image", "rm", "--force", *left)


@pytest.mark.usefixtures("stack")  # it fills the build cache
@pytest.mark.parametrize(
    "pages",
    [
        pytest.param(["README.md"], id="README"),
        pytest.param(["docs/operate.md", "docs/learn/*.md", "docs/scale.md"], id="docs"),
    ],
)
def test_console_blocks(checkout: Path, own: Stack, pages: list[str]) -> None:
    """Every command succeeds and prints what the page shows. The pages of one row share a stack."""
    if pages != ["README.md"]:  # all other pages assume a running stack
        own.up("--build")
    files = [file for pattern in pages for file in sorted(ROOT.glob(pattern))]
    steps = [step for file in files for step in commands(file.read_text())]
    # One shell runs all commands, since later ones use variables that earlier ones have set.
    script = "".join(f"{{ {command}\n}} > {n}.out\n" for n, (command, _) in enumerate(steps))
    names = {  # names on the pages, and the names that replace them here
        "localhost:8000": f"localhost:{own.port}",
        "127.0.0.1:8000": f"127.0.0.1:{own.port}",
        "slipway-": f"{own.project}-",
        "slipway_": f"{own.project}_",
    }
    for theirs, ours in names.items():
        script = script.replace(theirs, ours)
    subprocess.run(
        ["bash", "-ec", script],
        cwd=checkout,
        env=own.env | {"COMPOSE_DISABLE_ENV_FILE": "1"},
        check=True,
    )
    for number, (command, output) in enumerate(steps):
        printed = (checkout / f"{number}.out").read_text()
        if output:  # without output on the page, only success counts: docker prints its progress
            for theirs, ours in reversed(names.items()):
                printed = printed.replace(ours, theirs)
            assert comparable(printed) == comparable(output), command


def test_make_run(checkout: Path) -> None:
    """`make run` needs only Python, prints which database it uses, and serves requests.

    It writes the key that signs cookies to data/secret_key, which only its user can read.
    """
    own = Stack(checkout)  # only for its environment: a free port, and none of the user's settings
    with subprocess.Popen(
        ["make", "run"], cwd=checkout, env=own.env, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            own.wait_ready(limit=240)
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
    assert "Database: sqlite:///data/slipway.db\n" in printed
    assert "docker compose up" in printed
    assert (checkout / "data/secret_key").stat().st_mode & 0o777 == 0o600


def test_ci_runs_the_readmes_test_command() -> None:
    """CI runs the test command that the README gives."""
    documented = [block for block in blocks(README, "sh") if block.startswith("make ")]
    last_line = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert [last_line.removeprefix("CI=true ") + "\n"] == documented
