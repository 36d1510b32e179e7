"""Fixtures for tests over HTTP, which run on SQLite (embedded) and on the stack with MySQL."""

import json
import secrets
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest

from tests.support import receiver
from tests.support.checkout import ROOT
from tests.support.compose import Stack, docker, run
from tests.support.environ import bare_environ
from tests.support.forked import CommandLine, command_line
from tests.support.identity_provider import Provider, settings
from tests.support.mysql import RootSession
from tests.support.scrape import Metrics
from tests.support.service import Service
from tests.support.visitor import Visitor
from tests.support.waiting import free_port, wait_until

PYTHON = Path(sys.executable)

Receiver = tuple[int, Callable[[], list[Any]]]


@dataclass
class Deployment:
    """A running service with its command line, database, log and metrics."""

    url: str
    command: list[str]
    command_line: CommandLine
    sql: Callable[[str], list[list[Any]]]
    log: Callable[[], str]
    metrics: Metrics
    options: dict[str, Any]  # for `subprocess`, to run the command line
    stack: Stack | None = None

    def cli(self, *arguments: str, text: str | None = None) -> str:
        """Run the command line with `text` on its standard input, and return its output."""
        return self.command_line.run(*arguments, text=text)

    def token(self, scope: str = "write", *options: str) -> str:
        """Create a token with a new name, and return it."""
        name = f"test-{secrets.token_hex(4)}"
        return self.cli("tokens", "create", name, "--scope", scope, *options).strip()

    def line(self, request_id: str) -> dict[str, Any]:
        """Return the one log line of a request.

        The line can appear a moment after the answer.
        """
        wait_until(lambda: request_id in self.log())
        lines = [json.loads(line) for line in self.log().splitlines() if request_id in line]
        (found,) = [line for line in lines if line.get("request_id") == request_id]
        return dict(found)


@cache
def empty_database() -> bytes:
    """Return the file of a SQLite database that migrations have made."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "slipway.db"
        environ = bare_environ(DATABASE_URL=f"sqlite:///{file}")
        run(PYTHON.parent / "alembic", "upgrade", "heads", cwd=ROOT, env=environ)
        return file.read_bytes()


@contextmanager
def embed(folder: Path, **settings: str) -> Iterator[Deployment]:
    """Run a service without Docker, on its own SQLite database in a folder."""
    port, metrics_port = free_port(), free_port()
    environ = bare_environ(
        DATABASE_URL=f"sqlite:///{folder}/slipway.db",
        SECRET_KEY=secrets.token_hex(),
        SHUTDOWN_DELAY="0",
        # With one proxy, a test can set its own client address.
        **{"TRUSTED_PROXIES": "1", **settings},
    )

    def sql(statement: str) -> list[list[Any]]:
        with closing(sqlite3.connect(folder / "slipway.db")) as database, database:
            return [list(row) for row in database.execute(statement)]

    (folder / "slipway.db").write_bytes(empty_database())
    command: list[str | Path] = [
        PYTHON.parent / "gunicorn",
        f"--bind=127.0.0.1:{port}",
        f"--bind=127.0.0.1:{metrics_port}",
    ]
    log = folder / "log"
    with (
        command_line(str(PYTHON), cwd=ROOT, env=environ) as forked,
        log.open("w") as output,
        subprocess.Popen(command, cwd=ROOT, env=environ, stdout=output) as server,
    ):
        try:
            service = Service(f"http://127.0.0.1:{port}")
            wait_until(lambda: service.get("/readyz").ok)
            cli = [str(PYTHON), "-m", "app"]
            metrics = Metrics(forked.python, metrics_port)
            options = {"cwd": ROOT, "env": environ}
            yield Deployment(service.url, cli, forked, sql, log.read_text, metrics, options)
        finally:
            server.terminate()
    assert server.returncode == 0


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A service that runs without Docker, on SQLite."""
    with embed(tmp_path_factory.mktemp("embedded")) as deployment:
        yield deployment


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A service that runs without Docker, in one worker process."""
    with embed(tmp_path_factory.mktemp("alone"), WEB_CONCURRENCY="1") as deployment:
        yield deployment


@pytest.fixture(scope="session")
def behind_two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A service that runs without Docker, behind two trusted proxies."""
    with embed(tmp_path_factory.mktemp("behind_two"), TRUSTED_PROXIES="2") as deployment:
        yield deployment


@pytest.fixture(scope="session")
def on_mysql(stack: Stack) -> Iterator[Deployment]:
    """The service of the stack, which runs on MySQL. No test of this folder restarts it."""
    log = partial(docker, "logs", stack.container("app"))
    cli = stack.inside("app", "slipway")
    with command_line(*stack.inside("app", "python3")) as forked, RootSession(stack) as session:
        metrics = Metrics(forked.python)
        yield Deployment(stack.url, cli, forked, session.run, log, metrics, {}, stack)


@pytest.fixture(
    scope="session",
    params=["embedded", pytest.param("on_mysql", id="stack", marks=pytest.mark.engine)],
)
def deployment(request: pytest.FixtureRequest) -> Deployment:
    """The service under test: first on SQLite, then on the stack with MySQL."""
    found: Deployment = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def service(deployment: Deployment) -> Iterator[Service]:
    """A client of the service with a write token, and so with rate limits, of each module."""
    with Service(deployment.url, deployment.token()) as session:
        yield session


@pytest.fixture
def visitor(deployment: Deployment) -> Iterator[Visitor]:
    """A browser that is not signed in, at an address that no other test uses."""
    with Visitor(deployment.url) as visitor:
        network = f"{secrets.randbits(16):x}:{secrets.randbits(16):x}"
        visitor.headers["X-Forwarded-For"] = f"2001:db8:{network}::1"
        yield visitor


@pytest.fixture
def member(service: Service) -> Iterator[Visitor]:
    """A browser that is signed in with a write token."""
    with Visitor(service.url, service.token) as visitor:
        yield visitor


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Receiver]:
    """A receiver of traces: its port, and a function that returns the spans it has received."""
    port, output = free_port(), tmp_path / "spans"
    command = [sys.executable, receiver.__file__, str(port)]
    with output.open("w") as stdout, subprocess.Popen(command, stdout=stdout) as process:
        yield port, lambda: [json.loads(line) for line in output.read_text().splitlines()]
        process.terminate()


@pytest.fixture(scope="session")
def identity_provider() -> Iterator[Provider]:
    """An identity provider that tests control."""
    with Provider().running() as provider:
        yield provider


@pytest.fixture
def provider(identity_provider: Provider) -> Provider:
    """The identity provider, which is honest until a test changes it."""
    identity_provider.reset()
    return identity_provider


@pytest.fixture(scope="session")
def with_provider(
    identity_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A service with two workers, where people sign in at the provider that tests control."""
    folder = tmp_path_factory.mktemp("with_provider")
    with embed(folder, **settings(identity_provider.issuer)) as deployment:
        yield deployment
