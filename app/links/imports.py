"""Import links from an export, with one transaction for each batch of lines.

An import never changes existing links, so an interrupted import can simply be run again.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import IO, Any, NamedTuple

from marshmallow import ValidationError, fields, post_load
from sqlalchemy import Connection

from app.api.problems import invalid_fields
from app.api.resources import Timestamp, WholeNumber, in_turns, strict_json
from app.database import Database
from app.links import codes, exports, queries
from app.links.schemas import LinkCreateSchema

BATCH = 1000  # lines
LINE_LIMIT = 64 * 1024  # bytes of a record, as in the API
REASON_LIMIT = 500  # characters of the reason why a line is refused

# The errors of Python's strict CSV reader, by how they begin, in other words.
CSV_ERRORS = {
    "',' expected": "Text follows a closing quote. In a quoted cell, write each quote twice.",
    "unexpected end": "A quote is not closed, or the file was cut off.",
    "new-line": "A carriage return is not followed by a line feed.",
}


class Lines(NamedTuple):
    """The first and the last line of a record."""

    first: int
    last: int

    def __str__(self) -> str:
        """Return the lines in words."""
        return f"Line {self.first}" if self.first == self.last else "Lines {} to {}".format(*self)


Record = tuple[Lines, Callable[[], Any]]
"""A record's lines, and a function that parses the record or raises ValueError."""


class ExportedTimestamp(Timestamp):
    """A time in an export. Earlier versions stored the first hours of 1970 with any offset."""

    earliest = datetime(1969, 12, 31, tzinfo=UTC)


