"""Links that were pasted with something that does not belong to them."""

from urllib.parse import quote

import pytest

from tests.support.links.client import TARGET, Links
from tests.support.service import Service


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
