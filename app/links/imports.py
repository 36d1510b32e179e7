"""Import links from an export, with one transaction for each batch of lines.

An import never changes existing links, so an interrupted import can simply be run again.
"""

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import IO, Any

from marshmallow import ValidationError
from sqlalchemy import Connection

from app.api.problems import invalid_fields
from app.api.resources import in_turns, strict_json
from app.database import Database
from app.links import codes, exports, queries
from app.links.schemas import LinkImportSchema

BATCH = 1000  # lines
LINE_LIMIT = 64 * 1024  # bytes, as in the API
REASON_LIMIT = 500  # characters of the reason why a line is refused

Record = tuple[int, Callable[[], Any]]
"""A line's number, and a function that parses the line or raises ValueError."""

schema = LinkImportSchema()


class FormatError(Exception):
    """The file breaks its format in a way that makes the rest of it unreadable."""


class ImportReport(Counter[str]):
    """How many lines of an import were created, unchanged and refused so far."""

    def __init__(self) -> None:
        super().__init__(created=0, unchanged=0, refused=0)

    def __str__(self) -> str:
        """Return all counts in one line."""
        return ", ".join(f"{count:,} {name}" for name, count in self.items())


def run(
    database: Database, file: IO[bytes], file_format: str, report: ImportReport
) -> Iterator[dict[int, str]]:
    """Create the links in a file batch by batch, and update `report` after each batch.

    For each batch, yield the reasons why lines were refused, by line number.

    :param file_format: "jsonl" or "csv".
    :raises FormatError: the rest can't be read. The batches yielded so far are committed.
    """
    records = _csv(_lines(file)) if file_format == "csv" else _jsonl(_lines(file))
    while any(checked := _check(islice(records, BATCH))):
        links, refused = checked
        created, taken = _save(database, links)
        refused |= taken
        unchanged = len(links) - created - len(taken)
        report.update(created=created, unchanged=unchanged, refused=len(refused))
        yield refused


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
            yield number, partial(strict_json, line)


def _csv(lines: Iterable[bytes]) -> Iterator[Record]:
    # Bytes that are not UTF-8 become surrogates, which no field of a link accepts.
    reader = csv.reader(line.decode(errors="surrogateescape") for line in lines)
    try:
        header = next(reader, [])
        if not {"code", "url"} <= set(header) <= set(schema.fields):
            names = ", ".join(exports.schema.fields)
            raise FormatError(
                "The first line of a CSV file must name its columns: code, url, and optionally"
                f" others from this list: {names}."
            )
        for cells in reader:
            if cells:
                yield reader.line_num, partial(_from_cells, header, cells)
    except csv.Error as error:
        raise FormatError(f"Line {reader.line_num} is not valid CSV: {error}.") from None


def _from_cells(header: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """Return the fields of one CSV row. Empty cells are left out."""
    if len(cells) != len(header):
        raise ValueError(f"it must have {len(header)} cells, not {len(cells)}")
    fields: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    if exports.FORMULA.match(fields.get("title", "")):
        fields["title"] = fields["title"].removeprefix("'")
    if "tags" in fields:
        fields["tags"] = strict_json(fields["tags"].encode())
    return fields


def _check(batch: Iterable[Record]) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    """Return the valid links, and the reasons why other lines are refused, by line number."""
    links, refused = {}, {}
    for number, read in batch:
        try:
            links[number] = schema.load(read())
        except ValidationError as error:
            wrong = invalid_fields({"json": error.messages})
            reason = " ".join(f"{field['pointer']}: {field['detail']}" for field in wrong)
            refused[number] = reason[:REASON_LIMIT]
        except ValueError as error:
            refused[number] = f"It can't be read: {error}"
    return links, refused


def _save(database: Database, links: dict[int, dict[str, Any]]) -> tuple[int, dict[int, str]]:
    """Create links. Return their number, and why lines were refused because of a taken code."""
    keys = [codes.lookup_key(fields["code"]) for fields in links.values()]

    def work(connection: Connection) -> tuple[int, dict[int, str]]:
        existing: dict[str, Any] = dict(queries.find_by_keys(connection, keys))
        created, taken = [], {}
        for number, fields in links.items():
            row = queries.new_row(fields)
            other = existing.setdefault(row["lookup_key"], row)
            if other is row:
                created.append(row)
            elif any(
                other[name] != value for name, value in (queries.OPTIONAL_FIELDS | fields).items()
            ):
                taken[number] = "Another link has this code."
        if created:
            queries.insert_all(connection, created)
        return len(created), taken

    while True:
        try:
            return database.write(work, long=True)
        except queries.CodeTakenError:
            continue  # another client took a code after the lookup: the next lookup finds it
