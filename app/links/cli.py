"""`slipway links …`: all links out of the database, and back into it."""

import os
import sys
from collections import Counter
from typing import IO

import click
from flask.cli import AppGroup

from app.database import database
from app.links import exports, imports

TOLD_EVERY = 10  # batches, where no terminal shows a progress bar
CLEAR = "\r\x1b[K"  # the line that the progress bar is on

links = AppGroup("links", help="Export and import links.")


@links.command("export")
@click.option("--format", "form", type=click.Choice(["jsonl", "csv"]), default="jsonl")
def export_links(form: str) -> None:
    """Write all links to standard output, as JSON Lines or CSV."""
    for part in exports.lines(database(), form):
        click.echo(part, nl=False)


@links.command("import")
@click.argument("file", type=click.File("rb"))
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    help="Where it is not told: csv for a name that ends in .csv, else jsonl.",
)
def import_links(file: IO[bytes], form: str | None) -> None:
    """Create the links of an export; FILE can be - for standard input.

    Every line needs a code and a url. A link keeps its times where the file has them. Clicks are
    not taken over, since an export has only their sum. A link that is there already and equal is
    unchanged; a line that breaks a rule, or whose code another link has, is refused and named on
    standard error, and the exit status is 1. A line that leads back to this service is found only
    where PUBLIC_URL is set.

    1,000 lines are one transaction. After an interruption, run the same command again.
    """
    form = form or ("csv" if file.name.endswith(".csv") else "jsonl")
    shown = sys.stderr.isatty() and file.seekable()
    length = os.fstat(file.fileno()).st_size if shown else 0
    sums: Counter[str] = Counter(created=0, unchanged=0, refused=0)
    try:
        with click.progressbar(
            length=length, file=sys.stderr, hidden=not shown, item_show_func=_told
        ) as bar:
            for number, outcome in enumerate(imports.run(database(), file, form), 1):
                for line, reason in outcome.refused.items():
                    click.echo(f"{CLEAR if shown else ''}Line {line}: {reason}", err=True)
                sums.update(outcome._asdict() | {"refused": len(outcome.refused)})
                if shown:
                    bar.update(file.tell() - bar.pos, sums)
                elif number % TOLD_EVERY == 0:
                    click.echo(_told(sums), err=True)
    except imports.FormatError as error:
        click.echo(_told(sums))
        raise click.ClickException(str(error)) from None
    click.echo(_told(sums))
    sys.exit(bool(sums["refused"]))


def _told(sums: Counter[str] | None) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in (sums or {}).items())
