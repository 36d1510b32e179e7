"""Backups that are made during writes, and their restore into another stack."""

import gzip
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.compose import Stack
from tests.support.links.client import TARGET
from tests.support.service import Service
from tests.support.waiting import wait_until

TRANSACTIONAL_SIZE = 3
# Enough clicks that a dump takes a while, so that writes happen between its first and last table.
FILL = """
    SET SESSION cte_max_recursion_depth = 2000;
    INSERT INTO links (code, lookup_key, url, title, tags, created_at, updated_at, revision)
        WITH RECURSIVE rows_ (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM rows_ WHERE n < 100)
        SELECT CONCAT('fill', n), CONCAT('fill', n), CONCAT('http://example/', REPEAT('x', 500)),
            'Ü 🚀', '[]', NOW(6), NOW(6), 1 FROM rows_;
    INSERT INTO link_clicks (link_id, hour, clicks)
        WITH RECURSIVE hours (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM hours WHERE n < 2000)
        SELECT id, '2026-01-01' + INTERVAL n HOUR, 1 FROM hours JOIN links ON code LIKE 'fill%';
"""

# For each writer: its number of links, their highest number, and the count of tags, keys, clicks.
WRITTEN = """
    SELECT SUBSTRING_INDEX(code, '_', 1) AS writer, COUNT(*), MAX(SUBSTRING_INDEX(code, '_', -1)),
        (SELECT COUNT(*) FROM link_tags WHERE tag = writer),
        (SELECT COUNT(*) FROM idempotency_keys WHERE `key` LIKE CONCAT(writer, '%')),
        (SELECT SUM(clicks) FROM link_clicks JOIN links AS its ON its.id = link_id
            WHERE its.code LIKE CONCAT(writer, '%'))
    FROM links WHERE code LIKE 'w%' GROUP BY writer
"""


class Writers:
    """Clients that create links one by one, and follow each of them once."""

    def __init__(self, stack: Stack, token: str) -> None:
        self.stack = stack
        self.token = token
        self.written = [0] * TRANSACTIONAL_SIZE
        self.stop = threading.Event()

    def run(self, number: int) -> None:
        """Write until `stop` is set, and check that every request succeeds."""
        with Service(self.stack.url, self.token) as client:
            while not self.stop.is_set():
                code = f"w{number}_{self.written[number]:06}"
                body = {"url": TARGET, "code": code, "tags": [f"w{number}"]}
                created = client.post("/api/links", json=body, headers={"Idempotency-Key": code})
                assert created.status_code == 201, created.text
                assert client.get(f"/{code}").status_code == 302
                self.written[number] += 1


def dump(file: Path) -> list[str]:
    """Return the SQL of a backup without its comments, which contain times."""
    lines = gzip.decompress(file.read_bytes()).decode().splitlines()
    return [line for line in lines if not line.startswith("-- ")]


@pytest.fixture(scope="module", name="source")
def _source(stack: Stack) -> Iterator[Stack]:
    """A stack with some data."""
    with Stack(tag=stack.tag) as source:
        source.env["RATE_LIMIT_CREATE"] = "1000000/minute"
        source.up()
        source.mysql_root(FILL)
        yield source


@pytest.fixture(scope="module", name="other")
def _other(stack: Stack) -> Iterator[Stack]:
    """Another stack."""
    with Stack(tag=stack.tag) as other:
        other.up()
        yield other


@pytest.fixture(name="target")
def _target(other: Stack) -> Stack:
    """Another stack, which is empty."""
    tables = [name for (name,) in other.mysql_root("SHOW TABLES") if name != "alembic_version"]
    clear = "".join(f"TRUNCATE {name};" for name in tables)
    other.mysql_root(f"SET foreign_key_checks = 0; {clear}")
    return other


def test_backup_under_writes_is_of_one_moment(source: Stack, target: Stack, tmp_path: Path) -> None:
    """A backup during writes is a consistent snapshot, and no write fails meanwhile."""
    writers = Writers(source, source.exec("app", "slipway", "tokens", "create", "w").strip())
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(writers.run, number) for number in range(TRANSACTIONAL_SIZE)]
        try:
            wait_until(lambda: all(written > 5 for written in writers.written))
            before = sum(writers.written)
            source.make("backup", FILE=tmp_path / "first.sql.gz")
            assert sum(writers.written) > before  # there were writes meanwhile
        finally:
            writers.stop.set()
        for done in running:
            done.result()

    target.make("restore", FILE=tmp_path / "first.sql.gz")
    found = target.mysql_root(WRITTEN)
    assert len(found) == TRANSACTIONAL_SIZE
    for _, *numbers in found:
        links, last, tags, keys, clicks = map(int, numbers)
        assert links == last + 1 == tags == keys
        assert links - 1 <= clicks <= links


def test_restored_stack_goes_on_where_the_other_was(
    source: Stack, target: Stack, tmp_path: Path
) -> None:
    """A restored stack has every row, and the same tokens, idempotency keys and next ids."""
    token = source.exec("app", "slipway", "tokens", "create", "old").strip()
    key = {"Idempotency-Key": "first"}
    with Service(source.url, token) as client:
        first = client.post("/api/links", json={"url": TARGET, "code": "first"}, headers=key)
        assert client.get("/first").status_code == 302
        last = client.post("/api/links", json={"url": TARGET, "code": "last"})
        client.delete("/api/links/last")
    source.make("backup", FILE=tmp_path / "source.sql.gz")

    # This client is not aware that the target is a new stack.
    with Service(target.url, token) as client:
        assert client.get("/api/me").status_code == 401
        target.make("restore", FILE=tmp_path / "source.sql.gz")
        target.make("backup", FILE=tmp_path / "target.sql.gz")
        assert dump(tmp_path / "target.sql.gz") == dump(tmp_path / "source.sql.gz")

        assert client.get("/readyz/database").status_code == 200
        again = client.post("/api/links", json={"url": TARGET, "code": "first"}, headers=key)
        assert (again.status_code, again.content) == (201, first.content)
        assert client.get("/first").status_code == 302
        assert client.get("/api/links/first").json()["clicks"] == 2
        new = client.post("/api/links", json={"url": TARGET})
        assert _id(new.headers["ETag"]) > _id(last.headers["ETag"])
        assert len(client.get("/api/links", params={"q": "ü"}).json()["links"]) == 20


def _id(etag: str) -> int:
    return int(etag.strip('"').partition("-")[0])
