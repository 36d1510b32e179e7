"""Imports from other programs, from spreadsheets and from bookmarks, into a small SQLite database.

The files are in the folder imports/. They were written after each format's own documentation.
"""

import io
import json
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from flask import Flask

from app.database import Database
from app.links import imports, queries, records, rollups, sources
from app.links.sources import readers
from app.links.sources.table import SOURCES
from app.links.tables import LINK_CLICKS, LINKS

FILES = Path(__file__).parent / "imports"
TAKEN = "Another link has this code."
CODE = "#/code: Must be 1 to 64 letters, digits, - or _, and begin with a letter or digit."
RESERVED = "#/code: Is reserved by this service."
CONTROL = "#/title: Must not contain control characters."
OPEN = "A quote is not closed, or the file was cut off."
LIKE = "Must be like 2030-12-31 23:59:59 or 2030-12-31T23:59:59+01:00, but is"
RFC3339 = "Must be an RFC 3339 time with an offset, from 1970 on: 2030-01-01T00:00:00Z."
NOON = "2024-05-01T12:00:00+00:00"


@pytest.fixture(autouse=True)
def app() -> Iterator[Flask]:
    """An application for the rules of fields, with the words that it reserves."""
    app = Flask(__name__)
    app.config["PUBLIC_URL"] = "https://go.test"
    for word in ("api", "docs", "links"):
        app.add_url_rule(f"/{word}", word, lambda: "")
    sources.init()
    with app.app_context():
        yield app


class Result:
    """What an import printed, and the links that there are afterwards, by code."""

    def __init__(self, database: Database, content: bytes, **options: Any) -> None:
        report = imports.ImportReport(dry_run=options.pop("dry_run", False))
        self.format, file = imports.recognise(io.BytesIO(content), options.pop("name", "links"))
        self.lines: list[str] = []
        self.error = ""
        named = options.pop("file_format", self.format)
        try:
            for refused in imports.run(database, file, named, report, **options):
                told = refused | report.notes
                self.lines += [f"{lines}: {told[lines]}" for lines in sorted(told)]
        except records.FormatError as error:
            self.error = str(error)
        self.sums = str(report)
        with database.read() as connection:
            links = queries.after_id(connection, 0, 1000)
        self.links = {link.code: link for link in links}


