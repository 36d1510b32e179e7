"""The work that a batch causes in MySQL."""

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from tests.support.compose import Stack
from tests.support.links.client import TARGET, Links
from tests.support.mysql import RootSession
from tests.support.waiting import wait_until

READS = 25  # requests of each kind
# Prints what it finds for all keys that it gets: in one batch, and alone. It counts 3 + 2 clicks.
COUNT = """import sys
from app import create_app
from app.links.click_counts import find_and_count
keys = sys.argv[1:]
with create_app().extensions["database"].packets.connect() as connection:
    print(find_and_count(connection, keys, dict.fromkeys(keys, 3)))
    print({k: v for key in keys for k, v in find_and_count(connection, [key], {key: 2}).items()})"""


@pytest.fixture
def prefix(stack: Stack, links: Links) -> Iterator[str]:
    """A prefix for codes; links with it are deleted after the test."""
    prefix = links.new_code()
    yield prefix
    stack.mysql_root(f"DELETE FROM links WHERE code LIKE '{prefix}%'")


def test_batch_takes_few_statements(stack: Stack, links: Links, prefix: str) -> None:
    """A batch of 1,000 links takes one INSERT, one for the history and one for the rate limit."""

    def inserts() -> int:
        return int(stack.mysql_root("SHOW GLOBAL STATUS LIKE 'Com_insert'")[0][1])

    expires = [{"expires_at": "2999-01-01T00:00:00Z"}, {}]
    sent = [{"url": TARGET, "code": f"{prefix}{n}"} | expires[n % 2] for n in range(1000)]
    before = inserts()
    assert links.service.post("/api/links/batch", json={"links": sent}).status_code == 201
    assert inserts() - before == 3


def test_click_alone_is_counted_as_in_a_batch(stack: Stack, prefix: str) -> None:
    """Any kind of link leads to the same target and counts the same clicks, alone or in a batch."""
    past, later = ({"expires_at": f"{year}-01-01T00:00:00Z"} for year in (2020, 2999))
    new = {
        "a": {"url": TARGET},
        "b": {"url": TARGET, **later},
        "c": {"url": TARGET, **past},
        "d": {"url": f"/{prefix}-A"},
        "e": {"url": f"/{prefix}c"},
        "f": {"url": f"/{prefix}d"},
        "g": {"url": f"/{prefix}gone"},
        "h": {"url": f"/{prefix}a", **past},
    }
    lines = [json.dumps({"code": f"{prefix}{name}", **link}) for name, link in new.items()]
    stack.exec("app", "slipway", "links", "import", "-", text="\n".join(lines))
    keys = [f"{prefix}{name}" for name in (*new, "unknown")]
    together, alone = stack.python("app", COUNT, *keys).splitlines()
    assert together == alone
    assert together.count(TARGET) == len("abcdeh")
    counted = dict(
        stack.mysql_root(
            "SELECT SUBSTR(code, -1), CAST(SUM(clicks) AS CHAR) FROM links JOIN link_clicks "
            f"ON link_id = id WHERE code LIKE '{prefix}%' GROUP BY code"
        )
    )
    assert counted == dict.fromkeys("abd", "5")


def test_batch_waits_longer_than_a_single_link(stack: Stack, links: Links) -> None:
    """While the table is locked, a single link gets 503, but a batch waits and succeeds."""
    access = "MYSQL_PWD=$(</run/secrets/root_password)"
    client = f"{access} exec mysql --user=root --unbuffered slipway"
    locker = subprocess.Popen(
        stack.inside("db", "bash", "-c", client),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    body = {"links": [{"url": TARGET, "code": links.new_code()}]}
    with locker, ThreadPoolExecutor() as pool:
        assert locker.stdin
        assert locker.stdout
        print("LOCK TABLES links WRITE; SELECT 'locked';", file=locker.stdin, flush=True)
        assert locker.stdout.readline()
        batch = pool.submit(links.service.again().post, "/api/links/batch", json=body)
        assert links.service.post("/api/links", json={"url": TARGET}).status_code == 503
        locker.stdin.close()
        assert batch.result().status_code == 201


def test_slow_retry_of_a_batch_gets_the_first_answer(stack: Stack, links: Links) -> None:
    """The retry of a batch gets its stored answer, even if it waited longer than short work can."""
    headers = {"Idempotency-Key": links.new_code()}

    def send() -> requests.Response:
        body = {"links": [{"url": TARGET}]}
        return links.service.post("/api/links/batch", json=body, headers=headers)

    first = send()
    links.codes += [link["code"] for link in first.json()["links"]]
    with RootSession(stack) as other, ThreadPoolExecutor() as pool:
        other.run("LOCK TABLES links WRITE")
        pool.submit(other.run, "DO SLEEP(2.5); UNLOCK TABLES")
        again = send()
    assert (again.status_code, again.content) == (201, first.content)


def test_connection_that_was_cut_costs_no_redirect(stack: Stack, links: Links) -> None:
    """A batch soon after another one notices that MySQL has closed their connection."""
    code = links.create()["code"]
    sessions = "SELECT id FROM performance_schema.processlist WHERE user = 'app'"
    with RootSession(stack) as root:
        for _ in range(10):
            assert links.service.get(f"/{code}").status_code == 302
            for [session] in root.run(sessions):
                with suppress(RuntimeError):  # a health check's session can have ended
                    root.run(f"KILL {session}")
            wait_until(lambda: not root.run(sessions))
            assert links.service.get(f"/{code}").status_code == 302
    assert links.service.get(f"/api/links/{code}").json()["clicks"] == 20


def test_concurrent_reads_get_their_own_links(links: Links) -> None:
    """Reads and first pages that share statements are not mixed up."""
    codes = [links.create()["code"] for _ in range(READS)]
    paths = [f"/api/links/{code}" for code in codes] + ["/api/links?limit=1"] * READS
    with ThreadPoolExecutor(2 * READS) as pool:
        answers = [pool.submit(links.service.again().get, path) for path in paths]
        found = [answer.result().json() for answer in answers]
    assert [link["code"] for link in found[:READS]] == codes
    assert {len(page["links"]) for page in found[READS:]} == {1}
