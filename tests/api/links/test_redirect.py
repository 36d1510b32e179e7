"""Redirects follow the rules of go links, and clicks are counted."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.robotparser import RobotFileParser

import pytest

from tests.support.links.client import Links
from tests.support.service import Service


@pytest.mark.parametrize(
    ("target", "rest", "location"),
    [
        pytest.param("https://example.com", "", "https://example.com", id="nothing more"),
        pytest.param("https://example.com/a", "/b/c", "https://example.com/a/b/c", id="path"),
        pytest.param(
            "https://example.com/a/",
            "/b",
            "https://example.com/a/b",
            id="target with a trailing slash",
        ),
        pytest.param(
            "https://example.com", "/b", "https://example.com/b", id="target without a path"
        ),
        pytest.param("https://example.com/a.pdf", "/", "https://example.com/a.pdf", id="slash"),
        pytest.param("https://example.com/a/", "/", "https://example.com/a/", id="two slashes"),
        pytest.param(
            "https://example.com/a?x=1#f",
            "/?y=2",
            "https://example.com/a?x=1&y=2#f",
            id="slash and query",
        ),
        pytest.param("https://example.com/a", "//", "https://example.com/a//", id="double slash"),
        pytest.param(
            "https://example.com/a", "/b/", "https://example.com/a/b/", id="path with a final slash"
        ),
        pytest.param(
            "https://example.com/a", "//b//", "https://example.com/a//b//", id="repeated slashes"
        ),
        pytest.param(
            "https://example.com/a",
            "/b%2Fc%20d",
            "https://example.com/a/b%2Fc%20d",
            id="encoded slash and space",
        ),
        pytest.param(
            "https://example.com/a", "/%C3%A4", "https://example.com/a/%C3%A4", id="encoded letter"
        ),
        pytest.param(
            "https://example.com/a",
            "/https://b.c/d",
            "https://example.com/a/https://b.c/d",
            id="URL as a path",
        ),
        pytest.param(
            "https://example.com/a",
            "/ftp://b/c",
            "https://example.com/a/ftp://b/c",
            id="FTP URL as a path",
        ),
        pytest.param(
            "https://example.com/a", "/b%0Ac", "https://example.com/a/b%0Ac", id="encoded newline"
        ),
        pytest.param(
            "https://example.com/a?x=1", "?y=2", "https://example.com/a?x=1&y=2", id="two queries"
        ),
        pytest.param(
            "https://example.com/a?x=1#f",
            "/b?x=2&x=3",
            "https://example.com/a/b?x=1&x=2&x=3#f",
            id="path, query and fragment",
        ),
        pytest.param("https://example.com/a#f", "?", "https://example.com/a#f", id="empty query"),
        pytest.param(
            "https://example.com/a",
            "?a=%2B+b%0D%0A",
            "https://example.com/a?a=%2B+b%0D%0A",
            id="encoded query",
        ),
        pytest.param(
            "https://bücher.example/ä",
            "/b",
            "https://xn--bcher-kva.example/%C3%A4/b",
            id="international host and path",
        ),
        pytest.param(
            "https://example.com/a", "/..b/c..", "https://example.com/a/..b/c..", id="dots in names"
        ),
        pytest.param(
            "https://example.com/a?id=%s&x#f",
            "/b%20/c&d?y",
            "https://example.com/a?id=b%20/c%26d&x&y#f",
            id="placeholder",
        ),
        pytest.param(
            "https://example.com/a?id=%s", "", "https://example.com/a?id=", id="empty placeholder"
        ),
        pytest.param(
            "https://example.com/a", "/b\\c", "https://example.com/a/b%5Cc", id="backslash"
        ),
    ],
)
def test_path_and_query_are_passed_on(
    service: Service, links: Links, target: str, rest: str, location: str
) -> None:
    """Path and query after the code are added to the target as they were received."""
    answer = service.raw(f"/{links.create(url=target)['code']}{rest}")
    assert (answer.status, answer.headers["Location"]) == (302, location)


@pytest.mark.parametrize(
    "rest",
    [
        "/..",
        "/.",
        "/a/../b",
        pytest.param("/%2e%2E/b", id="encoded dots"),
        pytest.param("/a/.%2e", id="half-encoded dots"),
        pytest.param("/..\\b", id="backslash"),
        pytest.param("/..%5cb", id="encoded backslash"),
        "/./",
    ],
)
def test_dot_segments_lead_nowhere(service: Service, links: Links, rest: str) -> None:
    """Path traversal: dot segments after the code get 404 and do not count as a click."""
    for target in ("https://example.com/docs", "https://example.com/.%s/a"):
        code = links.create(url=target)["code"]
        assert service.raw(f"/{code}{rest}").status == 404
        assert service.get(f"/api/links/{code}").json()["clicks"] == 0


def test_redirect_has_the_right_headers(service: Service, links: Links) -> None:
    """A redirect is not cached, and does not override the linking page's referrer policy."""
    answer = service.get(f"/{links.create()['code']}")
    assert answer.status_code == 302
    assert answer.headers["Cache-Control"] == "private, max-age=0"
    assert "Referrer-Policy" not in answer.headers
    assert answer.headers["X-Request-Id"]


def test_spelling_does_not_matter(service: Service, links: Links) -> None:
    """Case, hyphens and percent-encoding of a code do not matter."""
    code = links.create(code=links.new_code())["code"]
    for spelling in (code.upper(), f"{code[:5]}-{code[5:]}", f"%74{code[1:]}"):
        assert service.raw(f"/{spelling}").status == 302


