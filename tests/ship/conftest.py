"""What it takes to push: a checkout with a commit, settings of its own, and registries."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import NO_ROOT
from tests.support import registries
from tests.support.checkout import copy_project
from tests.support.compose import docker

COMMITTED = "2026-01-02T03:04:05+02:00"


class Checkout(NamedTuple):
    """A clone of the project, and the environment in which somebody works on it."""

    folder: Path
    env: dict[str, str]

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in it."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=self.env,
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )

    def commit(self) -> str:
        """Return the name of the last commit."""
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def push(self, image: str, tag: str, **settings: str) -> str:
        """Push, and return what is printed at last: the digest."""
        done = self.make_push(image, tag, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    def error(self, image: str, tag: str, **settings: str) -> str:
        """Push in vain, and return the one line that says why. Nothing was built."""
        done = self.make_push(image, tag, **settings)
        assert done.returncode == 2, done.stdout
        said = [line for line in done.stderr.splitlines() if line and not line.startswith("make: ")]
        assert len(said) == 1, done.stderr
        return said[0]

    def make_push(self, image: str, tag: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `make push`."""
        given = {"IMAGE": image, "TAG": tag} | settings
        return self.run("make", "push", *(f"{name}={value}" for name, value in given.items()))


@contextmanager
def clone(folder: Path) -> Iterator[Checkout]:
    """Give a fresh clone whose user has not logged in anywhere; remove what it has built."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "aws").symlink_to(Path(sys.executable).parent / "aws")
    mine = ("AWS_", "BUILDX_", "DOCKER_", "GIT_", "MAKE")
    env = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    env |= {"PATH": f"{programs}:{env['PATH']}", "DOCKER_CONFIG": str(folder / "docker")}
    env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_COMMITTER_DATE": COMMITTED}
    found = Checkout(copy_project(folder / "slipway"), env)
    for command in [
        "git init --quiet",
        "git add .",
        "git -c user.name=You -c user.email=you@example.com commit --quiet --message=All",
        "git remote add origin https://you:token@example.com/you/slipway.git",
    ]:
        done = found.run(*command.split())
        assert done.returncode == 0, done.stderr
    try:
        yield found
    finally:
        label = f"label=org.opencontainers.image.revision={found.commit()}"
        if images := docker("image", "ls", "--quiet", "--filter", label).split():
            docker("image", "rm", "--force", *set(images))


@pytest.fixture
def checkout(engine: None, tmp_path: Path) -> Iterator[Checkout]:  # noqa: ARG001
    """A clone of one test's own."""
    with clone(tmp_path) as checkout:
        yield checkout


@pytest.fixture(scope="module")
def hub(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: ARG001
    """Host and port of a registry that wants a login, as Docker Hub does."""
    with registries.hub(tmp_path_factory.mktemp("hub")) as host:
        yield host


@pytest.fixture
def ecr(tmp_path: Path, checkout: Checkout) -> Iterator[str]:
    """ECR's host. The checkout's user has an account there, but no credentials yet."""
    if os.geteuid() != 0:
        pytest.skip(NO_ROOT)
    with registries.ecr(tmp_path) as environ:
        checkout.env.update(environ)
        yield registries.ECR_HOST