# By file: the format, the codes of the created links, and the other lines that are told.
CASES: dict[str, tuple[str, str, list[str]]] = {
    "api-list.jsonl": ("jsonl", "s3qvdqm q4wczsv", []),
    "bitly.json": ("bitly", "fmt7Ab fmt7-custom", []),
    "bookmarks.html": ("bookmarks", "fmt8a jqkvd5g", ["Line 7, entry 2: code is now jqkvd5g"]),
    "clicks-eof.csv": ("spreadsheet", "fmt31a", [f"Lines 3 to 5: {OPEN}"]),
    "clicks-quote.csv": (
        "spreadsheet",
        "fmt14d",
        ["Lines 2 to 4: #/clicks: Not a valid integer."],
    ),
    "cut.csv": ("spreadsheet", "fmt33a", [f"Line 3: {OPEN}"]),
    "dub.csv": ("dub", "fmt9a fmt9-deep", ["Line 3: code is now fmt9-deep"]),
    "dup-column.csv": (
        "csv",
        "",
        ["The first line must name each column only once. Repeated: url."],
    ),
    "excel-caps.csv": ("spreadsheet", "fmt12c", []),
    "excel-cr.csv": ("spreadsheet", "fmt12r fmt12s", []),
    "excel-eu.csv": ("spreadsheet", "fmt12a", []),
    "excel-sep.csv": ("spreadsheet", "fmt12p", []),
    "excel-space.csv": ("spreadsheet", "fmt12d", []),
    "excel-tab.csv": ("spreadsheet", "fmt12h", []),
    "excel-utf16.csv": ("spreadsheet", "fmt12g", []),
    "firefox.html": (
        "bookmarks",
        "fmt18-a",
        [
            "Line 8, entry 1: code is now fmt18-a",
            "Line 9, entry 2: #/url: Must be an absolute http or https URL with a valid host.",
            f"Line 10, entry 3: #/created_at: {LIKE} '161633755900'.",
        ],
    ),
    "golink.jsonl": (
        "golink",
        "fmt5a",
        ["Line 2: #/url: Must not be a template, such as {{.Path}}."],
    ),
    "kellegous.json": ("kellegous", "fmt10a fmt10b", []),
    "kutt.json": ("kutt", "fmt6Ab", [f"Entry 2: {TAKEN}"]),
    "kutt-protected.json": (
        "kutt",
        "fmt17c",
        [
            "Entry 1: #/url: Is banned there.",
            "Entry 2: #/url: Has a password there, but links here are public.",
        ],
    ),
    "realcodes.csv": (
        "spreadsheet",
        "fmt22c fmt22Ab",
        [
            f"Lines 2 to 3: {CONTROL}",
            f"Line 4: {CONTROL}",
            *(f"Line {number}: {CODE}" for number in (6, 7, 8, 9)),
            *(f"Line {number}: {RESERVED}" for number in (10, 11, 12)),
            f"Line 14: {TAKEN}",
            f"Line 15: {TAKEN}",
            f"Line 16: {CODE}",
        ],
    ),
    "shlink-std.csv": ("shlink", "fmt2a fmt2b", []),
    "shlink-web.csv": ("shlink", "fmt1Ab fmt1v1-2", ["Line 3: code is now fmt1v1-2"]),
    "tags-plain.csv": ("spreadsheet", "fmt12i fmt12j", []),
    "times.csv": (
        "spreadsheet",
        "fmt12k fmt12m fmt12n",
        [f"Line 3: #/created_at: {LIKE} '01/05/2024 12:00'."],
    ),
    "times-more.csv": (
        "spreadsheet",
        "fmt15a fmt15b fmt15c fmt15h",
        [
            f"Line 5: #/created_at: {LIKE} '2024-W18-3'.",
            f"Line 6: #/created_at: {LIKE} '20240501T120000Z'.",
            f"Line 7: #/created_at: {LIKE} '2024-13-01 12:00:00'.",
            f"Line 8: #/created_at: {RFC3339}",
        ],
    ),
    "unclosed.csv": ("spreadsheet", "", [f"Lines 2 to 302: {OPEN}"]),
    "yourls.csv": (
        "yourls",
        "fmt3a fmt3b",
        ["Line 3: url is now https://www.example.com/x%20y"],
    ),
    "yourls.sql": ("yourls-sql", "fmt4a fmt4b", []),
    "yourls-codes.csv": (
        "yourls",
        "fmt16-2 team16-docs lead16 fmt16Ab",
        [
            "Lines 2 to 3: code is now fmt16-2. title is now Line one line two",
            "Line 4: code is now team16-docs",
            "Line 5: code is now lead16",
            f"Line 6: {RESERVED}",
            f"Line 8: {TAKEN}",
            f"Line 9: {CODE}",
            "Line 10: #/clicks: Not a valid integer.",
            "Line 11: #/clicks: Must be greater than or equal to 0.",
        ],
    ),
    "yourls-phpmyadmin.sql": (
        "yourls-sql",
        "fmt11a fmt11b",
        ["Line 10, entry 1: title is now It's both \\ and '"],
    ),
}


def test_every_file_is_a_case() -> None:
    """No file of the folder is forgotten, and each source has a file."""
    assert {path.name for path in FILES.iterdir()} == set(CASES)
    assert {source.name for source in SOURCES} <= {case[0] for case in CASES.values()}


@pytest.mark.parametrize("name", CASES)
def test_file_gives_what_it_should(database: Database, name: str) -> None:
    """A file is recognised, its links are created, and the rest is told by line with a reason.

    A dry run before tells the same and creates nothing. If the file is imported again, nothing is
    created.
    """
    file_format, created, told = CASES[name]
    content = (FILES / name).read_bytes()
    trial = Result(database, content, name=name, dry_run=True)
    assert trial.links == {}
    result = Result(database, content, name=name)
    assert result.format == file_format
    assert list(result.links) == created.split()
    assert [*result.lines, *filter(None, [result.error])] == told
    assert (trial.sums, trial.lines, trial.error) == (result.sums, result.lines, result.error)
    again = Result(database, content, name=name)
    assert again.sums.startswith(f"0 created, {len(created.split())} unchanged, ")
    assert again.links.keys() == result.links.keys()


def values(link: Any) -> list[Any]:
    """Return what an import can set: target, title, tags, time of creation and clicks."""
    return [link.url, link.title, link.tags, link.created_at.isoformat(), link.clicks]


