"""Contract checks: every answer of the service must match the OpenAPI document."""

import functools
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema_rs
import requests

from tests.support.forked import MAIN, python

SERVERS_OWN = {"connection", "content-length", "content-type", "date", "server"}
SERVERS_OWN |= {"transfer-encoding"}


@functools.cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document that this tree's code generates."""
    printed = python(MAIN, "openapi", "print", DATABASE_URL="sqlite:///unused.db")
    found: dict[str, Any] = json.loads(printed)
    return found


def follow(thing: dict[str, Any]) -> dict[str, Any]:
    """Return the component that a `$ref` refers to, or the object itself if it is not one."""
    if "$ref" not in thing:
        return thing
    _, _, kind, name = thing["$ref"].split("/")
    found: dict[str, Any] = document()["components"][kind][name]
    return found


@functools.cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    whole = {**json.loads(schema), "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def errors(value: Any, schema: dict[str, Any]) -> list[str]:
    """Return the errors that the validation of a value against a JSON schema finds."""
    return [str(error) for error in _validator(json.dumps(schema)).iter_errors(value)]


@functools.cache
def _paths() -> list[tuple[re.Pattern[str], str]]:
    """Return each path with a pattern for it; paths with more fixed characters come first."""
    found = []
    for path, item in document()["paths"].items():
        rules = {p["name"]: p["schema"].get("pattern", ".*") for p in item.get("parameters", [])}
        parts = re.split(r"{(\w+)}", path)
        parts[::2] = map(re.escape, parts[::2])
        parts[1::2] = (rules[name].strip("^$") for name in parts[1::2])
        found.append((len("".join(parts[::2])), re.compile("".join(parts), re.DOTALL), path))
    return [(pattern, path) for _, pattern, path in sorted(found, reverse=True, key=lambda f: f[0])]


def operation(method: str, path: str) -> dict[str, Any] | None:
    """Return the documented operation for a request, or None if there is none."""
    words = {known.split("/")[1] for _, known in _paths()}
    templates = [known for pattern, known in _paths() if pattern.fullmatch(path)]
    if path.split("/")[1] in words:  # a reserved word, such as `api`, is never a parameter
        templates = [known for known in templates if not known.startswith("/{")]
    item = document()["paths"][templates[0]] if templates else {}
    found: dict[str, Any] | None = item.get(method.lower().replace("head", "get"))
    return found


def check(answer: requests.Response, *, body: bool = True) -> None:
    """Fail if an answer's status, headers or body are not as documented.

    :param body: whether to check the body, which reads it.
    """
    method, path = str(answer.request.method), unquote(urlsplit(str(answer.request.url)).path)
    where = f"{method} {path}: {answer.status_code}"
    if method == "OPTIONS":  # not documented, and has no body
        return
    known = operation(method, path)
    if known is None or answer.status_code == 405:
        assert answer.status_code >= 400, f"{where}: the operation is not documented"
        response = {**document()["components"]["responses"]["NotFound"], "headers": {}}
        response["headers"] = {name: {} for name in answer.headers}
        assert answer.status_code != 405 or answer.headers["Allow"]
    else:
        assert str(answer.status_code) in known["responses"], f"{where}: status is not documented"
        response = follow(known["responses"][str(answer.status_code)])
    _check_headers(where, answer.headers, response.get("headers", {}))
    if body and method != "HEAD":
        _check_body(where, answer, response.get("content", {}))


def _check_headers(
    where: str, headers: Mapping[str, str], documented: dict[str, dict[str, Any]]
) -> None:
    known = {other.lower() for other in documented} | SERVERS_OWN
    for name in headers:
        assert name.lower() in known, f"{where}: header {name} is not documented"
    for name, reference in documented.items():
        header = follow(reference)
        value = headers.get(name)
        assert value is not None or not header.get("required"), f"{where}: header {name} is missing"
        if value is not None and header:
            number = header["schema"]["type"] == "integer"
            wrong = errors(int(value) if number else value, header["schema"])
            assert not wrong, f"{where}: header {name}: {wrong}"


def _check_body(where: str, answer: requests.Response, content: dict[str, Any]) -> None:
    if not content:
        assert answer.content == b"", f"{where}: the body is not documented"
        return
    kind = answer.headers["Content-Type"].partition(";")[0]
    assert kind in content, f"{where}: media type {kind} is not documented"
    if kind.endswith("json"):
        wrong = errors(answer.json(), content[kind]["schema"])
        assert not wrong, f"{where}: body: {wrong}"
