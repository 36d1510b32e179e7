"""Static files: style sheet, script and icon of the web pages, and robots.txt."""

import gzip
import hashlib
from pathlib import Path
from typing import Any

from flask import Response, request, send_from_directory

from app.api.openapi import named, not_modified
from app.api.resources import Blueprint

FOLDER = Path(__file__).parents[1] / "static"
MAX_AGE = 365 * 24 * 3600  # seconds for which browsers cache a URL with a version
NAME = {"in": "path", "name": "name", "schema": {"type": "string", "examples": ["page.css"]}}
FILE_HEADERS = ("Content-Disposition", "Content-Encoding", "Expires", "Last-Modified", "Vary")

blueprint = Blueprint("static", __name__, description="Static files of the web page.")


@blueprint.route("/static/<path:name>", parameters=[NAME])
@blueprint.response(
    200,
    {"type": "string"},
    content_type="text/css",
    example=":root {}",
    headers=named("ETag", *FILE_HEADERS),
)
@blueprint.alt_response(
    200, schema={"type": "string"}, content_type="text/javascript", example='"use strict";'
)
@blueprint.alt_response(
    200, schema={"type": "string"}, content_type="image/svg+xml", example="<svg/>"
)
@blueprint.doc(parameters=["If-None-Match"], responses=not_modified(*FILE_HEADERS))
def file(name: str) -> Response:
    """Get a static file of the web page"""
    response = send_from_directory(FOLDER, name, conditional=False, max_age=_max_age)
    # Replace Flask's ETag, which depends on the file's modification time. In an image, all files
    # have the same one.
    etag = _version(FOLDER / name)
    if request.accept_encodings.quality("gzip"):  # only here: pages have secrets (BREACH)
        response.direct_passthrough = False
        response.set_data(gzip.compress(response.get_data(), mtime=0))
        response.content_encoding = "gzip"
        etag += "-gzip"
    response.vary.add("Accept-Encoding")
    response.set_etag(etag)
    response.make_conditional(request)
    return response


@blueprint.route("/robots.txt")
@blueprint.response(
    200,
    {"type": "string"},
    content_type="text/plain",
    example="User-agent: *",
    headers=named("ETag", *FILE_HEADERS),
)
@blueprint.doc(parameters=["If-None-Match"], responses=not_modified(*FILE_HEADERS))
def robots() -> Any:
    """Get the rules for crawlers, such as those of search engines (RFC 9309)"""
    return file("robots.txt")


def _max_age(path: str) -> int:
    # During a rolling update, a page from a replica with another version can request a file here.
    # This replica has only its own version of the file, which browsers must not cache then.
    return MAX_AGE if request.args.get("v") == _version(path) else 0


@blueprint.app_url_defaults
def _add_version(endpoint: str, values: dict[str, Any]) -> None:
    """Add a file's version to its URL, so that pages never use a cached file of another version."""
    if endpoint == "static.file":
        values["v"] = _version(FOLDER / values["name"])


def _version(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8]