class LinkImportSchema(LinkCreateSchema):
    """A link from an export, or from the list that the API returns.

    The code is required. Otherwise each import of the same file would create another link.
    """

    code = fields.String(required=True)
    expires_at = ExportedTimestamp(allow_none=True)
    created_at = ExportedTimestamp()
    updated_at = ExportedTimestamp()
    clicks = WholeNumber()  # checked, because a stray quote in CSV can pull whole rows into it
    short_url = fields.Raw()
    owner = fields.Raw()

    @post_load
    def without_results(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Drop results, and the clicks: an export has only their sum, not their hours."""
        return {name: data[name] for name in data.keys() - {"short_url", "clicks", "owner"}}


schema = LinkImportSchema()


class FormatError(Exception):
    """The file breaks its format in a way that makes the rest of it unreadable."""


class ImportReport(Counter[str]):
    """How many records of an import were created, unchanged and refused so far."""

    def __init__(self) -> None:
        super().__init__(created=0, unchanged=0, refused=0)

    def __str__(self) -> str:
        """Return all counts in one line."""
        return ", ".join(f"{count:,} {name}" for name, count in self.items())


def run(
    database: Database, file: IO[bytes], file_format: str, report: ImportReport
) -> Iterator[dict[Lines, str]]:
    """Create the links in a file batch by batch, and update `report` after each batch.

    For each batch, yield the reasons why records were refused, in the order of their lines.

    :param file_format: "jsonl" or "csv".
    :raises FormatError: the rest can't be read. All records before it are imported and yielded.
    """
    records = _csv(_lines(file)) if file_format == "csv" else _jsonl(_lines(file))
    while any(checked := _check(islice(records, BATCH))):
        links, refused, failure = checked
        created, taken = _save(database, links) if links else (0, {})
        refused |= taken
        unchanged = len(links) - created - len(taken)
        report.update(created=created, unchanged=unchanged, refused=len(refused))
        yield dict(sorted(refused.items()))
        if failure:
            raise failure


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    # The caller checks each line before it asks for the next one.
    for number, line in enumerate(in_turns(iter(partial(file.readline, LINE_LIMIT + 1), b"")), 1):
        if len(line) > LINE_LIMIT:
            raise FormatError(
                f"Line {number} has more than {LINE_LIMIT} bytes. Each line must hold one link."
            )
        # Spreadsheets write a byte order mark at the start of UTF-8 files.
        yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _jsonl(lines: Iterable[bytes]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            yield Lines(number, number), partial(_from_json, line)


def _from_json(line: bytes) -> Any:
    try:
        return strict_json(line)
    except json.JSONDecodeError as error:
        place = f"at character {error.pos + 1}"
        raise ValueError(f"it is not valid JSON, or breaks off, {place}") from None


def _csv(lines: Iterable[bytes]) -> Iterator[Record]:
    rows = _rows(lines)
    _, header, _ = next(rows, (None, [], True))
    if not {"code", "url"} <= set(header) <= set(exports.schema.fields):
        names = ", ".join(exports.schema.fields)
        raise FormatError(
            "The first line of a CSV file must name its columns: code, url, and optionally"
            f" others from this list: {names}."
        )
    if len(set(header)) != len(header):
        twice = ", ".join(name for name, count in Counter(header).items() if count > 1)
        raise FormatError(f"The first line must name each column only once. Repeated: {twice}.")
    for place, cells, ended in rows:
        if cells:
            yield place, partial(_from_cells, header, cells, ended)


def _rows(lines: Iterable[bytes]) -> Iterator[tuple[Lines, list[str], bool]]:
    """Yield the records of CSV: their lines, their cells, and whether a line break ends them."""
    first, size, ended = 1, 0, True

    def texts() -> Iterator[str]:
        nonlocal size, ended
        for number, line in enumerate(lines, 1):
            size += len(line)
            if size > LINE_LIMIT:
                raise FormatError(
                    f"{Lines(first, number)}: The record has more than {LINE_LIMIT} bytes. Perhaps"
                    " a quote is not closed."
                )
            ended = line.endswith((b"\r", b"\n"))
            # Bytes that are not UTF-8 become surrogates, which no field of a link accepts.
            yield line.decode(errors="surrogateescape")

    # Unless it is strict, Python's reader takes a file that was cut off within a quoted cell.
    reader = csv.reader(texts(), strict=True)
    try:
        for cells in reader:
            yield Lines(first, reader.line_num), cells, ended
            first, size = reader.line_num + 1, 0
    except csv.Error as error:
        reasons = (CSV_ERRORS[begin] for begin in CSV_ERRORS if str(error).startswith(begin))
        message = next(reasons, f"{error}.")
        raise FormatError(f"{Lines(first, reader.line_num)}: {message}") from None


def _from_cells(header: Sequence[str], cells: Sequence[str], ended: bool) -> dict[str, Any]:
    """Return the fields of one CSV record. Empty cells are left out.

    :param ended: whether a line break ends the record. If not, the last cell may be cut off.
    """
    if len(cells) != len(header):
        raise ValueError(f"it must have {len(header)} cells, not {len(cells)}")
    if not ended and header[-1] in {"code", "url"}:
        raise ValueError(
            f"the file may be cut off within the {header[-1]}. If it is complete, end it with a"
            " line break"
        )
    link: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    if exports.FORMULA.match(link.get("title", "")):
        link["title"] = link["title"].removeprefix("'")
    if "tags" in link:
        try:
            link["tags"] = strict_json(link["tags"].encode())
        except ValueError:
            raise ValueError('tags must be a JSON list, such as ["docs", "tools"]') from None
    return link


def _check(
    batch: Iterable[Record],
) -> tuple[dict[Lines, dict[str, Any]], dict[Lines, str], FormatError | None]:
    """Return the valid links, and the reasons why other records are refused, by their lines.

    The third is the error that ended the batch, or None.
    """
    links, refused = {}, {}
    try:
        for lines, read in batch:
            try:
                links[lines] = schema.load(read())
            except ValidationError as error:
                wrong = invalid_fields({"json": error.messages})
                reason = " ".join(f"{field['pointer']}: {field['detail']}" for field in wrong)
                refused[lines] = reason[:REASON_LIMIT]
            except ValueError as error:
                refused[lines] = f"It can't be read: {error}"
    except FormatError as failure:
        return links, refused, failure
    return links, refused, None


def _save(database: Database, links: dict[Lines, dict[str, Any]]) -> tuple[int, dict[Lines, str]]:
    """Create links. Return their number, and why records were refused because of a taken code."""
    keys = [codes.lookup_key(link["code"]) for link in links.values()]

    def work(connection: Connection) -> tuple[int, dict[Lines, str]]:
        existing: dict[str, Any] = dict(queries.find_by_keys(connection, keys))
        created, taken = [], {}
        for lines, link in links.items():
            row = queries.new_row(link)
            other = existing.setdefault(row["lookup_key"], row)
            if other is row:
                created.append(row)
            elif any(
                other[name] != value for name, value in (queries.OPTIONAL_FIELDS | link).items()
            ):
                taken[lines] = "Another link has this code."
        if created:
            queries.insert_all(connection, created, "import")
        return len(created), taken

    while True:
        try:
            return database.write(work, long=True)
        except queries.CodeTakenError:
            continue  # another client took a code after the lookup: the next lookup finds it
