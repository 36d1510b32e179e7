"""The page that lists and searches links."""

import html
import re
import secrets

import pytest

from tests.support.links.client import TARGET, Links
from tests.support.links.pages import listed
from tests.support.visitor import Visitor


def test_list_has_pages(member: Visitor, links: Links) -> None:
    """Page by page, the list shows each link with a tag once, in both sort orders."""
    tag = f"tag {secrets.token_hex(4)}"
    made = [links.create(tags=[tag])["code"] for _ in range(23)]
    for sort, wanted in (("-created_at", made[::-1]), ("code", sorted(made))):
        found, path = [], f"/links?tag={tag}&sort={sort}"
        while path:
            page = member.get(path).text
            found += listed(page)
            following = re.search('href="([^"]*)" rel="next"', page)
            path = html.unescape(following[1]) if following else ""
        assert found == wanted
        assert "First page" in page
        assert "<strong>23 links</strong>" in page
        [before] = re.findall('href="([^"]*)" rel="prev"', page)
        page = member.get(html.unescape(before)).text
        assert listed(page) == wanted[:20]
        assert 'rel="prev"' not in page


def test_empty_page_leads_back(member: Visitor, links: Links) -> None:
    """A page whose links were deleted meanwhile is empty, and leads to the first page."""
    tag = links.new_code()[:20]
    older, _ = (links.create(tags=[tag])["code"] for _ in range(2))
    page = links.service.get("/api/links", params={"tag": tag, "limit": "1"}).json()
    links.service.delete(f"/api/links/{older}")
    shown = member.get("/links", params={"after": page["next"]}).text
    assert "No links found." in shown
    assert "First page" in shown


def test_list_is_searched(member: Visitor, links: Links) -> None:
    """The page searches codes, titles and URLs, with or without a tag."""
    word = f"w{secrets.token_hex(6)}"
    first = links.create(title=f"One {word}", tags=["a"])["code"]
    second = links.create(url=f"{TARGET}/{word}", tags=["b"])["code"]
    assert listed(member.get("/links", params={"q": word[:9]}).text) == [second, first]
    assert listed(member.get("/links", params={"q": word, "tag": "a"}).text) == [first]
    tagged = member.get("/links", params={"tag": "a"})
    # The address has no empty parameters.
    assert 'href="/links" data-swap>Show all links' in tagged.text
    assert re.findall("<option selected>([^<]*)</option>", tagged.text) == ["a"]
    page = member.get("/links", params={"q": word, "tag": "c"})
    assert (page.status_code, "No links found." in page.text) == (200, True)


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("q=%21", id="search without words"),
        pytest.param("q=" + "x" * 201, id="search too long"),
        pytest.param("tag=%00", id="null byte in the tag"),
        pytest.param("sort=x", id="unknown order"),
        pytest.param("after=x", id="invalid cursor"),
        pytest.param("after=ewo", id="cursor of JSON"),
        pytest.param("limit=0", id="limit of zero"),
    ],
)
def test_invalid_list_query_is_reported(member: Visitor, query: str) -> None:
    """An invalid search is rejected with 422 and a message on the page."""
    answer = member.get(f"/links?{query}")
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text


def test_empty_fields_are_no_search(member: Visitor) -> None:
    """Empty fields and unknown parameters are ignored."""
    assert member.get("/links?q=&tag=&sort=-created_at&utm_source=x").status_code == 200


def test_expired_link_is_a_page(member: Visitor, links: Links) -> None:
    """Expired links get a 410 page, and are marked in the list and on their own page.

    Their own page has no QR code.
    """
    code = links.create(expires_at="2020-01-01T00:00:00Z", tags=[links.new_code()])["code"]
    answer = member.again().get(f"/{code}")
    assert (answer.status_code, "This link has expired." in answer.text) == (410, True)
    page = member.get(f"/links/{code}").text
    assert "Expired" in page
    assert ".qr" not in page
    assert ">expired<" in member.get("/links", params={"q": code}).text


def test_first_page_is_small(member: Visitor, links: Links) -> None:
    """A full page with its style sheet, icon and script is smaller than 60 kB."""
    for _ in range(20):
        links.create(title="A title of some length", tags=["some", "tags"])
    page = member.get("/links").text
    files = re.findall(r'<(?:link rel="(?!search)|script)[^>]*(?:href|src)="([^"]*)"', page)
    names = ["/static/page.css", "/static/icon.svg", "/static/page.js"]
    assert [file.partition("?")[0] for file in files] == names
    assert len(page) + sum(len(member.get(file).content) for file in files) < 60_000
