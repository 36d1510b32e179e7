"""The history of links, and undo."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service


def history(service: Service, code: str, **query: Any) -> list[dict[str, Any]]:
    """Return the changes of a link, newest first."""
    answer = service.get(f"/api/links/{code}/history", params=query)
    assert answer.status_code == 200, answer.text
    changes: list[dict[str, Any]] = answer.json()["changes"]
    return changes


def undo(service: Service, code: str, change: int, **headers: str) -> Any:
    """Undo a change of a link, and return the answer."""
    return service.post(f"/api/links/{code}/history/{change}/undo", headers=headers)


def shown(changes: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return the action of changes, and what was before and after."""
    return [(change["action"], change["old"], change["new"]) for change in changes]


def test_each_change_is_recorded(service: Service, links: Links) -> None:
    """A create, edits and a delete are recorded: who, when, and what was before and after."""
    link = links.create(title="a", tags=["x"], expires_at="2999-01-01T00:00:00Z")
    code, path = link["code"], f"/api/links/{link['code']}"
    edited = service.patch(path, json={"title": "b", "tags": ["x"], "expires_at": None}).json()
    service.patch(path, json={"title": "b"})  # changes nothing
    service.delete(path)
    changes = history(service, code)
    first = {"code": code, "url": TARGET, "title": "a", "tags": ["x"]}
    first["expires_at"] = "2999-01-01T00:00:00+00:00"
    expires = first["expires_at"]
    assert shown(changes) == [
        ("delete", first | {"title": "b", "expires_at": None}, None),
        ("edit", {"title": "a", "expires_at": expires}, {"title": "b", "expires_at": None}),
        ("create", None, first),
    ]
    name = service.get("/api/me").json()["name"]
    assert [change["actor"] for change in changes] == [{"key": f"token:{name}", "name": name}] * 3
    assert [change["at"] for change in changes[1:]] <= [edited["updated_at"], link["created_at"]]


def test_batch_and_imports_are_recorded(
    service: Service, links: Links, deployment: Deployment
) -> None:
    """Links of a batch and of an import have a history, and the command line has a name."""
    batched, imported = links.new_code(), links.new_code()
    service.post("/api/links/batch", json={"links": [{"url": TARGET, "code": batched}]})
    deployment.cli("links", "import", "-", text=f'{{"code": "{imported}", "url": "{TARGET}"}}\n')
    values: dict[str, Any] = {"url": TARGET, "title": "", "tags": [], "expires_at": None}
    assert shown(history(service, batched)) == [("create", None, {"code": batched, **values})]
    assert shown(history(service, imported)) == [("import", None, {"code": imported, **values})]
    owners = [service.get(f"/api/links/{code}").json()["owner"] for code in (batched, imported)]
    name = service.get("/api/me").json()["name"]
    assert owners[0] == {"key": f"token:{name}", "name": name}
    assert owners[1] == {"key": "command-line", "name": "command line"}


def test_history_has_pages(service: Service, links: Links) -> None:
    """The history is read page by page, newest first, by a cursor or the Link header."""
    code = links.create()["code"]
    for number in range(4):
        service.patch(f"/api/links/{code}", json={"title": str(number)})
    path, titles = f"/api/links/{code}/history?limit=2", []
    while path:
        answer = service.get(path)
        titles += [change["new"]["title"] for change in answer.json()["changes"]]
        path = answer.links.get("next", {}).get("url", "")
        assert bool(path) == (answer.json()["next"] is not None)
    assert titles == ["3", "2", "1", "0", ""]


@pytest.mark.parametrize("query", ["after=x", "after=0", "limit=0", "limit=101"])
def test_wrong_page_is_refused(service: Service, links: Links, query: str) -> None:
    """A cursor or a limit that is wrong gets 422, and a code without a link gets 404."""
    code = links.create()["code"]
    assert service.get(f"/api/links/{code}/history?{query}").status_code == 422
    assert service.get(f"/api/links/{links.new_code()}/history").status_code == 404


