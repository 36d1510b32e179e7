"""Links from the address bar (OpenSearch), and the bookmarklet."""

import html
import re
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest

from tests.support.links.client import TARGET, Links
from tests.support.links.pages import XSS
from tests.support.service import Service
from tests.support.visitor import Visitor, form

NAMESPACE = "{http://a9.com/-/spec/opensearch/1.1/}"


def templates(visitor: Visitor) -> dict[str, str]:
    """Return the URL templates of the description that a page refers to, by their media type."""
    [path] = re.findall(r'<link rel="search" [^>]*href="([^"]*)"', visitor.get("/docs").text)
    answer = visitor.get(path)
    assert answer.headers["Content-Type"].startswith("application/opensearchdescription+xml")
    description = ET.fromstring(answer.content)  # noqa: S314 our own
    assert 1 <= len(description.findtext(f"{NAMESPACE}ShortName") or "") <= 16
    urls = description.findall(f"{NAMESPACE}Url")
    return {url.attrib["type"]: url.attrib["template"] for url in urls}


def search(visitor: Visitor, kind: str, words: str) -> str:
    """Return the path that a browser requests for a search."""
    return templates(visitor)[kind].replace("{searchTerms}", quote(words))[len(visitor.url) :]


def test_search_follows_a_link(visitor: Visitor, links: Links) -> None:
    """A search for a code follows the link, and counts the click. Nobody must sign in."""
    code = links.create()["code"]
    answer = visitor.get(search(visitor, "text/html", f"{code} "))
    assert answer.headers["Location"] == TARGET
    assert links.service.get(f"/api/links/{code}").json()["clicks"] == 1


def test_codes_are_completed(member: Visitor, reader: Visitor, links: Links) -> None:
    """Who is signed in gets codes that begin with the words, their titles and their URLs."""
    code = links.new_code()
    made = [
        links.create(code=f"{code}{end}", title=title) for end, title in (("a", ""), ("b", XSS))
    ]
    links.codes += [link["code"] for link in made]
    for visitor in (member, reader):
        typed = f"{code[:5]}-{code[5:].upper()}"
        answer = visitor.get(search(visitor, "application/x-suggestions+json", typed))
        assert answer.headers["Content-Type"] == "application/x-suggestions+json"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.json() == [
            typed,
            [link["code"] for link in made],
            [TARGET, XSS],
            [link["short_url"] for link in made],
        ]


@pytest.mark.parametrize("typed", ["", " ", "ä", "%", "\0", "x" * 100, "-"])
def test_odd_words_have_no_completion(member: Visitor, typed: str) -> None:
    """Words that no code begins with get empty lists."""
    answer = member.get(search(member, "application/x-suggestions+json", typed))
    assert (answer.status_code, answer.json()) == (200, [typed, [], [], []])


def test_others_get_no_completion(visitor: Visitor, links: Links) -> None:
    """A browser that is not signed in learns no codes: it is sent to the sign-in."""
    code = links.create()["code"]
    answer = visitor.get(search(visitor, "application/x-suggestions+json", code[:4]))
    assert (answer.status_code, code in answer.text) == (303, False)
    assert answer.headers["Location"].startswith("/sign-in")


def test_bookmark_fills_in_the_form(member: Visitor, links: Links) -> None:
    """The bookmarklet's URL fills in the form, and creates nothing before it is submitted."""
    page = member.get("/links/-/new").text
    [script] = re.findall(r'href="javascript:([^"]*)"', page)
    wanted = (
        f"location.href='{member.url}/links/-/new?url='+encodeURIComponent(location.href)"
        "+'&title='+encodeURIComponent(document.title)"
    )
    assert html.unescape(script) == wanted
    url, title = f"{TARGET}?a=1&b={XSS.replace(' ', '+')}#c", f"  {XSS}\n {'x' * 300}"
    code = links.new_code()
    query = f"url={quote(url)}&title={quote(title)}&code={code}"
    filled = member.get(f"/links/-/new?{query}")
    fields = form(filled.text)
    assert (fields["url"], fields["code"]) == (url, code)
    assert fields["title"] == f"{XSS} {'x' * 300}"[:200]
    assert "<script>alert" not in filled.text
    assert links.service.get(f"/api/links/{code}").status_code == 404


def test_sign_in_leads_back_to_the_form(service: Service, visitor: Visitor) -> None:
    """Who is not signed in comes back to the form, still filled in."""
    path = f"/links/-/new?url={quote(TARGET, safe='')}&title=Docs"
    answer = visitor.get(path)
    assert answer.status_code == 303
    back = visitor.submit(answer.headers["Location"], token=service.token)
    assert form(visitor.get(back.headers["Location"]).text)["url"] == TARGET
