"""The OpenAPI document is valid, complete and consistent."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.support import contract
from tests.support.forked import python

ROUTES = """
import json
from app import create_app
from app.api.resources import Blueprint
app = create_app()
pages = {name for name, part in app.blueprints.items() if not isinstance(part, Blueprint)}
print(json.dumps([
    [rule.rule, sorted(rule.methods - {"HEAD", "OPTIONS"})]
    for rule in app.url_map.iter_rules() if rule.endpoint.partition(".")[0] not in pages
]))
"""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield the path, the method and the description of each operation."""
    for path, item in contract.document()["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method, operation


def examples(node: Any) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield each example in a part of the document, with its schema."""
    if isinstance(node, dict):
        if "type" in node or "properties" in node:
            yield from ((example, node) for example in node.get("examples", []))
        if "example" in node and "schema" in node:
            yield node["example"], node["schema"]
        for child in node.values():
            yield from examples(child)
    elif isinstance(node, list):
        for child in node:
            yield from examples(child)


def test_document_is_openapi() -> None:
    """The document is valid OpenAPI 3.1."""
    import openapi_spec_validator  # noqa: PLC0415 its import takes a second, in each process

    assert contract.document()["openapi"].startswith("3.1.")
    openapi_spec_validator.validate(contract.document())


def test_every_route_is_documented() -> None:
    """The document has exactly the routes of the API; pages for people are not documented.

    `/metrics` is also missing: its route only keeps the path reserved on the public port.
    """
    routes = json.loads(python(ROUTES, DATABASE_URL="sqlite:///unused.db"))
    existing = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule), method.lower())
        for rule, methods in routes
        for method in methods
    }
    documented = {(path, method) for path, method, _ in operations()}
    assert existing == documented | {("/metrics", "get")}


def test_operations_are_complete() -> None:
    """Each operation has a summary, a known tag, a success response and all possible errors."""
    for path, method, operation in operations():
        assert operation["summary"]
        assert operation["tags"][0] in {tag["name"] for tag in contract.document()["tags"]}
        wanted = {"400", "414", "431", "500", "503"}
        if path.startswith("/api/"):
            wanted |= {"401", "429"} if method == "get" else {"401", "403", "429"}
            assert operation["security"] == [{"bearer": ["read" if method == "get" else "write"]}]
        if "{" in path:
            wanted |= {"404"}
        if "requestBody" in operation:
            wanted |= {"413", "415", "422"}
        assert wanted <= operation["responses"].keys(), (path, method)
        assert any(status[0] in "23" for status in operation["responses"])


def test_operations_have_examples() -> None:
    """Each path parameter, request body and answer has an example, except PNG images."""
    for path, method, operation in operations():
        for parameter in contract.document()["paths"][path].get("parameters", []):
            assert parameter["schema"]["examples"]
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        media = [m for body in bodies for m in contract.follow(body).get("content", {}).items()]
        for kind, content in media:
            has_example = "example" in content or contract.follow(content["schema"]).get("examples")
            assert has_example or kind == "image/png", (path, method, kind)


def test_every_example_is_right() -> None:
    """Every example is valid against its schema."""
    found = list(examples(contract.document()))
    assert len(found) > 30
    for example, schema in found:
        assert not contract.errors(example, schema), (example, schema)


def test_bodies_are_closed() -> None:
    """The schema of each request body forbids fields that are not documented."""
    for _, _, operation in operations():
        for content in operation.get("requestBody", {"content": {}})["content"].values():
            assert contract.follow(content["schema"])["additionalProperties"] is False


def lists(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the lists in a schema, at any depth."""
    schema = contract.follow(schema)
    children = [*schema.get("properties", {}).values(), schema.get("items", {})]
    if "items" in schema:
        yield schema
    for child in filter(None, children):
        yield from lists(child)


def test_lists_in_bodies_are_limited() -> None:
    """Every list in a request body has a largest length."""
    for _, _, operation in operations():
        for content in operation.get("requestBody", {"content": {}})["content"].values():
            for found in lists(content["schema"]):
                assert found["maxItems"] <= 1000


def test_errors_have_one_shape() -> None:
    """All errors have the same schema and the same media type (RFC 9457)."""
    for _, _, operation in operations():
        for status, response in operation["responses"].items():
            if status >= "400":
                content = contract.follow(response)["content"]
                assert content.keys() == {"application/problem+json"}
                schema = content["application/problem+json"]["schema"]
                assert schema == {"$ref": "#/components/schemas/Problem"}


def answer(**changes: Any) -> requests.Response:
    """Return a valid answer of /livez, with changed attributes."""
    made = requests.Response()
    made.request = requests.Request("GET", "http://x/livez").prepare()
    made.status_code = 200
    made._content = b'{"status": "ok"}'
    made.headers.update(
        {
            "Content-Type": "application/json",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "X-Request-Id": "x",
        }
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_judge_lets_the_right_answer_pass() -> None:
    """The contract check accepts an answer that matches the document."""
    contract.check(answer())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"status_code": 418}, id="status"),
        pytest.param(
            {"headers": {**answer().headers, "Content-Type": "text/html"}}, id="content type"
        ),
        pytest.param(
            {"headers": {**answer().headers, "X-Content-Type-Options": "sniff"}},
            id="value of a header",
        ),
        pytest.param({"headers": {**answer().headers, "X-New": "x"}}, id="unknown header"),
        pytest.param({"headers": {"Content-Type": "application/json"}}, id="missing headers"),
        pytest.param({"_content": b'{"status": "down"}'}, id="value in the body"),
        pytest.param({"_content": b'{"status": "ok", "more": 1}'}, id="unknown field"),
        pytest.param({"_content": b"{}"}, id="missing field"),
    ],
)
def test_checker_finds_wrong_answers(changes: dict[str, Any]) -> None:
    """The contract check fails for a status, header or body that is not documented."""
    with pytest.raises(AssertionError):
        contract.check(answer(**changes))
