"""Import links from an export, with one transaction for each batch of lines.

An import never changes existing links, so an interrupted import can simply be run again.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from functools import partial
from itertools import islice
from typing import IO, Any, NamedTuple
from zoneinfo import ZoneInfo

from marshmallow import ValidationError, fields, post_load, validate
from sqlalchemy import Connection

from app.api.problems import invalid_fields
from app.api.resources import Timestamp, WholeNumber, strict_json
from app.database import Database
from app.links import codes, exports, queries
from app.links.click_counts import upsert_counts
from app.links.records import FormatError, Lines, csv_rows, from_cells, json_lines, lines_of
from app.links.schemas import LinkCreateSchema
from app.links.trial import TAKEN, Trial, differs

BATCH = 1000  # lines
REASON_LIMIT = 500  # characters of the reason why a line is refused
# The hour of clicks that were counted elsewhere, of which only the sum is known. No link is older,
# so the sum is in totals and roll-ups, but not in statistics of the hours since.
COUNTED_ELSEWHERE = datetime(1970, 1, 1, tzinfo=UTC)


class Parsed(NamedTuple):
    """The valid fields of a link, its clicks to add, and what was adjusted, or ""."""

    fields: dict[str, Any]
    clicks: int = 0
    note: str = ""


Record = tuple[Lines, Callable[[], Parsed]]
"""A record's lines, and a function that parses it, or raises ValueError or ValidationError."""

