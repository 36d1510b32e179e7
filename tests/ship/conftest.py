"""Fixtures for `make push`: a clone with one commit and its own environment, and registries."""

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
    """A clone of the project, and the environment for commands that run in it."""

    folder: Path
    env: dict[str, str]

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command in the clone."""
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
        """Return the hash of the last commit."""
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def push(self, image: str, tag: str, **settings: str) -> str:
        """Push, and return the last line of the output: the image's name with its digest."""
        done = self.make_push(image, tag, **settings)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()[-1]

    def error(self, image: str, tag: str, **settings: str) -> str:
        """Check that a push fails with one line on standard error, and return that line.

        One line means that nothing was built, since a build shows its progress there.
        """
        done = self.make_push(image, tag, **settings)
        assert done.returncode == 2, done.stdout
        lines = [
            line for line in done.stderr.splitlines() if line and not line.startswith("make: ")
        ]
        assert len(lines) == 1, done.stderr
        return lines[0]

    def make_push(self, image: str, tag: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `make push` with an image, a tag and further settings."""
        given = {"IMAGE": image, "TAG": tag} | settings
        return self.run("make", "push", *(f"{name}={value}" for name, value in given.items()))


@contextmanager
def clone(folder: Path) -> Iterator[Checkout]:
    """Yield a fresh clone without any logins; remove the images that were built from it."""
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
    """A clone that only one test uses."""
    with clone(tmp_path) as checkout:
        yield checkout


@pytest.fixture(scope="module")
def hub(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:  # noqa: ARG001
    """Host and port of a registry that requires a login, as Docker Hub does."""
    with registries.hub(tmp_path_factory.mktemp("hub")) as host:
        yield host


@pytest.fixture
def ecr(tmp_path: Path, checkout: Checkout) -> Iterator[str]:
    """The host of a fake ECR. The checkout can reach it, but has no credentials yet."""
    if os.geteuid() != 0:
        pytest.skip(NO_ROOT)
    with registries.ecr(tmp_path) as environ:
        checkout.env.update(environ)
        yield registries.ECR_HOST
