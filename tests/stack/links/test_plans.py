"""Query plans: MySQL reads lists from an index, and few rows for any page."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import ClauseElement
from sqlalchemy.dialects import mysql

from app.links import click_queries, lists, nearest, queries
from tests.support.compose import Stack
from tests.support.mysql import RootSession
from tests.support.service import Service

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)  # other tests' links are all newer
PAGE = 21  # rows: the service reads one more than it shows
FOUND = 30  # links that the search finds
RECENT = 300  # links that were clicked in the last week
SINCE = 50  # hours with clicks since the roll-up

FILL = """
    SET SESSION cte_max_recursion_depth = 30000;
    INSERT INTO links (code, lookup_key, url, title, tags, created_at, updated_at, revision)
        WITH RECURSIVE rows_ (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM rows_ WHERE n < 30000)
        SELECT CONCAT('plan', n), CONCAT('plan', n), 'https://example.com',
            CONCAT('found', n % 1000), '[]', '2020-01-01' + INTERVAL n SECOND, NOW(), 1 FROM rows_;
    INSERT INTO link_tags (link_id, tag, created_at, lookup_key)
        SELECT id, 'plan all', created_at, lookup_key FROM links WHERE lookup_key LIKE 'plan%';
    INSERT INTO link_tags (link_id, tag, created_at, lookup_key)
        SELECT id, 'plan few', created_at, lookup_key FROM links WHERE lookup_key LIKE 'plan%00';
    ANALYZE TABLE links, link_tags;
"""
CLICK = """
    INSERT INTO link_clicks (link_id, hour, clicks)
        SELECT id, created_at, 1 FROM links WHERE lookup_key LIKE 'plan%';
    INSERT INTO link_clicks (link_id, hour, clicks)
        SELECT id, '2030-01-01', id FROM links WHERE lookup_key LIKE 'plan%00';
    ANALYZE TABLE link_clicks;
"""
# Two links with clicks in 10,000 hours, of which all but the last 50 are rolled up.
ROLL_UP = f"""
    SET SESSION cte_max_recursion_depth = 10000;
    INSERT INTO link_clicks (link_id, hour, clicks)
        WITH RECURSIVE hours_ (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM hours_ WHERE n < 10000)
        SELECT id, '2030-01-01' - INTERVAL n HOUR, 1 FROM hours_ JOIN links
            ON lookup_key IN ('plan1', 'plan2');
    INSERT INTO link_click_rollups (link_id, until, clicks)
        SELECT id, '2030-01-01' - INTERVAL {SINCE} HOUR, 10000 - {SINCE} FROM links
            WHERE lookup_key IN ('plan1', 'plan2');
    ANALYZE TABLE link_clicks, link_click_rollups;
"""
FORGET = """
    DELETE link_click_rollups FROM link_click_rollups JOIN links ON links.id = link_id
        WHERE lookup_key LIKE 'plan%';
    DELETE link_clicks FROM link_clicks JOIN links ON links.id = link_id
        WHERE lookup_key LIKE 'plan%';
"""
CLEAR = """
    DELETE FROM links WHERE lookup_key LIKE 'plan%';
    OPTIMIZE TABLE links, link_tags;  -- removes deleted rows from the full-text index
"""

PLACES: dict[str, list[lists.Position | None]] = {
    "-created_at": [None, *(lists.Position(BEGIN + timedelta(hours=n), 5) for n in (8, 4, 1))],
    "code": [None, *map(lists.Position, ("plan1", "plan5", "plan99"))],
}
TAGS = [None, "plan all", "plan few"]

KEYS = {
    ("-created_at", False): {"links": "ix_links_created_at"},
    ("code", False): {"links": "lookup_key"},
    ("-created_at", True): {"link_tags": "ix_link_tags_tag_created_at", "links": "PRIMARY"},
    ("code", True): {"link_tags": "ix_link_tags_tag_lookup_key", "links": "PRIMARY"},
}


@pytest.fixture(scope="module", name="filled")
def _filled(stack: Stack) -> Iterator[RootSession]:
    """A session with the database of the stack, which has 30,000 links."""
    with RootSession(stack) as session:
        session.run(FILL)
        yield session
        session.run(CLEAR)


def statement(**which: Any) -> str:
    """Return the SQL that the service runs for a page, with literal values."""
    return written(lists.list_query("mysql", **which).limit(PAGE))


def written(query: ClauseElement) -> str:
    """Return a statement as SQL for MySQL, with literal values."""
    dialect = mysql.dialect(paramstyle="named")
    return str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def plan(session: RootSession, sql: str) -> str:
    """Return MySQL's plan for a statement."""
    return session.run(f"EXPLAIN FORMAT=TREE {sql}")[0][0]


def rows_read(session: RootSession, sql: str) -> int:
    """Run a statement, and return how many rows MySQL read from tables and indexes."""
    rows = session.run(f"FLUSH STATUS; {sql}; SHOW SESSION STATUS LIKE 'Handler_read_%'")
    return sum(int(row[1]) for row in rows if row[0].startswith("Handler_read_"))


