"""Rolling restarts and password rotations of replicas fail no request."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.checkout import ROOT
from tests.support.compose import Stack, run
from tests.support.faults.proxy import Proxy
from tests.support.links.faults import rolling
from tests.support.pages import blocks

pytestmark = pytest.mark.timed

# Runs in the database's container: logs in with a password, and fails if it is not valid.
TRY = "MYSQL_PWD=$0 mysql --host=127.0.0.1 --user=app --execute='DO 0'"


@pytest.fixture(scope="module")
def proxy(stack: Stack) -> Iterator[Proxy]:
    """A load balancer before two replicas, at the stack's URL."""
    with rolling.two_replicas(stack) as proxy:
        yield proxy


def test_rolling_restart_loses_no_request(stack: Stack, proxy: Proxy, token: str) -> None:
    """While one replica drains, stops and starts, the other one serves all requests."""
    violations = rolling.run(stack, proxy, token, times=1)
    assert not violations, "\n".join(map(str, violations))


@pytest.mark.usefixtures("proxy")
def test_rotation_of_passwords_loses_no_request(stack: Stack, token: str) -> None:
    """The commands of docs/operate.md replace the old password, and no request fails."""
    page = (ROOT / "docs/operate.md").read_text()
    [commands] = [block for block in blocks(page, "sh") if "rotate.sh" in block]
    old = stack.exec("db", "cat", "/run/secrets/app_password").strip()

    def rotate() -> None:
        env = stack.env | {"COMPOSE_DISABLE_ENV_FILE": "1"}
        run("bash", "-ec", commands, cwd=ROOT, env=env)

    violations = rolling.unnoticed(stack, token, "passwords rotated", rotate)
    assert not violations, "\n".join(map(str, violations))
    new = stack.exec("db", "cat", "/run/secrets/app_password").strip()
    assert new != old
    stack.exec("db", "bash", "-c", TRY, new)
    with pytest.raises(subprocess.CalledProcessError) as refused:
        stack.exec("db", "bash", "-c", TRY, old)
    assert "Access denied" in refused.value.stderr
