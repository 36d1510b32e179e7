"""Files that are cut off at any byte, and imported into a small SQLite database."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
import sqlalchemy as sa
from flask import Flask

from app.database import Database
from app.links import imports, records
from app.links.tables import LINKS
from tests.unit.links.conftest import empty_database

LINKS_OF_FILE = {
    "one": 'https://example.com/ä,"?q="x"',
    "two": "https://example.com/2?q=1",
    "three": 'https://example.com/"3""',
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty database, and an application for the rules of fields."""
    app = Flask(__name__)
    app.config["PUBLIC_URL"] = "https://go.test"
    with app.app_context(), empty_database(tmp_path) as database:
        yield database


def take(database: Database, file: str | bytes, layout: str) -> tuple[dict[str, str], int]:
    """Import a file. Return the URLs of all links, and how many errors there were.

    Afterwards the database is empty again.
    """
    report, broken = imports.ImportReport(), 0
    content = file.encode() if isinstance(file, str) else file
    form = "jsonl" if layout == "jsonl" else "csv"
    try:
        for _ in imports.run(database, io.BytesIO(content), form, report):
            pass
    except records.FormatError:
        broken = 1
    with database.transactional.begin() as connection:
        rows = connection.execute(sa.select(LINKS.c.code, LINKS.c.url)).all()
        connection.execute(sa.delete(LINKS))
    assert report["created"] == len(rows)
    return {row.code: row.url for row in rows}, report["refused"] + broken


def write(layout: str, quoting: Literal[0, 1]) -> str:
    """Return a file of links.

    :param layout: "jsonl", or the columns of CSV. Columns other than code and url are empty.
    :param quoting: `csv.QUOTE_MINIMAL` or `csv.QUOTE_ALL`.
    """
    links = [{"code": code, "url": url} for code, url in LINKS_OF_FILE.items()]
    if layout == "jsonl":
        return "".join(json.dumps(link, ensure_ascii=False) + "\n" for link in links)
    text = io.StringIO()
    writer = csv.DictWriter(text, layout.split(","), quoting=quoting)
    writer.writeheader()
    writer.writerows(links)
    return text.getvalue()


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("layout", ["jsonl", "code,url", "url,code", "code,url,title"])
def test_cut_file_gives_only_whole_links(
    database: Database, layout: str, quoting: Literal[0, 1]
) -> None:
    """A file that is cut off at any byte gives all links before the cut, and no part of one."""
    file = write(layout, quoting).encode()
    assert take(database, file, layout) == (LINKS_OF_FILE, 0)
    header = 0 if layout == "jsonl" else file.index(b"\n") + 1
    for cut in range(header, len(file)):
        links, errors = take(database, file[:cut], layout)
        assert links.items() <= LINKS_OF_FILE.items(), file[:cut]
        whole = file[header:cut].count(b"\n")
        assert len(links) in {whole, whole + 1}, file[:cut]
        # What is left of a line is an error, or is a whole link that only lacks its line break.
        left = file[header:cut].rpartition(b"\n")[2]
        assert errors == bool(left) - (len(links) - whole), file[:cut]
