"""The API's documentation: the OpenAPI document, and a page made from it.

The page is rendered on the server. Swagger UI, Redoc and similar programs are a megabyte or more of
JavaScript, and need inline styles, which our Content-Security-Policy forbids.
"""

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from flask import Response, jsonify, render_template, request
from flask_smorest import current_api
from markupsafe import Markup, escape

from app.api.resources import Blueprint

blueprint = Blueprint("docs", __name__, description="API documentation.")


@blueprint.route("/openapi.json")
@blueprint.response(200, {"type": "object"}, example={"openapi": "3.1.0"})
def document() -> Response:
    """Get this document in OpenAPI 3.1 format"""
    return jsonify(current_api.spec.to_dict())


@blueprint.route("/docs")
@blueprint.response(200, {"type": "string"}, content_type="text/html", example="<!doctype html>…")
def page() -> Response:
    """Get this documentation as a web page"""
    spec = deepcopy(current_api.spec.to_dict())  # changed below; `to_dict` shares its parts
    for item in spec["paths"].values():
        shared = item.pop("parameters", [])
        for operation in item.values():
            operation["parameters"] = shared + operation["parameters"]
    helpers: dict[str, Any] = {f.__name__: f for f in (json.dumps, markdown_to_html)}
    helpers |= {f.__name__: partial(f, spec["components"]) for f in (follow, curl, python)}
    # The description is Markdown. Each topic is a heading and the text below it.
    _, *parts = f"\n{spec['info']['description']}".split("\n## ")
    topics = [part.split("\n\n", 1) for part in parts]
    return Response(render_template("docs.html", spec=spec, topics=topics, **helpers))


def follow(components: Mapping[str, Any], thing: dict[str, Any]) -> dict[str, Any]:
    """Return the target of a `$ref`, or the thing itself if it has none."""
    if "$ref" not in thing:
        return thing
    _, _, kind, name = thing["$ref"].split("/")
    found: dict[str, Any] = components[kind][name]
    return found


def curl(components: Mapping[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    """Return a curl command that sends an operation's example request."""
    command = ["curl", *(["-X", method.upper()] if method not in {"get", "post"} else [])]
    if "security" in operation:
        command.append('-H "Authorization: Bearer $TOKEN"')
    if body := _body(components, operation):
        # Not --json, which curl before 7.82 does not know.
        command.append(f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'")
    return " ".join([*command, _url(components, path, operation)])


def python(components: Mapping[str, Any], path: str, method: str, operation: dict[str, Any]) -> str:
    """Return a Python script that sends an operation's example request."""
    secured = "security" in operation
    lines = ["import os", ""] * secured + ["import requests", ""]
    lines += [f"response = requests.{method}(", f'    "{_url(components, path, operation)}",']
    if secured:
        lines.append("""    headers={"Authorization": "Bearer " + os.environ["TOKEN"]},""")
    if body := _body(components, operation):
        lines.append(f"    json={body},")
    return "\n".join([*lines, ")", "print(response.status_code, response.text)"])


def _body(components: Mapping[str, Any], operation: dict[str, Any]) -> Any:
    """Return the example of an operation's body, or None if it has no body."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        return follow(components, content["schema"])["examples"][0]
    return None


def _url(components: Mapping[str, Any], path: str, operation: dict[str, Any]) -> str:
    """Return the URL of an operation's example request."""
    for parameter in (follow(components, given) for given in operation["parameters"]):
        if parameter["in"] == "path":
            example = str(parameter["schema"]["examples"][0])
            path = path.replace("{" + parameter["name"] + "}", example)
    return request.url_root.removesuffix("/") + path


def markdown_to_html(text: str) -> Markup:
    """Convert a description to HTML. The only Markdown it supports is paragraphs and `code`."""
    code = re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in code.split("\n\n")))  # noqa: S704 escaped above
