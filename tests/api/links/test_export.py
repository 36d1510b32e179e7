"""The export over HTTP contains all links."""

import csv
import json
from typing import Any

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service

PATH = "/api/export"


def saved(service: Service, code: str) -> dict[str, Any]:
    """Return a link from the API without its short URL and owner, which an export lacks."""
    link: dict[str, Any] = service.get(f"/api/links/{code}").json()
    return {name: link[name] for name in link if name not in {"short_url", "owner"}}


def test_json_lines_have_the_values_of_the_api(service: Service, links: Links) -> None:
    """In JSON Lines, each link is a line with the same fields as in the API, clicks included."""
    codes = [
        links.create(title="Straße 🚀\u2028", tags=["b", "a"])["code"],
        links.create(expires_at="2999-01-01T00:00:00.5Z")["code"],
    ]
    service.get(f"/{codes[0]}")
    answer = service.get(PATH)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/jsonl"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="links.jsonl"'
    lines = [json.loads(line) for line in answer.content.decode().split("\n")[:-1]]
    exported = [line for line in lines if line["code"] in codes]
    assert exported == [saved(service, code) for code in codes]
    assert exported[0]["clicks"] == 1


def test_csv_has_the_values_of_the_api(service: Service, links: Links) -> None:
    """In CSV, each link is a row with the same fields as in the API, and tags are JSON."""
    title = "\"a\", b; 'c'"
    code = links.create(title=title, tags=["x,y", '"z"'])["code"]
    answer = service.get(PATH, headers={"Accept": "text/csv"})
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="links.csv"'
    lines = answer.content.decode().split("\r\n")
    link = saved(service, code)
    (row,) = (row for row in csv.DictReader(lines) if row["code"] == code)
    assert list(row) == lines[0].split(",") == list(link)
    assert json.loads(row["tags"]) == link["tags"]
    shown = {name: str(link[name] or "") for name in link if name not in {"tags", "clicks"}}
    assert row == shown | {"tags": row["tags"], "clicks": "0"}


@pytest.mark.parametrize(
    "title",
    ["=1+1", "+1", "-1", "@SUM(A1)", "'=1", pytest.param("\uff1d1", id="full-width equals sign")],
)
def test_csv_holds_no_formula(service: Service, links: Links, title: str) -> None:
    """CSV injection: a title that a spreadsheet would run as a formula gets a ' in front."""
    code = links.create(title=title)["code"]
    lines = service.get(f"{PATH}?format=csv").content.decode().split("\r\n")
    (row,) = (row for row in csv.DictReader(lines) if row["code"] == code)
    assert row["title"] == f"'{title}"


@pytest.mark.parametrize(
    ("query", "accept", "kind"),
    [
        pytest.param("", "*/*", "application/jsonl", id="anything"),
        pytest.param("", "text/csv", "text/csv", id="CSV"),
        pytest.param(
            "", "text/csv;q=0.5, application/jsonl", "application/jsonl", id="JSON Lines before CSV"
        ),
        pytest.param("", "text/*", "text/csv", id="any text"),
        pytest.param("", "application/json", "application/jsonl", id="JSON"),
        pytest.param("?format=csv", "*/*", "text/csv", id="CSV in the query"),
        pytest.param(
            "?format=jsonl", "text/csv", "application/jsonl", id="JSON Lines in the query"
        ),
    ],
)
def test_client_chooses_the_form(service: Service, query: str, accept: str, kind: str) -> None:
    """The query parameter decides the format, then the Accept header; JSON Lines is the default."""
    answer = service.get(f"{PATH}{query}", headers={"Accept": accept})
    assert answer.headers["Content-Type"].split(";")[0] == kind
    assert answer.headers["Vary"] == "Accept"


def test_unknown_form_is_named(service: Service) -> None:
    """An unknown format is rejected with 422 and the name of the parameter."""
    answer = service.get(f"{PATH}?format=xml")
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["parameter"] == "format"
    assert error["detail"]


def test_export_goes_beyond_a_chunk(deployment: Deployment, service: Service, links: Links) -> None:
    """An export of more links than one query reads has each link once."""
    prefix = links.new_code()
    sent = [{"url": TARGET, "code": f"{prefix}{n}"} for n in range(1001)]
    try:
        for part in (sent[:1000], sent[1000:]):
            assert service.post("/api/links/batch", json={"links": part}).status_code == 201
        lines = service.get(PATH).content.decode().split("\n")[:-1]
    finally:
        deployment.sql(f"DELETE FROM links WHERE code LIKE '{prefix}%'")
    codes = [json.loads(line)["code"] for line in lines]
    assert [c for c in codes if c.startswith(prefix)] == [link["code"] for link in sent]


def test_export_needs_a_token(deployment: Deployment) -> None:
    """The export needs a token, and a read token is enough."""
    with Service(deployment.url, deployment.token("read")) as client:
        assert client.get(PATH).status_code == 200
        assert client.head(PATH).content == b""
    with Service(deployment.url) as client:
        assert client.get(PATH).status_code == 401
