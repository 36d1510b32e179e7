"""Imports from other programs, from spreadsheets and from bookmarks: each file and its links.

The files are in the folder imports/. They were written after each format's own documentation.
"""

from typing import Any

import pytest

from app.database import Database
from app.links.sources.table import SOURCES
from tests.support.links.imported import FILES, TAKEN, Result

pytestmark = pytest.mark.usefixtures("import_app")

CODE = (
    "#/code: Must be 1 to 64 letters, digits, -, _ or dots, begin with a letter or digit, and not"
    " end with a dot."
)
RESERVED = "#/code: Is reserved by this service."
CONTROL = "#/title: Must not contain control characters."
OPEN = "A quote is not closed, or the file was cut off."
LIKE = "Must be like 2030-12-31 23:59:59 or 2030-12-31T23:59:59+01:00, but is"
RFC3339 = "Must be an RFC 3339 time with an offset, from 1970 on: 2030-01-01T00:00:00Z."
NOON = "2024-05-01T12:00:00+00:00"

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
        "fmt5a fmt5v1.2 fmt5b",
        [
            "Line 2: url is now https://host.example/%s",
            "Line 3: url is now https://host.example/?q=%s",
            "Line 4: #/url: Must have no template but {{.Path}}.",
            "Line 5: #/url: Must not contain %s more than once.",
        ],
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
        "fmt22c v1.2 fmt22Ab",
        [
            f"Lines 2 to 3: {CONTROL}",
            f"Line 4: {CONTROL}",
            *(f"Line {number}: {CODE}" for number in (6, 7, 9)),
            *(f"Line {number}: {RESERVED}" for number in (10, 11, 12)),
            f"Line 14: {TAKEN}",
            f"Line 15: {TAKEN}",
            f"Line 16: {CODE}",
        ],
    ),
    "shlink-std.csv": ("shlink", "fmt2a fmt2b", []),
    "shlink-web.csv": ("shlink", "fmt1Ab fmt1v1.2", []),
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
        "fmt16.2 team16-docs lead16 end16 fmt16Ab",
        [
            "Lines 2 to 3: title is now Line one line two",
            "Line 4: code is now team16-docs",
            "Line 5: code is now lead16",
            "Line 6: code is now end16",
            f"Line 7: {RESERVED}",
            f"Line 8: {RESERVED}",
            f"Line 10: {TAKEN}",
            f"Line 11: {CODE}",
            "Line 12: #/clicks: Not a valid integer.",
            "Line 13: #/clicks: Must be greater than or equal to 0.",
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
