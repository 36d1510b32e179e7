"""Imports from other programs: times, clicks, codes, titles and dry runs."""

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from app.database import Database
from app.links import imports, queries, rollups
from app.links.tables import LINK_CLICKS
from tests.support.links.imported import FILES, TAKEN, Result

pytestmark = pytest.mark.usefixtures("import_app")


def test_times_are_in_the_named_zone(database: Database) -> None:
    """Times without an offset are in the given zone, in summer and winter; others stay."""
    rows = "a,2024-05-01 12:00:00\nb,2024-12-01 12:00:00\nc,2024-05-01 12:00:00 UTC\n"
    text = "keyword,url,timestamp\n" + rows.replace(",", ",https://a.example,")
    links = Result(database, text.encode(), zone=ZoneInfo("Europe/Berlin")).links
    assert [links[code].created_at.hour for code in "abc"] == [10, 11, 12]


def test_unknown_time_is_no_time(database: Database) -> None:
    """The year 1, or MySQL's 0, means that a time is not known: the link is created now."""
    began = datetime.now(UTC)
    links = Result(database, (FILES / "times.csv").read_bytes()).links
    assert links["fmt12n"].created_at >= began
    zero = b"keyword,url,timestamp\na,https://a.example,0000-00-00 00:00:00\n"
    assert Result(database, zero).links["a"].created_at >= began


def test_clicks_are_in_totals_only(database: Database) -> None:
    """Clicks from an export are in totals, before and after a roll-up, and in no later hour.

    A second import does not add them again.
    """
    text = "keyword,url,timestamp,clicks\na,https://a.example,2024-05-01 12:00:00,5000\n"
    for _ in range(2):
        assert Result(database, text.encode()).links["a"].clicks == 5000
    with database.read() as connection:
        hours = connection.scalars(sa.select(LINK_CLICKS.c.hour)).all()
        link = queries.find(connection, "a")
    assert hours == [imports.COUNTED_ELSEWHERE]
    assert link
    rollups.roll_up(database, [link])
    with database.read() as connection:
        rolled_up = queries.find(connection, "a")
    assert rolled_up
    assert rolled_up.rolled_up_until
    assert rolled_up.clicks == 5000


def test_trial_knows_earlier_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run tells repeated codes also if another batch has the first."""
    monkeypatch.setattr(imports, "BATCH", 2)
    rows = ["a,https://a.example", "b,https://a.example", "A,https://a.example"]
    rows += ["b,https://a.example", "b,https://b.example"]
    text = "\n".join(["keyword,url", *rows, ""]).encode()
    trial = Result(database, text, dry_run=True)
    assert (trial.sums, trial.links) == ("2 created, 1 unchanged, 2 refused", {})
    assert trial.lines == [f"Line {number}: {TAKEN}" for number in (4, 6)]
    assert Result(database, text).sums == trial.sums


def test_trial_compares_as_an_import_does(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dry run calls a line of a later batch unchanged exactly if the import does.

    Fields that a line lacks count as empty, but times that it lacks are not compared.
    """
    monkeypatch.setattr(imports, "BATCH", 1)
    a: dict[str, Any] = {"code": "a", "url": "https://a.example"}
    b = a | {"code": "b"}
    at, other = "2024-05-01T12:00:00Z", "2024-05-02T12:00:00Z"
    lines = [a | {"created_at": at}, a, a | {"created_at": at, "updated_at": at}]
    lines += [a | {"title": "", "tags": [], "expires_at": None}]
    lines += [a | {"created_at": other}, a | {"title": "other"}, b, b | {"created_at": at}]
    text = "\n".join(map(json.dumps, lines)).encode()
    trial = Result(database, text, dry_run=True)
    assert (trial.sums, trial.links) == ("2 created, 3 unchanged, 3 refused", {})
    assert trial.lines == [f"Line {number}: {TAKEN}" for number in (5, 6, 8)]
    imported = Result(database, text)
    assert (imported.sums, imported.lines) == (trial.sums, trial.lines)


def test_bookmarks_without_a_code_get_the_same_again(database: Database) -> None:
    """A bookmark's code is made from its URL, so two bookmarks of one URL are one link."""
    link = '<DT><A HREF="https://a.example/">{}</A>\n'
    text = "<!DOCTYPE NETSCAPE-Bookmark-file-1>\n" + link.format("A") * 2 + link.format("B")
    result = Result(database, text.encode())
    assert result.sums == "1 created, 1 unchanged, 1 refused, 1 adjusted"
    assert [len(code) for code in result.links] == [7]


def test_titles_are_cut(database: Database) -> None:
    """A title of another program that is too long is cut, and the new value is shown."""
    text = f"keyword,url,title\na,https://a.example,{'x' * 201}\n"
    result = Result(database, text.encode())
    assert result.links["a"].title == "x" * 199 + "…"
    assert result.lines == [f"Line 2: title is now {'x' * 199}…"]


def test_target_over_the_limit_is_refused(database: Database) -> None:
    """A target that is longer than the limit is refused, because a part of it leads elsewhere."""
    text = f"keyword,url\na,https://a.example/{'x' * 3000}\n"
    assert Result(database, text.encode()).lines == [
        "Line 2: #/url: Must have at most 3,000 characters."
    ]


def test_tags_that_are_not_text_are_refused(database: Database) -> None:
    """Bytes that are not UTF-8 do not become question marks in tags."""
    content = b'code;url;tags\na;https://a.example;"[""b\xff""]"\n'
    result = Result(database, content)
    assert (result.format, result.links) == ("spreadsheet", {})
    assert "tags must be a JSON list" in result.lines[0]
