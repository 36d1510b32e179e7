"""The service over HTTP: the same tests for the embedded run on SQLite and the stack on MySQL."""

import os
import secrets
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.checkout import ROOT
from tests.compose import Stack
from tests.service import Service
from tests.waiting import free_port, wait_until

PYTHON = Path(sys.executable)


class Deployment:
    """A running service, its command line, and its database."""

    def __init__(
        self, url: str, slipway: Callable[..., str], sql: Callable[[str], list[list[Any]]]
    ) -> None:
        self.url = url
        self.slipway = slipway
        self.sql = sql

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

    def sql(statement: str) -> list[list[Any]]:
        with closing(sqlite3.connect(folder / "slipway.db")) as database, database:
            return [list(row) for row in database.execute(statement)]

    run(PYTHON.parent / "alembic", "upgrade", "heads")
    command: list[str | Path] = [
        PYTHON.parent / "gunicorn",
        "--config=python:app.gunicorn",
        f"--bind=127.0.0.1:{port}",
    ]
    with subprocess.Popen(command, cwd=ROOT, env=environ) as server:
        try:
            service = Service(f"http://127.0.0.1:{port}")
            wait_until(lambda: service.get("/readyz").ok)
            yield Deployment(service.url, slipway, sql)
        finally:
            server.terminate()
    assert server.returncode == 0


@pytest.fixture(scope="session", name="deployment", params=["embedded", "stack"])
def _deployment(request: pytest.FixtureRequest) -> Deployment:
    """The service, once on each database."""
    found = request.getfixturevalue(request.param)
    if isinstance(found, Stack):
        slipway = partial(found.exec, "app", "slipway")
        return Deployment(found.url, slipway, found.mysql_root)
    assert isinstance(found, Deployment)
    return found


@pytest.fixture(scope="session")
def service(deployment: Deployment) -> Iterator[Service]:
    """A session with the service that may write."""
    with Service(deployment.url, deployment.token()) as session:
        yield session
