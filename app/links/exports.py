"""Export all links as JSON Lines or CSV, with bounded memory.

Links are read in chunks by keyset pagination: each chunk is a query of its own, which starts after
the last primary key. So a link that exists during the whole export is exported exactly once, even
if others write meanwhile, and a slow client occupies no database connection.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from threading import Semaphore
from typing import Any

from flask import Response, request
from werkzeug.exceptions import ServiceUnavailable

from app.api.openapi import named
from app.api.problems import RETRY_AFTER
from app.api.resources import Blueprint
from app.database import Database, database
from app.links import lists
from app.links.schemas import ExportArgumentsSchema, LinkSchema

CHUNK = 1000  # links
BUSY = "Too many exports are running. Try again."
MEDIA_TYPES = {"jsonl": "application/jsonl", "csv": "text/csv"}

# Against CSV injection (formula injection): a spreadsheet would run a title such as "=cmd|…" as a
# formula, so the export puts a ' in front. It does so even if the title already begins with one or
# more ' before such a character, so that an import can remove exactly what the export added.
FORMULA = re.compile(r"'*[=+\-@\uff1d\uff0b\uff0d\uff20]")

# At most 4 exports at a time in each process: each holds a part of the file in memory until its
# client has read it, and other requests wait while a part is made.
slots = Semaphore(4)
blueprint = Blueprint("export", __name__, url_prefix="/api", description="Export links.")
schema = LinkSchema(
    exclude=[
        "short_url",
        "owner",  # history
    ]
)


@blueprint.route("/export", methods=["GET"])
@blueprint.arguments(ExportArgumentsSchema, location="query")
@blueprint.response(
    200,
    {"type": "string"},
    content_type="application/jsonl",
    example='{"code": "compose", …}\n',
    headers=named("Content-Disposition", "Vary"),
)
@blueprint.alt_response(
    200, schema={"type": "string"}, content_type="text/csv", example="code,url,…\r\n"
)
def export(arguments: dict[str, str]) -> Response:
    """Export all links as JSON Lines or CSV

    `format` chooses the format. Without it, the `Accept` header does; the default is JSON Lines.

    A link that exists during the whole export is included exactly once, even if others change links
    meanwhile. One that is renamed meanwhile can be included under both codes. The export is not a
    snapshot. If the transfer ends without the last chunk of its chunked encoding, the export is
    incomplete.
    """
    accepted = request.accept_mimetypes.best_match(MEDIA_TYPES.values())
    file_format = arguments.get("format") or ("csv" if accepted == "text/csv" else "jsonl")
    response = attachment(file_format)
    response.vary.add("Accept")
    return response


def attachment(file_format: str) -> Response:
    """Return a response that streams all links as a file.

    :param file_format: "jsonl" or "csv".
    :raises ServiceUnavailable: too many other exports are running.
    """
    if not slots.acquire(blocking=False):
        raise ServiceUnavailable(BUSY, retry_after=RETRY_AFTER)
    parts = export_parts(database(), file_format)
    # Read the first part before the headers are sent, so that the response is 503 if the database
    # is unavailable. If it fails later, the connection is closed without the last chunk.
    try:
        first = next(parts, b"")
    except BaseException:
        slots.release()
        raise
    response = Response(chain([first], parts), mimetype=MEDIA_TYPES[file_format])
    response.call_on_close(slots.release)
    response.headers["Content-Disposition"] = f'attachment; filename="links.{file_format}"'
    return response


def export_parts(database: Database, file_format: str) -> Iterator[bytes]:
    """Yield all links, encoded, in parts of up to `CHUNK` links.

    :param file_format: "jsonl" or "csv".
    :raises sqlalchemy.exc.SQLAlchemyError: the database is unavailable; the export is incomplete.
    """
    write = _csv if file_format == "csv" else _jsonl
    header = ",".join(schema.fields) + "\r\n" if file_format == "csv" else ""
    after: int | None = 0
    while after is not None:
        with database.read(long=True) as connection:
            links = lists.after_id(connection, after, CHUNK)
        after = links[-1].id if len(links) == CHUNK else None
        part = (header + write(schema.dump(links, many=True))).encode()
        header = ""
        del links  # they need more memory than the part, which a client can read slowly
        yield part


def _jsonl(links: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(link, ensure_ascii=False) + "\n" for link in links)


def _csv(links: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    # Quote all text: a spreadsheet that splits at ; could find a formula after one.
    writer = csv.DictWriter(text, list(schema.fields), quoting=csv.QUOTE_NONNUMERIC)
    for link in links:
        title = link["title"]
        guarded = f"'{title}" if FORMULA.match(title) else title
        tags = json.dumps(link["tags"], ensure_ascii=False)
        writer.writerow(link | {"title": guarded, "tags": tags})
    return text.getvalue()
