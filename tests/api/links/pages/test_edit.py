"""Forms that edit and delete a link."""

from tests.support.links.client import TARGET, Links
from tests.support.links.pages import is_wrong
from tests.support.visitor import Visitor, form


def test_link_is_edited(member: Visitor, links: Links) -> None:
    """The form saves changed fields, clears empty ones and keeps the rest."""
    link = links.create(title="Old", tags=["a"], expires_at="2040-01-01T00:00:00Z")
    path = f"/links/{link['code']}"
    answer = member.submit(path, title="New", expires_at="")
    assert (answer.status_code, answer.headers["Location"]) == (303, path)
    assert "Saved." in member.get(path).text
    read = links.service.get(f"/api{path}").json()
    changed = {"title": "New", "expires_at": None, "updated_at": read["updated_at"]}
    assert read == link | changed


def test_form_changes_nothing_by_itself(member: Visitor, links: Links) -> None:
    """Submitting the form unchanged keeps values that it can't show exactly.

    These are fractions of seconds, and spaces around tags.
    """
    odd = {"tags": [" a ", "b,c"], "expires_at": "2040-01-02T03:04:05.678901Z"}
    link = links.create(**odd)
    path = f"/links/{link['code']}"
    assert form(member.get(path).text)["expires_at"] == "2040-01-02T03:04:05"
    member.submit(path)
    assert "Nothing was changed." in member.get(path).text
    assert links.service.get(f"/api{path}").json() == link
    member.submit(path, title="New")
    read = links.service.get(f"/api{path}").json()
    assert (read["tags"], read["expires_at"]) == (link["tags"], link["expires_at"])


def test_invalid_edit_is_reported(member: Visitor, links: Links) -> None:
    """An invalid edit changes nothing, and the form keeps what was typed."""
    link = links.create()
    path = f"/links/{link['code']}"
    answer = member.submit(path, url="nowhere", title="typed")
    assert answer.status_code == 422
    assert is_wrong(answer.text, "url")
    assert (form(answer.text)["url"], form(answer.text)["title"]) == ("nowhere", "typed")
    assert links.service.get(f"/api{path}").json() == link


def test_link_is_renamed(member: Visitor, links: Links) -> None:
    """The form renames a link and shows it under its new code; a taken code is reported."""
    link, other, new = links.create(title="a"), links.create()["code"], links.new_code()
    answer = member.submit(f"/links/{link['code']}", code=other, title="b")
    assert answer.status_code == 409
    assert is_wrong(answer.text, "code")
    assert (form(answer.text)["code"], form(answer.text)["title"]) == (other, "b")
    answer = member.submit(f"/links/{link['code']}", code=new)
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/links/{new}")
    assert form(member.get(f"/links/{new}").text)["code"] == new
    assert member.get(f"/links/{link['code']}").status_code == 404


def test_no_edit_is_lost(member: Visitor, links: Links) -> None:
    """An edit of an outdated revision gets 412 and both versions; a second submit overwrites."""
    path = f"/links/{links.create(title='First')['code']}"
    mine = form(member.get(path).text) | {"title": "Mine", "tags": "t"}
    links.service.patch(f"/api{path}", json={"title": "Theirs"})
    refused = member.post(path, data=mine)
    assert refused.status_code == 412
    assert "This link has changed since you opened it. This page shows its current version." in (
        refused.text
    )
    assert "The form still contains your changes. Save again to apply them." in refused.text
    assert "<h1>Theirs</h1>" in refused.text
    assert form(refused.text)["title"] == "Mine"
    assert links.service.get(f"/api{path}").json()["title"] == "Theirs"
    assert member.post(path, data=form(refused.text)).status_code == 303
    read = links.service.get(f"/api{path}").json()
    assert (read["title"], read["tags"]) == ("Mine", ["t"])


def test_delete_asks_first(member: Visitor, links: Links) -> None:
    """Deleting a link needs a confirmation, and works once."""
    path = f"/links/{links.create()['code']}"
    assert f'href="{path}/delete"' in member.get(path).text
    fields = form(member.get(f"{path}/delete").text)
    assert links.service.get(f"/api{path}").status_code == 200
    answer = member.post(f"{path}/delete", data=fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/links")
    assert "Deleted" in member.get("/links").text
    assert links.service.get(f"/api{path}").status_code == 404
    assert member.post(f"{path}/delete", data=fields).status_code == 404
    assert member.post(path, data=fields).status_code == 404


def test_nothing_else_is_deleted_than_was_shown(member: Visitor, links: Links) -> None:
    """If another link has the code by now, the page asks again instead of deleting it."""
    link = links.create()
    path = f"/links/{link['code']}"
    fields = form(member.get(f"{path}/delete").text)
    links.service.delete(f"/api{path}")
    links.service.post("/api/links", json={"url": f"{TARGET}/other", "code": link["code"]})
    answer = member.post(f"{path}/delete", data=fields)
    assert answer.status_code == 412
    assert f"{TARGET}/other" in answer.text
    assert links.service.get(f"/api{path}").status_code == 200
