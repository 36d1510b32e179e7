"""Behaviour of every service built from this stack, whatever its resources are."""

import re

import pytest

from tests.support.service import Service


def test_greeting_tells_the_databases_name_and_version(service: Service) -> None:
    """`/` reads the database version and names the pages to visit next."""
    answer = service.get("/")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    first, *rest = answer.text.splitlines()
    assert re.fullmatch(r"Hello, World! (MySQL version: 9\.\d+\.\d+|SQLite version: 3\.).*", first)
    assert len(rest) == 2


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/readyz/database"])
def test_health_is_ok_and_never_cached(service: Service, path: str) -> None:
    """Health checks of a healthy service return 200 and are never cached."""
    answer = service.get(path)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/no/such/page.html", 404, id="unknown page"),
        pytest.param("GET", "/" + "x" * 3000, 404, id="long path"),
        pytest.param("GET", "/%00", 404, id="null byte"),
        pytest.param("GET", "/%ff%fe", 404, id="invalid UTF-8"),
        pytest.param("DELETE", "/livez", 405, id="wrong method"),
    ],
)
def test_errors_are_problems(service: Service, method: str, path: str, status: int) -> None:
    """Errors of Flask itself are problem details (RFC 9457) too."""
    answer = service.request(method, path)
    problem = answer.json()
    assert answer.status_code == problem["status"] == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert {"type", "title", "detail", "instance"} < problem.keys()
    assert problem["instance"].startswith(path[:10].replace("%ff%fe", "%"))
    assert answer.headers["X-Request-Id"]


def test_unknown_path_is_explained(service: Service) -> None:
    """The detail of a 404 says what is wrong in the words of an API, not of a browser."""
    assert service.get("/api/nothing").json()["detail"] == "Nothing exists at this URL."


def test_wrong_method_names_the_right_ones(service: Service) -> None:
    """A 405 answer keeps its Allow header, and its detail points to it."""
    answer = service.post("/livez")
    assert "GET" in answer.headers["Allow"]
    detail = "This URL does not support POST. The Allow header lists the supported methods."
    assert answer.json()["detail"] == detail


def test_head_has_no_body(service: Service) -> None:
    """HEAD is answered like GET, without a body."""
    answer = service.head("/nothing.here")
    assert (answer.status_code, answer.content) == (404, b"")


@pytest.mark.parametrize("given", ["a", "A-1_b.c", pytest.param("x" * 128, id="longest")])
def test_request_id_is_taken_over(service: Service, given: str) -> None:
    """A valid X-Request-Id from the client is kept and returned."""
    assert service.get("/livez", headers={"X-Request-Id": given}).headers["X-Request-Id"] == given


@pytest.mark.parametrize(
    "given",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 129, id="too long"),
        pytest.param("a b", id="space"),
        pytest.param("ä", id="not ASCII"),
        pytest.param('a"b', id="quote"),
        pytest.param("a,b", id="comma"),
    ],
)
def test_odd_request_id_is_replaced(service: Service, given: str) -> None:
    """A malformed X-Request-Id, which could forge log lines, is replaced by a new one."""
    answer = service.get("/livez", headers={"X-Request-Id": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-Id"])
