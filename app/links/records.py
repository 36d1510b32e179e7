"""Read the records of a file: JSON Lines, and the rows of CSV, with their line numbers."""

import csv
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from app.api.resources import in_turns, strict_json

LINE_LIMIT = 64 * 1024  # bytes of a record, as in the API

# The errors of Python's strict CSV reader, by how they begin, in other words.
CSV_ERRORS = {
    "',' expected": "Text follows a closing quote. In a quoted cell, write each quote twice.",
    "unexpected end": "A quote is not closed, or the file was cut off.",
    "new-line": "A carriage return is not followed by a line feed.",
}


class Lines(NamedTuple):
    """The first and the last line of a record, or 0 if the file is not read by lines."""

    first: int
    last: int
    entry: int = 0  # the number of the record in its file, if a line can have several

    def __str__(self) -> str:
        """Return the lines in words."""
        lines = f"Line {self.first}" if self.first == self.last else "Lines {} to {}".format(*self)
        if not self.first:
            return f"Entry {self.entry}"
        return f"{lines}, entry {self.entry}" if self.entry else lines


class FormatError(Exception):
    """The file breaks its format in a way that makes the rest of it unreadable."""


def lines_of(readline: Callable[[int], bytes]) -> Iterator[bytes]:
    """Yield lines of up to LINE_LIMIT bytes.

    :param readline: returns the next line, or as many of its bytes as its argument says.
    :raises FormatError: a line is longer.
    """
    # The caller checks each line before it asks for the next one.
    for number, line in enumerate(in_turns(iter(partial(readline, LINE_LIMIT + 1), b"")), 1):
        if len(line) > LINE_LIMIT:
            raise FormatError(
                f"Line {number} has more than {LINE_LIMIT} bytes. Each line must hold one link."
            )
        # Spreadsheets write a byte order mark at the start of UTF-8 files.
        yield line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def json_lines(lines: Iterable[bytes]) -> Iterator[tuple[Lines, Callable[[], Any]]]:
    """Yield the place of each JSON value, and a function that parses it or raises ValueError."""
    for number, line in enumerate(lines, 1):
        if not line.isspace():
            yield Lines(number, number), partial(_from_json, line)


def _from_json(line: bytes) -> Any:
    try:
        return strict_json(line)
    except json.JSONDecodeError as error:
        place = f"at character {error.pos + 1}"
        raise ValueError(f"it is not valid JSON, or breaks off, {place}") from None


def csv_rows(lines: Iterable[bytes], **dialect: Any) -> Iterator[tuple[Lines, list[str], bool]]:
    """Yield the records of CSV: their lines, their cells, and whether a line break ends them.

    :param dialect: arguments of `csv.reader`.
    :raises FormatError: a record is too long, or breaks the format.
    """
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
    reader = csv.reader(texts(), strict=True, **dialect)
    try:
        for cells in reader:
            yield Lines(first, reader.line_num), cells, ended
            first, size = reader.line_num + 1, 0
    except csv.Error as error:
        reasons = (CSV_ERRORS[begin] for begin in CSV_ERRORS if str(error).startswith(begin))
        message = next(reasons, f"{error}.")
        raise FormatError(f"{Lines(first, reader.line_num)}: {message}") from None


def from_cells(
    header: Sequence[str], cells: Sequence[str], ended: bool, vital: Collection[str]
) -> dict[str, Any]:
    """Return the cells of one CSV record by their columns. Empty cells are left out.

    :param ended: whether a line break ends the record. If not, the last cell may be cut off.
    :param vital: the columns of the code and the URL.
    """
    if len(cells) != len(header):
        raise ValueError(f"it must have {len(header)} cells, not {len(cells)}")
    if not ended and header[-1] in vital:
        raise ValueError(
            f"the file may be cut off within the {header[-1]}. If it is complete, end it with a"
            " line break"
        )
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell}
