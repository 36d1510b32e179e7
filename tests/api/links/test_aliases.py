"""Links that lead to another link here."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service


def alias_of(links: Links, goal: str, **fields: Any) -> str:
    """Create an alias and return its code."""
    return str(links.create(url=f"/{goal}", **fields)["code"])


def change(service: Service, code: str, url: str) -> Any:
    """Change the target of a link and return the answer."""
    return service.patch(f"/api/links/{code}", json={"url": url})


def test_alias_is_like_its_goal(service: Service, links: Links) -> None:
    """An alias leads where its goal leads, edits included. Its clicks are its own."""
    goal = links.create(url=f"{TARGET}?id=%s")["code"]
    alias = alias_of(links, goal.upper())
    assert service.raw(f"/{alias}/1/2?x").headers["Location"] == f"{TARGET}?id=1/2&x"
    change(service, goal, f"{TARGET}/new")
    answer = service.raw(f"/{alias}/a")
    assert (answer.status, answer.headers["Location"]) == (302, f"{TARGET}/new/a")
    clicks = [service.get(f"/api/links/{code}").json()["clicks"] for code in (alias, goal)]
    assert clicks == [2, 0]
    assert service.get(f"/{alias}+").json()["url"] == f"/{goal.upper()}"


def test_short_url_makes_an_alias(service: Service, links: Links) -> None:
    """The whole short URL of a link here means the same, in any spelling of the address."""
    goal = links.create()["code"]
    for address in (service.url, service.url.upper()):
        link = links.create(url=f"{address}/{goal}")
        assert link["url"] == f"/{goal}"
        assert service.get(f"/{link['code']}").headers["Location"] == TARGET


@pytest.mark.parametrize("url", ["/{alias}", "/{unknown}", "/api", "/docs"])
def test_alias_needs_a_goal(service: Service, links: Links, url: str) -> None:
    """The goal must be an existing link that is no alias. Otherwise 409 changes nothing."""
    goal = links.create()["code"]
    alias, other = alias_of(links, goal), links.create()["code"]
    url = url.format(alias=alias, unknown=links.new_code())
    own = links.new_code()
    for answer in (
        service.post("/api/links", json={"url": url, "code": own}),
        change(service, other, url),
    ):
        assert answer.status_code == 409
        assert [error["pointer"] for error in answer.json()["errors"]] == ["#/url"]
    new = [{"url": TARGET}, {"url": url, "code": own}]
    answer = service.post("/api/links/batch", json={"links": new})
    assert answer.status_code == 409
    assert [error["pointer"] for error in answer.json()["errors"]] == ["#/links/1/url"]
    assert service.get(f"/api/links/{own}").status_code == 404
    assert service.get(f"/{other}").headers["Location"] == TARGET


@pytest.mark.parametrize("url", ["/", "//example.com", "/-a", "/a.", "/a/b", "/a?b", "/a#b", "/ä"])
def test_other_paths_are_refused(service: Service, url: str) -> None:
    """A path that is not `/` and a code is no target."""
    for given in (url, f"{service.url}{url}"):
        answer = service.post("/api/links", json={"url": given})
        assert answer.status_code == 422, given
        assert [error["pointer"] for error in answer.json()["errors"]] == ["#/url"]


def test_goal_can_be_in_the_same_batch(service: Service, links: Links) -> None:
    """A batch can have an alias and its goal, in any order."""
    goal, alias = links.new_code(), links.new_code()
    new = [{"url": f"/{goal}", "code": alias}, {"url": TARGET, "code": goal}]
    assert service.post("/api/links/batch", json={"links": new}).status_code == 201
    assert service.get(f"/{alias}").headers["Location"] == TARGET


def test_no_order_of_changes_makes_a_loop(service: Service, links: Links) -> None:
    """An alias whose goal is deleted, renamed, or an alias by now gets 404, without a click."""
    first, second, third = (links.create()["code"] for _ in range(3))
    alias = alias_of(links, first)
    assert change(service, first, f"/{first}").status_code == 409
    assert change(service, first, f"/{alias}").status_code == 409
    assert change(service, first, f"/{second}").status_code == 200
    answer = service.get(f"/{alias}")
    assert answer.status_code == 404
    assert answer.json()["detail"] == f"This link leads to /{first}, but that leads nowhere."
    assert service.get(f"/{first}").headers["Location"] == TARGET
    assert change(service, second, f"/{third}").status_code == 200  # `first` ends at `second`
    assert service.get(f"/{first}").status_code == 404
    assert change(service, third, f"/{first}").status_code == 409
    service.delete(f"/api/links/{second}")
    for path in (f"/{first}", f"/{first}+", f"/{first}.qr"):
        assert service.get(path).status_code == 404
    # All but its target can be changed.
    assert service.patch(f"/api/links/{first}", json={"title": "dead"}).status_code == 200
    assert change(service, first, TARGET).status_code == 200
    assert service.get(f"/{alias}").status_code == 302
    renamed = links.new_code()
    service.patch(f"/api/links/{first}", json={"code": renamed})
    assert service.get(f"/{alias}").status_code == 404
    assert service.get(f"/api/links/{alias}").json()["clicks"] == 1


def test_expiry_of_either_counts(service: Service, links: Links) -> None:
    """An expired alias gets 410, even without a goal, and so does one to an expired goal.

    No click is counted.
    """
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    expired, goal, gone = (links.create(expires_at=at)["code"] for at in (past, None, None))
    aliases = [
        alias_of(links, expired),
        *(alias_of(links, code, expires_at=past) for code in (goal, gone)),
    ]
    service.delete(f"/api/links/{gone}")
    for alias in aliases:
        for path in (f"/{alias}", f"/{alias}+", f"/{alias}.qr"):
            assert service.get(path).status_code == 410
        assert service.get(f"/api/links/{alias}").json()["clicks"] == 0


def test_import_takes_aliases_in_any_order(
    deployment: Deployment, service: Service, links: Links
) -> None:
    """An import does not ask whether goals exist, because they can come later in the file."""
    goal, alias = links.new_code(), links.new_code()
    lines = [f'{{"code": "{alias}", "url": "/{goal}"}}', f'{{"code": "{goal}", "url": "{TARGET}"}}']
    deployment.cli("links", "import", "-", text="\n".join([*lines, ""]))
    assert service.get(f"/{alias}").headers["Location"] == TARGET
    exported = deployment.cli("links", "export")
    assert f'"code": "{alias}", "url": "/{goal}"' in exported


# history
def test_undo_needs_the_goal(service: Service, links: Links) -> None:
    """An undo that would make an alias without a goal gets 409. A restored alias can lack it."""
    goal, other = links.create()["code"], links.create()["code"]
    alias = alias_of(links, goal)
    change(service, alias, f"/{other}")
    service.delete(f"/api/links/{goal}")
    [edit, _] = service.get(f"/api/links/{alias}/history").json()["changes"]
    undo = f"/api/links/{alias}/history/{edit['id']}/undo"
    assert service.post(undo).status_code == 409
    links.create(code=goal)
    assert service.post(undo).json()["url"] == f"/{goal}"


# /history
