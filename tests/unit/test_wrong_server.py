"""Database servers other than MySQL 8.4 or newer."""

import socket
import subprocess
import threading
from collections.abc import Iterator

import pytest

from tests.support.checkout import ROOT
from tests.support.environ import bare_environ
from tests.support.forked import ALEMBIC, imported
from tests.support.private_parts.database import GREETING, send_packets
from tests.support.waiting import free_port_pair

VERSIONS = ["5.5.5-10.11.14-MariaDB-0+deb12u2", "11.8.9-MariaDB", "8.0.44", "8.3.0", "Vitess"]


@pytest.fixture(name="url")
def _url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a server that greets clients with a version, and does nothing more."""
    greeting = GREETING.replace(b"9.7.0", request.param.encode())

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                send_packets(connection, greeting, first=0)
                connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=[listener], daemon=True).start()
        yield f"mysql://app:s3cret@127.0.0.1:{listener.getsockname()[1]}/slipway"
        listener.shutdown(socket.SHUT_RDWR)


def migrate(url: str) -> subprocess.CompletedProcess[str]:
    """Run the migrations, for a minute at most."""
    return subprocess.run(
        ["alembic", "upgrade", "heads"],
        cwd=ROOT,
        env=bare_environ(DATABASE_URL=url),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def line(version: str) -> str:
    """Return what a program says that ends because of the server's version."""
    needed = "slipway: the database must be MySQL 8.4 or newer"
    return f"{needed}; this server is {version}\n"


@pytest.mark.parametrize(
    ("url", "version"), [pytest.param(v, v, id=v) for v in VERSIONS], indirect=["url"]
)
def test_migrations_need_mysql(url: str, version: str) -> None:
    """A migration ends with one line, before it logs in."""
    done = imported().complete("upgrade", "heads", code=ALEMBIC, DATABASE_URL=url)
    assert (done.returncode, done.stderr) == (1, line(version))


@pytest.mark.parametrize("url", VERSIONS[:1], indirect=True)
def test_each_of_several_hosts_is_tried(url: str) -> None:
    """A host that hangs does not stop a migration, and several wrong servers end it as one does."""
    _, _, wrong = url.rpartition("@")
    host = wrong.partition("/")[0]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"mysql://app:s3cret@127.0.0.1:{silent.getsockname()[1]},{wrong}"
        done = migrate(address)
    assert done.returncode == 1
    assert "No host accepts writes: " in done.stderr
    assert "timed out" in done.stderr
    assert VERSIONS[0] in done.stderr

    done = migrate(f"mysql://app:s3cret@{host},{wrong}")
    assert (done.returncode, done.stderr) == (1, line(VERSIONS[0]))


@pytest.mark.parametrize("url", VERSIONS[:1], indirect=True)
def test_service_needs_mysql(url: str) -> None:
    """The service ends at its start, with the same line."""
    port, metrics = free_port_pair()
    command = ["gunicorn", f"--bind=127.0.0.1:{port}", f"--bind=127.0.0.1:{metrics}"]
    env = bare_environ(DATABASE_URL=url, WEB_CONCURRENCY="1")
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as service:
        try:
            _, errors = service.communicate(timeout=30)
        finally:
            service.kill()
    assert service.returncode == 3
    assert errors.startswith(line(VERSIONS[0]))