def test_edits_are_undone(service: Service, links: Links) -> None:
    """Undo restores the fields that a change has changed, and can be undone itself.

    It has a new revision. If the fields have other values by now, it gets 409.
    """
    link = links.create(title="a", tags=["x"], expires_at="2999-01-01T00:00:00.5Z")
    code, path = link["code"], f"/api/links/{link['code']}"
    service.patch(path, json={"title": "b", "tags": ["y"], "expires_at": None})
    service.patch(path, json={"url": f"{TARGET}/new"})
    edit = history(service, code)[1]["id"]
    answer = undo(service, code, edit)
    assert answer.status_code == 200
    restored = link | {"url": f"{TARGET}/new", "updated_at": answer.json()["updated_at"]}
    assert answer.json() == restored == service.get(path).json()
    assert answer.headers["ETag"].endswith('-4"')
    assert service.get("/api/links?tag=x").json()["links"][0]["code"] == code
    assert undo(service, code, edit).status_code == 409
    undone = history(service, code)[0]
    assert (undone["action"], undone["new"]["title"]) == ("undo", "a")
    assert undo(service, code, undone["id"]).json()["title"] == "b"


def test_undo_is_refused(service: Service, links: Links) -> None:
    """The creation, a change of another link and an unknown change can't be undone."""
    code, other = links.create()["code"], links.create()["code"]
    created = history(service, code)[0]["id"]
    answer = undo(service, code, created)
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "This can't be undone. Delete the link instead.",
    )
    assert undo(service, other, created).status_code == 404
    assert undo(service, code, 10**17).status_code == 404
    assert undo(service, links.new_code(), created).status_code == 404


def test_old_target_is_checked_again(
    deployment: Deployment, service: Service, links: Links
) -> None:
    """Undo refuses a target that is not allowed any more, such as one of this service."""
    code = links.create()["code"]
    service.patch(f"/api/links/{code}", json={"url": f"{TARGET}?new"})
    change = history(service, code)[0]["id"]
    old = f'{{"url": "{service.url}/x"}}'
    deployment.sql(f"UPDATE link_history SET old = '{old}' WHERE id = {change}")
    answer = undo(service, code, change)
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "The old target is not allowed any more: Must not lead back to this service.",
    )


def test_undo_needs_the_current_revision(service: Service, links: Links) -> None:
    """With an outdated If-Match, undo of an edit or a delete gets 412 and changes nothing."""
    code = links.create(title="a")["code"]
    path = f"/api/links/{code}"
    old = service.get(path).headers["ETag"]
    new = service.patch(path, json={"title": "b"}).headers["ETag"]
    edit = history(service, code)[0]["id"]
    assert undo(service, code, edit, **{"If-Match": old}).status_code == 412
    assert service.get(path).json()["title"] == "b"
    service.delete(path)
    deleted = history(service, code)[0]["id"]
    assert undo(service, code, deleted, **{"If-Match": old}).status_code == 412
    assert undo(service, code, deleted, **{"If-Match": new}).status_code == 200


def test_delete_is_undone(service: Service, links: Links) -> None:
    """Undo of a delete restores the link with its clicks, tags, owner and history, once."""
    link = links.create(title="a", tags=["kept-tag"], expires_at="2999-01-01T00:00:00Z")
    code, path = link["code"], f"/api/links/{link['code']}"
    for _ in range(3):
        service.get(f"/{code}")
    before, etag = service.get(path).json(), service.get(path).headers["ETag"]
    series = service.get(f"{path}/clicks?by=hour").json()
    service.delete(path)
    assert service.get(f"/{code}").status_code == 404
    deleted = history(service, code)[0]["id"]
    answer = undo(service, code.upper(), deleted)
    assert (answer.status_code, answer.json()) == (200, before)
    assert answer.json()["clicks"] == 3
    assert answer.headers["ETag"] != etag
    assert service.get(f"{path}/clicks?by=hour").json() == series
    assert [each["code"] for each in service.get("/api/links?tag=kept-tag").json()["links"]] == [
        code
    ]
    assert service.get(f"/{code}").status_code == 302
    assert service.get(path).json()["clicks"] == 4
    assert undo(service, code, deleted).status_code == 404
    assert [change["action"] for change in history(service, code)] == ["undo", "delete", "create"]


