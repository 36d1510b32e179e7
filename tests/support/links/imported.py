"""Import a file into a small database, and look at what happened."""

import io
from pathlib import Path
from typing import Any

from app.database import Database
from app.links import imports, lists, records
from tests.support.checkout import ROOT

FILES: Path = ROOT / "tests/unit/links/imports"
TAKEN = "Another link has this code."


class Result:
    """What an import printed, and the links that there are afterwards, by code."""

    def __init__(self, database: Database, content: bytes, **options: Any) -> None:
        report = imports.ImportReport(dry_run=options.pop("dry_run", False))
        self.format, file = imports.recognise(io.BytesIO(content), options.pop("name", "links"))
        self.lines: list[str] = []
        self.error = ""
        named = options.pop("file_format", self.format)
        try:
            for refused in imports.run(database, file, named, report, **options):
                told = refused | report.notes
                self.lines += [f"{lines}: {told[lines]}" for lines in sorted(told)]
        except records.FormatError as error:
            self.error = str(error)
        self.sums = str(report)
        with database.read() as connection:
            links = lists.after_id(connection, 0, 1000)
        self.links = {link.code: link for link in links}
