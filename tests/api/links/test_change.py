"""The API changes and deletes links."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.links.client import Links
from tests.support.service import Service


def test_patch_changes_what_it_names(service: Service, links: Links) -> None:
    """A merge patch (RFC 7396) changes only the fields it names; null resets one to its default."""
    link = links.create(title="old", tags=["a"], expires_at="2999-01-01T00:00:00Z")
    path = f"/api/links/{link['code']}"
    revision = service.get(path).headers["ETag"]
    answer = service.patch(path, json={"title": "new", "tags": None, "expires_at": None})
    changed = answer.json()
    assert answer.status_code == 200
    assert changed == link | {
        "title": "new",
        "tags": [],
        "expires_at": None,
        "updated_at": changed["updated_at"],
    }
    assert changed["updated_at"] > link["updated_at"]
    assert answer.headers["ETag"] not in {revision, None}
    assert service.get(path).json() == changed


def test_patch_without_a_change_keeps_the_revision(service: Service, links: Links) -> None:
    """A patch that changes nothing keeps the ETag and updated_at."""
    link = links.create(title="same")
    path = f"/api/links/{link['code']}"
    etag = service.get(path).headers["ETag"]
    for patch in ({}, {"title": "same"}):
        answer = service.patch(path, json=patch)
        assert (answer.json(), answer.headers["ETag"]) == (link, etag)


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param({"url": None}, id="null for the URL"),
        pytest.param({"url": "x"}, id="wrong URL"),
        pytest.param({"code": "a b"}, id="wrong code"),
        pytest.param({"x": 1}, id="unknown field"),
        pytest.param([], id="list"),
    ],
)
def test_wrong_patch_changes_nothing(service: Service, links: Links, patch: Any) -> None:
    """An invalid patch is rejected with 422 and changes nothing."""
    link = links.create()
    answer = service.patch(f"/api/links/{link['code']}", json=patch)
    assert answer.status_code == 422
    assert service.get(f"/api/links/{link['code']}").json() == link


def test_merge_patch_media_type_is_taken(service: Service, links: Links) -> None:
    """The media type of RFC 7396, application/merge-patch+json, is accepted too."""
    answer = service.patch(
        f"/api/links/{links.create()['code']}",
        data='{"title": "x"}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert (answer.status_code, answer.json()["title"]) == (200, "x")


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_if_match_prevents_lost_updates(service: Service, links: Links, method: str) -> None:
    """Optimistic locking: with an outdated If-Match, changes and deletes get 412."""
    path = f"/api/links/{links.create()['code']}"
    old = service.get(path).headers["ETag"]
    service.patch(path, json={"title": "newer"})
    for stale in (old, "W/" + service.get(path).headers["ETag"], '"x"', ""):
        headers = {"If-Match": stale}
        answer = service.request(method, path, json={"title": "lost"}, headers=headers)
        assert answer.status_code == 412, stale
    assert service.get(path).json()["title"] == "newer"
    for fresh in (service.get(path).headers["ETag"], "*"):
        answer = service.request("PATCH", path, json={"title": "x"}, headers={"If-Match": fresh})
        assert answer.status_code == 200


def test_one_of_two_writers_wins(service: Service, links: Links) -> None:
    """When eight clients edit the same revision at once, one succeeds and seven get 412."""
    path = f"/api/links/{links.create()['code']}"
    etag = service.get(path).headers["ETag"]

    def edit(number: int) -> tuple[int, int]:
        with service.again() as client:
            answer = client.patch(path, json={"title": f"by {number}"}, headers={"If-Match": etag})
            return answer.status_code, number

    with ThreadPoolExecutor(8) as pool:
        outcomes = sorted(pool.map(edit, range(8)))
    assert [status for status, _ in outcomes] == [200] + [412] * 7
    assert service.get(path).json()["title"] == f"by {outcomes[0][1]}"


def test_deleted_code_is_free_again(service: Service, links: Links) -> None:
    """Deleting a link frees its code.

    A new link with that code starts without clicks and with another ETag.
    """
    code = links.create()["code"]
    service.get(f"/{code}")
    etag = service.get(f"/api/links/{code}").headers["ETag"]
    answer = service.delete(f"/api/links/{code}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert service.get(f"/{code}").status_code == 404
    assert links.create(code=code)["clicks"] == 0
    assert service.delete(f"/api/links/{code}", headers={"If-Match": etag}).status_code == 412