def test_code_can_have_dots(service: Service, links: Links) -> None:
    """A dot in a code matters. A preview and a QR code work as for any code."""
    code = links.new_code()
    dotted = links.create(code=f"{code}.v1.2")["code"]
    assert service.get(f"/{code.upper()}.V1-.2/x").headers["Location"].endswith("/docs/x")
    for path in (f"/{code}v12", f"/{code}", f"/{dotted}.QR", f"/{dotted}.qr/x"):
        assert service.get(path).status_code == 404, path
    assert service.get(f"/{dotted}+").json()["code"] == dotted
    assert service.get(f"/{dotted}.qr").headers["Content-Type"].startswith("image/svg+xml")
    assert service.get(f"/api/links/{dotted}").json()["clicks"] == 1


def test_absolute_form_is_understood(service: Service, links: Links) -> None:
    """A request target in absolute form (RFC 9112, section 3.2.2) is redirected too."""
    answer = service.raw(f"{service.url}/{links.create()['code']}/x?y")
    assert answer.headers["Location"] == "https://example.com/docs/x?y"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/{}%2Fx", id="encoded slash"),
        pytest.param("/-{}", id="leading hyphen"),
        pytest.param("/{}.html", id="file extension"),
        pytest.param("/{}%00", id="encoded null byte"),
        pytest.param("//{}", id="two slashes"),
    ],
)
def test_invalid_code_is_not_found(service: Service, links: Links, path: str) -> None:
    """Only a whole first segment of the path is a code."""
    assert service.raw(path.format(links.create()["code"])).status == 404


def test_reserved_words_are_not_links(service: Service) -> None:
    """Reserved words never redirect, in any spelling."""
    for path in ("/api", "/API/links/x/y", "/live-z", "/READYZ", "/Metrics", "/robots.txt/x"):
        assert service.get(path).status_code == 404


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_below_reserved_words_there_are_no_links(service: Service, method: str) -> None:
    """Unknown paths below a reserved word get 404 for every method."""
    for path in ("/api/nothing", "/api/links/-x", "/livez/x", "/docs/x", "/static"):
        assert service.request(method, path).status_code == 404, path


def test_expired_link_is_gone(service: Service, links: Links) -> None:
    """An expired link gets 410 and counts no click; before that, it redirects."""
    now = datetime.now(UTC)
    past = links.create(expires_at=(now - timedelta(seconds=1)).isoformat())["code"]
    future = links.create(expires_at=(now + timedelta(hours=1)).isoformat())["code"]
    answer = service.get(f"/{past}")
    assert (answer.status_code, answer.json()["title"]) == (410, "Gone")
    assert service.get(f"/{future}").status_code == 302
    assert service.get(f"/api/links/{past}").json()["clicks"] == 0


def test_crawlers_can_follow_links(service: Service, links: Links) -> None:
    """The rules for crawlers allow redirects, and exclude the pages for people who sign in."""
    rules = RobotFileParser()
    rules.parse(service.get("/robots.txt").text.splitlines())
    code = links.create()["code"]
    assert rules.can_fetch("anybot", f"/{code}")
    assert rules.can_fetch("anybot", "/linksmith")
    assert not rules.can_fetch("anybot", f"/links/{code}")


def test_edit_is_seen_by_the_next_click(service: Service, links: Links) -> None:
    """The next redirect after an edit leads to the new target."""
    code = links.create()["code"]
    for number in range(10):
        target = f"https://example.com/{number}"
        service.patch(f"/api/links/{code}", json={"url": target})
        assert service.get(f"/{code}").headers["Location"] == target


def test_head_is_not_counted(service: Service, links: Links) -> None:
    """HEAD returns the target and does not count as a click."""
    code = links.create()["code"]
    assert service.head(f"/{code}").headers["Location"] == "https://example.com/docs"
    assert service.get(f"/api/links/{code}").json()["clicks"] == 0


def test_every_click_is_counted(service: Service, links: Links) -> None:
    """Many simultaneous clicks are all counted, each on its own link."""
    codes = [links.create()["code"] for _ in range(5)]
    wanted = Counter(codes[n % 3] for n in range(300))

    def click(code: str) -> int:
        return service.get(f"/{code}").status_code

    with ThreadPoolExecutor(24) as pool:
        assert set(pool.map(click, wanted.elements())) == {302}
    counted = {code: service.get(f"/api/links/{code}").json()["clicks"] for code in codes}
    assert counted == {code: wanted[code] for code in codes}


def test_clicks_survive_deletes_at_the_same_time(service: Service, links: Links) -> None:
    """Deleting links while they are clicked does not affect requests for other links."""
    steady, doomed = links.create()["code"], [links.create()["code"] for _ in range(10)]

    def click(code: str) -> int:
        return service.get(f"/{code}").status_code

    with ThreadPoolExecutor(16) as pool:
        clicks = [pool.submit(click, code) for _ in range(10) for code in (steady, *doomed)]
        deletes = [pool.submit(service.delete, f"/api/links/{code}") for code in doomed]
        assert {delete.result().status_code for delete in deletes} == {204}
        assert {click.result() for click in clicks} <= {302, 404}
    assert service.get(f"/api/links/{steady}").json()["clicks"] == 10
