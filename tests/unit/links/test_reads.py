"""Reads of several requests that share a statement."""

from typing import Any
from unittest import mock

import pytest

from app.database import Database
from app.links import lists, reads, service

CODES = ["Guide", "v1.2", "wiki", "a-b"]
ODD = ["unknown", "", "\0", "%", "🚀", "\ud800", "x" * 3000]


@pytest.fixture
def links(database: Database) -> Database:
    """A database with a link for each of CODES."""
    for code in CODES:
        service.create(database, {"url": f"https://example.com/{code}", "code": code})
    return database


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