Reader = Callable[[IO[bytes], tzinfo], Iterator[Record]]
"""A function that reads the records of a file. Times without an offset are in the time zone."""


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
    # Checked even if it is not kept, because a stray quote in CSV can pull whole rows into it.
    clicks = WholeNumber(validate=validate.Range(min=0))
    short_url = fields.Raw()
    owner = fields.Raw(allow_none=True)

    @post_load
    def without_results(self, data: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
        """Add defaults, and drop results. Of clicks, an export has only the sum, not the hours."""
        given = {name: data[name] for name in data.keys() - {"short_url", "clicks", "owner"}}
        return queries.OPTIONAL_FIELDS | given


schema = LinkImportSchema()


class ImportReport(Counter[str]):
    """How many records of an import were created, unchanged and refused so far.

    `links` has the links that the last batch created, and `notes` what was adjusted in them.
    """

    def __init__(self, *, dry_run: bool = False) -> None:
        super().__init__(created=0, unchanged=0, refused=0)
        self.dry_run = dry_run
        self.links: Mapping[Lines, dict[str, Any]] = {}
        self.notes: dict[Lines, str] = {}

    def __str__(self) -> str:
        """Return all counts in one line."""
        return ", ".join(f"{count:,} {name}" for name, count in self.items())


def run(
    database: Database,
    file: IO[bytes],
    file_format: str,
    report: ImportReport,
    zone: tzinfo = UTC,
) -> Iterator[dict[Lines, str]]:
    """Create the links in a file batch by batch, and update `report` after each batch.

    If the report is of a dry run, create nothing, but report what would be created. For each batch,
    yield the reasons why records were refused, in the order of their lines.

    :param file_format: one of FORMATS.
    :param zone: the time zone of times without an offset, in formats that allow them.
    :raises FormatError: the rest can't be read. All records before it are imported and yielded.
    """
    records = FORMATS[file_format](file, zone)
    save = Trial(_sort).sort if report.dry_run else _save
    while any(checked := _check(islice(records, BATCH))):
        links, refused, failure = checked
        report.links, taken = save(database, links) if links else ({}, {})
        report.notes = {at: note for at in report.links if (note := links[at].note)}
        refused |= taken
        unchanged = len(links) - len(report.links) - len(taken)
        report.update(created=len(report.links), unchanged=unchanged, refused=len(refused))
        if report.notes:
            report.update(adjusted=len(report.notes))
        yield dict(sorted(refused.items()))
        if failure:
            raise failure


def time_zone(name: str) -> tzinfo:
    """Return the time zone with this name in the IANA database.

    :raises ValueError: there is none. The message is for people.
    """
    try:
        return UTC if name == "UTC" else ZoneInfo(name)  # UTC: also without the database
    except (KeyError, ValueError, OSError):  # unknown, a path, or a folder
        raise ValueError("Use the name of a time zone, such as Europe/Berlin.") from None


def recognise(file: IO[bytes], name: str) -> tuple[str, IO[bytes]]:
    """Return a file's format, and a file to read it from, which has the same content.

    :param name: the file's name, which decides if the content does not.
    """
    for recogniser in RECOGNISERS:
        file_format, file = recogniser(file)
        if file_format:
            return file_format, file
    return "csv" if name.lower().endswith(".csv") else "jsonl", file


def check_header(header: Sequence[str]) -> None:
    """Check the names of CSV columns.

    :raises FormatError: a column is missing, unknown or repeated.
    """
    if not {"code", "url"} <= set(header) <= set(exports.schema.fields):
        names = ", ".join(exports.schema.fields)
        raise FormatError(
            "The first line of a CSV file must name its columns: code, url, and optionally"
            f" others from this list: {names}."
        )
    check_repeated(header)


def check_repeated(header: Sequence[str]) -> None:
    """Check that no CSV column is repeated.

    :raises FormatError: one is.
    """
    if len(set(header)) != len(header):
        twice = ", ".join(name for name, count in Counter(header).items() if count > 1)
        raise FormatError(f"The first line must name each column only once. Repeated: {twice}.")


def _own_jsonl(file: IO[bytes], _zone: tzinfo) -> Iterator[Record]:
    for place, parse in json_lines(lines_of(file.readline)):
        yield place, partial(_from_own_json, parse)


def _from_own_json(parse: Callable[[], Any]) -> Parsed:
    return Parsed(schema.load(parse()))


def _own_csv(file: IO[bytes], _zone: tzinfo) -> Iterator[Record]:
    rows = csv_rows(lines_of(file.readline))
    _, header, _ = next(rows, (None, [], True))
    check_header(header)
    for place, cells, ended in rows:
        if cells:
            yield place, partial(_from_own_cells, header, cells, ended)


def _from_own_cells(header: Sequence[str], cells: Sequence[str], ended: bool) -> Parsed:
    link = from_cells(header, cells, ended, {"code", "url"})
    if "title" in link:
        link["title"] = unguarded(link["title"])
    if "tags" in link:
        link["tags"] = json_tags(link["tags"])
    return Parsed(schema.load(link))


def unguarded(title: str) -> str:
    """Return a title without the quote that an export puts before what looks like a formula."""
    return title.removeprefix("'") if exports.FORMULA.match(title) else title


def json_tags(cell: str) -> Any:
    """Return the tags in a cell of CSV.

    :raises ValueError: it is not JSON. The message is for people.
    """
    try:
        return strict_json(cell.encode())
    except ValueError:
        raise ValueError('tags must be a JSON list, such as ["docs", "tools"]') from None


def _check(
    batch: Iterable[Record],
) -> tuple[dict[Lines, Parsed], dict[Lines, str], FormatError | None]:
    """Return the valid links, and the reasons why other records are refused, by their lines.

    The third is the error that ended the batch, or None.
    """
    links, refused = {}, {}
    try:
        for lines, parse in batch:
            try:
                links[lines] = parse()
            except ValidationError as error:
                wrong = invalid_fields({"json": error.messages})
                reason = " ".join(f"{field['pointer']}: {field['detail']}" for field in wrong)
                refused[lines] = reason[:REASON_LIMIT]
            except ValueError as error:
                refused[lines] = f"It can't be read: {error}"
    except FormatError as failure:
        return links, refused, failure
    return links, refused, None


def _save(
    database: Database, links: Mapping[Lines, Parsed]
) -> tuple[dict[Lines, dict[str, Any]], dict[Lines, str]]:
    """Create links with their clicks. Return the same as `_sort`."""

    def work(connection: Connection) -> tuple[dict[Lines, dict[str, Any]], dict[Lines, str]]:
        created, taken = _sort(connection, links)
        rows = list(created.values())
        stored = queries.insert_all(connection, rows, "import") if rows else []
        clicks = {row["lookup_key"]: links[at].clicks for at, row in created.items()}
        counts = {row["id"]: count for row in stored if (count := clicks[row["lookup_key"]])}
        if counts:
            upsert_counts(connection, COUNTED_ELSEWHERE, counts)
        return created, taken

    while True:
        try:
            return database.write(work, long=True)
        except queries.CodeTakenError:
            continue  # another client took a code after the lookup: the next lookup finds it


def _sort(
    connection: Connection, links: Mapping[Lines, Parsed]
) -> tuple[dict[Lines, dict[str, Any]], dict[Lines, str]]:
    """Return the rows to create, and why records are refused because of a taken code."""
    keys = [codes.lookup_key(link.fields["code"]) for link in links.values()]
    existing: dict[str, Any] = dict(queries.find_by_keys(connection, keys))
    created, taken = {}, {}
    for lines, link in links.items():
        row = queries.new_row(link.fields)
        other = existing.setdefault(row["lookup_key"], row)
        if other is row:
            created[lines] = row
        elif differs(other, link.fields):
            taken[lines] = TAKEN
    return created, taken


FORMATS: dict[str, Reader] = {"jsonl": _own_jsonl, "csv": _own_csv}
"""The readers of this service's own formats. `sources/` adds those of other programs."""

RECOGNISERS: list[Callable[[IO[bytes]], tuple[str | None, IO[bytes]]]] = []
"""Functions that return the format of a file or None, and a file with the same content."""
