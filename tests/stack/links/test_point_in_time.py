"""A backup is brought to a later moment with archived binary logs."""

import gzip
import re
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.checkout import ROOT
from tests.support.compose import Stack
from tests.support.links.client import TARGET
from tests.support.pages import blocks
from tests.support.service import Service
from tests.support.waiting import wait_until

FILES = "docker-compose.yaml:deploy/binlogs/compose.yaml"
PAGE = (ROOT / "docs" / "operate.md").read_text()
BEGIN = next(block for block in blocks(PAGE, "sh") if "binlogs/account.sh" in block)
# For each link, how often it was followed.
CLICKS = """SELECT code, IFNULL(SUM(clicks), 0) FROM links
    LEFT JOIN link_clicks ON link_id = id GROUP BY code"""


class Work(NamedTuple):
    """A link that was created and followed, and when each request began and was acknowledged."""

    code: str
    began: datetime
    created: datetime
    follows: datetime
    followed: datetime


def now() -> datetime:
    """Return the time, which is MySQL's time too."""
    return datetime.now(UTC)


@contextmanager
def writers(stack: Stack, token: str, done: list[Work]) -> Iterator[None]:
    """Create and follow links in two threads, and check that every request succeeds."""
    stop = threading.Event()
    first = len(done)

    def write(number: int) -> None:
        with Service(stack.url, token) as client:
            while not stop.is_set():
                code, began = f"w{number}_{first}_{len(done)}", now()
                body = {"url": TARGET, "code": code, "tags": [f"w{number}"]}
                created = client.post("/api/links", json=body, headers={"Idempotency-Key": code})
                assert created.status_code == 201, created.text
                answered = now()
                assert client.get(f"/{code}").status_code == 302
                done.append(Work(code, began, answered, answered, now()))

    with ThreadPoolExecutor() as pool:
        running = [pool.submit(write, number) for number in range(2)]
        try:
            wait_until(lambda: len(done) > first + 20)
            yield
            seen = len(done)
            wait_until(lambda: len(done) > seen + 20)
        finally:
            stop.set()
        for each in running:
            each.result()


def dump(file: Path) -> str:
    """Return the SQL of a backup without comments, and without the next ids."""
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    rest = "\n".join(line for line in lines if not line.startswith("-- "))
    return re.sub(r" AUTO_INCREMENT=\d+", "", rest)


class Past(NamedTuple):
    """A stack's past: two backups, the logs after the first, and moments."""

    first: Path
    second: Path
    logs: Path
    backed_up: datetime
    between: datetime
    while_writing: datetime
    work: list[Work]
    sidecar: dict[str, Any]


