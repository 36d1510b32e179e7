"""Stops, restarts, crashes and replaced containers: the service recovers and keeps its data."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.compose import Stack, docker, run
from tests.support.visitor import Visitor
from tests.support.waiting import wait_until

SERVICES = ["secrets", "db", "migrate", "app"]
# gunicorn's configuration, with a worker that requests /readyz from itself. It prints the modules
# that it imported for this.
IMPORTS = """
exec(open("gunicorn.conf.py").read())
import http.client, signal, gevent
before = set()

def when_ready(_server):
    before.update(sys.modules)

def ask():
    connection = http.client.HTTPConnection("127.0.0.1", 8000)
    connection.request("GET", "/readyz")
    status = connection.getresponse().status
    print("imported", status, *sorted(set(sys.modules) - before))
    os.kill(os.getppid(), signal.SIGTERM)

def post_worker_init(_worker):
    gevent.spawn(ask)
"""


@pytest.fixture
def row(stack: Stack) -> Iterator[str]:
    """A statement that reads a row written before the test."""
    stack.mysql_root("CREATE TABLE survivor (name TEXT); INSERT INTO survivor VALUES ('here')")
    yield "SELECT name FROM survivor"
    stack.mysql_root("DROP TABLE survivor")


def test_rows_survive_down_and_up(stack: Stack, row: str) -> None:
    """`docker compose down` keeps the data."""
    stack.compose("down")
    stack.up()
    assert stack.mysql_root(row) == [["here"]]


def test_rows_survive_new_containers(stack: Stack, row: str) -> None:
    """When every container is replaced, data and browser sessions are kept."""
    token = stack.exec("app", "slipway", "tokens", "create", "survivor").strip()
    visitor = Visitor(stack.url, token)
    before = {stack.id(service) for service in SERVICES}
    stack.up("--force-recreate")
    after = {stack.id(service) for service in SERVICES}
    assert len(before | after) == 2 * len(SERVICES)
    assert stack.mysql_root(row) == [["here"]]
    assert "Sign out" in visitor.get("/docs").text
    stack.exec("app", "slipway", "tokens", "revoke", "survivor")


def test_service_stops_in_time_and_cleanly(stack: Stack) -> None:
    """`docker stop` ends within the grace period, with exit code 0."""
    app = stack.id("app")
    begin = time.monotonic()
    docker("stop", app)
    took = time.monotonic() - begin
    stopped = stack.inspect("app")
    docker("start", app)
    stack.wait_ready()
    assert stopped["State"]["ExitCode"] == 0
    assert took < stopped["Config"]["StopTimeout"] == 40


def test_restart_of_both_at_once(stack: Stack) -> None:
    """The service reconnects when it and the database are restarted at once."""
    before = {service: stack.inspect(service)["State"]["StartedAt"] for service in ("app", "db")}
    restarts = [subprocess.Popen(["docker", "restart", stack.id(service)]) for service in before]
    assert [restart.wait() for restart in restarts] == [0, 0]
    stack.wait_ready()
    assert all(stack.inspect(s)["State"]["StartedAt"] > started for s, started in before.items())


def test_crash_of_both_at_once(stack: Stack) -> None:
    """When service and database are killed at once, Docker restarts both and they become ready."""
    before = {service: stack.inspect(service)["RestartCount"] for service in ("app", "db")}
    kill = {
        "app": ("python3", "-c", "import os; os.kill(-1, 9)"),
        "db": ("bash", "-c", "kill -KILL -1"),
    }
    for service, command in kill.items():
        run(*stack.inside(service, *command), check=False)
    wait_until(lambda: all(stack.inspect(s)["RestartCount"] > n for s, n in before.items()))
    stack.wait_ready()


@pytest.fixture
def frequent_checks(stack: Stack) -> Iterator[None]:
    """Health checks as frequent as those of a user's stack."""
    quiet = stack.env.pop("COMPOSE_FILE")
    stack.up("--no-deps", "app")
    yield
    stack.env["COMPOSE_FILE"] = quiet
    stack.up("--no-deps", "app")


@pytest.mark.usefixtures("frequent_checks")
def test_health_tells_the_truth(stack: Stack) -> None:
    """Without its database, the service is unhealthy, and it recovers by itself.

    It is alive, and ready to answer requests itself: with 503.
    """
    # Before the first success, failures do not count.
    wait_until(lambda: stack.health("app") == "healthy")
    database = stack.id("db")
    docker("stop", database)
    try:
        wait_until(lambda: stack.health("app") == "unhealthy")
        for path, status in {"livez": 200, "readyz": 200, "readyz/database": 503, "": 503}.items():
            answer = requests.get(f"{stack.url}/{path}", timeout=5)
            assert answer.status_code == status
            assert answer.headers.get("Retry-After") == ("1" if status == 503 else None)
    finally:
        docker("start", database)
    wait_until(lambda: stack.health("app") == "healthy")


def test_workers_import_nothing(stack: Stack, tmp_path: Path) -> None:
    """A first request imports nothing, so that workers share the memory of modules."""
    settings = tmp_path / "imports.py"
    settings.write_text(IMPORTS)
    once = ("run", "--rm", "--no-deps", "--no-TTY", "--env=WEB_CONCURRENCY=1")
    mounted = f"--volume={settings}:/imports.py:ro"
    output = stack.compose(*once, mounted, "app", "gunicorn", "--config=/imports.py")
    assert "imported 200" in output.splitlines()
