"""Links that were pasted with something that does not belong to them."""

from urllib.parse import quote

import pytest

from tests.support.links.client import TARGET, Links
from tests.support.service import Service
from tests.support.visitor import Visitor


@pytest.mark.parametrize(
    "ending", [".", ",", ")", '"', "…", "\u200b", "\ufeff", "\u00ad", "\u2060", "\u00a0", '.")…']
)
def test_pasted_link_is_found_and_counted(service: Service, links: Links, ending: str) -> None:
    """Punctuation and invisible characters after a code are dropped, and the click is counted."""
    code = links.create()["code"]
    assert service.raw(f"/{code}{quote(ending)}").headers["Location"] == TARGET
    assert service.get(f"/api/links/{code}").json()["clicks"] == 1


def test_rest_follows_a_pasted_code(service: Service, links: Links) -> None:
    """Path and query after such a code are added. They stay as they are: only the target knows."""
    code = links.create()["code"]
    answer = service.get(f"/{code}./a.)?b=1.")
    assert answer.headers["Location"] == f"{TARGET}/a.)?b=1."


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/{}.x", id="file extension"),
        pytest.param("/.{}", id="leading dot"),
        pytest.param("/{}.%2Fx", id="encoded slash"),
        pytest.param("/{}.%00", id="null byte"),
        pytest.param("/{}./..", id="dot segment"),
        pytest.param("/{}.+", id="preview"),
        pytest.param("/.", id="nothing but a dot"),
        pytest.param("/api.", id="reserved word"),
        pytest.param("/livez%E2%80%8B/x", id="below a reserved word"),
    ],
)
def test_nothing_else_is_found(service: Service, links: Links, path: str) -> None:
    """All else is still no link."""
    assert service.raw(path.format(links.create()["code"])).status == 404


def test_preview_stays_a_preview(service: Service, links: Links) -> None:
    """`+` and `.qr` are not dropped."""
    code = links.create()["code"]
    assert service.get(f"/{code}+").json()["url"] == TARGET
    assert service.get(f"/{code}.qr").headers["Content-Type"] == "image/svg+xml; charset=utf-8"
    assert service.get(f"/api/links/{code}").json()["clicks"] == 0


@pytest.mark.parametrize(
    "url", [f" {TARGET} ", f"\u00a0{TARGET}\r\n", f"\ufeff{TARGET}\u200b", f"\t{TARGET}\u3000"]
)
def test_spaces_around_a_target_are_dropped(
    service: Service, member: Visitor, links: Links, url: str
) -> None:
    """The API and the page drop spaces around a target, in a new link and in a changed one."""
    link = links.create(url=url)
    assert link["url"] == TARGET
    path = f"/api/links/{link['code']}"
    service.patch(path, json={"url": f"{TARGET}/2"})
    assert service.patch(path, json={"url": url}).json()["url"] == TARGET
    code = links.new_code()
    assert member.submit("/links/-/new", url=url, code=code).status_code == 303
    assert service.get(f"/api/links/{code}").json()["url"] == TARGET


@pytest.mark.parametrize("url", ["", " ", "\ufeff", "https://exa mple.com", "https://a\u3000.com"])
def test_spaces_alone_are_no_target(service: Service, url: str) -> None:
    """Spaces inside a target, or nothing else, are still rejected."""
    answer = service.post("/api/links", json={"url": url})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/url"]
