"""Query plans of the history: MySQL reads pages, own links and owners from an index."""

import re
from collections.abc import Iterator
from datetime import datetime

import pytest
import sqlalchemy as sa

from app.database import SWEEP_LIMIT
from app.links import history, lists, queries
from app.links.tables import LINK_DELETIONS, LINK_HISTORY
from tests.stack.links.test_plans import plan, rows_read, written
from tests.support.compose import Stack
from tests.support.links.client import Links
from tests.support.mysql import RootSession

PAGE = 21  # rows: the service reads one more than it shows
# 30,000 links of somebody else, 100 of the token "few", and 20,000 edits of one link.
FILL = """
    SET SESSION cte_max_recursion_depth = 30000;
    INSERT INTO links (code, lookup_key, url, title, tags, created_at, updated_at, revision)
        WITH RECURSIVE rows_ (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM rows_ WHERE n < 30000)
        SELECT CONCAT('hist', n), CONCAT('hist', n), 'https://example.com', '', '[]',
            '2020-01-01' + INTERVAL n SECOND, NOW(), 1 FROM rows_;
    INSERT INTO link_history
            (link_id, at, action, actor, name, new, new_link_id, owner, created_at, lookup_key)
        SELECT id, created_at, 'create', actor, actor, '{}', id, actor, created_at, lookup_key
        FROM (SELECT *, IF(lookup_key LIKE 'hist%00' AND id % 3 = 0, 'token:few', 'token:many')
            AS actor FROM links WHERE lookup_key LIKE 'hist%') AS found;
    INSERT INTO link_history (link_id, at, action, actor, name, old, new)
        SELECT links.id, '2021-01-01', 'edit', 'token:x', 'x', '{}', '{}'
        FROM link_history JOIN links ON links.lookup_key = 'hist1' WHERE at < '2021-01-01'
        LIMIT 20000;
    ANALYZE TABLE links, link_history;
"""
CLEAR = """
    DELETE link_history FROM link_history JOIN links ON links.id = link_id
        WHERE links.lookup_key LIKE 'hist%';
    DELETE FROM links WHERE lookup_key LIKE 'hist%';
    OPTIMIZE TABLE links, link_history;
"""


@pytest.fixture(scope="module", name="filled")
def _filled(stack: Stack) -> Iterator[RootSession]:
    """A session with the database of the stack, which has many links and changes."""
    with RootSession(stack) as session:
        session.run(FILL)
        yield session
        session.run(CLEAR)


@pytest.mark.parametrize("who", ["token:few", "token:many"])
@pytest.mark.parametrize("sort", ["-created_at", "code"])
def test_own_links_are_read_from_an_index(filled: RootSession, sort: str, who: str) -> None:
    """The list of an owner's links reads only these, in order."""
    query = lists.list_query("mysql", sort, mine="true").limit(PAGE).params(owner=who)
    sql = written(query)
    planned = plan(filled, sql)
    index = {"code": "lookup_key", "-created_at": "created_at"}[sort]
    assert f"link_history using ix_link_history_owner_{index}" in planned, planned
    assert not re.search("Sort|Table scan|temporary", planned), planned
    assert len(filled.run(sql)) == PAGE
    assert rows_read(filled, sql) <= 8 * PAGE, planned


def test_page_and_owner_are_read_from_an_index(filled: RootSession) -> None:
    """A page of a long history, and the owner of its link, read only the rows that they return."""
    [[link]] = filled.run("SELECT id FROM links WHERE lookup_key = 'hist1'")
    [[last]] = filled.run(f"SELECT MAX(id) - 9000 FROM link_history WHERE link_id = {link}")
    read = queries.BY_KEY_WITH_CLICKS.params(key="hist1")
    for query in (history.page(int(link), PAGE), history.page(int(link), PAGE, int(last)), read):
        sql = written(query)
        planned = plan(filled, sql)
        assert not re.search("Sort|Table scan|temporary", planned), planned
        assert rows_read(filled, sql) <= PAGE + 1, planned


def test_purge_reads_what_it_deletes(filled: RootSession, links: Links) -> None:
    """The purge finds old deletes by an index, and deletes a bounded number of changes at once."""
    code, other = links.create()["code"], links.create()["code"]
    path = f"/api/links/{code}"
    assert links.service.delete(path).status_code == 204
    [[link]] = filled.run(f"SELECT id FROM link_deletions WHERE code = '{code}'")
    filled.run(
        "INSERT INTO link_history (link_id, at, action, actor, name, old, new)"
        f" SELECT {link}, NOW(), 'edit', 'x', 'x', '{{}}', '{{}}' FROM link_history LIMIT 1500;"
        f"UPDATE link_deletions SET deleted_at = '2020-01-01' WHERE id = {link}"
    )
    left = f"SELECT COUNT(*) FROM link_history WHERE link_id = {link}"
    query = history.old_deletions(datetime(2020, 2, 1))  # noqa: DTZ001 as MySQL stores it
    planned = plan(filled, written(query))
    assert "link_deletions using ix_link_deletions_deleted_at" in planned, planned
    delete = sa.delete(LINK_HISTORY).where(LINK_HISTORY.c.link_id.in_([int(link)]))
    [explained] = filled.run(f"EXPLAIN FORMAT=TRADITIONAL {written(delete)}")
    assert "ix_link_history_link_id" in explained
    links.service.delete(f"/api/links/{other}")
    assert filled.run(left) == [[str(1502 - SWEEP_LIMIT)]]
    kept = f"SELECT COUNT(*) FROM {LINK_DELETIONS.name} WHERE id = {link}"
    assert filled.run(kept) == [["1"]]
    links.create(code=other)
    links.service.delete(f"/api/links/{other}")
    assert filled.run(left) + filled.run(kept) == [["0"], ["0"]]


def test_popular_link_is_deleted_and_restored(filled: RootSession, links: Links) -> None:
    """A link with clicks in 20,000 hours is deleted and restored with all of them."""
    code = links.create()["code"]
    path = f"/api/links/{code}"
    filled.run(
        "SET SESSION cte_max_recursion_depth = 20000;"
        "INSERT INTO link_clicks WITH RECURSIVE hours_ (n) AS"
        " (SELECT 1 UNION ALL SELECT n + 1 FROM hours_ WHERE n < 20000)"
        f" SELECT id, '2030-01-01' - INTERVAL n HOUR, n FROM hours_ JOIN links ON code = '{code}'"
    )
    before = links.service.get(path).json()
    assert before["clicks"] == 20000 * 20001 // 2
    assert links.service.delete(path).status_code == 204
    [deleted, _] = links.service.get(f"{path}/history").json()["changes"]
    assert links.service.post(f"{path}/history/{deleted['id']}/undo").json() == before
