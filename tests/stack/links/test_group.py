"""A group of three MySQL servers. `make faults` injects all of its faults under load."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from subprocess import CalledProcessError

import pytest

from tests.support.compose import Stack, docker, run
from tests.support.faults.group import (
    MEMBERS,
    PAGE,
    STEPS,
    Group,
    kill_members,
    move,
    start_members,
)
from tests.support.links.client import TARGET
from tests.support.links.faults import rolling
from tests.support.mysql import RootSession
from tests.support.pages import blocks
from tests.support.service import Service
from tests.support.waiting import wait_until

# A loaded machine gets 503s that this test would take for a fault.
pytestmark = pytest.mark.timed

CODES = "SELECT code FROM slipway.links"
TABLES = """
SELECT table_name FROM information_schema.tables
WHERE table_schema = 'slipway' AND table_name != 'alembic_version'
"""
# Runs in a member's container: logs in with a password, and fails if it is not valid.
TRY = "MYSQL_PWD=$1 mysql --host=127.0.0.1 --user=$0 --execute='DO 0'"


@pytest.fixture(scope="module", name="grown")
def _grown(engine: None) -> Iterator[Group]:  # noqa: ARG001
    """A group that a stack with one link has grown into.

    It has an image of its own: the page's commands build it, and it is removed with the stack.
    """
    with Group() as grown:
        grown.env["RATE_LIMIT_CREATE"] = "1000000/minute"
        grown.up()
        with Service(grown.url, write_token(grown, "before")) as client:
            client.post("/api/links", json={"url": TARGET, "code": "before"})
        grown.begin()
        yield grown


def write_token(stack: Stack, name: str) -> str:
    """Create a write token."""
    return stack.exec("app", "slipway", "tokens", "create", name).strip()


@pytest.fixture(scope="module", name="token")
def _token(grown: Group) -> str:
    """A write token."""
    return write_token(grown, "group")


def create(client: Service) -> int:
    """Create a link, and return the status."""
    return client.post("/api/links", json={"url": TARGET}).status_code


def test_data_is_kept(grown: Group) -> None:
    """Each member has what was written before there was a group."""
    for member in MEMBERS:
        assert grown.mysql_root(CODES, member) == [["before"]]


def test_move_does_not_wait_for_a_transaction(grown: Group, token: str) -> None:
    """A transaction that stays open, such as that of a backup, is ended, and clients get 503."""
    with ThreadPoolExecutor() as pool, Service(grown.url, token) as client:
        with RootSession(grown) as backup:
            backup.run("START TRANSACTION WITH CONSISTENT SNAPSHOT; SELECT COUNT(*) FROM links")
            moving = pool.submit(move, grown, "db")
            statuses = {create(client)}
            while not moving.done():
                statuses.add(create(client))
        moving.result()
        assert statuses <= {201, 503}
        wait_until(lambda: create(client) == 201)
    assert grown.primary() != "db"


def test_backup_and_restore_find_the_primary(grown: Group, tmp_path: Path) -> None:
    """A backup needs no `db`, and after a restore each member has all data."""
    before, file = sorted(grown.mysql_root(CODES)), tmp_path / "it.sql.gz"

    def has_all(member: str) -> bool:
        return sorted(grown.mysql_root(CODES, member)) == before

    assert grown.primary() != "db"
    kill_members(grown, ["db"])
    try:
        grown.make("backup", FILE=file)
    finally:
        start_members(grown, ["db"])
    grown.wait_complete()

    for (table,) in grown.mysql_root(TABLES):
        grown.mysql_root(f"SET foreign_key_checks = 0; DELETE FROM slipway.{table}")
    grown.make("restore", FILE=file)
    for member in MEMBERS:
        wait_until(partial(has_all, member))


def test_rotation_of_passwords_loses_no_request(grown: Group, token: str) -> None:
    """The commands of the pages find the primary, and replace the old passwords."""
    [app] = [b for b in blocks(PAGE.with_name("operate.md").read_text(), "sh") if "rotate.sh" in b]
    [replicator] = [block for block in blocks(PAGE.read_text(), "sh") if "rotate.sh" in block]
    migrator = re.sub(r"for replica.*\ndone\n", "", app, flags=re.DOTALL)
    migrator = re.sub(r"\bapp(?=_password| DISCARD)", "migrator", migrator)
    pages = {"app": app, "migrator": migrator, "replicator": replicator}
    files = [f"/run/secrets/{account}_password" for account in pages]
    old = grown.exec("db", "cat", *files).split()

    def rotate() -> None:
        for commands in pages.values():
            run("bash", "-ec", commands, cwd=grown.root, env=grown.env)

    with (
        rolling.two_replicas(grown),
        Service(grown.url, token) as client,
        ThreadPoolExecutor() as pool,
    ):
        rotating, statuses = pool.submit(rotate), set()
        while not rotating.done():
            statuses |= {create(client), client.get("/before").status_code}
        rotating.result()
    assert statuses == {201, 302}
    new = grown.exec("db", "cat", *files).split()
    for account, before, after in zip(pages, old, new, strict=True):
        for member in MEMBERS:
            grown.exec(member, "bash", "-c", TRY, account, after)
            with pytest.raises(CalledProcessError) as refused:
                grown.exec(member, "bash", "-c", TRY, account, before)
            assert "Access denied" in refused.value.stderr
    grown.compose("run", "--rm", "--no-TTY", "migrate")


def test_member_outside_of_the_group_tries_again(grown: Group) -> None:
    """A member that is not in the group, as after an attempt that failed, joins by itself.

    It joins with the password that was rotated before. This member has run for longest, and so does
    not wait until its own first attempt is over.
    """
    member = [member for member in MEMBERS if member != grown.primary()][-1]
    grown.mysql_root("STOP GROUP_REPLICATION", member)
    grown.wait_complete()


def test_primary_that_is_killed_is_replaced(grown: Group, token: str) -> None:
    """Another member becomes the primary, with all that was acknowledged; the old one returns."""
    primary, codes = grown.primary(), {"before"}

    def created() -> bool:
        answer = client.post("/api/links", json={"url": TARGET})
        if answer.status_code == 201:
            codes.add(answer.json()["code"])
            return True
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        return False

    def has_all(member: str) -> bool:
        return codes <= {row[0] for row in grown.mysql_root(CODES, member)}

    with Service(grown.url, token) as client:
        assert all(created() for _ in range(20))
        grown.exec(primary, "bash", "-c", "kill -KILL $(pidof mysqld)")
        wait_until(created)
        wait_until(lambda: all(created() for _ in range(20)))
    assert grown.primary() != primary
    grown.wait_complete()
    for member in MEMBERS:
        wait_until(partial(has_all, member))


def test_first_member_can_lose_its_data(grown: Group, token: str) -> None:
    """The primary loses its data: it takes no writes until it has all data of the group again."""
    if (primary := grown.primary()) != "db":
        move(grown, primary)
    before = sorted(grown.mysql_root(CODES))
    [commands] = [block for block in blocks(PAGE.read_text(), "sh") if "volume rm" in block]
    commands = commands.replace("slipway_data", f"{grown.project}_data")
    run("bash", "-ec", commands, cwd=grown.root, env=grown.env)
    assert grown.mysql_root("SELECT @@super_read_only", "db") == [["1"]]
    grown.wait_complete()
    assert grown.primary() != "db"
    wait_until(lambda: sorted(grown.mysql_root(CODES, "db")) == before)
    with Service(grown.url, token) as client:
        wait_until(lambda: create(client) == 201)


def test_second_group_can_not_begin(grown: Group) -> None:
    """`begin.sh` refuses if another server is the primary of the group."""
    grown.mysql_root("STOP GROUP_REPLICATION", "db")
    grown.mysql_root("SET PERSIST group_replication_start_on_boot = OFF", "db")
    with pytest.raises(CalledProcessError) as refused:
        run("bash", "-ec", STEPS[0], cwd=grown.root, env=grown.env)
    assert f"begin: {grown.primary()} is the primary of a group." in refused.value.stderr
    grown.mysql_root("SET PERSIST group_replication_start_on_boot = ON", "db")
    grown.mysql_root("START GROUP_REPLICATION", "db")
    grown.wait_complete()


def test_one_server_is_left(grown: Group, token: str) -> None:
    """The way back to one server keeps the data, and leaves no container of the group."""
    grown.end()
    assert grown.compose("ps", "--all", "--services").split() == ["app", "db", "migrate", "secrets"]
    with Service(grown.url, token) as client:
        assert client.get("/before").status_code == 302
        assert client.post("/api/links", json={"url": TARGET}).status_code == 201


def test_new_stack_begins_as_a_group(grown: Group) -> None:
    """A new `db` rejects writes until it has begun the group."""
    docker("rm", "--force", grown.id("db"))
    docker("volume", "rm", f"{grown.project}_data")
    grown.use_files()
    grown.up("--build", "db")
    assert grown.mysql_root("SELECT @@super_read_only", "db") == [["1"]]
    run("bash", "-ec", STEPS[0], cwd=grown.root, env=grown.env)
    assert grown.mysql_root("SELECT @@super_read_only", "db") == [["0"]]
    grown.compose("run", "--rm", "--no-TTY", "migrate")
