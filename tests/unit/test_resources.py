"""Field types of requests, used by a resource that only these tests have."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import Schema, validate

from app.api import problems
from app.api.resources import Api, Blueprint, MultilineText


class NoteSchema(Schema):
    """A note of several lines."""

    text = MultilineText(required=True, validate=validate.Length(1, 9), metadata={"examples": [""]})


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    """A client of a service with the resource `/notes`, which returns what it was sent."""
    app = Flask("notes")
    app.config |= {"API_TITLE": "Notes", "API_VERSION": "v1", "OPENAPI_VERSION": "3.1.0"}
    problems.init_app(app)
    blueprint = Blueprint("notes", __name__, url_prefix="/notes", description="Notes.")

    @blueprint.route("", methods=["POST"])
    @blueprint.arguments(NoteSchema)
    @blueprint.response(200, NoteSchema)
    def create(given: dict[str, Any]) -> dict[str, Any]:
        """Return a note"""
        return given

    api = Api(app)
    api.register_blueprint(blueprint)
    app.extensions["document"] = api.spec.to_dict()
    return app.test_client()


def documented(client: FlaskClient) -> dict[str, Any]:
    """Return the field's schema in the OpenAPI document."""
    note = client.application.extensions["document"]["components"]["schemas"]["Note"]
    return dict(note["properties"]["text"])


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        pytest.param("one\ntwo\n", "one\ntwo\n", id="LF"),
        pytest.param("one\r\ntwo", "one\ntwo", id="CRLF"),
        pytest.param("one\rtwo", "one\ntwo", id="CR"),
        pytest.param("a\n\r\n\rb", "a\n\n\nb", id="all kinds"),
        pytest.param("\tcode", "\tcode", id="tab"),
        pytest.param("Größe 😀", "Größe 😀", id="not ASCII"),
        pytest.param("12345678\r\n", "12345678\n", id="length counts the result"),
    ],
)
def test_line_breaks_become_lf(client: FlaskClient, sent: str, text: str) -> None:
    """Text of several lines is accepted, and each of its line breaks becomes one LF."""
    answer = client.post("/notes", json={"text": sent})
    assert answer.get_json() == {"text": text}
    assert re.search(documented(client)["pattern"], sent)


@pytest.mark.parametrize("character", ["\0", "\b", "\v", "\f", "\x1b", "\x7f", "\x85", "\x9f"])
def test_other_control_characters_are_refused(client: FlaskClient, character: str) -> None:
    """Every other control character is rejected with 422, as documented."""
    answer = client.post("/notes", json={"text": f"a{character}b"})
    problem = answer.get_json()
    assert (answer.status_code, problem["errors"][0]["pointer"]) == (422, "#/text")
    assert "control characters" in problem["errors"][0]["detail"]
    assert not re.search(documented(client)["pattern"], f"a{character}b")


@pytest.mark.parametrize(
    "text", [pytest.param('"\\ud800"', id="lone surrogate"), pytest.param("7", id="number")]
)
def test_what_is_no_text_is_refused(client: FlaskClient, text: str) -> None:
    """A lone surrogate, which UTF-8 can't encode, and other types are rejected with 422."""
    body = f'{{"text": {text}}}'
    answer = client.post("/notes", data=body, content_type="application/json")
    assert answer.status_code == 422


def test_field_is_documented(client: FlaskClient) -> None:
    """The document has the field's type, pattern, description and limits, and the given example."""
    schema = documented(client)
    assert (schema["type"], schema["minLength"], schema["maxLength"]) == ("string", 1, 9)
    assert schema["examples"] == [""]
    assert "Line breaks" in schema["description"]
