"""The API's documentation: the OpenAPI document, and a page made from it.

The page is a template and none of the usual programs for the browser (Swagger UI, Redoc, …): those
are a megabyte or more of JavaScript, and want inline styles that our Content-Security-Policy bars.
"""

import hashlib
import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

from flask import Response, jsonify, render_template, request, send_from_directory
from flask_smorest import current_api
from markupsafe import Markup, escape

from app.api import Blueprint
from app.openapi import unchanged

FILES = Path(__file__).parent / "static"
KEPT = 365 * 24 * 3600  # seconds that a browser keeps a file whose address says its version
NAME = {"in": "path", "name": "name", "schema": {"type": "string", "examples": ["page.css"]}}
OF_FILES = ("Content-Disposition", "Expires", "Last-Modified")

blueprint = Blueprint("docs", __name__, description="This documentation.")


@blueprint.route("/openapi.json")
@blueprint.response(200, {"type": "object"}, example={"openapi": "3.1.0"})
def document() -> Response:
    """Give this document, in OpenAPI 3.1"""
    return jsonify(current_api.spec.to_dict())


@blueprint.route("/docs")
@blueprint.response(200, {"type": "string"}, content_type="text/html", example="<!doctype html>…")
def page() -> Response:
    """Show this document as a page"""
    spec = deepcopy(current_api.spec.to_dict())  # whose parts are the original's

    def follow(thing: dict[str, Any]) -> dict[str, Any]:
        """Return what a reference refers to, or else the thing itself."""
        if "$ref" not in thing:
            return thing
        _, _, kind, name = thing["$ref"].split("/")
        found: dict[str, Any] = spec["components"][kind][name]
        return found

    def curl(path: str, method: str, operation: dict[str, Any]) -> str:
        """Return the command that makes an operation's example request."""
        words = ["curl", *(["-X", method.upper()] if method not in {"get", "post"} else [])]
        if "security" in operation:
            words.append('-H "Authorization: Bearer $TOKEN"')
        if "requestBody" in operation:
            content = next(iter(operation["requestBody"]["content"].values()))
            words.append(f"--json '{json.dumps(follow(content['schema'])['examples'][0])}'")
        for parameter in operation["parameters"]:
            schema = follow(parameter).get("schema", {})
            if follow(parameter)["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", str(schema["examples"][0]))
        return " ".join([*words, request.url_root.removesuffix("/") + path])

    for item in spec["paths"].values():
        shared = item.pop("parameters", [])
        for operation in item.values():
            operation["parameters"] = shared + operation["parameters"]
    helpers = {"follow": follow, "curl": curl, "prose": prose, "dumps": json.dumps}
    return Response(render_template("docs.html", spec=spec, **helpers))


@blueprint.route("/static/<path:name>", parameters=[NAME])
@blueprint.response(
    200,
    {"type": "string"},
    content_type="text/css",
    example=":root {}",
    headers={name: name for name in ("ETag", *OF_FILES)},
)
@blueprint.alt_response(
    200, schema={"type": "string"}, content_type="text/javascript", example='"use strict";'
)
@blueprint.alt_response(
    200, schema={"type": "string"}, content_type="image/svg+xml", example="<svg/>"
)
@blueprint.doc(parameters=["If-None-Match"], responses=unchanged(*OF_FILES))
def static(name: str) -> Response:
    """Send a file that pages refer to"""
    response = send_from_directory(FILES, name, conditional=False, max_age=_kept)
    response.set_etag(_version(FILES / name))  # not of its time, which an image gives to all files
    response.make_conditional(request)
    return response


def _kept(path: str) -> int:
    # A page of another version, from a replica that is older or newer, asks for another file.
    return KEPT if request.args.get("v") == _version(path) else 0


@blueprint.app_url_defaults
def _add_version(endpoint: str, values: dict[str, Any]) -> None:
    """Let a file's address change with it: no page is shown with the style of another version."""
    if endpoint == "docs.static":
        values["v"] = _version(FILES / values["name"])


def _version(path: Path | str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8]


def prose(text: str) -> Markup:
    """Return a description as HTML: of Markdown, paragraphs and `code` are enough for us."""
    code = re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in code.split("\n\n")))  # noqa: S704 escaped above