@pytest.mark.parametrize("tag", TAGS, ids=lambda tag: tag or "no tag")
@pytest.mark.parametrize("sort", PLACES)
def test_page_is_read_from_an_index(filled: RootSession, sort: str, tag: str | None) -> None:
    """Any page in any order, with or without a tag, is read in order from an index."""
    for place in PLACES[sort]:
        sql = statement(sort=sort, after=place, tag=tag)
        planned = plan(filled, sql)
        used = dict(re.findall(r"on (links|link_tags) using (\w+)", planned))
        assert used == KEYS[sort, tag is not None], planned
        assert not re.search("Sort|Table scan|temporary", planned), planned
        assert rows_read(filled, sql) <= 7 * PAGE, planned


@pytest.mark.parametrize("tag", TAGS, ids=lambda tag: tag or "no tag")
@pytest.mark.parametrize("sort", PLACES)
def test_search_reads_what_it_finds(filled: RootSession, sort: str, tag: str | None) -> None:
    """A search uses the full-text index, and reads only links that match."""
    for place, q in product(PLACES[sort], ("example found100", "found100 ᱥᱟ")):
        sql = statement(sort=sort, after=place, tag=tag, q=q)
        planned = plan(filled, sql)
        assert "Full-text index search on links using ix_links_search" in planned
        assert rows_read(filled, sql) <= 5 * FOUND, planned


def test_most_clicked_are_found_by_the_hour(filled: RootSession) -> None:
    """The most clicked links are found without reading hours before the last week."""
    times = {
        "start": datetime(2029, 12, 25, tzinfo=UTC),
        "kept_until": datetime(2029, 12, 31, tzinfo=UTC),
        "counted_from": datetime(2029, 12, 31, tzinfo=UTC),
    }
    sql = written(lists.list_query("mysql", "-clicks_7d").limit(20).params(times))
    filled.run(CLICK)
    planned = plan(filled, sql)
    found = filled.run(sql)
    read = rows_read(filled, sql)
    filled.run(FORGET)
    assert "link_clicks using ix_link_clicks_hour" in planned, planned
    assert "link_top_clicks using PRIMARY" in planned, planned
    assert len(found) == 20
    assert read <= 6 * RECENT, planned  # also from the tables of the union and of the sums


def test_clicks_that_are_rolled_up_are_not_summed(filled: RootSession) -> None:
    """Reading a link or a page does not read hours that are rolled up."""
    filled.run(ROLL_UP)
    read = written(queries.BY_KEY_WITH_CLICKS.params(key="plan1"))
    [link] = filled.run(read)
    found = filled.run("SELECT link_id, until FROM link_click_rollups")
    since = {int(number): datetime.fromisoformat(f"{until}Z") for number, until in found}
    recent = written(click_queries.recent_clicks(since))
    summed = filled.run(recent)
    both = written(lists.BY_KEYS.params(keys=["plan1", "plan2"]))
    counts = {sql: rows_read(filled, sql) for sql in (read, both, recent)}
    plans = [plan(filled, sql) for sql in counts]
    filled.run(FORGET)
    assert "10000" in link
    assert [clicks for _, clicks in summed] == [str(SINCE)] * 2
    assert counts[read] <= SINCE + 10, plans
    assert counts[both] <= 10, plans
    assert counts[recent] <= 2 * SINCE + 10, plans


@pytest.mark.parametrize("key", ["a", "plan15000", "zzz"])
def test_similar_codes_are_read_from_the_index(filled: RootSession, key: str) -> None:
    """Similar codes are found by the unique index alone, with as many rows as are asked for."""
    limit = nearest.NEIGHBOURS
    for query in (nearest.BEFORE, nearest.AFTER):
        sql = written(query.limit(limit).params(key=key))
        planned = plan(filled, sql)
        assert re.search(r"Covering index .* on links using lookup_key", planned), planned
        assert rows_read(filled, sql) <= limit + 1, planned
    variants = [f"{key}{number}" for number in range(nearest.VARIANTS)]
    sql = written(nearest.EXISTING.limit(limit).params(keys=variants))
    planned = plan(filled, sql)
    assert re.search(r"Covering index .* on links using lookup_key", planned), planned
    assert rows_read(filled, sql) <= nearest.VARIANTS + limit, planned


def test_search_that_finds_too_much_is_refused(filled: RootSession) -> None:
    """A search that exceeds MySQL's full-text memory limit is rejected with 422."""
    token = filled.stack.exec("app", "slipway", "tokens", "create", "plans").strip()
    limit = filled.run("SELECT @@GLOBAL.innodb_ft_result_cache_limit")[0][0]
    with Service(filled.stack.url, token) as service:
        assert service.get("/api/links?q=example").status_code == 200
        filled.run("SET GLOBAL innodb_ft_result_cache_limit = 1000000")
        try:
            answer = service.get("/api/links?q=example")
        finally:
            filled.run(f"SET GLOBAL innodb_ft_result_cache_limit = {limit}")
            filled.stack.exec("app", "slipway", "tokens", "revoke", "plans")
    assert answer.status_code == 422
    assert [error["parameter"] for error in answer.json()["errors"]] == ["q"]
