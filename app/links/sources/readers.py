"""One reader for each kind of file: CSV, JSON, JSON Lines, the SQL of a dump, and bookmarks.

A reader yields the place of each record, and a function that returns it as a dictionary with the
names of its source, or raises ValueError.
"""

import codecs
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from html.parser import HTMLParser
from itertools import chain, count
from typing import IO, Any

from app.api.resources import in_turns
from app.links.imports import check_header, check_repeated
from app.links.records import (
    LINE_LIMIT,
    FormatError,
    Lines,
    csv_rows,
    from_cells,
    json_lines,
    lines_of,
)
from app.links.sources.table import LOOKS, OWN, SOURCES, WITHIN, Source

Records = Iterator[tuple[Lines, Callable[[], Any]]]

CHUNK = 64 * 1024  # characters, and bytes from which a format is recognised
RECORD_LIMIT = 1024 * 1024  # characters of a record that is not a line
JSON_LIMIT = 4 * 1024 * 1024  # characters of a file of JSON, which is parsed in one piece

# SQL as mysqldump and phpMyAdmin write it.
STRING = r"'(?:[^'\\]++|\\.|'')*+'"
TABLE = r"(?:`?\w+`?\.)?`?\w*url`?\s*(?:\(([^()]*)\)\s*)?"
INSERT = re.compile(rf"\s*+(?:INSERT(?: IGNORE)?|REPLACE) INTO {TABLE}VALUES", re.IGNORECASE)
STATEMENT_START = 1000  # characters, which surely include the VALUES of an INSERT
ROW = re.compile(rf"\s*+\(((?:{STRING}|[^'()])*+)\)\s*+([,;])", re.DOTALL)
VALUE = re.compile(rf"(?:_\w+ )?({STRING})|([^\s,']+)", re.DOTALL)
ESCAPE = re.compile(r"\\(.)|''", re.DOTALL)
ESCAPED = {None: "'", "0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}
URL_COLUMNS = ["keyword", "url", "title", "timestamp", "ip", "clicks"]


def text_of(file: Any) -> io.TextIOWrapper:
    """Return the text of a file in UTF-8 or UTF-16. Each CR, LF or CRLF ends a line."""
    buffered = io.BufferedReader(file, CHUNK)
    is_utf16 = buffered.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    # Bytes that are not UTF-8 become surrogates, which no field of a link accepts.
    encoding, errors = ("utf-16", "replace") if is_utf16 else ("utf-8-sig", "surrogateescape")
    return io.TextIOWrapper(buffered, encoding, errors, newline="")


def recognise(file: IO[bytes]) -> tuple[str | None, IO[bytes]]:
    """Return the name of the source of a file, or None, and a file with the same content."""
    raw: Any = getattr(file, "raw", file)  # so that pipes are not read ahead
    peeked = io.BufferedReader(raw, CHUNK)
    start = text_of(io.BytesIO(peeked.peek())).read()
    return next((source.name for source in SOURCES if _is_from(source, start)), None), peeked


def _is_from(source: Source, start: str) -> bool:
    if source.kind != "csv" or start.lstrip()[:1] in {"{", "[", "<", ""}:
        pattern = LOOKS.get(source.name, "(?!)")  # which matches nothing
        return bool(re.search(pattern, start, re.DOTALL | re.IGNORECASE))
    try:
        return bool(_columns(csv_header(io.StringIO(start, newline=""))[0], source))
    except FormatError:
        return False


def _broken(line: int) -> FormatError:
    return FormatError(
        f"Line {line}: The file breaks its format here, was cut off, or has no links."
    )


def _lines(text: io.TextIOBase) -> Iterator[bytes]:
    return lines_of(lambda size: text.readline(size).encode(errors="surrogateescape"))


def csv_header(text: io.TextIOBase) -> tuple[list[str], Iterator[Any]]:
    """Return the names of the columns of CSV, and its rows. The delimiter is `,`, `;` or a tab."""
    parts = _lines(text)
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


def _columns(header: Sequence[str], source: Source) -> list[str]:
    """Return the names of columns as their source spells them, and "" for others."""
    names = {name.casefold(): name for given in source.fields.values() for name in given}
    columns = [names.get(name.casefold(), "") for name in header]
    check_repeated([name for name in columns if name])
    if not all(set(source.fields[field]) & set(columns) for field in ("code", "url")):
        wanted = " and ".join(" or ".join(source.fields[field]) for field in ("code", "url"))
        raise FormatError(f"The first line must name the columns {wanted}.")
    return columns


def _csv(text: io.TextIOBase, source: Source) -> Records:
    """Read CSV whose first line names the columns, in any order and case."""
    header, rows = csv_header(text)
    if source.name == OWN:
        check_header([name.casefold() for name in header if name])
    columns = _columns(header, source)
    vital = {*source.fields["code"], *source.fields["url"]}
    for place, cells, ended in rows:
        while len(cells) > len(columns) and not cells[-1]:
            cells.pop()
        if any(cells):
            yield place, partial(from_cells, columns, cells, ended, vital)


def _json(text: io.TextIOBase, source: Source) -> Records:
    """Read the objects in the list of a JSON document, or the objects that it has by their codes.

    One with several codes gives several records.
    """
    document = text.read(JSON_LIMIT + 1)
    if len(document) > JSON_LIMIT:
        raise FormatError(f"JSON can have up to {JSON_LIMIT:,} characters. Divide it into files.")
    name, *others = source.fields["code"]
    try:
        given = json.loads(document)
        by_code = (item | {name: code} for code, item in given.items())
        items = given[WITHIN[source.name]] if source.name in WITHIN else by_code
        found = [
            i | {name: code}
            for i in items
            for code in [i.get(name), *(code for other in others for code in i.get(other) or [])]
        ]
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise FormatError("The file is not JSON of this format, or was cut off.") from None
    for entry, item in enumerate(found, 1):
        yield Lines(0, 0, entry), partial(dict, item)


def _sql(text: io.TextIOBase, _source: Source) -> Records:
    """Read the rows that a dump inserts into YOURLS' table of links."""
    entries, line, rest = count(1), 1, ""
    columns: list[str] = []  # while the rows of an INSERT follow
    is_found = is_other = False  # is_other: until the end of the line, it is another statement
    for part in in_turns(iter(partial(text.readline, CHUNK), "")):
        rest, at = "" if is_other else rest + part, 0
        while True:
            if not columns and (begin := INSERT.match(rest, at)):
                is_found, at = True, begin.end()
                columns = re.findall(r"\w+", begin[1] or "") or URL_COLUMNS
            if not columns or not (row := ROW.match(rest, at)):
                break
            yield Lines(line, line, next(entries)), partial(_from_sql, columns, row[1])
            columns, at = [] if row[2] == ";" else columns, row.end()
        is_end = part.endswith("\n")
        is_other = not columns and not is_end and (is_other or len(rest) - at > STATEMENT_START)
        rest = "" if is_other or (is_end and not columns) else rest[at:]
        if len(rest) > LINE_LIMIT:  # each line searches it again from its start
            break
        line += is_end
    if columns or not is_found:
        raise _broken(line)


def _from_sql(columns: Sequence[str], row: str) -> dict[str, str]:
    values = [
        ESCAPE.sub(lambda found: ESCAPED.get(found[1], found[1]), text[1:-1])
        or word.replace("NULL", "")
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
            self.link["text"] = (self.link["text"] + data)[:CHUNK]

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self.link:
            self.found.append((self.getpos()[0], self.link))
            self.link = {}


def _bookmarks(text: io.TextIOBase, _source: Source) -> Records:
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
        raise _broken(parser.getpos()[0])


READERS: dict[str, Callable[[io.TextIOBase, Source], Records]] = {
    "csv": _csv,
    "jsonl": lambda text, _: json_lines(_lines(text)),
    "json": _json,
    "sql": _sql,
    "html": _bookmarks,
}
