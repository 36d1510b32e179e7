"""The API's documentation: the OpenAPI document, and a page made from it.

The page is rendered on the server. Swagger UI, Redoc and similar programs are a megabyte or more of
JavaScript, and need inline styles, which our Content-Security-Policy forbids.
"""

import json
import re
from copy import deepcopy
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

    def follow(thing: dict[str, Any]) -> dict[str, Any]:
        """Return the target of a `$ref`, or the thing itself if it has none."""
        if "$ref" not in thing:
            return thing
        _, _, kind, name = thing["$ref"].split("/")
        found: dict[str, Any] = spec["components"][kind][name]
        return found

    def example(operation: dict[str, Any]) -> Any:
        """Return the example of an operation's body, or None if it has no body."""
        for content in operation.get("requestBody", {}).get("content", {}).values():
            return follow(content["schema"])["examples"][0]
        return None

    def url(path: str, operation: dict[str, Any]) -> str:
        """Return the URL of an operation's example request."""
        for parameter in operation["parameters"]:
            schema = follow(parameter).get("schema", {})
            if follow(parameter)["in"] == "path":
                path = path.replace("{" + parameter["name"] + "}", str(schema["examples"][0]))
        return request.url_root.removesuffix("/") + path

    def curl(path: str, method: str, operation: dict[str, Any]) -> str:
        """Return a curl command that sends an operation's example request."""
        command = ["curl", *(["-X", method.upper()] if method not in {"get", "post"} else [])]
        if "security" in operation:
            command.append('-H "Authorization: Bearer $TOKEN"')
        if body := example(operation):
            # Not --json, which curl before 7.82 does not know.
            command.append(f"-H 'Content-Type: application/json' -d '{json.dumps(body)}'")
        return " ".join([*command, url(path, operation)])

    def python(path: str, method: str, operation: dict[str, Any]) -> str:
        """Return a Python script that sends an operation's example request."""
        is_secured = "security" in operation
        lines = ["import os"] * is_secured + ["import requests", ""]
        lines += [f"response = requests.{method}(", f"    {json.dumps(url(path, operation))},"]
        if is_secured:
            lines.append("    headers={'Authorization': f'Bearer {os.environ[\"TOKEN\"]}'},")
        if body := example(operation):
            lines.append(f"    json={body},")
        return "\n".join([*lines, ")", "print(response.status_code, response.text)"])

    for item in spec["paths"].values():
        shared = item.pop("parameters", [])
        for operation in item.values():
            operation["parameters"] = shared + operation["parameters"]
    helpers = {f.__name__: f for f in (follow, curl, python, json.dumps, markdown_to_html)}
    topics = [
        part.split("\n\n", 1) for part in f"\n{spec['info']['description']}".split("\n## ")[1:]
    ]
    return Response(render_template("docs.html", spec=spec, topics=topics, **helpers))


def markdown_to_html(text: str) -> Markup:
    """Convert a description to HTML. The only Markdown it supports is paragraphs and `code`."""
    code = re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text)))
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in code.split("\n\n")))  # noqa: S704 escaped above
