"""Roll-ups on MySQL are optional and block no other request."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.compose import Stack
from tests.support.links.client import Links

HOURS = 20_000
# As the service has it: otherwise, these statements lock rows of links that requests change.
ISOLATION = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;"
PAST = f"""
    {ISOLATION}
    SET SESSION cte_max_recursion_depth = {HOURS};
    UPDATE links SET created_at = '2020-01-01' WHERE code = '{{code}}';
    INSERT INTO link_clicks (link_id, hour, clicks)
        WITH RECURSIVE hours_ (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM hours_ WHERE n < {HOURS})
        SELECT id, '2020-01-01' + INTERVAL n HOUR, 1 FROM hours_ JOIN links ON code = '{{code}}'
"""
ROLLUPS = """
    SELECT link_click_rollups.clicks FROM link_click_rollups JOIN links ON id = link_id
        WHERE code = '{code}'
"""
ROUNDS = 5


def busy(stack: Stack, links: Links) -> str:
    """Create a link with clicks in 20,000 hours, and return its code."""
    code = str(links.create()["code"])
    stack.mysql_root(PAST.format(code=code))
    return code


def test_database_that_only_reads_still_tells_clicks(stack: Stack, links: Links) -> None:
    """On a read-only database clicks are still correct; they are rolled up later."""
    code = busy(stack, links)
    stack.mysql_root("SET GLOBAL super_read_only = 1")
    try:
        assert links.service.get("/api/links").status_code == 200
        assert links.service.get(f"/api/links/{code}").json()["clicks"] == HOURS
        assert stack.mysql_root(ROLLUPS.format(code=code)) == []
    finally:
        stack.mysql_root("SET GLOBAL super_read_only = 0; SET GLOBAL read_only = 0")
    assert links.service.get(f"/api/links/{code}").json()["clicks"] == HOURS
    assert stack.mysql_root(ROLLUPS.format(code=code)) == [[str(HOURS)]]


@pytest.mark.alone
def test_many_at_once_lose_no_click(stack: Stack, links: Links) -> None:
    """Roll-ups during clicks, edits and deletions lose no click, and no request fails."""
    codes = [busy(stack, links) for _ in range(2)]
    done = threading.Event()

    def repeat(status: int, method: str, path: str, **options: Any) -> int:
        count = 0
        with links.service.again() as client:
            while not done.is_set():
                answer = client.request(method, path, **options)
                assert answer.status_code == status, answer.text
                count += 1
        return count

    with ThreadPoolExecutor(10) as pool, links.service.again() as other:
        followed = [pool.submit(repeat, 302, "GET", f"/{code}") for code in codes]
        reading = [
            pool.submit(repeat, 200, "GET", f"/api/links{path}")
            for path in ("", *(f"/{code}" for code in codes))
        ]
        edited = [
            pool.submit(repeat, 200, "PATCH", f"/api/links/{codes[0]}", json={"title": title})
            for title in ("a", "b")
        ]
        try:
            for _ in range(ROUNDS):
                gone = busy(stack, links)
                # So that they are due again.
                stack.mysql_root(f"{ISOLATION} DELETE FROM link_click_rollups")
                read = pool.submit(other.get, f"/api/links/{gone}")
                assert links.service.delete(f"/api/links/{gone}").status_code == 204
                assert read.result().status_code in {200, 404}
        finally:
            done.set()
        for work in reading + edited:
            assert work.result()
    for code, work in zip(codes, followed, strict=True):
        assert links.service.get(f"/api/links/{code}").json()["clicks"] == HOURS + work.result()
        assert stack.mysql_root(ROLLUPS.format(code=code)) == [[str(HOURS)]]
