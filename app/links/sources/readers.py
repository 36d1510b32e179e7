"""One reader for each kind of file: CSV, JSON, JSON Lines, the SQL of a dump, and bookmarks.

A reader yields the place of each record, and a function that returns it: a dictionary with the
names of its source. The function raises ValueError if the record can't be read.
"""

import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html.parser import HTMLParser
from itertools import chain, count
from typing import Any

from app.api.resources import in_turns
from app.links.imports import check_header, check_repeated
from app.links.records import FormatError, Lines, csv_rows, from_cells, json_lines, lines_of
from app.links.sources.table import KEY, OWN, WITHIN, Source

Records = Iterator[tuple[Lines, Callable[[], Any]]]

CHUNK = 64 * 1024  # characters
RECORD_LIMIT = 1024 * 1024  # characters of a record that is not a line
JSON_LIMIT = 4 * 1024 * 1024  # characters of a JSON document, which is parsed in one piece

# SQL as mysqldump and phpMyAdmin write it.
STRING = r"'(?:[^'\\]++|\\.|'')*+'"
INSERT = re.compile(r"INSERT INTO `?\w*url`? *(?:\(([^()]*)\) *)?VALUES", re.IGNORECASE)
ROW = re.compile(rf"\s*+\(((?:{STRING}|[^'()])*+)\)\s*+([,;])", re.DOTALL)
VALUE = re.compile(rf"(?:_\w+ )?({STRING})|([^\s,']+)", re.DOTALL)
ESCAPE = re.compile(r"\\(.)|''", re.DOTALL)
ESCAPED = {None: "'", "0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
URL_COLUMNS = ["keyword", "url", "title", "timestamp", "ip", "clicks"]


def broken(line: int) -> FormatError:
    """Return the error of a file that can't be read on."""
    return FormatError(f"Line {line}: The file breaks its format here, or was cut off.")


def lines(text: io.TextIOBase) -> Iterator[bytes]:
    """Yield the lines of a text in UTF-8."""
    return lines_of(lambda size: text.readline(size).encode(errors="surrogateescape"))


def csv_header(text: io.TextIOBase) -> tuple[list[str], Iterator[Any]]:
    """Return the names of the columns of CSV, and its rows. The delimiter is `,`, `;` or a tab."""
    parts = lines(text)
    start = [next(parts, b"")]
    named = re.match(rb'"?sep=([,;\t|])', start[0])
    if named:
        start.append(next(parts, b""))
    by_count = max(",;\t", key=start[-1].decode(errors="replace").count)
    delimiter = named[1].decode() if named else by_count
    rows = csv_rows(chain(start, parts), delimiter=delimiter, skipinitialspace=True)
    for _ in start:
        _, names, _ = next(rows, (None, [], True))
    return [name.strip() for name in names], rows


def known_columns(header: Sequence[str], source: Source) -> list[str]:
    """Return the names of columns as their source spells them, and "" for others.

    :raises FormatError: a column is repeated, or there is none of a code or a URL.
    """
    names = {name.casefold(): name for given in source.fields.values() for name in given}
    columns = [names.get(name.casefold(), "") for name in header]
    check_repeated([name for name in columns if name])
    if not all(set(source.fields[field]) & set(columns) for field in ("code", "url")):
        wanted = " and ".join(" or ".join(source.fields[field]) for field in ("code", "url"))
        raise FormatError(f"The first line must name the columns {wanted}.")
    return columns


def read_csv(text: io.TextIOBase, source: Source) -> Records:
    """Read CSV whose first line names the columns, in any order and case."""
    header, rows = csv_header(text)
    if source.name == OWN:
        check_header([name.casefold() for name in header if name])
    columns = known_columns(header, source)
    vital = {*source.fields["code"], *source.fields["url"]}
    for place, cells, ended in rows:
        while len(cells) > len(columns) and not cells[-1]:
            cells.pop()
        if any(cells):
            yield place, partial(from_cells, columns, cells, ended, vital)


def read_json_lines(text: io.TextIOBase, _source: Source) -> Records:
    """Read a JSON object from each line."""
    return json_lines(lines(text))


def read_json(text: io.TextIOBase, source: Source) -> Records:
    """Read the objects in the lists of JSON documents, or objects that have names."""
    document, at, line = text.read(JSON_LIMIT + 1), 0, 1
    if len(document) > JSON_LIMIT:
        raise FormatError(f"JSON can have up to {JSON_LIMIT:,} characters. Divide it into files.")
    entries = count(1)
    while document[at:].strip():  # the pages of an API can follow one another
        begin = len(document) - len(document[at:].lstrip())
        line += document.count("\n", at, begin)
        try:
            page, at = json.JSONDecoder().raw_decode(document, begin)
            found = list(_objects(page, source))
        except (ValueError, RecursionError, TypeError, KeyError):
            raise broken(line) from None
        for record in found:
            yield Lines(line, line, next(entries)), partial(dict, record)
        line += document.count("\n", begin, at)


def _objects(page: Any, source: Source) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSON document. One with several codes is several objects."""
    if isinstance(page, dict) and source.name not in WITHIN:
        page = [item | {KEY: name} for name, item in page.items()]
    elif isinstance(page, dict):
        page = page[WITHIN[source.name]]
    names = source.fields["code"]
    for item in page:
        for value in [item[name] for name in names if name in item] or [None]:
            for code in value if isinstance(value, list) else [value]:
                yield item | {names[0]: code}


def read_sql(text: io.TextIOBase, _source: Source) -> Records:
    """Read the rows that a dump inserts into YOURLS' table of links."""
    entries, line, rest = count(1), 1, ""
    columns: list[str] = []  # while the rows of an INSERT follow
    is_begin = True
    for part in in_turns(iter(partial(text.readline, CHUNK), "")):
        begin = INSERT.match(part) if is_begin and not columns else None
        if begin:
            columns = re.findall(r"\w+", begin[1] or "") or URL_COLUMNS
        rest += part[begin.end() if begin else 0 :] if columns else ""
        at = 0
        while columns and (row := ROW.match(rest, at)):
            yield Lines(line, line, next(entries)), partial(_from_sql, columns, row[1])
            at = row.end()
            if row[2] == ";":
                columns, rest = [], ""
        rest = rest[at:]
        if len(rest) > RECORD_LIMIT:
            raise broken(line)
        is_begin = part.endswith("\n")
        line += is_begin
    if columns:
        raise broken(line)


def _from_sql(columns: Sequence[str], row: str) -> dict[str, str]:
    values = [
        ESCAPE.sub(lambda found: ESCAPED.get(found[1], found[1]), text[1:-1]) if text else word
        for text, word in VALUE.findall(row)
    ]
    if len(values) != len(columns):
        raise ValueError(f"it must have {len(columns)} values, not {len(values)}")
    return dict(zip(columns, values, strict=True))


class _Links(HTMLParser):
    """Collects the links of a page with their attributes and their text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[int, dict[str, Any]]] = []
        self.link: dict[str, Any] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.link = dict(attrs) | {"text": ""}

    def handle_data(self, data: str) -> None:
        if self.link:
            self.link["text"] += data[:CHUNK]

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.link:
            self.found.append((self.getpos()[0], self.link))
            self.link = {}


def read_bookmarks(text: io.TextIOBase, _source: Source) -> Records:
    """Read the links of a bookmark file, as browsers and linkding export them."""
    entries, parser = count(1), _Links()
    for chunk in in_turns(iter(partial(text.read, CHUNK), "")):
        parser.feed(chunk)
        for line, link in parser.found:
            yield Lines(line, line, next(entries)), partial(dict, link)
        parser.found.clear()
        if len(parser.rawdata) > RECORD_LIMIT:
            break
    if parser.link or "<" in parser.rawdata:
        raise broken(parser.getpos()[0])
