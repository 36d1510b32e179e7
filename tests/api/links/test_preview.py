"""Previews and QR codes: `/<code>+` and `/<code>.qr`."""

from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest
import segno

from tests.support.links.client import TARGET, Links
from tests.support.service import Service

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
BOTH = pytest.mark.parametrize("ending", ["+", ".qr"])


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        pytest.param("*/*", "application/json", id="anything"),
        pytest.param("application/json", "application/json", id="JSON"),
        pytest.param("text/plain", "application/json", id="plain text"),
        pytest.param("nonsense", "application/json", id="nonsense"),
        pytest.param(
            "application/json;q=0.5,text/html;q=0.4", "application/json", id="JSON before HTML"
        ),
        pytest.param("text/html", "text/html", id="HTML"),
        pytest.param(BROWSER, "text/html", id="browser"),
    ],
)
def test_preview_is_a_page_for_browsers(
    service: Service, links: Links, accept: str, kind: str
) -> None:
    """The preview is a page for clients that prefer HTML, and JSON for all others."""
    answer = service.get(f"/{links.create()['code']}+", headers={"Accept": accept})
    assert (answer.status_code, "Accept" in answer.headers["Vary"]) == (200, True)
    assert answer.headers["Content-Type"].partition(";")[0] == kind


def test_preview_shows_the_target(service: Service, links: Links) -> None:
    """Without a token, the preview shows code, short URL, target and title, and nothing else."""
    link = links.create(title="Docs", tags=["secret"])
    shown = service.get(f"/{link['code']}+", headers={"Authorization": ""}).json()
    assert shown == {name: link[name] for name in ("code", "short_url", "url", "title")}


def test_page_leads_where_the_link_leads(service: Service, links: Links) -> None:
    """The preview page shows a target as it is, and its link is what the redirect would be."""
    link = links.create(url=f"{TARGET}?ä&id=%s")
    page = service.get(f"/{link['code']}+", headers={"Accept": "text/html"}).text
    assert f'href="{TARGET}?%C3%A4&amp;id="' in page
    assert f">{TARGET}?ä&amp;id=%s</a>" in page


def test_page_shows_any_text_as_text(service: Service, links: Links) -> None:
    """The preview page escapes title and target.

    Search engines do not index it, and its Content-Security-Policy allows only the service's own
    files.
    """
    link = links.create(title="<script>alert(1)</script>", url=f"{TARGET}?'\"><b>&amp;")
    answer = service.get(f"/{link['code']}+", headers={"Accept": "text/html"})
    assert "<script" not in answer.text
    assert "&lt;script&gt;" in answer.text
    assert f">{TARGET}?&#39;&#34;&gt;&lt;b&gt;&amp;amp;</a>" in answer.text
    assert '<meta name="robots" content="noindex">' in answer.text
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert answer.headers["Referrer-Policy"] == "same-origin"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        pytest.param("*/*", "image/svg+xml", id="anything"),
        pytest.param("image/*", "image/svg+xml", id="any image"),
        pytest.param("text/html", "image/svg+xml", id="HTML"),
        pytest.param("image/png", "image/png", id="PNG"),
        pytest.param("image/svg+xml;q=0.5,image/png", "image/png", id="PNG before SVG"),
        pytest.param(BROWSER, "image/svg+xml", id="browser"),
    ],
)
def test_picture_is_of_the_short_url(
    service: Service, links: Links, accept: str, kind: str
) -> None:
    """The QR code encodes the short URL, as SVG or PNG by the Accept header."""
    link = links.create()
    answer = service.get(f"/{link['code']}.qr", headers={"Accept": accept})
    wanted = BytesIO()
    segno.make_qr(link["short_url"]).save(wanted, kind[6:9], scale=8, light="white")
    assert (answer.status_code, answer.headers["Vary"]) == (200, "Accept")
    assert answer.headers["Content-Type"].partition(";")[0] == kind
    assert answer.content == wanted.getvalue()


def test_picture_is_not_sent_twice(service: Service, links: Links) -> None:
    """A QR code with a matching If-None-Match gets 304.

    SVG and PNG have different ETags.
    """
    path = f"/{links.create()['code']}.qr"
    etag = service.get(path).headers["ETag"]
    assert not etag.startswith("W/")
    again = service.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", etag)
    other = service.get(path, headers={"If-None-Match": etag, "Accept": "image/png"})
    assert other.status_code == 200


@BOTH
def test_head_tells_the_same(service: Service, links: Links, ending: str) -> None:
    """HEAD returns the same headers as GET, and no body."""
    path = f"/{links.create()['code']}{ending}"
    head, get = service.head(path), service.get(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Vary"):
        assert head.headers.get(name) == get.headers.get(name)


@BOTH
def test_preview_counts_no_click(service: Service, links: Links, ending: str) -> None:
    """Previews and QR codes do not count as clicks."""
    code = links.create()["code"]
    service.get(f"/{code}{ending}")
    assert service.get(f"/api/links/{code}").json()["clicks"] == 0


@BOTH
def test_any_spelling_shows_the_same(service: Service, links: Links, ending: str) -> None:
    """Case and hyphens of the code do not matter."""
    code = links.create(code=links.new_code())["code"]
    wanted = service.get(f"/{code}{ending}").content
    for spelling in (code.upper(), f"{code[:5]}-{code[5:]}-"):
        assert service.get(f"/{spelling}{ending}").content == wanted


@BOTH
def test_unknown_link_shows_nothing(service: Service, links: Links, ending: str) -> None:
    """Unknown, invalid and reserved codes get 404, and expired links get 410."""
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert service.get(f"/{links.create(expires_at=past)['code']}{ending}").status_code == 410
    code = links.create()["code"]
    for path in (links.new_code(), f"{code}%2Fx", f"-{code}", f"{code}%00", "api", "livez", ""):
        assert service.get(f"/{path}{ending}").status_code == 404, path
