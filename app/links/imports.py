"""Links from an export back into the database, a batch of lines in each transaction.

What is there already and equal is left alone, so an import that was cut off can run again.
"""

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import IO, Any, NamedTuple

from marshmallow import ValidationError
from sqlalchemy import Connection

from app.api import strict_json
from app.database import Database
from app.errors import invalid_fields
from app.links import codes, exports, store
from app.links.schemas import LinkImportSchema

BATCH = 1000  # lines
LINE_LIMIT = 64 * 1024  # bytes: what the API takes for a link
TURN = 64 * 1024  # bytes, after which the other requests of this process have their turn
TOLD = 500  # characters of what is wrong with a line

Record = tuple[int, Callable[[], Any]]
"""The number of a line, and what reads it or raises ValueError."""

schema = LinkImportSchema()


class FormatError(Exception):
    """The file is not of its form, from some line on."""


class Outcome(NamedTuple):
    """What became of a batch of lines."""

    created: int
    unchanged: int
    refused: dict[int, str]  # the reason, by the number of the line


def run(database: Database, file: IO[bytes], form: str) -> Iterator[Outcome]:
    """Create the links of a file, "jsonl" or "csv", and yield what became of each batch.

    :raises FormatError: it can't be read on; what was yielded is in the database.
    """
    records = _csv(_lines(file)) if form == "csv" else _jsonl(_lines(file))
    while any(checked := _check(islice(records, BATCH))):
        yield _save(database, *checked)


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    number = unbroken = 0
    while line := file.readline(LINE_LIMIT + 1):
        number += 1
        unbroken += len(line)
        if unbroken > TURN:
            unbroken = 0
            time.sleep(0.001)  # of none at all, gevent lets itself go on up to 50 times
        if len(line) > LINE_LIMIT:
            raise FormatError(f"Line {number} has more than {LINE_LIMIT} bytes. Is it one link?")
        # Spreadsheets put this mark in front of UTF-8.
        yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def _jsonl(lines: Iterable[bytes]) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            yield number, partial(strict_json, line)


def _csv(lines: Iterable[bytes]) -> Iterator[Record]:
    # What is not UTF-8 becomes surrogates, which no field of a link may hold.
    reader = csv.reader(line.decode(errors="surrogateescape") for line in lines)
    try:
        header = next(reader, [])
        if not {"code", "url"} <= set(header) <= set(schema.fields):
            names = ", ".join(exports.schema.fields)
            raise FormatError(f"The first line of CSV must name the columns, of {names}.")
        for cells in reader:
            if cells:
                yield reader.line_num, partial(_from_cells, header, cells)
    except csv.Error as error:
        raise FormatError(f"Line {reader.line_num} is not CSV: {error}.") from None


def _from_cells(header: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """Return a link's fields; an empty cell is none."""
    if len(cells) != len(header):
        raise ValueError(f"it has {len(cells)} of {len(header)} cells")
    fields: dict[str, Any] = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    if exports.FORMULA.match(fields.get("title", "")):
        fields["title"] = fields["title"].removeprefix("'")
    if "tags" in fields:
        fields["tags"] = strict_json(fields["tags"].encode())
    return fields


def _check(batch: Iterable[Record]) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    """Return the links that keep the API's rules, and why the others don't, by their lines."""
    links, refused = {}, {}
    for number, read in batch:
        try:
            links[number] = schema.load(read())
        except ValidationError as error:
            wrong = invalid_fields({"json": error.messages_dict})
            reason = " ".join(f"{field['pointer']}: {field['detail']}" for field in wrong)
            refused[number] = reason[:TOLD]
        except ValueError as error:
            refused[number] = f"It can't be read: {error}"
    return links, refused


def _save(database: Database, links: dict[int, dict[str, Any]], refused: dict[int, str]) -> Outcome:
    keys = [codes.lookup_key(fields["code"]) for fields in links.values()]

    def work(connection: Connection) -> Outcome:
        there: dict[str, Any] = dict(store.known(connection, keys))
        created, taken = [], {}
        for number, fields in links.items():
            row = store.new_row(fields)
            other = there.setdefault(row["lookup_key"], row)
            if other is row:
                created.append(row)
            elif any(other[name] != value for name, value in (store.OPTIONAL | fields).items()):
                taken[number] = "Another link has this code."
        if created:
            store.add_all(connection, created)
        return Outcome(len(created), len(links) - len(created) - len(taken), refused | taken)

    while True:
        try:
            return database.write(work, long=True)
        except store.CodeTakenError:
            continue  # by another client, since the look-up: the next one finds it
