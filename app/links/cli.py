"""The commands `slipway links …`, which export and import all links."""

import os
import sys
from typing import IO

import click
from flask.cli import AppGroup

from app.database import database
from app.links import exports, imports

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


@links.command("import")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--format",
    "file_format",
    type=click.Choice(["jsonl", "csv"]),
    help="File format. Default: csv if the file name ends in .csv, otherwise jsonl.",
)
def import_links(file: IO[bytes], file_format: str | None) -> None:
    """Create links from FILE, or from standard input if FILE is -.

    FILE has one link per line, in the format of "slipway links export".
    Each line needs a code and a url. Creation and update times are kept if the file has them.
    Clicks are not imported, since an export has only their sum.

    Existing links are never changed. If an identical link already exists, the line is counted as
    unchanged. A line is refused if it is invalid or if another link has its code. Refused lines
    are reported on standard error, and the exit status is then 1. An error in the CSV format, such
    as a quote that is not closed, ends the import; all links before it are imported.

    Set PUBLIC_URL so that links that lead back to this service are refused too.

    The import commits after every 1,000 lines. If it is interrupted, run the same command again.
    """
    file_format = file_format or ("csv" if file.name.endswith(".csv") else "jsonl")
    on_terminal = sys.stderr.isatty() and file.seekable()
    length = os.fstat(file.fileno()).st_size if on_terminal else 0
    report = imports.ImportReport()
    read = 0  # bytes
    try:
        with click.progressbar(
            length=length, file=sys.stderr, hidden=not on_terminal, item_show_func=_sums
        ) as bar:
            batches = imports.run(database(), file, file_format, report)
            for number, refused in enumerate(batches, 1):
                for lines, reason in refused.items():
                    clear = CLEAR_LINE if on_terminal else ""
                    click.echo(f"{clear}{lines}: {reason}", err=True)
                if on_terminal:
                    bar.update(file.tell() - read, report)
                    read = file.tell()
                elif number % REPORT_INTERVAL == 0:
                    click.echo(report, err=True)
    except imports.FormatError as error:
        click.echo(report)
        raise click.ClickException(str(error)) from None
    click.echo(report)
    sys.exit(bool(report["refused"]))


def _sums(report: imports.ImportReport | None) -> str:
    return str(report or "")
