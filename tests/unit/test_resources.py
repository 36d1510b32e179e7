"""Field types of requests, used by a resource that only these tests have."""

import re
import time
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from marshmallow import Schema, ValidationError, fields, validate

from app.api import problems, resources
from app.api.resources import Api, Blueprint, LimitedList, MultilineText

SIZE = 4_000_000  # bytes of a body
CPU_LIMIT = 0.2  # seconds to reject such a body


class NoteSchema(Schema):
    """A note of several lines."""

    text = MultilineText(required=True, validate=validate.Length(1, 9), metadata={"examples": [""]})
    words = LimitedList(
        fields.String(validate=validate.Length(1)), validate=validate.Length(max=1000)
    )


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
    ("length", "sent", "status"),
    [
        pytest.param("13", b'{"text": "a"}', 200, id="body"),
        pytest.param("", b"", 400, id="no body"),
        pytest.param("21", b"x" * 21, 413, id="body that is too large"),
    ],
)
def test_nothing_is_read_beyond_a_body(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch, length: str, sent: bytes, status: int
) -> None:
    """After a body, nothing is read: Flask's development server would wait."""
    monkeypatch.setitem(client.application.config, "MAX_CONTENT_LENGTH", 20)
    stream = BytesIO(sent + b"and more")
    answer = client.post(
        "/notes",
        input_stream=stream,
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": length},
    )
    assert (answer.status_code, stream.read()) == (status, b"and more")


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


def wide(unit: bytes) -> bytes:
    """Return a JSON list of SIZE bytes that repeats a value."""
    return b"[" + b",".join([unit] * (SIZE // (len(unit) + 1))) + b"]"


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param(wide(b"1"), "#", id="numbers"),
        pytest.param(wide(b'""'), "#", id="strings"),
        pytest.param(wide(b"{}"), "#", id="objects"),
        pytest.param(wide(b"[" * 500 + b"]" * 500), "#", id="deep lists"),
        pytest.param(wide(b'{"a":{"a":{"a":1}}}'), "#", id="deep objects"),
        pytest.param(wide(b'{"words":[]}'), "#", id="known fields"),
        pytest.param(wide(b'"\\u0022"'), "#", id="escaped quotes"),
        pytest.param(b"{%s}" % wide(b'"a":1')[1:-1], "#", id="one name"),
        pytest.param(b'{"words":[' + b'"",' * 49_000 + b'""]}', "#/words", id="long list"),
        pytest.param(
            b"{%s}" % b",".join(b'"%x":1' % number for number in range(SIZE // 10)),
            "#",
            id="unknown fields",
        ),
    ],
)
def test_large_body_is_refused_at_little_cost(
    client: FlaskClient, body: bytes, pointer: str
) -> None:
    """A body with too many values or fields costs little CPU time and gets one error."""
    began = time.process_time()
    answer = client.post("/notes", data=body, content_type="application/json")
    assert time.process_time() - began < CPU_LIMIT
    problem = answer.get_json()
    assert answer.status_code == 422, problem
    assert pointer in {error["pointer"] for error in problem["errors"]}
    assert "more_errors" not in problem


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'"' + b"," * SIZE + b'"', id="commas"),
        pytest.param(b'"' + b'\\"' * (SIZE // 2) + b'"', id="quotes"),
        pytest.param(b'"' + b"\\\\" * (SIZE // 2) + b'"', id="backslashes"),
        pytest.param(b'"' + "ß[{".encode() * (SIZE // 4) + b'"', id="not ASCII"),
    ],
)
def test_values_are_counted_outside_of_strings(text: bytes) -> None:
    """What a string contains is not counted, and a text without an end costs no more."""
    began = time.process_time()
    assert len(resources.strict_json(text)) > 1_000_000
    with pytest.raises(ValueError, match="Unterminated string"):
        resources.strict_json(text[:-1])
    assert time.process_time() - began < 2 * CPU_LIMIT


@pytest.mark.parametrize("is_one_more", [False, True])
def test_limits_are_exact(is_one_more: bool) -> None:
    """A document can have as many values, and an object as many fields, as the limits say."""
    numbers = b"[1" + b",1" * (resources.MAX_VALUES - 2 + is_one_more) + b"]"
    names = ",".join(f'"{n}":1' for n in range(resources.MAX_FIELDS + is_one_more)).encode()
    for text in (numbers, b"{%s}" % names):
        if is_one_more:
            with pytest.raises(ValidationError):
                resources.strict_json(text)
        else:
            assert resources.strict_json(text)


def test_first_errors_are_named_and_the_rest_counted(client: FlaskClient) -> None:
    """A problem document names 100 errors, and says how many others there are."""
    answer = client.post("/notes", json={"text": "", "words": [""] * 1000})
    problem = answer.get_json()
    assert answer.status_code == 422
    assert [error["pointer"] for error in problem["errors"]][-1] == "#/words/98"
    assert (len(problem["errors"]), problem["more_errors"]) == (100, 901)


def test_long_name_is_cut_off(client: FlaskClient) -> None:
    """The name of an unknown field is quoted only in part."""
    answer = client.post("/notes", json={"text": "a", "ß" * 1_000_000: 1})
    assert answer.get_json()["errors"] == [
        {"pointer": f"#/{'%C3%9F' * 100}", "detail": "Unknown field."}
    ]


def test_others_get_their_turn_beside_a_long_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a long list is checked, other requests of the process run again and again."""
    clock = iter(range(1000))
    sleeps: list[float] = []
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock) * resources.TURN / 2)
    monkeypatch.setattr(time, "sleep", sleeps.append)
    words = ["a"] * 100
    assert NoteSchema().load({"text": "a", "words": words})["words"] == words
    assert 20 < len(sleeps) < 50
