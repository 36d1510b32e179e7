"""The service itself serves its documentation: OpenAPI for programs, and a page for people."""

import hashlib
import re
from urllib.robotparser import RobotFileParser

import pytest
import requests

from tests.support import contract
from tests.support.service import Service


def test_document_is_the_one_of_this_code(service: Service) -> None:
    """The service serves, even without a token, the OpenAPI document that the tests use."""
    answer = service.get("/openapi.json", headers={"Authorization": ""})
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json() == contract.document()


def test_page_leaves_the_document_as_it_is(service: Service) -> None:
    """Rendering the page does not change the document that the same process serves next."""
    with service.again() as client:
        client.get("/docs")
        assert client.get("/openapi.json").json() == contract.document()


def test_page_tells_every_operation_and_schema(service: Service) -> None:
    """The page shows every operation and schema, and a command to try for every path."""
    answer = service.get("/docs")
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    for path, item in contract.document()["paths"].items():
        for method in item.keys() - {"parameters"}:
            assert f"{method.upper()} {path}" in answer.text
            assert f'id="{item[method]["operationId"]}"' in answer.text
    for name in contract.document()["components"]["schemas"]:
        assert f'id="{name}"' in answer.text
    assert answer.text.count(f"{service.url}/") >= len(contract.document()["paths"])
    assert "<p>Requires a token.</p>" in answer.text  # of any scope, as for /api/me
    assert "requests.post(" in answer.text
    first = answer.text.index('id="authorization"')
    assert first < answer.text.index("/api/me") < answer.text.index('class="contents"')
    assert not re.search(r"<h\d[^>]*>[^<]*[.]</h", answer.text)
    assert " --json " not in answer.text  # an option that curl has only since 7.82


def test_page_leads_to_what_exists_and_nowhere_else(service: Service) -> None:
    """The page links only to itself and to this service.

    Every link works. The page has no inline script or style.
    """
    answer = service.get("/docs")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?! src)|<style|\sstyle=|\son\w+=", answer.text)
    references = set(re.findall(r'(?:href|src)="([^"]*)"', answer.text))
    for reference in references:
        if reference.startswith("#"):
            assert f'id="{reference[1:]}"' in answer.text
        else:
            assert reference.startswith("/")
            assert requests.get(service.url + reference, timeout=30).status_code == 200
    assert any(reference.startswith("/static/page.css?v=") for reference in references)


def test_file_is_kept_and_never_for_another_version(service: Service) -> None:
    """Browsers cache a file for a year only under the address with its current version.

    Under any other address, they revalidate it with its ETag each time.
    """
    page = service.get("/docs").text
    [address] = re.findall('href="(/static/page.css[^"]*)"', page)
    plain = {"Accept-Encoding": "identity"}
    first = service.get(address, headers=plain)
    assert (first.status_code, first.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
    assert first.headers["Cache-Control"] == "public, max-age=31536000"
    version = hashlib.sha256(first.content).hexdigest()[:8]
    assert address == f"/static/page.css?v={version}"
    for other in ("/static/page.css", "/static/page.css?v=", "/static/page.css?v=01234567"):
        answer = service.get(other, headers=plain)
        assert answer.headers["Cache-Control"] == "no-cache, max-age=0"
        assert answer.headers["ETag"] == f'"{version}"'  # a hash, not modification time and size
        again = service.get(other, headers=plain | {"If-None-Match": f'"{version}"'})
        assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        pytest.param("gzip, br", "gzip", id="gzip"),
        pytest.param("br", None, id="another"),
        pytest.param("gzip;q=0", None, id="not gzip"),
        pytest.param("*", "gzip", id="any"),
        pytest.param("identity", None, id="none"),
    ],
)
def test_file_is_compressed_for_those_who_accept_it(
    service: Service, accepted: str, encoding: str | None
) -> None:
    """The style sheet is sent in less than half of its bytes, under an ETag of its own."""
    plain = service.get("/static/page.css", headers={"Accept-Encoding": "identity"})
    answer = service.get("/static/page.css", headers={"Accept-Encoding": accepted})
    assert answer.content == plain.content
    assert (answer.headers.get("Content-Encoding"), answer.headers["Vary"]) == (
        encoding,
        "Accept-Encoding",
    )
    size = int(answer.headers["Content-Length"])
    assert size < len(plain.content) / 2 if encoding else size == len(plain.content)
    assert (answer.headers["ETag"] == plain.headers["ETag"]) == (encoding is None)
    again = {"Accept-Encoding": accepted, "If-None-Match": answer.headers["ETag"]}
    assert service.get("/static/page.css", headers=again).status_code == 304


def test_crawlers_are_told_what_is_not_for_them(service: Service) -> None:
    """Crawlers must not request the API; they can read pages, which say that they are not indexed.

    Python's parser of robots.txt reads the rules as crawlers do.
    """
    answer = service.get("/robots.txt", headers={"Authorization": ""})
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    rules = RobotFileParser()
    rules.parse(answer.text.splitlines())
    assert not rules.can_fetch("anybot", "/api/me")
    for path in ("/", "/docs", "/sign-in", "/apis"):
        assert rules.can_fetch("anybot", path), path
    page = service.get("/docs", headers={"Authorization": ""}).text
    assert '<meta name="robots" content="noindex">' in page


@pytest.mark.parametrize("path", ["/", "/livez", "/docs", "/openapi.json", "/api/me", "/nothing.x"])
def test_headers_for_safety_are_on_every_answer(service: Service, path: str) -> None:
    """Every answer has its security headers.

    Browsers do not guess types, and caches reuse no answer without revalidation. Only pages have a
    Content-Security-Policy and a Referrer-Policy.
    """
    answer = service.get(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] in {"no-store", "private, no-cache"}
    page = answer.headers["Content-Type"].startswith("text/html")
    assert ("Content-Security-Policy" in answer.headers) == page
    assert ("Referrer-Policy" in answer.headers) == page
