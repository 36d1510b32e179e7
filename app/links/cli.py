"""The commands `slipway links …`, which export and import all links."""

import os
import sys
from datetime import tzinfo
from typing import IO

import click
from flask.cli import AppGroup

from app.database import database
from app.links import exports, imports
from app.links.records import FormatError

REPORT_INTERVAL = 10  # batches between reports if there is no terminal for a progress bar
CLEAR_LINE = "\r\x1b[K"  # removes the progress bar

links = AppGroup("links", help="Export and import links.")


@links.command("export")
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["jsonl", "csv"]),
    default="jsonl",
    show_default=True,
    help="Output format.",
)
def export_links(file_format: str) -> None:
    """Write all links to standard output as JSON Lines or CSV."""
    for part in exports.export_parts(database(), file_format):
        click.echo(part, nl=False)


class FormatName(click.ParamType[str]):
    """The name of a format that an import knows."""

    name = "format"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name if it is known."""
        if value not in imports.FORMATS:
            self.fail(f"Use one of these: {', '.join(imports.FORMATS)}.", param, ctx)
        return value


class TimeZone(click.ParamType[tzinfo]):
    """The name of a time zone in the IANA database."""

    name = "zone"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tzinfo:
        """Return the time zone."""
        try:
            return imports.time_zone(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@links.command("import")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--format",
    "file_format",
    type=FormatName(),
    help="File format. Default: recognised from the content, or else from the file name.",
)
@click.option(
    "--time-zone",
    "zone",
    type=TimeZone(),
    default="UTC",
    show_default=True,
    help="Time zone of times without an offset, in files of other programs.",
)
@click.option("--dry-run", is_flag=True, help="Create nothing, but show what would be created.")
def import_links(file: IO[bytes], file_format: str | None, zone: tzinfo, *, dry_run: bool) -> None:
    """Create links from FILE, or from standard input if FILE is -.

    FILE is an export of this service or of another program, or a spreadsheet: see docs/move-in.md
    for the formats, and for what is adjusted or refused.

    Existing links are never changed. If an identical link already exists, the line is counted as
    unchanged. A line is refused if it is invalid or if another link has its code. Refused and
    adjusted lines are reported on standard error. If a line was refused, the exit status is 1. An
    error in the format, such as a quote that is not closed, ends the import; all links before it
    are imported.

    Set PUBLIC_URL so that links that lead back to this service are refused too.

    The import commits after every 1,000 lines. If it is interrupted, run the same command again.
    """
    on_terminal = sys.stderr.isatty() and file.seekable()
    length = os.fstat(file.fileno()).st_size if on_terminal else 0
    report = imports.ImportReport(dry_run=dry_run)
    content = file
    if not file_format:
        file_format, content = imports.recognise(file, file.name)
    read = 0  # bytes
    try:
        with click.progressbar(
            length=length, file=sys.stderr, hidden=not on_terminal, item_show_func=_sums
        ) as bar:
            batches = imports.run(database(), content, file_format, report, zone)
            for number, refused in enumerate(batches, 1):
                for lines, reason in sorted((refused | report.notes).items()):
                    clear = CLEAR_LINE if on_terminal else ""
                    click.echo(f"{clear}{lines}: {reason}", err=True)
                if dry_run:
                    _show(report)
                if on_terminal:
                    at = length if content.closed else content.tell()  # readers close it at the end
                    bar.update(at - read, report)
                    read = at
                elif number % REPORT_INTERVAL == 0:
                    click.echo(report, err=True)
    except FormatError as error:
        click.echo(report)
        raise click.ClickException(str(error)) from None
    click.echo(report)
    sys.exit(bool(report["refused"]))


def _show(report: imports.ImportReport) -> None:
    for lines, link in report.links.items():
        click.echo(f"{lines}: would create {link['code']}, which leads to {link['url']}")


def _sums(report: imports.ImportReport | None) -> str:
    return str(report or "")
