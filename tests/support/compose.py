"""A stack for tests: a Compose project with its own name and port, removed at the end."""

import functools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any, Self

import requests

from tests.support.checkout import ROOT
from tests.support.environ import SET_BY_MAKE
from tests.support.leftovers import new_name
from tests.support.waiting import free_port, wait_until

# A shell command for the database's container. It reads SQL from standard input.
MYSQL_ROOT = (
    "MYSQL_PWD=$(</run/secrets/root_password)"
    " exec mysql --user=root --batch --skip-column-names --default-character-set=utf8mb4"
    " slipway"
)
QUIET = f"docker-compose.yaml{os.pathsep}tests/support/quiet.yaml"
SETTINGS = set(re.findall(r"^#(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))


@functools.cache
def engine_answers() -> bool:
    """Return whether Docker with Compose is available to run a stack."""
    try:
        docker("compose", "version")
        docker("info")
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def docker(*args: str) -> str:
    """Run docker and return what it prints on standard output."""
    return run("docker", *args)


class Stack:
    """One Compose project. `up` starts it, and a `with` block removes it at the end."""

    def __init__(self, root: Path = ROOT, tag: str | None = None) -> None:
        """Choose a project name, a port and an image tag.

        :param tag: the tag of another stack, to run the image that it has built.
        """
        self.root = root
        self.project = new_name()
        self.tag = tag or self.project
        self.image = f"slipway:{self.tag}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # Keep the settings of the user who runs the tests out of this stack.
        mine = SETTINGS | {f"{name}_FILE" for name in SETTINGS} | {"COMPOSE_FILE"}
        mine |= SET_BY_MAKE
        self.env = {name: value for name, value in os.environ.items() if name not in mine} | {
            "COMPOSE_PROJECT_NAME": self.project,
            "PORT": str(self.port),
            "IMAGE": "slipway",
            "TAG": self.tag,
            "SHUTDOWN_DELAY": "1",
            "TRUSTED_PROXIES": "1",  # lets a test choose its address with X-Forwarded-For
        }
        if root == ROOT:  # and not a copy, in which a test does what a user does
            self.env["COMPOSE_FILE"] = QUIET

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def compose(self, *args: str, check: bool = True, text: str | None = None) -> str:
        """Run docker compose, with `text` on its standard input, and return what it prints.

        :raises CalledProcessError: it failed, and `check` is true.
        """
        return run(*self.command(*args), check=check, text=text, cwd=self.root, env=self.env)

    def command(self, *args: str) -> list[str]:
        """Return the command line for docker compose."""
        return ["docker", "compose", "--env-file", os.devnull, *args]

    def up(self, *args: str) -> None:
        """Start the stack and return when it is ready. If that fails, the error shows its logs."""
        try:
            self.compose("up", "--wait", *args)
        except subprocess.CalledProcessError as error:
            error.add_note(self.compose("logs", "--tail", "30", check=False))
            raise

    def remove(self) -> None:
        """Remove containers, networks, volumes, and the images that this stack has built."""
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "0")
        label = f"label=com.docker.compose.project={self.project}"
        # `down` misses volumes of Compose files that COMPOSE_FILE no longer names.
        if volumes := docker("volume", "ls", "--quiet", "--filter", label).split():
            docker("volume", "rm", *volumes)
        if images := docker("image", "ls", "--quiet", "--filter", label).split():
            docker("image", "rm", "--force", *images)

    def make(self, target: str, **variables: object) -> str:
        """Run a make target on this stack, as its user would, and return what it prints."""
        given = [f"{name}={value}" for name, value in variables.items()]
        env = self.env | {"COMPOSE_DISABLE_ENV_FILE": "1"}
        return run("make", "--silent", target, *given, cwd=self.root, env=env)

    def container(self, service: str) -> str:
        """Return the name that Compose gives to the first container of a service."""
        return f"{self.project}-{service}-1"

    def inside(self, service: str, *command: str) -> list[str]:
        """Return the command line that runs a command in a service's container.

        `docker exec` takes a tenth of the processor time of `docker compose exec`.
        """
        return ["docker", "exec", "--interactive", self.container(service), *command]

    def exec(self, service: str, *command: str, text: str | None = None) -> str:
        """Run a command in a service's container and return what it prints."""
        return run(*self.inside(service, *command), text=text)

    def python(self, service: str, code: str, *arguments: str) -> str:
        """Run Python code in a container that has no shell, and return what it prints."""
        return self.exec(service, "python3", "-c", code, *arguments)

    def mysql_root(self, sql: str, service: str = "db") -> list[list[str]]:
        """Run SQL as root in the container of a MySQL server, and return the rows."""
        rows = self.exec(service, "bash", "-c", MYSQL_ROOT, text=sql)
        return [row.split("\t") for row in rows.splitlines()]

    def id(self, service: str) -> str:
        """Return the id of a service's container, whether it is running or not."""
        return str(self.inspect(service)["Id"])

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what `docker inspect` reports about a service's container."""
        found: list[dict[str, Any]] = json.loads(docker("inspect", self.container(service)))
        return found[0]

    def health(self, service: str) -> str:
        """Return the health of a service's container: `starting`, `healthy` or `unhealthy`."""
        return str(self.inspect(service)["State"]["Health"]["Status"])

    def wait_ready(self, limit: float = 60) -> None:
        """Return as soon as the service can answer requests that need the database."""
        wait_until(lambda: requests.get(f"{self.url}/readyz/database", timeout=5).ok, limit)


def run(*command: str | Path, check: bool = True, text: str | None = None, **options: Any) -> str:
    """Run a command, with `text` on its standard input, and return what it prints.

    :raises CalledProcessError: it failed, and `check` is true. A note has its output.
    """
    done: subprocess.CompletedProcess[str] = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, **options
    )
    return output(done) if check else done.stdout


def output(done: subprocess.CompletedProcess[str]) -> str:
    """Return what a process that has ended has printed on standard output.

    :raises CalledProcessError: it failed. A note has its output.
    """
    try:
        done.check_returncode()
    except subprocess.CalledProcessError as error:
        error.add_note(done.stdout + done.stderr)
        raise
    return done.stdout