def test_code_that_was_used_again_blocks_the_undo(service: Service, links: Links) -> None:
    """A deleted code is free at once. A link that has it by now keeps it: undo gets 409."""
    code = links.create(title="first")["code"]
    service.delete(f"/api/links/{code}")
    deleted = history(service, code)[0]["id"]
    links.create(code=code, title="second")
    assert undo(service, code, deleted).status_code == 409
    assert service.get(f"/api/links/{code}").json()["title"] == "second"
    assert [change["action"] for change in history(service, code)] == ["create"]
    service.delete(f"/api/links/{code}")
    assert undo(service, code, deleted).json()["title"] == "first"


def test_delete_is_undone_only_once(service: Service, links: Links) -> None:
    """Of eight clients that undo a delete at once, one succeeds."""
    code = links.create()["code"]
    service.delete(f"/api/links/{code}")
    deleted = history(service, code)[0]["id"]

    def send(_number: int) -> int:
        with service.again() as client:
            return int(undo(client, code, deleted).status_code)

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(send, range(8)))
    assert statuses == [200] + [404] * 7


def test_edits_at_once_are_a_chain(service: Service, links: Links) -> None:
    """Of edits by eight clients at once, each begins with the title that the one before left."""
    code = links.create(title="first")["code"]

    def edit(number: int) -> int:
        with service.again() as client:
            return client.patch(f"/api/links/{code}", json={"title": f"by {number}"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(edit, range(8))) == [200] * 8
    *edits, created = history(service, code)
    assert len(edits) == 8
    for change, before in zip(edits, [*edits[1:], created], strict=True):
        assert change["old"]["title"] == before["new"]["title"]
    assert service.get(f"/api/links/{code}").json()["title"] == edits[0]["new"]["title"]


def test_clicks_during_a_delete_are_not_lost(service: Service, links: Links) -> None:
    """Each redirect before a delete, between it and its undo, or after it, is counted or 404."""
    code = links.create()["code"]

    def follow(_number: int) -> int:
        with service.again() as client:
            statuses = [client.get(f"/{code}").status_code for _ in range(60)]
            assert set(statuses) <= {302, 404}
            return statuses.count(302)

    with ThreadPoolExecutor(4) as pool:
        followed = [pool.submit(follow, number) for number in range(4)]
        for _ in range(5):
            assert service.delete(f"/api/links/{code}").status_code == 204
            assert undo(service, code, history(service, code)[0]["id"]).status_code == 200
        clicks = sum(each.result() for each in followed)
    assert clicks > 0
    assert service.get(f"/api/links/{code}").json()["clicks"] == clicks


def test_old_delete_is_purged(service: Service, links: Links, deployment: Deployment) -> None:
    """After 30 days, a delete can't be undone. The next delete purges it with its history."""
    code, other = links.create()["code"], links.create()["code"]
    service.get(f"/{code}")
    service.delete(f"/api/links/{code}")
    deleted = history(service, code)[0]["id"]
    this = f"lookup_key = '{code}'"
    [[number]] = deployment.sql(f"SELECT id FROM link_deletions WHERE {this}")
    deployment.sql(
        f"UPDATE link_deletions SET deleted_at = '2020-01-01 00:00:00.000000' WHERE {this}"
    )
    assert service.get(f"/api/links/{code}/history").status_code == 404
    assert undo(service, code, deleted).status_code == 404
    service.delete(f"/api/links/{other}")
    assert deployment.sql(f"SELECT id FROM link_deletions WHERE {this}") == []
    assert deployment.sql(f"SELECT id FROM link_history WHERE link_id = {number}") == []
    assert [change["action"] for change in history(service, other)] == ["delete", "create"]


def test_link_without_history_has_no_owner(
    service: Service, links: Links, deployment: Deployment
) -> None:
    """A link of a version without a history can be read, edited, undone and deleted."""
    code = links.create(title="a")["code"]
    path = f"/api/links/{code}"
    deployment.sql(f"DELETE FROM link_history WHERE lookup_key = '{code}'")
    assert service.get(path).json()["owner"] is None
    assert history(service, code) == []
    service.patch(path, json={"title": "b"})
    assert undo(service, code, history(service, code)[0]["id"]).json()["title"] == "a"
    assert service.get(path).json()["owner"] is None
    service.delete(path)
    assert undo(service, code, history(service, code)[0]["id"]).status_code == 200
