"""The README's commands, run as a new user would run them, print what it says."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.checkout import ROOT, copy_project
from tests.waiting import free_port, wait_until

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
    for block in re.findall(r"^```console\n(.*?)^```$", markdown, flags=re.MULTILINE | re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
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


def environ(port: int) -> dict[str, str]:
    """Return what keeps a run apart from the user's own stack: project, tag and port."""
    names = {"COMPOSE_PROJECT_NAME": f"slipway-readme-{port}", "TAG": f"readme-{port}"}
    return {**os.environ, **names, "PORT": str(port), "SHUTDOWN_DELAY": "0"}


@pytest.mark.usefixtures("stack")  # its image is in the build cache then
def test_console_blocks(checkout: Path) -> None:
    """Every command succeeds and prints what the README shows."""
    port = free_port()
    env = environ(port)
    try:
        for command, output in commands(README):
            ran = subprocess.run(
                ["bash", "-c", command.replace("localhost:8000", f"localhost:{port}")],
                cwd=checkout,
                env=env,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            printed = ran.stdout.replace(f"localhost:{port}", "localhost:8000")
            assert comparable(printed) == comparable(output), command
    finally:
        subprocess.run(
            ["docker", "compose", "down", "--volumes", "--rmi", "local"],
            cwd=checkout,
            env=env,
            check=True,
        )


def test_make_run(checkout: Path) -> None:
    """`make run` needs only Python: it says which database it uses, and serves."""
    port = free_port()
    with subprocess.Popen(
        ["make", "run"],
        cwd=checkout,
        env={k: v for k, v in environ(port).items() if not k.startswith("DATABASE_URL")},
        stdout=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            wait_until(lambda: requests.get(f"http://127.0.0.1:{port}/readyz", timeout=5).ok, 120)
            greeting = requests.get(f"http://127.0.0.1:{port}/", timeout=5).text
        finally:
            server.terminate()
        assert server.stdout
        printed = server.stdout.read()
    assert greeting.startswith("Hello, World! SQLite version: 3.")
    assert "Database: sqlite" in printed
    assert "docker compose up" in printed


def test_ci_runs_the_readmes_test_command() -> None:
    """What CI runs is what the README tells the reader to run."""
    told = re.findall(r"^```sh\n(.*?)\n```$", README, flags=re.MULTILINE | re.DOTALL)
    last_line = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert [last_line.removeprefix("CI=true ")] == told


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\]\(([^):]+)\)", README))))
def test_links_lead_somewhere(path: str) -> None:
    """A page that the README points to exists."""
    assert (ROOT / path).is_file()
