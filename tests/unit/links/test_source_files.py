"""Imports from other programs: files that are broken, cut off or large."""

import io
import json
import sys
import tracemalloc
from datetime import UTC

import pytest
import sqlalchemy as sa

from app.database import Database
from app.links import imports
from app.links.sources import readers
from app.links.tables import LINKS
from tests.support.links.imported import FILES, Result

pytestmark = pytest.mark.usefixtures("import_app")


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
            b"INSERT INTO `yourls_url` VALUES\n('a','" + b"a\n" * 40_000,
            "yourls-sql",
            "Line 32766: The file breaks its format here, was cut off, or has no links.",
            id="long row of SQL",
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