@pytest.mark.parametrize(
    ("name", "code", "expected"),
    [
        pytest.param(
            "shlink-web.csv",
            "fmt1Ab",
            [
                "https://www.example.com/text/text",
                "custom title",
                ["news", "docs"],
                "2024-08-15T19:03:56+00:00",
                61,
            ],
            id="shlink",
        ),
        pytest.param(
            "yourls.csv",
            "fmt3a",
            ["https://www.example.com/?p=1", "Example Domain", [], NOON, 2],
            id="yourls",
        ),
        pytest.param(
            "yourls-phpmyadmin.sql",
            "fmt11a",
            ["https://www.example.com/?a=(1),2;", "It's both \\ and '", [], NOON, 5],
            id="yourls-sql",
        ),
        pytest.param(
            "golink.jsonl",
            "fmt5a",
            ["http://who.corp.example/", "", [], "2022-06-02T01:02:03+00:00", 0],
            id="golink",
        ),
        pytest.param(
            "kutt.json", "fmt6Ab", ["https://www.example.com/one", "one", [], NOON, 3], id="kutt"
        ),
        pytest.param(
            "bitly.json",
            "fmt7-custom",
            [
                "https://www.example.com/",
                "Example",
                ["bitly", "api"],
                "2020-10-26T17:20:40+00:00",
                0,
            ],
            id="bitly",
        ),
        pytest.param(
            "dub.csv",
            "fmt9a",
            ["https://www.example.com/", "", ["news", "docs"], NOON, 7],
            id="dub",
        ),
        pytest.param(
            "kellegous.json",
            "fmt10a",
            ["https://www.example.com/", "", [], "2024-05-01T10:00:00.123456+00:00", 0],
            id="kellegous",
        ),
        pytest.param(
            "bookmarks.html",
            "jqkvd5g",
            [
                "https://example.com/2",
                "test title 2",
                ["tag2", "tag3"],
                "2021-03-21T14:39:19+00:00",
                0,
            ],
            id="bookmarks",
        ),
        pytest.param(
            "times.csv", "fmt12k", ["https://www.example.com/", "", [], NOON, 0], id="spreadsheet"
        ),
    ],
)
def test_values_are_kept(database: Database, name: str, code: str, expected: list[Any]) -> None:
    """Target, title, tags, time of creation and clicks are those of the file."""
    result = Result(database, (FILES / name).read_bytes())
    assert values(result.links[code]) == expected


def test_times_are_in_the_named_zone(database: Database) -> None:
    """Times without an offset are in the given zone, in summer and winter; others stay."""
    rows = "a,2024-05-01 12:00:00\nb,2024-12-01 12:00:00\nc,2024-05-01 12:00:00 UTC\n"
    text = "keyword,url,timestamp\n" + rows.replace(",", ",https://a.example,")
    links = Result(database, text.encode(), zone=ZoneInfo("Europe/Berlin")).links
    assert [links[code].created_at.hour for code in "abc"] == [10, 11, 12]


def test_unknown_time_is_no_time(database: Database) -> None:
    """The year 1 means that a time is not known: the link is created now."""
    began = datetime.now(UTC)
    links = Result(database, (FILES / "times.csv").read_bytes()).links
    assert links["fmt12n"].created_at >= began


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


