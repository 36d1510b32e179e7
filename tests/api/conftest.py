"""The service over HTTP: the same tests for the embedded run on SQLite and the stack on MySQL."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.service import Service
from tests.waiting import free_port, wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service without Docker, on a database of its own."""
    folder = tmp_path_factory.mktemp("embedded")
    port = free_port()
    tools = Path(sys.executable).parent
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": f"sqlite:///{folder}/slipway.db",
        "SHUTDOWN_DELAY": "0",
    }
    subprocess.run([tools / "alembic", "upgrade", "heads"], cwd=ROOT, env=environ, check=True)
    bind = f"--bind=127.0.0.1:{port}"
    with subprocess.Popen(
        [tools / "gunicorn", "--config=python:app.gunicorn", bind], cwd=ROOT, env=environ
    ) as server:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until(lambda: requests.get(f"{url}/readyz", timeout=5).ok)
            yield url
        finally:
            server.terminate()
    assert server.returncode == 0


@pytest.fixture(scope="session", params=["embedded", "stack"])
def service(request: pytest.FixtureRequest) -> Iterator[Service]:
    """A session with the service, once on each database."""
    target = request.getfixturevalue(request.param)
    with Service(target if request.param == "embedded" else target.url) as session:
        yield session
