"""The service over HTTP: the same tests for the embedded run on SQLite and the stack on MySQL."""

import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.checkout import ROOT
from tests.compose import Stack
from tests.service import Service
from tests.waiting import free_port, wait_until

PYTHON = Path(sys.executable)


class Deployment:
    """A running service, its command line and its log."""

    def __init__(self, url: str, slipway: Callable[..., str], log: Callable[[], str]) -> None:
        self.url = url
        self.slipway = slipway
        self.log = log

    def token(self, scope: str = "write", *options: str) -> str:
        """Make a token with a new name."""
        name = f"test-{secrets.token_hex(4)}"
        return self.slipway("tokens", "create", name, "--scope", scope, *options).strip()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A service without Docker, on a database of its own."""
    folder = tmp_path_factory.mktemp("embedded")
    port = free_port()
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{folder}/slipway.db",
        "SHUTDOWN_DELAY": "0",
        "TRUSTED_PROXIES": "1",  # so that a test can have an address of its own
    }

    def run(*command: str | Path) -> str:
        return subprocess.check_output(command, cwd=ROOT, env=environ, text=True)

    def slipway(*arguments: str) -> str:
        return run(PYTHON, "-m", "app", *arguments)

    run(PYTHON.parent / "alembic", "upgrade", "heads")
    command: list[str | Path] = [
        PYTHON.parent / "gunicorn",
        "--config=python:app.gunicorn",
        f"--bind=127.0.0.1:{port}",
    ]
    log = folder / "log"
    with (
        log.open("w") as output,
        subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output) as server,
    ):
        try:
            service = Service(f"http://127.0.0.1:{port}")
            wait_until(lambda: service.get("/readyz").ok)
            yield Deployment(service.url, slipway, log.read_text)
        finally:
            server.terminate()
    assert server.returncode == 0


@pytest.fixture(scope="session", name="deployment", params=["embedded", "stack"])
def _deployment(request: pytest.FixtureRequest) -> Deployment:
    """The service, once on each database."""
    found = request.getfixturevalue(request.param)
    if isinstance(found, Stack):
        return Deployment(
            found.url,
            lambda *arguments: found.exec("app", "slipway", *arguments),
            lambda: found.compose("logs", "--no-log-prefix", "app"),
        )
    assert isinstance(found, Deployment)
    return found


@pytest.fixture(scope="session")
def service(deployment: Deployment) -> Iterator[Service]:
    """A session with the service that may write."""
    with Service(deployment.url, deployment.token()) as session:
        yield session