@pytest.mark.parametrize(
    ("content", "file_format", "error"),
    [
        pytest.param(
            b"a,b\n",
            "shlink",
            "The first line must name the columns shortCode or Short code and longUrl or Long URL.",
            id="other columns",
        ),
        pytest.param(
            b"keyword,url,URL\n",
            "yourls",
            "The first line must name each column only once. Repeated: url.",
            id="repeated column",
        ),
        pytest.param(
            b'{"data": [{"address": "a"}',
            "kutt",
            "The file is not JSON of this format, or was cut off.",
            id="cut JSON",
        ),
        pytest.param(
            b'{"ok": true}',
            "kellegous",
            "The file is not JSON of this format, or was cut off.",
            id="other JSON",
        ),
        pytest.param(
            b'{"data": [1]}',
            "kutt",
            "The file is not JSON of this format, or was cut off.",
            id="numbers",
        ),
        pytest.param(
            b" " * (readers.JSON_LIMIT + 1),
            "bitly",
            "JSON can have up to 4,194,304 characters. Divide it into files.",
            id="long JSON",
        ),
        pytest.param(
            b"INSERT INTO `yourls_url` VALUES ('a','https://a.example','','',",
            "yourls-sql",
            "Line 1: The file breaks its format here, was cut off, or has no links.",
            id="cut SQL",
        ),
        pytest.param(
            b"-- A dump\nINSERT INTO `yourls_log` VALUES (1);\n",
            "yourls-sql",
            "Line 3: The file breaks its format here, was cut off, or has no links.",
            id="SQL without links",
        ),
        pytest.param(
            b"INSERT INTO `yourls_url` VALUES ('" + b"a" * 2_000_000,
            "yourls-sql",
            "Line 1: The file breaks its format here, was cut off, or has no links.",
            id="long SQL",
        ),
        pytest.param(
            b'<!DOCTYPE NETSCAPE-Bookmark-file-1>\n<A HREF="https://exa',
            "bookmarks",
            "Line 2: The file breaks its format here, was cut off, or has no links.",
            id="cut bookmarks",
        ),
        pytest.param(
            b'<A HREF="' + b"a" * 3_000_000,
            "bookmarks",
            "Line 1: The file breaks its format here, was cut off, or has no links.",
            id="long bookmark",
        ),
    ],
)
def test_broken_file_is_an_error(
    database: Database, content: bytes, file_format: str, error: str
) -> None:
    """A file that breaks its format, or was cut off, is an error that says where."""
    assert Result(database, content, file_format=file_format).error == error


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param("('a')", "It can't be read: it must have 6 values, not 1", id="too few"),
        pytest.param("(NULL,NULL,NULL,NULL,NULL,0)", "#/url: Missing", id="no values"),
    ],
)
def test_row_of_sql_is_refused(database: Database, row: str, said: str) -> None:
    """A row of SQL that has no code or URL is refused, and others are created."""
    good = "('b','https://a.example','','2024-05-01 12:00:00','',0)"
    result = Result(database, f"INSERT INTO yourls_url VALUES {row},{good};".encode())
    assert list(result.links) == ["b"]
    [line] = result.lines
    assert said in line


def test_statements_can_share_a_line(database: Database) -> None:
    """No row is lost if a dump has several statements in a line, however long it is."""
    row = "('{}','https://a.example','{}','2024-05-01 12:00:00','',0)"
    other = f"INSERT INTO t VALUES ('{'x' * 70_000}');\n"
    for size in range(65_000, 65_700, 100):
        text = f"REPLACE INTO db.yourls_url VALUES {row.format('a', 'x' * size)}; {other}"
        text = text.replace(f"; {other}", f"; INSERT IGNORE INTO `yourls_url` VALUES {row};\n")
        text = other + text.format("b", "") + f"INSERT INTO url VALUES {row.format('c', '')};"
        assert list(Result(database, b"-- Dump\n" + text.encode()).links) == ["a", "b", "c"]
        with database.transactional.begin() as connection:
            connection.execute(sa.delete(LINKS))


def test_cut_sql_gives_only_whole_links(database: Database) -> None:
    """A dump that is cut off at any byte gives the links before the cut, and no part of one."""
    content = (FILES / "yourls.sql").read_bytes().rstrip()
    whole = {"fmt4a": "https://www.example.com/", "fmt4b": "https://www.example.com/b"}
    for cut in range(content.index(b"VALUES ") + 7, len(content)):
        result = Result(database, content[:cut])
        assert {code: link.url for code, link in result.links.items()}.items() <= whole.items()
        assert result.error
        with database.transactional.begin() as connection:
            connection.execute(sa.delete(LINKS))


def test_long_files_need_little_memory() -> None:
    """The readers of lines and of SQL keep only a part of a file in memory."""
    row = "('a','https://a.example','{}','2024-05-01 12:00:00','',0)"
    rows = ",".join([row.format("x" * 100)] * 50_000)
    parts = {
        "yourls-sql": f"INSERT INTO yourls_url VALUES {rows};",
        "yourls": "keyword,url,title\n" + f"a,https://a.example,{'x' * 100}\n" * 50_000,
        "golink": json.dumps({"Short": "a", "Long": "x" * 100}) + "\n",
    }
    parts["golink"] *= 50_000
    for name, text in parts.items():
        file = io.BytesIO(text.encode())
        reader = imports.FORMATS[name](file, UTC)
        tracemalloc.start()
        try:
            assert sum(1 for _ in reader) == 50_000
            assert tracemalloc.get_traced_memory()[1] < sys.getsizeof(text) / 2, name
        finally:
            tracemalloc.stop()


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
    text = f"keyword,url\na,https://a.example/{'x' * 2048}\n"
    assert Result(database, text.encode()).lines == [
        "Line 2: #/url: Must have at most 2048 characters."
    ]
