"""Owners of links: who created them, lists of own links, and changes by the owner only."""

from pathlib import Path

import pytest

from tests.api.conftest import Deployment, embed
from tests.api.links.test_history import history, undo
from tests.support.links.client import Links
from tests.support.service import Service


@pytest.mark.parametrize("sort", ["-created_at", "code"])
def test_list_of_own_links(deployment: Deployment, links: Links, sort: str) -> None:
    """`mine=true` lists only the links that the token has created, in any order, page by page."""
    others = links.create(tags=["other"])["code"]
    with Service(deployment.url, deployment.token()) as service:
        own = Links(service)
        codes = [own.create(code=own.new_code(), tags=[name])["code"] for name in "aba"]
        expected = sorted(codes) if sort == "code" else codes[::-1]
        path, found = f"/api/links?mine=true&limit=2&sort={sort}", []
        while path:
            answer = service.get(path)
            found += [link["code"] for link in answer.json()["links"]]
            path = answer.links.get("next", {}).get("url", "")
        assert found == expected
        query = "/api/links?mine=true&q=example&tag=a"
        tagged = [link["code"] for link in service.get(query).json()["links"]]
        assert set(tagged) == {codes[0], codes[2]}
        assert service.get("/api/links?mine=true&tag=other").json()["links"] == []
        everything = [link["code"] for link in service.get("/api/links?mine=false").json()["links"]]
        assert others in everything
        assert service.get("/api/links?mine=1").status_code == 422
        own.delete()
        assert service.get("/api/links?mine=true").json()["links"] == []


def test_only_the_owner_edits(tmp_path: Path) -> None:
    """With EDITORS=owner, another token can't edit, delete or undo, unless it is an admin's."""
    with (
        embed(tmp_path, EDITORS="owner") as deployment,
        Service(deployment.url, deployment.token()) as owner,
        Service(deployment.url, deployment.token()) as other,
        Service(deployment.url, deployment.token("admin")) as admin,
    ):
        code = Links(owner).create()["code"]
        path = f"/api/links/{code}"
        assert owner.patch(path, json={"title": "b"}).status_code == 200
        edit = history(owner, code)[0]["id"]
        refused = [
            other.patch(path, json={"title": "c"}),
            other.delete(path),
            undo(other, code, edit),
        ]
        assert owner.delete(path).status_code == 204
        refused.append(undo(other, code, history(owner, code)[0]["id"]))
        for answer in refused:
            assert answer.status_code == 403
            assert answer.json()["detail"] == (
                "Only the owner or an admin can change this, because EDITORS is `owner`."
            )
        assert undo(owner, code, history(owner, code)[0]["id"]).status_code == 200
        assert (
            admin.patch(path, json={"title": "d"}).json()["owner"]
            == owner.get(path).json()["owner"]
        )
        assert admin.delete(path).status_code == 204
        assert undo(admin, code, history(owner, code)[0]["id"]).status_code == 200


def test_any_name_has_a_stable_key(deployment: Deployment) -> None:
    """The key of a token with a long name or with other characters is a hash of the name."""
    for name, begin in (("ä" * 20, "token#"), ("x" * 100, "token#"), ("short-history", "token:")):
        secret = deployment.cli("tokens", "create", name).strip()
        with Service(deployment.url, secret) as service:
            own = Links(service)
            owner = own.create()["owner"]
            own.delete()
        deployment.cli("tokens", "revoke", name)
        assert owner["name"] == name
        assert owner["key"].startswith(begin)
        assert owner["key"].isascii()
        assert len(owner["key"]) <= 100
