"""The API creates links."""

import html
import json
import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.api.conftest import Deployment
from tests.conftest import NO_CURL
from tests.support.links.client import TARGET, Links
from tests.support.service import Service

JSON = {"Content-Type": "application/json"}


def test_create_answers_the_whole_link(service: Service, links: Links) -> None:
    """A new link is returned with all fields, its Location and its ETag."""
    code = links.new_code()
    sent = {
        "url": "https://example.com/ä?q=1#f",
        "code": code.upper(),
        "title": "Straße 🚀",
        "tags": ["b", "a"],
        "expires_at": "2999-01-01T01:00:00.5+01:00",
    }
    name = service.get("/api/me").json()["name"]
    before = datetime.now(UTC)
    answer = service.post("/api/links", json=sent)
    link = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/links/{code.upper()}"
    assert re.fullmatch(r'"\d+-1"', answer.headers["ETag"])
    assert link == sent | {
        "short_url": f"{service.url}/{code.upper()}",
        "expires_at": "2999-01-01T00:00:00.500000Z",
        "created_at": link["created_at"],
        "updated_at": link["created_at"],
        "clicks": 0,
        "owner": {"key": f"token:{name}", "name": name},
    }
    assert link["created_at"].endswith("Z")
    assert abs(datetime.fromisoformat(link["created_at"]) - before).total_seconds() < 60
    assert service.get(answer.headers["Location"]).json() == link


def test_create_makes_a_random_code(links: Links) -> None:
    """Without a code, a link gets seven characters that are hard to confuse."""
    link = links.create()
    assert re.fullmatch("[2-9a-hjkmnp-z]{7}", link["code"])
    assert (link["title"], link["tags"], link["expires_at"]) == ("", [], None)


def test_taken_code_is_a_conflict_in_any_spelling(service: Service, links: Links) -> None:
    """A taken code is rejected with 409, whatever its case and hyphens."""
    code = links.create(code=links.new_code())["code"]
    for spelling in (code, code.upper(), f"{code[:3]}-{code[3:]}-"):
        answer = service.post("/api/links", json={"url": TARGET, "code": spelling})
        assert answer.status_code == 409


