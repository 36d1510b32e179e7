"""Errors are HTML pages for browsers and problem details (RFC 9457) for all other clients."""

import pytest

from tests.support.forked import python
from tests.support.visitor import Visitor, form_key

AWAY = """
from app import create_app
answer = create_app().test_client().get("/readyz", headers={"Accept": "text/html"})
print(answer.status_code, answer.mimetype, answer.headers["Retry-After"])
"""


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/no/such/page.html", 404, id="unknown page"),
        pytest.param("GET", "/sign-in/", 404, id="trailing slash"),
        pytest.param("POST", "/livez", 405, id="wrong method"),
        pytest.param("DELETE", "/sign-in", 405, id="wrong method for a page"),
        pytest.param("GET", "/%00", 404, id="null byte"),
    ],
)
def test_errors_are_pages_for_browsers(
    visitor: Visitor, method: str, path: str, status: int
) -> None:
    """Browsers get errors as a page, other clients get problem details.

    Both have the same title and headers.
    """
    page = visitor.request(method, path)
    other = visitor.request(method, path, headers={"Accept": "*/*"})
    problem = other.json()
    assert page.status_code == other.status_code == status
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert other.headers["Content-Type"] == "application/problem+json"
    assert f"<h1>{problem['title']}</h1>" in page.text
    assert page.headers["X-Request-Id"] in page.text
    assert page.headers.get("Allow") == other.headers.get("Allow")
    for answer in (page, other):
        assert "Accept" in answer.headers["Vary"]


def test_outage_is_a_page_for_browsers() -> None:
    """When the database is down, browsers get a 503 page.

    Rendering it does not read the database, not even to see who is signed in.
    """
    environ = {"DATABASE_URL": "mysql+pymysql://a:b@127.0.0.1:1/x", "SECRET_KEY": "x" * 32}
    last = python(AWAY, **environ).splitlines()[-1]
    assert last == "503 text/html 1"


def test_api_has_no_pages(visitor: Visitor) -> None:
    """Under /api every error is problem details, even if the client prefers HTML."""
    for path in ("/api/me", "/api/no/such/thing", "/api"):
        answer = visitor.get(path)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_large_form_is_refused(member: Visitor) -> None:
    """A form that exceeds the body limit is rejected with 413."""
    fields = {"form_key": form_key(member), "x": "x" * 70_000}
    answer = member.post("/sign-in", data=fields)
    assert answer.status_code == 413
    assert answer.headers["Content-Type"].startswith("text/html")
