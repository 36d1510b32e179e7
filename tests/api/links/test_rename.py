"""A link gets another code, and keeps everything else."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.support.links.client import TARGET, Links
from tests.support.service import Service


def rename(service: Service, code: str, new: str | None, **headers: str) -> Any:
    """Rename a link and return the answer."""
    return service.patch(f"/api/links/{code}", json={"code": new}, headers=headers)


def test_renamed_link_keeps_everything(service: Service, links: Links) -> None:
    """Clicks, tags, owner and times stay. The old code is unknown, and free."""
    link = links.create(title="a", tags=["renamed-tag"], expires_at="2999-01-01T00:00:00Z")
    old, new = link["code"], links.new_code()
    for _ in range(3):
        service.get(f"/{old}")
    before, etag = service.get(f"/api/links/{old}"), service.get(f"/api/links/{old}").headers
    series = service.get(f"/api/links/{old}/clicks?by=hour").json()
    answer = rename(service, old.upper(), new, **{"If-Match": etag["ETag"]})
    assert answer.status_code == 200
    assert answer.json() == before.json() | {
        "code": new,
        "short_url": f"{service.url}/{new}",
        "updated_at": answer.json()["updated_at"],
    }
    assert answer.json()["clicks"] == 3
    assert answer.headers["ETag"] != etag["ETag"]
    for path in (f"/{old}", f"/api/links/{old}", f"/api/links/{old}/history"):
        assert service.get(path).status_code == 404
    assert service.get(f"/{new}").headers["Location"] == TARGET
    assert service.get(f"/api/links/{new}").json()["clicks"] == 4
    assert service.get(f"/api/links/{new}/clicks?by=hour").json()["total"] == series["total"] + 1
    for query in ("tag=renamed-tag", "tag=renamed-tag&sort=code", f"q={new}"):
        found = service.get(f"/api/links?{query}").json()["links"]
        assert [each["code"] for each in found] == [new], query
    assert service.get(f"/api/links?q={old}").json()["links"] == []
    assert links.create(code=old)["clicks"] == 0


def test_other_fields_change_too(service: Service, links: Links) -> None:
    """One patch can rename a link and change its target and tags."""
    old, new = links.create(tags=["a"])["code"], links.new_code()
    patch = {"code": new, "url": f"{TARGET}/new", "tags": ["b"]}
    changed = service.patch(f"/api/links/{old}", json=patch).json()
    assert {name: changed[name] for name in patch} == patch
    assert service.get("/api/links?tag=b").json()["links"][0]["code"] == new


def test_another_spelling_is_no_rename(service: Service, links: Links) -> None:
    """Another spelling of the same code changes only how it is shown: all spellings still work."""
    old = links.create()["code"]
    new = f"{old[:3].upper()}-{old[3:]}"
    changed = rename(service, old, new)
    assert (changed.status_code, changed.json()["code"]) == (200, new)
    assert changed.headers["ETag"].endswith('-2"')
    assert service.get(f"/{old}").status_code == 302
    assert service.get(f"/api/links/{old}").json()["clicks"] == 1
    assert rename(service, old, new).headers["ETag"] == changed.headers["ETag"]


def test_rename_is_refused(service: Service, links: Links) -> None:
    """A taken code gets 409, a wrong one 422, an outdated If-Match 412. Nothing has changed."""
    link, other = links.create(title="a"), links.create()["code"]
    old = link["code"]
    etag = service.get(f"/api/links/{old}").headers["ETag"]
    service.patch(f"/api/links/{old}", json={"title": "b"})
    assert rename(service, old, other.upper()).status_code == 409
    for wrong in ("", "-x", "api", "a.qr", None):
        answer = rename(service, old, wrong)
        assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "#/code")
    new = links.new_code()
    assert rename(service, old, new, **{"If-Match": etag}).status_code == 412
    assert rename(service, new, old).status_code == 404
    changed = service.get(f"/api/links/{old}").json()
    assert changed == link | {"title": "b", "updated_at": changed["updated_at"]}


def test_one_of_many_gets_the_code(service: Service, links: Links) -> None:
    """Of eight links that are renamed to one code at once, one gets it, and the others stay."""
    old, new = [links.create()["code"] for _ in range(8)], links.new_code()

    def run(code: str) -> int:
        with service.again() as client:
            return int(rename(client, code, new).status_code)

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(run, old)) == [200] + [409] * 7
    left = [service.get(f"/api/links/{code}").status_code for code in old]
    assert sorted(left) == [200] * 7 + [404]


def test_clicks_meanwhile_are_not_lost(service: Service, links: Links) -> None:
    """While a link is renamed to and fro, each click that was answered is counted.

    One that found no link can be counted too: see docs/decisions.md.
    """
    codes = [links.create()["code"], links.new_code()]

    def click(number: int) -> int:
        return service.get(f"/{codes[number % 2]}").status_code

    with ThreadPoolExecutor(16) as pool:
        clicks = pool.map(click, range(600))
        for number in range(20):
            renamed = rename(service, codes[number % 2], codes[(number + 1) % 2])
            assert renamed.status_code == 200
        statuses = list(clicks)
    assert set(statuses) == {302, 404}
    read = service.get(f"/api/links/{codes[0]}").json()
    assert 0 <= read["clicks"] - statuses.count(302) <= statuses.count(404)


# history
def test_rename_is_in_the_history_and_undone(service: Service, links: Links) -> None:
    """The history stays, says from and to, and its changes can be undone under the new code."""
    link = links.create(title="a")
    old, new = link["code"], links.new_code()
    service.get(f"/{old}")
    service.patch(f"/api/links/{old}", json={"title": "b"})
    renamed = rename(service, old, new).json()
    assert renamed["owner"] == link["owner"]
    mine = service.get("/api/links?mine=true&sort=code&limit=100").json()["links"]
    assert new in [each["code"] for each in mine]

    def changes() -> list[Any]:
        return list(service.get(f"/api/links/{new}/history").json()["changes"])

    assert [(c["action"], c["old"]) for c in changes()[:2]] == [
        ("edit", {"code": old}),
        ("edit", {"title": "a"}),
    ]
    rename_id, edit_id = (change["id"] for change in changes()[:2])
    undone = service.post(f"/api/links/{new}/history/{edit_id}/undo")
    assert (undone.status_code, undone.json()["title"]) == (200, "a")
    taken = links.create(code=old)["code"]
    assert service.post(f"/api/links/{new}/history/{rename_id}/undo").status_code == 409
    service.delete(f"/api/links/{taken}")
    undone = service.post(f"/api/links/{new}/history/{rename_id}/undo")
    assert (undone.status_code, undone.json()["code"]) == (200, old)
    assert service.get(f"/api/links/{old}").json()["clicks"] == 1
    assert service.get(f"/{new}").status_code == 404


# /history