def test_one_of_many_gets_the_code(service: Service, links: Links) -> None:
    """When 16 clients want one code at once, one succeeds and 15 get 409."""
    body = {"url": TARGET, "code": links.new_code()}

    def create(_number: int) -> int:
        with service.again() as client:
            return client.post("/api/links", json=body).status_code

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(create, range(16))) == [201] + [409] * 15


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        pytest.param("url", None, "#/url", id="null for the URL"),
        pytest.param("url", 1, "#/url", id="number for the URL"),
        pytest.param("url", "", "#/url", id="empty URL"),
        pytest.param("url", "/relative/path", "#/url", id="relative URL"),
        pytest.param("url", "ftp://example.com", "#/url", id="FTP"),
        pytest.param("url", "javascript:alert(1)", "#/url", id="JavaScript"),
        pytest.param("url", "https://", "#/url", id="URL without a host"),
        pytest.param("url", "https:////example.com", "#/url", id="host in the path"),
        pytest.param("url", "https://://example.com", "#/url", id="port without a host"),
        pytest.param("url", "https://a][b", "#/url", id="brackets in the host"),
        pytest.param("url", "https://%s.example", "#/url", id="placeholder in the host"),
        pytest.param("url", "https://a.example/%s?%s", "#/url", id="two placeholders"),
        pytest.param("url", "https://exa mple.com", "#/url", id="space in the host"),
        pytest.param("url", "https://example.com/\r\nX: y", "#/url", id="newline in the URL"),
        pytest.param("url", "https://example.com:99999", "#/url", id="huge port"),
        pytest.param("url", "https://[::1", "#/url", id="half an IPv6 address"),
        pytest.param("url", "https:\\\\example.com", "#/url", id="backslashes"),
        pytest.param(
            "url", "https://example.com/\ufeffx", "#/url", id="byte order mark in the URL"
        ),
        pytest.param("url", "https://example.com/\ud800", "#/url", id="surrogate in the URL"),
        pytest.param("url", "https://example.com/" + "x" * 2981, "#/url", id="URL too long"),
        pytest.param("code", "", "#/code", id="empty code"),
        pytest.param("code", "-a", "#/code", id="leading hyphen in the code"),
        pytest.param("code", "a b", "#/code", id="space in the code"),
        pytest.param("code", "ä", "#/code", id="non-ASCII code"),
        pytest.param("code", "a\n", "#/code", id="newline after the code"),
        pytest.param("code", "x" * 65, "#/code", id="code too long"),
        pytest.param("code", ".a", "#/code", id="leading dot in the code"),
        pytest.param("code", "a.", "#/code", id="final dot in the code"),
        pytest.param("code", "a.--", "#/code", id="final dot in the code, before hyphens"),
        pytest.param("code", "a.QR", "#/code", id="reserved: QR code"),
        pytest.param("code", "a.q-r", "#/code", id="reserved: QR code with a hyphen"),
        pytest.param("code", "a.qr.svg", "#/code", id="reserved: QR code as SVG"),
        pytest.param("code", "a.Qr.PNG", "#/code", id="reserved: QR code as PNG"),
        pytest.param("code", "Favicon.ico", "#/code", id="reserved: favicon.ico"),
        pytest.param("code", "robots.t-xt", "#/code", id="reserved: robots.txt"),
        pytest.param("code", "openapi.json", "#/code", id="reserved: openapi.json"),
        pytest.param("code", "api", "#/code", id="reserved: api"),
        pytest.param("code", "Live-Z", "#/code", id="reserved: livez"),
        pytest.param("code", "Batch", "#/code", id="reserved: batch"),
        pytest.param("code", "docs", "#/code", id="reserved: docs"),
        pytest.param("code", "STATIC", "#/code", id="reserved: static"),
        pytest.param("title", "x" * 201, "#/title", id="title too long"),
        pytest.param("title", "a\0b", "#/title", id="null byte in the title"),
        pytest.param("title", "\udfff", "#/title", id="surrogate in the title"),
        pytest.param("title", [], "#/title", id="list for the title"),
        pytest.param("tags", "a", "#/tags", id="string for the tags"),
        pytest.param("tags", ["a", 1], "#/tags/1", id="number for a tag"),
        pytest.param("tags", ["a", ""], "#/tags/1", id="empty tag"),
        pytest.param("tags", ["a", "a"], "#/tags", id="same tag twice"),
        pytest.param("tags", ["x" * 51], "#/tags/0", id="tag too long"),
        pytest.param("tags", [str(n) for n in range(21)], "#/tags", id="too many tags"),
        pytest.param("expires_at", "tomorrow", "#/expires_at", id="word for the expiry"),
        pytest.param(
            "expires_at", "2030-01-01T00:00:00", "#/expires_at", id="expiry without a time zone"
        ),
        pytest.param(
            "expires_at",
            "2030-02-30T00:00:00Z",
            "#/expires_at",
            id="expiry on a day that does not exist",
        ),
        pytest.param(
            "expires_at",
            "9999-12-31T23:59:59-23:59",
            "#/expires_at",
            id="expiry after the year 9999",
        ),
        pytest.param("expires_at", "1969-12-31T23:59:59Z", "#/expires_at", id="expiry before 1970"),
        pytest.param(
            "expires_at",
            "1970-01-01T00:00:00+00:01",
            "#/expires_at",
            id="expiry before 1970 in UTC",
        ),
        pytest.param("expires_at", "2030-12-31T24:00:00Z", "#/expires_at", id="expiry at hour 24"),
        pytest.param(
            "expires_at",
            "2030-01-01T00:00:00+01:60",
            "#/expires_at",
            id="expiry with 60 minutes in the offset",
        ),
        pytest.param("expires_at", 1, "#/expires_at", id="number for the expiry"),
        pytest.param("clicks", 1, "#/clicks", id="read-only field"),
        pytest.param("a/b~c", 1, "#/a~1b~0c", id="unknown field"),
    ],
)
def test_wrong_field_is_named(service: Service, field: str, value: Any, pointer: str) -> None:
    """A field that breaks its rule is rejected with 422 and a pointer to the field."""
    answer = service.post("/api/links", json={"url": TARGET} | {field: value})
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_loop_is_refused(service: Service) -> None:
    """A link to the service itself, but to no link, is rejected in any spelling of its address."""
    for url in (service.url, service.url.upper() + "/x/y", f"{service.url}./x?y"):
        answer = service.post("/api/links", json={"url": url})
        assert answer.status_code == 422, url


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="broken JSON"),
        pytest.param(b"", "application/json", 400, id="empty body"),
        pytest.param(b'{"url": "\xff"}', "application/json", 400, id="not UTF-8"),
        pytest.param(b'{"url": NaN}', "application/json", 400, id="NaN"),
        pytest.param(
            b'{"url": "https://a.b", "url": "https://a.b"}',
            "application/json",
            400,
            id="field twice",
        ),
        pytest.param(b"[" * 50_000, "application/json", 400, id="deep nesting"),
        pytest.param(b'{"url": ' + b"1" * 5_000 + b"}", "application/json", 400, id="huge number"),
        pytest.param(
            '{"url": "https://a.b"}'.encode("utf-16"), "application/json", 400, id="UTF-16"
        ),
        pytest.param(b"[]", "application/json", 422, id="list"),
        pytest.param(b"null", "application/json", 422, id="null"),
        pytest.param(b'{"url": "https://a.b"}', "text/plain", 415, id="plain text"),
        pytest.param(b'{"url": "https://a.b"}', "", 415, id="no content type"),
        pytest.param(b"url=https://a.b", "application/x-www-form-urlencoded", 415, id="HTML form"),
        pytest.param(b" " * 65_537, "application/json", 413, id="too long"),
    ],
)
def test_wrong_body_is_refused(service: Service, body: bytes, kind: str, status: int) -> None:
    """A body with a wrong encoding, syntax, media type or size is rejected with problem details.

    The detail is in the words of JSON, and never of Python.
    """
    answer = service.post("/api/links", data=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert not re.search(r"sys\.|str\(|int\(|codec|recursion", answer.json()["detail"])
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_client_that_sends_too_much_gets_its_answer(service: Service) -> None:
    """A body that is too large gets 413, not a reset, and the connection stays usable."""
    with service.again() as client:
        for _ in range(3):
            answer = client.post("/api/links", data=b" " * 900_000, headers=JSON)
            assert answer.status_code == 413
            assert answer.json()["detail"] == "The body is too large."
            assert client.get("/livez").status_code == 200


def test_documented_command_creates_the_example(service: Service) -> None:
    """The curl command on /docs works in a shell, and creates the example link."""
    if not shutil.which("curl"):
        pytest.skip(NO_CURL)
    commands = re.findall(r"<code>(curl .*?)</code>", service.get("/docs").text)
    [pasted] = [text for text in commands if " -d " in text and text.endswith("/api/links")]
    command = ["bash", "-c", html.unescape(pasted)]
    created = json.loads(
        subprocess.check_output(command, env={**os.environ, "TOKEN": service.token}, text=True)
    )
    assert created["url"].startswith("https://")
    assert service.delete(f"/api/links/{created['code']}").status_code == 204


def test_clients_that_create_at_once_get_their_own_links(deployment: Deployment) -> None:
    """Of links that are created together, each has its own answer, owner and idempotency key."""

    def run(service: Service) -> None:
        name = service.get("/api/me").json()["name"]
        own = Links(service)
        for number in range(10):
            url = f"{TARGET}/{name}/{number}"
            body, headers = {"url": url, "tags": [name]}, {"Idempotency-Key": str(number)}
            answer = service.post("/api/links", json=body, headers=headers)
            assert answer.status_code == 201
            own.codes.append(answer.json()["code"])
            assert (answer.json()["url"], answer.json()["owner"]["name"]) == (url, name)
            read = service.get(answer.headers["Location"])
            assert (read.json(), read.headers["ETag"]) == (answer.json(), answer.headers["ETag"])
            again = service.post("/api/links", json=body, headers=headers)
            assert (again.json(), again.headers["ETag"]) == (read.json(), read.headers["ETag"])
        listed = service.get(f"/api/links?mine=true&tag={name}").json()["links"]
        assert [link["code"] for link in listed] == own.codes[::-1]
        own.delete()

    with ExitStack() as stack, ThreadPoolExecutor(12) as pool:
        clients = [
            stack.enter_context(Service(deployment.url, deployment.token())) for _ in range(12)
        ]
        list(pool.map(run, clients))
