"""Lists and statistics from a real MySQL replica, with replication lag."""

import gzip
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from tests.support.checkout import ROOT, copy_project
from tests.support.compose import Stack, docker
from tests.support.links.client import TARGET
from tests.support.pages import blocks
from tests.support.service import Service
from tests.support.waiting import wait_until

FILES = "docker-compose.yaml:deploy/replica/compose.yaml"
PAGE = (ROOT / "docs" / "scale.md").read_text()
LOAD = next(block for block in blocks(PAGE, "sh") if "replica/load.sh" in block)
ACCOUNT = (ROOT / "deploy" / "replica" / "account.sh").read_text()


@pytest.fixture(scope="module", name="replicated")
def _replicated(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose service reads from a replica.

    Its checkout is as on a file system without modes, where everybody can write each file. MySQL
    would ignore such a file of settings.
    """
    folder = copy_project(tmp_path_factory.mktemp("replica") / "slipway", mode="a=rwx")
    with Stack(folder) as replicated:
        replicated.env |= {"COMPOSE_FILE": FILES, "IMAGE": "slipway", "TAG": stack.tag}
        start(replicated)
        yield replicated


@pytest.fixture(scope="module", name="client")
def _client(replicated: Stack) -> Iterator[Service]:
    """A client with a write token."""
    token = replicated.exec("app", "slipway", "tokens", "create", "replica").strip()
    with Service(replicated.url, token) as client:
        yield client


def start(stack: Stack) -> None:
    """Start a stack, and its replica after its account."""
    stack.up("db")
    stack.exec("db", "bash", "-c", ACCOUNT)
    stack.up()


def codes(client: Service) -> set[str]:
    """Return the codes in the list."""
    return {link["code"] for link in client.get("/api/links?limit=100").json()["links"]}


def counted(client: Service, code: str) -> int:
    """Return the total clicks in the statistics."""
    return int(client.get(f"/api/links/{code}/clicks").json()["total"])


def test_only_lists_and_statistics_can_lag_behind(replicated: Stack, client: Service) -> None:
    """Replication lag affects lists and statistics, but not links, redirects and clicks."""
    replicated.mysql_root("STOP REPLICA SQL_THREAD", "db-replica")
    try:
        code = client.post("/api/links", json={"url": TARGET}).json()["code"]
        assert client.get(f"/{code}").status_code == 302
        assert client.get(f"/api/links/{code}").json()["clicks"] == 1
        assert code not in codes(client)
        assert counted(client, code) == 0
    finally:
        replicated.mysql_root("START REPLICA SQL_THREAD", "db-replica")
    began = time.monotonic()
    wait_until(lambda: code in codes(client) and counted(client, code) == 1)
    print(f"caught up within {time.monotonic() - began:.2f} s")


def test_replica_does_not_check_foreign_keys_above_innodb(
    replicated: Stack, client: Service
) -> None:
    """The binary log does not ask for MySQL's own check, a third of a replica's work."""
    code = client.post("/api/links", json={"url": TARGET}).json()["code"]
    client.get(f"/{code}")
    wait_until(lambda: counted(client, code) == 1)
    log = replicated.mysql_root("SHOW BINARY LOG STATUS", "db")[0][0]
    events = replicated.mysql_root(f"SHOW BINLOG EVENTS IN '{log}'", "db")
    assert any("slipway.link_clicks" in event[-1] for event in events)
    assert not any("USE_SQL_FOREIGN_KEY" in event[-1] for event in events)


def test_how_far_the_replica_is_behind(replicated: Stack, client: Service) -> None:
    """New links appear in the list after a moment; the test prints how long it took."""
    delays = []
    for _ in range(20):
        written = datetime.now(UTC)
        code = client.post("/api/links", json={"url": TARGET}).json()["code"]
        wait_until(lambda code=code: code in codes(client))  # type: ignore[misc]
        delays.append((datetime.now(UTC) - written).total_seconds())
    print(f"listed after {sorted(delays)[10] * 1000:.0f} ms, at most {max(delays) * 1000:.0f} ms")
    assert replicated.mysql_root("SELECT @@super_read_only", "db-replica") == [["1"]]


def test_list_from_the_replica_rolls_up(replicated: Stack, client: Service) -> None:
    """A list that is read from the replica rolls up old clicks on the source."""
    code = client.post("/api/links", json={"url": TARGET}).json()["code"]
    replicated.mysql_root(
        f"""UPDATE links SET created_at = '2020-01-01' WHERE code = '{code}';
        INSERT INTO link_clicks (link_id, hour, clicks)
            SELECT id, '2020-01-01', 2000 FROM links WHERE code = '{code}'"""
    )

    def clicks() -> int:
        page = client.get("/api/links", params={"q": code}).json()
        return sum(link["clicks"] for link in page["links"])

    rolled_up = "SELECT clicks FROM link_click_rollups"
    wait_until(lambda: clicks() == 2000)
    assert replicated.mysql_root(rolled_up) == [["2000"]]
    wait_until(lambda: replicated.mysql_root(rolled_up, "db-replica") == [["2000"]])
    assert clicks() == 2000


def test_only_reads_of_the_replica_fail_without_it(replicated: Stack, client: Service) -> None:
    """Without the replica, only lists and statistics get 503, and they recover by themselves."""
    code = client.post("/api/links", json={"url": TARGET}).json()["code"]
    replica = replicated.id("db-replica")
    docker("stop", replica)
    try:
        for path in ("/api/links", f"/api/links/{code}/clicks"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert client.get(f"/{code}").status_code == 302
        assert client.get(f"/api/links/{code}").status_code == 200
        assert client.post("/api/links", json={"url": TARGET}).status_code == 201
        assert requests.get(f"{replicated.url}/readyz/database", timeout=5).status_code == 200
    finally:
        docker("start", replica)
    wait_until(lambda: client.get("/api/links").status_code == 200 and code in codes(client))


def test_replica_starts_from_a_backup(replicated: Stack, client: Service, tmp_path: Path) -> None:
    """A new replica gets a backup, and what was written after it, if old binary logs are gone."""
    before = client.post("/api/links", json={"url": TARGET}).json()["code"]
    assert client.get(f"/{before}").status_code == 302
    replicated.compose("rm", "--stop", "--force", "db-replica")
    docker("volume", "rm", f"{replicated.project}_data-replica")
    replicated.mysql_root("FLUSH BINARY LOGS")
    *_, (last, *_) = replicated.mysql_root("SHOW BINARY LOGS")
    replicated.mysql_root(f"PURGE BINARY LOGS TO '{last}'")
    file = tmp_path / "it.sql.gz"
    replicated.make("backup", FILE=file)
    after = client.post("/api/links", json={"url": TARGET}).json()["code"]

    script = LOAD.replace("backups/monday.sql.gz", str(file))
    subprocess.run(["bash", "-ec", script], cwd=replicated.root, env=replicated.env, check=True)
    wait_until(lambda: {before, after} <= codes(client))
    assert counted(client, before) == 1
    assert replicated.mysql_root("SELECT @@super_read_only", "db-replica") == [["1"]]

    # A backup of the replica, which only reads, says the same about the transactions that it has.
    replicated.make("backup", FILE=file, IN_DATABASE="docker compose exec -T db-replica")
    [[executed]] = replicated.mysql_root("SELECT @@gtid_executed")
    _, gtids, *sql = gzip.decompress(file.read_bytes()).decode().splitlines()
    assert gtids == f"-- GTIDs: {executed}".replace("\\n", "")
    assert after in "".join(sql)


def test_backup_is_loaded_into_a_replica_that_works(
    replicated: Stack, client: Service, tmp_path: Path
) -> None:
    """A replica that has received more than the backup has gets it again."""
    file = tmp_path / "it.sql.gz"
    replicated.make("backup", FILE=file)
    code = client.post("/api/links", json={"url": TARGET}).json()["code"]
    wait_until(lambda: code in codes(client))
    script = LOAD.replace("backups/monday.sql.gz", str(file))
    subprocess.run(["bash", "-ec", script], cwd=replicated.root, env=replicated.env, check=True)
    wait_until(lambda: code in codes(client))
