"""The first start of a stack: its order, recovery from an interruption, and a fresh start."""

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime

import pytest

from tests.support.compose import MYSQL_ROOT, Stack, docker
from tests.support.waiting import wait_until


@pytest.fixture(scope="module", name="first")
def _first(stack: Stack) -> Iterator[Stack]:
    """Another stack from the same image, whose first start was killed and then repeated."""
    with Stack(tag=stack.tag) as first:
        first.compose("up", "--detach", "db")
        database = first.id("db")
        begun = (
            "exec",
            "--no-TTY",
            "db",
            "bash",
            "-c",
            "[ -d /var/lib/mysql/mysql ] && echo begun",
        )
        wait_until(lambda: first.compose(*begun, check=False))
        docker("kill", database)
        assert "Stopping temporary server" not in first.compose("logs", "db")
        first.up()
        yield first


def test_services_start_in_order(first: Stack) -> None:
    """Secrets, database, migration and service start in this order."""
    secrets, db, migrate, app = (
        first.inspect(service)["State"] for service in ("secrets", "db", "migrate", "app")
    )
    healthy = next(check for check in db["Health"]["Log"] if check["ExitCode"] == 0)
    times = [
        secrets["FinishedAt"],
        db["StartedAt"],
        healthy["Start"],
        migrate["StartedAt"],
        migrate["FinishedAt"],
        app["StartedAt"],
    ]
    assert times == sorted(times, key=datetime.fromisoformat)
    assert [secrets["ExitCode"], migrate["ExitCode"]] == [0, 0]


def test_interrupted_first_start_begins_anew(first: Stack) -> None:
    """A database whose initialization was killed is initialized again, and then only restarted."""
    log = first.compose("logs", "db")
    assert log.count("Initializing database files") == 2
    users = first.mysql_root("SELECT user FROM mysql.user WHERE host = '%'")
    assert [user for user in users if user != ["exporter"]] == [["app"], ["migrator"]]
    docker("restart", first.id("db"))
    first.wait_ready()
    assert first.compose("logs", "db").count("Initializing database files") == 2


@pytest.mark.usefixtures("engine")
def test_taken_port_is_reported_before_anything_is_built() -> None:
    """`make up` names the taken port and the way out, and starts nothing."""
    stack = Stack()
    with (
        socket.create_server(("127.0.0.1", stack.port)),
        pytest.raises(subprocess.CalledProcessError) as refused,
    ):
        stack.make("up")
    way_out = "Choose another one: PORT=8080 docker compose up --wait"
    assert f"Port {stack.port} of 127.0.0.1 is taken. {way_out}" in refused.value.stderr
    assert docker("image", "ls", "--quiet", stack.image) == ""
    assert stack.compose("ps", "--all", "--quiet") == ""


@contextmanager
def no_writes(stack: Stack) -> Iterator[None]:
    """Make every write and every schema change wait in the database."""
    with subprocess.Popen(
        stack.inside("db", "bash", "-c", MYSQL_ROOT),
        stdin=subprocess.PIPE,
        text=True,
    ) as session:
        assert session.stdin
        session.stdin.write("FLUSH TABLES WITH READ LOCK;\n")
        session.stdin.flush()
        locked = (
            "SELECT COUNT(*) FROM performance_schema.metadata_locks"
            " WHERE object_type = 'GLOBAL' AND lock_type = 'SHARED' AND lock_status = 'GRANTED'"
        )
        wait_until(lambda: stack.mysql_root(locked) == [["1"]])
        yield  # the end of the session releases the lock


def test_several_migrations_at_once(first: Stack) -> None:
    """Three migrations that start at once on an empty schema all succeed."""
    schema = "slipway"
    first.mysql_root(f"DROP DATABASE `{schema}`; CREATE DATABASE `{schema}`")
    migrate = ("run", "--rm", "--no-TTY", "--no-deps", "migrate")
    waiting = (
        "SELECT COUNT(*) FROM information_schema.processlist"
        " WHERE user = 'migrator' AND command = 'Query'"
    )
    with ThreadPoolExecutor() as pool:
        with no_writes(first):
            runs = [pool.submit(first.compose, *migrate) for _ in range(3)]
            wait_until(lambda: first.mysql_root(waiting) == [["3"]])
            wait_until(lambda: first.mysql_root(waiting) == [["2"]])  # one pauses before a retry
        for run in runs:
            run.result()
    first.wait_ready()


def test_down_with_volumes_leaves_nothing_and_up_works_again(first: Stack) -> None:
    """`down --volumes` removes everything; the next `up` has new secrets and an empty database."""
    password = first.exec("db", "bash", "-c", "cat /run/secrets/root_password")
    first.mysql_root("CREATE TABLE left_over (id INT)")
    first.compose("down", "--volumes")
    ours = ("--quiet", "--filter", f"label=com.docker.compose.project={first.project}")
    assert docker("ps", "--all", *ours) == ""
    assert docker("volume", "ls", *ours) == ""
    assert docker("network", "ls", *ours) == ""
    first.up()
    assert first.exec("db", "bash", "-c", "cat /run/secrets/root_password") != password
    assert first.mysql_root("SHOW TABLES LIKE 'left_over'") == []
