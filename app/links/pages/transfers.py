"""The page that imports and exports links, and what it does with an uploaded file."""

from collections.abc import Mapping
from itertools import islice
from typing import Any

from flask import render_template
from werkzeug.datastructures import FileStorage

from app.api.problems import RETRY_AFTER
from app.database import database
from app.database.deadline import renew_budget
from app.database.errors import UNAVAILABLE
from app.links import imports
from app.links.records import FormatError, Lines
from app.telemetry.logs import add_log_context

MAX_SHOWN_LINES = 100  # of each kind that the page of an import shows
INTERRUPTED = "The database did not answer in time. Import the file again: created links are kept."


def page(status: int = 200, **values: Any) -> tuple[str, int]:
    """Return the page that imports and exports links."""
    return render_template("transfer.html", formats=list(imports.FORMATS), **values), status


def import_file(file: FileStorage, form: Mapping[str, str]) -> Any:
    """Import a file, or only show what that would do if the form has the field `check`."""
    report = imports.ImportReport(dry_run="check" in form)
    file_format, content = imports.recognise(file.stream, str(file.filename))
    file_format = form.get("format") or file_format
    try:
        zone = imports.time_zone(form.get("zone", "UTC").strip())
    except ValueError as failure:
        return page(422, error=str(failure))
    if file_format not in imports.FORMATS:
        return page(422, error="Choose a format from the list.")
    shown: dict[str, dict[Lines, Any]] = {"refused": {}, "adjusted": {}, "created": {}}
    error, status, headers = "", 200, {}
    try:
        for refused in imports.run(database(), content, file_format, report, zone):
            renew_budget()
            more = {"refused": refused, "adjusted": report.notes, "created": report.links}
            for name, found in more.items():
                shown[name] |= dict(islice(found.items(), MAX_SHOWN_LINES - len(shown[name])))
    except FormatError as failure:
        error, status = str(failure), 422
    except UNAVAILABLE as failure:
        add_log_context(error=str(getattr(failure, "orig", failure)))
        error, status, headers = INTERRUPTED, 503, {"Retry-After": str(RETRY_AFTER)}
    values = {"report": report, "shown": shown, "file_format": file_format}
    return *page(status, error=error, **values), headers
