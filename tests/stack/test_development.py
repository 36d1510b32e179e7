"""Development in a container with live reload: the service app, from another image."""

import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.support.checkout import copy_project
from tests.support.compose import Stack, docker
from tests.support.waiting import wait_until

FILES = ("-f", "docker-compose.yaml", "-f", "docker-compose.dev.yaml")


@pytest.fixture(scope="module", name="development")
def _development(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack in development, after one in production on the same port.

    Only the owner can read its checkout, as after a clone with umask 077.
    """
    folder = tmp_path_factory.mktemp("development")
    log = folder / "log"
    checkout = copy_project(folder / "slipway", mode="go-rwx")
    with Stack(checkout) as development, log.open("w") as output:
        development.env |= {"IMAGE": "slipway", "TAG": stack.tag}
        development.up()
        watch = subprocess.Popen(
            development.command(*FILES, "up", "--build", "--watch"),
            cwd=checkout,
            env=development.env,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            wait_until(lambda: "Watch enabled" in log.read_text(), 120)
            development.wait_ready()
            yield development
        finally:
            watch.terminate()
            watch.wait()


def greeting(stack: Stack) -> str:
    """Return the first line of the home page."""
    return requests.get(stack.url, timeout=5).text.partition("\n")[0]


def test_saved_edit_is_live(development: Stack) -> None:
    """A saved edit in the working tree changes the answer of the running service."""
    assert greeting(development).startswith("Hello, World!")
    source = development.root / "app" / "hello.py"
    source.write_text(source.read_text().replace("Hello, World!", "Hello, edit!"))
    wait_until(lambda: greeting(development).startswith("Hello, edit!"))


def test_commands_of_the_documentation_work(development: Stack) -> None:
    """`exec app` and `logs app` work as in production, without naming the development file.

    The log has the address on the machine, and one line for each request.
    """
    token = development.exec("app", "slipway", "tokens", "create", "dev").strip()
    auth = {"Authorization": f"Bearer {token}"}
    path = "/api/me"
    answer = requests.get(development.url + path, headers=auth, timeout=5)
    assert answer.json() == {"name": "dev", "scope": "write"}
    log = development.compose("logs", "app")
    assert sum(path in line for line in log.splitlines()) == 1
    assert f"Open http://localhost:{development.port}" in log


def test_one_command_goes_back_to_production(development: Stack) -> None:
    """`make up` runs the edit from the production image, and `down -v` leaves nothing of either."""
    development.env["TAG"] = development.project  # build an image of its own
    opened = development.make("up").splitlines()[-1]  # what is before it is Compose's
    assert opened == f"Open http://localhost:{development.port}"
    assert development.inspect("app")["Config"]["Image"] == development.image
    assert greeting(development).startswith("Hello, edit!")
    assert f'"Open http://localhost:{development.port}"' in development.compose("logs", "app")
    development.compose("down", "--volumes")
    ours = ("--quiet", "--filter", f"label=com.docker.compose.project={development.project}")
    assert docker("ps", "--all", *ours) == ""
    assert docker("volume", "ls", *ours) == ""
    assert docker("network", "ls", *ours) == ""
