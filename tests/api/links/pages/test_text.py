"""Cross-site scripting: text from links and addresses is always escaped."""

import html
import re

import pytest

from tests.support.links.client import TARGET, Links
from tests.support.links.pages import XSS, listed
from tests.support.visitor import Visitor, form


def test_any_text_is_text(member: Visitor, reader: Visitor, links: Links) -> None:
    """Stored cross-site scripting: titles, targets and tags are escaped on every page."""
    link = links.create(title=XSS, tags=[XSS], url=f"{TARGET}?'\"><script>alert(2)</script>")
    code = link["code"]
    links.service.get(f"/{code}")
    paths = ["/links", f"/links?q={code}", f"/links/{code}", f"/links/{code}/delete", f"/{code}+"]
    for visitor in (member, reader):
        seen = 0
        for path in [*paths, "/links/-/top"]:
            page = visitor.get(path).text
            assert "<script>" not in page
            seen += "&lt;script&gt;alert(" in page
        assert seen >= len(paths)
    shown = form(member.get(f"/links/{code}").text)
    assert (shown["title"], shown["tags"], shown["url"]) == (XSS, XSS, link["url"])
    [tag] = re.findall('<a class="tag" href="([^"]*)"', member.get(f"/links?q={code}").text)
    assert code in listed(member.get(html.unescape(tag)).text)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(XSS, id="script"),
        pytest.param('"><img src=x>', id="image"),
        pytest.param("javascript:alert(1)", id="script URL"),
    ],
)
def test_search_text_is_never_markup(member: Visitor, text: str) -> None:
    """Reflected cross-site scripting: query parameters are escaped on every page."""
    for name in ("q", "tag", "sort", "after", "code"):
        for path in ("/links", "/links/-/new", "/links/-/check"):
            page = member.get(path, params={name: text}).text
            assert "<script>" not in page
            assert "<img src=x>" not in page
