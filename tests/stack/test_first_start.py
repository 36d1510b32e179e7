"""The first start of a stack: in order, once more after an interruption, again from nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from tests.compose import Stack, docker
from tests.waiting import wait_until


@pytest.fixture(scope="module", name="first")
def _first(stack: Stack) -> Iterator[Stack]:
    """Another stack from the same image, whose first start was killed half-way and repeated."""
    with Stack(tag=stack.tag) as first:
        first.compose("up", "--detach", "db")
        wait_until(lambda: "Temporary server started" in first.compose("logs", "db"))
        docker("kill", first.id("db"))
        assert "Stopping temporary server" not in first.compose("logs", "db")
        first.up()
        yield first


def test_services_start_in_order(first: Stack) -> None:
    """Each step begins after the one before: secrets, database, migration, service."""
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
    """A database that was killed while it was made is made again, with its accounts, and stays."""
    log = first.compose("logs", "db")
    assert log.count("Initializing database files") == 2
    users = first.mysql_root("SELECT user FROM mysql.user WHERE host = '%' ORDER BY user")
    assert users == [["app"], ["migrator"]]
    docker("restart", first.id("db"))
    first.wait_ready()
    assert first.compose("logs", "db").count("Initializing database files") == 2


def test_several_migrations_at_once(first: Stack) -> None:
    """Three that meet in an empty schema all succeed, and no step is made twice."""
    first.mysql_root("DROP DATABASE slipway; CREATE DATABASE slipway")
    migrate = ("run", "--rm", "--no-TTY", "--no-deps", "migrate")
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda _: first.compose(*migrate), range(3)))
    first.wait_ready()


def test_down_with_volumes_leaves_nothing_and_up_works_again(first: Stack) -> None:
    """Nothing of the stack is left, and the next one has new secrets and an empty database."""
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
