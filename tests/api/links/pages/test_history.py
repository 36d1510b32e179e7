"""The history on the web page: see it, undo changes, and filter by owner."""

import re

from tests.support.links.client import Links
from tests.support.links.pages import listed
from tests.support.visitor import Visitor


def press_undo(member: Visitor, page: str, code: str) -> str:
    """Press the first button "Undo" for a link that a page has. Return the page that follows."""
    [action, *_] = re.findall(f'action="(/links/{code}/history/[0-9]+/undo)"', page)
    fields = dict(
        re.findall('name="(form_key|revision)" value="([^"]*)"', page.partition(action)[2])
    )
    answer = member.post(action, data=fields)
    return answer.text if answer.status_code != 303 else member.get(answer.headers["Location"]).text


def test_link_shows_and_undoes_changes(member: Visitor, reader: Visitor, links: Links) -> None:
    """The page of a link shows its owner and changes; a button undoes one. Readers have none."""
    name = links.service.get("/api/me").json()["name"]
    code = links.create(title="before-it")["code"]
    path = f"/links/{code}"
    member.submit(path, title="after-it", tags="<b>")
    page = member.get(path).text
    assert re.search(f"<dt>Owner</dt>\\s*<dd>{name}</dd>", page)
    assert f"<strong>Edited</strong> by {name}" in page
    assert "<code>before-it</code> → <code>after-it</code>" in page
    assert '<span class="tag">&lt;b&gt;</span>' in page
    shown = reader.get(path).text
    assert ("by " + name in shown, "/undo" in shown) == (True, False)
    undone = press_undo(member, page, code)
    assert "Undone." in undone
    assert "<h1>before-it</h1>" in undone


def test_stale_undo_is_refused(member: Visitor, links: Links) -> None:
    """If somebody else has changed the link meanwhile, the page shows its history instead."""
    code = links.create(title="a")["code"]
    member.submit(f"/links/{code}", title="b")
    page = member.get(f"/links/{code}").text
    links.service.patch(f"/api/links/{code}", json={"url": "https://example.com/new"})
    assert "This link has changed since you opened it." in press_undo(member, page, code)
    assert links.service.get(f"/api/links/{code}").json()["title"] == "b"


def test_history_has_pages(member: Visitor, links: Links) -> None:
    """The page of the history shows all changes, 20 at a time."""
    code = links.create(title="first-title")["code"]
    for number in range(20):
        links.service.patch(f"/api/links/{code}", json={"title": f"title {number}"})
    page = member.get(f"/links/{code}/history").text
    assert page.count("<strong>Edited</strong>") == 20
    [older] = re.findall('href="([^"]*)" rel="next"', page)
    assert "<strong>Created</strong>" in member.get(older).text
    assert member.get(f"/links/{code}/history?after=x").status_code == 422
    assert member.get(f"/links/{links.new_code()}/history").status_code == 404


def test_delete_is_undone(member: Visitor, links: Links) -> None:
    """The page of deleted links restores one, unless another link has its code."""
    code = links.create(title="restored-title")["code"]
    member.submit(f"/links/{code}/delete")
    assert "<strong>Deleted</strong>" in member.get(f"/links/{code}/history").text
    page = member.get("/links/-/restore").text
    links.create(code=code)
    assert "Another link has this code." in press_undo(member, page, code)
    links.service.delete(f"/api/links/{code}")
    assert "<h1>restored-title</h1>" in press_undo(member, page, code)


def test_own_links_are_listed(member: Visitor, reader: Visitor, links: Links) -> None:
    """The list can be limited to links of the user."""
    code = links.create()["code"]
    assert code in listed(member.get("/links?mine=true").text)
    assert listed(reader.get("/links?mine=true").text) == []
    assert "No links found." in reader.get("/links?mine=true").text
