"""Import links from other programs: the table of programs, readers of their files, and rules.

To remove this, delete the folder and its two lines in `app/links/__init__.py`. Imports of this
service's own exports don't need it.
"""

import codecs
from collections.abc import Iterator
from datetime import tzinfo
from functools import partial
from io import BufferedReader, BytesIO, StringIO, TextIOWrapper
from typing import IO, Any, cast

from app.api.resources import in_turns
from app.links import imports, records
from app.links.sources import readers
from app.links.sources.rules import parse
from app.links.sources.table import SOURCES, Source

HEAD = 64 * 1024  # bytes from which a format is recognised
READERS = {
    "csv": readers.read_csv,
    "jsonl": readers.read_json_lines,
    "json": readers.read_json,
    "sql": readers.read_sql,
    "html": readers.read_bookmarks,
}


def init() -> None:
    """Add the formats of the table to those that an import knows."""
    imports.FORMATS |= {source.name: partial(_records, source) for source in SOURCES}
    imports.RECOGNISERS[:] = [recognise]


def recognise(file: IO[bytes]) -> tuple[str | None, IO[bytes]]:
    """Return the name of the source of a file, or None, and a file with the same content."""
    peeked = BufferedReader(
        cast("Any", getattr(file, "raw", file)), HEAD
    )  # nothing has been read yet
    start = _text(BytesIO(peeked.peek())).read()
    return next((source.name for source in SOURCES if _is_from(source, start)), None), peeked


def _is_from(source: Source, start: str) -> bool:
    if source.kind != "csv" or start.lstrip()[:1] in {"{", "[", "<", ""}:
        return source.looks_like(start)
    try:
        return bool(
            readers.known_columns(readers.csv_header(StringIO(start, newline=""))[0], source)
        )
    except records.FormatError:
        return False


def _text(file: Any) -> TextIOWrapper:
    """Return the text of a file in UTF-8 or UTF-16. Each CR, LF or CRLF ends a line."""
    buffered = BufferedReader(file, HEAD)
    is_utf16 = buffered.peek(2).startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    # Bytes that are not UTF-8 become surrogates, which no field of a link accepts.
    encoding, errors = ("utf-16", "replace") if is_utf16 else ("utf-8-sig", "surrogateescape")
    return TextIOWrapper(buffered, encoding, errors, newline="")


def _records(source: Source, file: IO[bytes], zone: tzinfo) -> Iterator[imports.Record]:
    for place, read in in_turns(READERS[source.kind](_text(file), source)):
        yield place, partial(parse, source, zone, read)