@pytest.fixture(scope="module", name="past")
def _past(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:  # noqa: ARG001
    """What a stack has left behind.

    The second backup is of the state at `between`, when one log ended and the next had not begun.
    After `while_writing`, all links are deleted. The service's transactions are compressed.
    """
    folder = tmp_path_factory.mktemp("past")
    logs = folder / "binlogs"
    logs.mkdir()
    logs.chmod(0o777)
    with Stack() as source:  # with a tag of its own, because the page's commands build its image
        source.env |= {"COMPOSE_FILE": FILES, "BINLOGS": str(logs), "BINLOGS_INTERVAL": "1"}
        source.env["RATE_LIMIT_CREATE"] = "1000000/minute"
        source.up("db")
        source.mysql_root("SET GLOBAL binlog_transaction_compression = ON")
        subprocess.run(["bash", "-ec", BEGIN], cwd=ROOT, env=source.env, check=True)
        token = source.exec("app", "slipway", "tokens", "create", "w").strip()
        work: list[Work] = []
        with writers(source, token, work):
            source.make("backup", FILE=folder / "first.sql.gz")
            made = now()
            wait_until(lambda: now().second != made.second)  # names of logs have seconds
            backed_up = now()
            source.mysql_root("FLUSH BINARY LOGS")
        source.make("backup", FILE=folder / "second.sql.gz")
        between = now()
        source.mysql_root("FLUSH BINARY LOGS")
        with writers(source, token, work):
            wait_until(lambda: now().second != between.second)
            source.mysql_root("FLUSH BINARY LOGS")  # so that a log begins in a later second
            while_writing = now()
        # Statements about accounts, which the server that executes the logs does not have.
        source.mysql_root("CREATE USER x; GRANT SELECT ON slipway.* TO x")
        source.mysql_root("DELETE FROM links")
        source.mysql_root("FLUSH BINARY LOGS")
        *closed, _ = source.mysql_root("SHOW BINARY LOGS")
        wait_until(lambda: len(list(logs.glob("*/*-binlog.0*[0-9]"))) >= len(closed))
        first, second = folder / "first.sql.gz", folder / "second.sql.gz"
        sidecar = source.inspect("binlogs")
        yield Past(first, second, logs, backed_up, between, while_writing, work, sidecar)
        # Files belong to the container's user.
        source.exec("binlogs", "sh", "-c", "chmod -R 777 /binlogs/*")


@pytest.fixture(scope="module", name="target")
def _target(stack: Stack) -> Iterator[Stack]:
    """Another stack, which is empty."""
    with Stack(tag=stack.tag) as target:
        target.up()
        yield target


def restore(target: Stack, file: Path, until: object, logs: object) -> None:
    """Restore a backup as its user would."""
    target.make("restore", FILE=file, UNTIL=until, LOGS=logs)


def refused(target: Stack, *args: object) -> str:
    """Restore what can't be restored, and return the error output."""
    with pytest.raises(subprocess.CalledProcessError) as failed:
        restore(target, *args)  # type: ignore[arg-type]
    assert "Nothing was changed." in failed.value.stderr
    return str(failed.value.stderr)


def test_sidecar_is_locked_down(past: Past) -> None:
    """The sidecar has no privileges, can't write to MySQL's data, and keeps its copies private."""
    host = past.sidecar["HostConfig"]
    assert past.sidecar["Config"]["User"] == "999:999"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert 0 < host["Memory"] <= 256 * 1024**2
    assert 0 < host["PidsLimit"] <= 64
    assert host["LogConfig"]["Config"] == {"max-size": "10m", "max-file": "3"}
    writable = {each["Destination"] for each in past.sidecar["Mounts"] if each["RW"]}
    assert writable == {"/binlogs"}
    assert {log.stat().st_mode & 0o077 for log in past.logs.glob("*/*")} == {0}


def test_moments_that_logs_do_not_lead_to(past: Past, target: Stack, tmp_path: Path) -> None:
    """A restore says why it can't reach a moment, and changes nothing."""
    moment = past.while_writing
    error = refused(target, past.first, now(), past.logs)
    assert re.search(r"the logs end at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\.", error)
    error = refused(target, past.first, moment, tmp_path / "none")
    assert "There is no folder " in error

    old = tmp_path / "old.sql.gz"
    sql = gzip.decompress(past.first.read_bytes()).split(b"\n", 2)[2]
    old.write_bytes(gzip.compress(sql))
    assert "does not say where it is in the binary logs" in refused(target, old, moment, past.logs)

    stamps = f"{past.backed_up:%Y%m%dT%H%M%SZ}", f"{past.between:%Y%m%dT%H%M%SZ}~"
    moved = [log for log in past.logs.glob("*/*") if stamps[0] <= log.name < stamps[1]]
    for log in moved:
        log.rename(tmp_path / log.name)
    try:
        assert "logs are missing before " in refused(target, past.first, moment, past.logs)
    finally:
        for log in moved:
            (tmp_path / log.name).rename(log)


def test_moment_between_two_logs(past: Past, target: Stack, tmp_path: Path) -> None:
    """A backup that was made under writes is brought exactly to the state of a later backup."""
    restore(target, past.first, past.between, past.logs)
    target.make("backup", FILE=tmp_path / "target.sql.gz")
    assert dump(tmp_path / "target.sql.gz") == dump(past.second)
    target.mysql_root("DELETE FROM links; DELETE FROM link_history")
    target.mysql_root("DELETE FROM idempotency_keys; DELETE FROM tokens")


def test_all_before_the_moment_and_nothing_after(past: Past, target: Stack) -> None:
    """All creates and clicks that were acknowledged before the moment are there, and none that
    began after it; nor is a DELETE without WHERE that followed.
    """
    moment = past.while_writing
    restore(target, past.first, moment, past.logs)
    found = {code: int(clicks) for code, clicks in target.mysql_root(CLICKS)}
    assert {work.code for work in past.work if work.created <= moment} <= set(found)
    for work in past.work:
        assert work.code not in found or work.began <= moment
        clicks = found.get(work.code, 0)
        assert clicks == 1 if work.followed <= moment else clicks <= (work.follows <= moment)
    print(f"{len(past.work)} links, {len(found)} at the moment, {sum(found.values())} clicks")
