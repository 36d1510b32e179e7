"""Which links are offered in place of an unknown one, and how much work that is."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from flask import Flask
from sqlalchemy import event

from app.database import Database
from app.database.errors import UNAVAILABLE
from app.identity import sessions
from app.links import nearest, queries, redirect, service
from tests.unit.links.conftest import empty_database

CODES = ("docs", "docker", "Release-Notes", "k8s", "standup", "wiki", "kubernetes-dashboard")


@pytest.fixture(scope="module", name="crowded")
def _crowded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """A database with a few links, and many others before and after them."""
    crowd = [f"{first}{number:04}" for first in "ajz" for number in range(300)]

    def create(connection: sa.Connection) -> None:
        for code in (*CODES, *crowd):
            queries.create(connection, {"code": code, "url": "https://example.com"})

    with empty_database(tmp_path_factory.mktemp("crowded")) as database:
        database.write(create)
        yield database


@pytest.fixture(name="connection")
def _connection(crowded: Database) -> Iterator[sa.Connection]:
    """A connection to the database with many links."""
    with crowded.read() as connection:
        yield connection


def offered(connection: sa.Connection, code: str) -> list[str]:
    """Return the codes that are offered in place of a code."""
    return [link["code"] for link in nearest.similar(connection, code)]


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        pytest.param("dcos", "docs", id="transposed"),
        pytest.param("dosc", "docs", id="transposed at the end"),
        pytest.param("ocs", "docs", id="first character missing"),
        pytest.param("do", "docs", id="only the beginning"),
        pytest.param("ddocs", "docs", id="one too many"),
        pytest.param("socs", "docs", id="first character wrong"),
        pytest.param("D-OCX", "docs", id="another spelling"),
        pytest.param("releasenoets", "Release-Notes", id="long code"),
        pytest.param("k9s", "k8s", id="short code"),
        pytest.param("kubernetes-dasbhaord", "kubernetes-dashboard", id="two mistakes at the end"),
        pytest.param(
            "ubernetes-dashboard", "kubernetes-dashboard", id="long, mistake at the start"
        ),
    ],
)
def test_similar_code_is_offered_first(connection: sa.Connection, code: str, meant: str) -> None:
    """After a typing mistake, the code that was meant is the first."""
    assert offered(connection, code)[0] == meant


def test_nothing_like_it_is_offered(connection: sa.Connection) -> None:
    """A code like no other gets no offers."""
    for code in ("xyzzyqwfp", "q", "___", "x" * 64):
        assert offered(connection, code) == []


def test_offers_are_few(connection: sa.Connection) -> None:
    """At most five links are offered, each once, however many are alike."""
    found = offered(connection, "j00")
    assert len(found) == len(set(found)) == 5


def test_expired_link_is_not_offered(database: Database) -> None:
    """A link that has expired is not offered, and one that expires later is."""
    now = datetime.now(UTC)
    for code, hours in (("docs1", -1), ("docs2", 1)):
        expires = now + timedelta(hours=hours)
        fields = {"code": code, "url": "https://example.com", "expires_at": expires}
        service.create(database, fields)
    with database.read() as connection:
        assert offered(connection, "docs3") == ["docs2"]
        assert [link["code"] for link in nearest.beginning_with(connection, "d")] == ["docs2"]


@pytest.mark.parametrize("code", ["a", "docx", "x" * 64, "j0150"])
def test_work_is_bounded(crowded: Database, connection: sa.Connection, code: str) -> None:
    """A few statements read a limited number of keys, and Python compares no more than these."""
    ran: list[tuple[str, int]] = []

    def record(*args: Any) -> None:
        ran.append((args[2], len(args[3])))

    event.listen(crowded.autocommit, "before_cursor_execute", record)
    nearest.similar(connection, code)
    event.remove(crowded.autocommit, "before_cursor_execute", record)
    assert 3 <= len(ran) <= 4
    for statement, values in ran:
        assert re.search(r"LIMIT \?|lookup_key IN", statement), statement
        assert values <= nearest.VARIANTS + 3


@pytest.mark.parametrize("error", UNAVAILABLE)
def test_page_does_without_offers(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    """If the database goes away after it had no such link, the page offers nothing."""
    asked = []

    def fail() -> bool:
        asked.append(1)
        raise error.__new__(error)

    monkeypatch.setattr(sessions, "is_signed_in", fail)
    with Flask(__name__).test_request_context("/x", headers={"Accept": "text/html"}):
        assert redirect.similar_links("x") == []
    assert asked == [1]


@pytest.mark.parametrize(
    ("typed", "codes"),
    [
        pytest.param("do", ["docker", "docs"], id="beginning"),
        pytest.param("DOCS", ["docs"], id="whole code"),
        pytest.param("release-n", ["Release-Notes"], id="another spelling"),
        pytest.param("docsx", [], id="too long"),
        pytest.param("", [], id="nothing"),
        pytest.param("ä", [], id="not ASCII"),
        pytest.param("%", [], id="wildcard of SQL"),
    ],
)
def test_codes_are_completed(connection: sa.Connection, typed: str, codes: list[str]) -> None:
    """The links whose codes begin with a text are found, in any spelling."""
    assert [link["code"] for link in nearest.beginning_with(connection, typed)] == codes
