"""Reads of several requests that share a statement."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any, NoReturn
from unittest import mock

import pytest
from flask import Flask
from sqlalchemy import insert, select

from app.database import Database
from app.database.batching import Batcher
from app.database.errors import UnavailableError
from app.links import lists, reads, service
from app.links.click_counts import upsert_counts
from app.links.tables import LINK_CLICK_ROLLUPS, LINKS
from tests.support.waiting import wait_until

CODES = ["Guide", "v1.2", "wiki", "a-b"]
DAY = datetime(2020, 1, 1, tzinfo=UTC)
ODD = ["unknown", "", "\0", "%", "🚀", "\ud800", "x" * 3000]


@pytest.fixture
def links(database: Database) -> Database:
    """A database with a link for each of CODES."""
    for code in CODES:
        service.create(database, {"url": f"https://example.com/{code}", "code": code})
    return database


@pytest.fixture
def app(links: Database) -> Flask:
    """An application that reads these links."""
    app = Flask(__name__)
    app.extensions["database"] = links
    reads.init_app(app)
    return app


def test_each_code_gets_its_own_link(links: Database) -> None:
    """Links are found in any spelling and order; odd codes find none and disturb no other."""
    wanted = ["WIKI", "ab", *ODD, "guide", "wiki", "v-1.2"]
    found = reads._find_all(links, wanted)
    assert [link and link.code for link in found] == [
        *("wiki", "a-b"),
        *(None for _ in ODD),
        *("Guide", "wiki", "v1.2"),
    ]
    for code, link in zip(wanted, found, strict=True):
        assert reads._find_all(links, [code]) == [link]


def test_each_request_gets_its_own_page(links: Database) -> None:
    """Pages of several sizes and orders are not mixed up."""
    wanted = [("code", 2), ("-created_at", 3), ("code", 100), ("code", 2)]
    pages = [
        ([link.code for link in found], more) for found, more in reads._first_pages(links, wanted)
    ]
    first = (["a-b", "Guide"], True)
    assert pages == [
        first,
        (["a-b", "wiki", "v1.2"], True),
        (["a-b", "Guide", "v1.2", "wiki"], False),
        first,
    ]


def test_shared_reads_have_the_clicks_of_their_own_links(links: Database) -> None:
    """Clicks before and after a roll-up are added for each link, as for a read alone."""
    with links.transactional.begin() as connection:
        ids = dict(connection.execute(select(LINKS.c.code, LINKS.c.id)).all())
        for place, code in enumerate(CODES):
            for days in range(3):
                upsert_counts(connection, DAY + timedelta(days), {ids[code]: 10**place})
        until = {"until": DAY + timedelta(1), "clicks": 1000}
        connection.execute(
            insert(LINK_CLICK_ROLLUPS), [until | {"link_id": ids[code]} for code in CODES[:2]]
        )
    clicks = [link.clicks for link in reads._find_all(links, CODES)]
    assert clicks == [1002, 1020, 300, 3000]
    assert clicks == [reads._find_all(links, [code])[0].clicks for code in CODES]


def test_concurrent_reads_share_a_statement(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that arrive while a statement runs share the next one."""
    monkeypatch.setattr(reads, "WAIT", 10)
    batcher, given, may_end = app.extensions["reads"], [], Event()
    work = batcher._work

    def held(codes: Sequence[str]) -> Any:
        given.append(sorted(codes))
        assert may_end.wait(10)
        return work(codes)

    monkeypatch.setattr(batcher, "_work", held)

    def read(code: str) -> Any:
        with app.app_context():
            return reads.find(code).code

    with ThreadPoolExecutor(len(CODES)) as pool:
        first = pool.submit(read, CODES[0])
        wait_until(lambda: given)
        others = pool.map(read, CODES[1:])
        wait_until(lambda: len(batcher._waiting) == len(CODES) - 1)
        may_end.set()
        assert [first.result(), *others] == CODES
    assert given == [CODES[:1], sorted(CODES[1:])]


@pytest.mark.parametrize("fails", [True, False], ids=["fails", "takes long"])
def test_reads_go_on_alone(app: Flask, monkeypatch: pytest.MonkeyPatch, fails: bool) -> None:
    """If what is shared fails or takes long, each request reads for itself."""
    monkeypatch.setattr(reads, "WAIT", 0.05)
    may_end = Event()

    def work(_items: object) -> NoReturn:
        may_end.wait(10)
        raise UnavailableError("", None, OSError())

    shared: Batcher[Any, Any] = Batcher("reads", work)
    app.extensions["reads"] = app.extensions["first_pages"] = shared
    with app.app_context(), ThreadPoolExecutor(1) as leader:
        if fails:
            may_end.set()
        else:
            leader.submit(shared, "leads")
            wait_until(shared._leadership.locked)
        assert reads.find("wiki").code == "wiki"
        assert [link.code for link in reads.first_page("code", 1)[0]] == ["a-b"]
        may_end.set()


@pytest.mark.parametrize(
    ("arguments", "is_shared"),
    [
        pytest.param({"sort": "-created_at"}, True, id="first page"),
        pytest.param({"sort": "code"}, True, id="by code"),
        pytest.param({"sort": "-clicks_24h"}, False, id="by clicks"),
        pytest.param({"sort": "code", "after": lists.Position("ab")}, False, id="later page"),
        pytest.param({"sort": "code", "tag": "docs"}, False, id="by tag"),
        pytest.param({"sort": "code", "q": "docs"}, False, id="search"),
        pytest.param({"sort": "code", "mine": "true"}, False, id="of one owner"),
    ],
)
def test_only_the_first_page_of_all_links_is_shared(
    links: Database, arguments: dict[str, Any], is_shared: bool
) -> None:
    """What differs between requests, or takes long, is not shared."""
    shared = mock.Mock(return_value=([], False))
    with mock.patch.object(reads, "first_page", shared):
        service.list_links(links, limit=2, **arguments)
    assert shared.mock_calls == [mock.call(arguments["sort"], limit=2)] * is_shared
