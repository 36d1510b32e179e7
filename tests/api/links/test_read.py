"""The API reads one link, and lists all links page by page."""

import pytest

from tests.support.links.client import Links
from tests.support.service import Service


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_unknown_link_is_not_found(service: Service, links: Links, method: str) -> None:
    """An unknown code gets 404."""
    answer = service.request(method, f"/api/links/{links.new_code()}", json={"title": "x"})
    assert (answer.status_code, answer.json()["status"]) == (404, 404)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("%00", id="null byte"),
        pytest.param("%F0%9F%9A%80", id="emoji"),
        pytest.param("%ED%A0%80", id="surrogate"),
        pytest.param("a%2Fb", id="encoded slash"),
        pytest.param("x" * 3000, id="long code"),
    ],
)
def test_odd_code_is_not_found(service: Service, code: str) -> None:
    """A code that no link can have gets 404, never a server error."""
    assert service.raw(f"/api/links/{code}").status == 404


def test_etag_spares_the_body(service: Service, links: Links) -> None:
    """A matching If-None-Match gets 304 without a body; a click does not change the ETag."""
    path = f"/api/links/{links.create()['code']}"
    etag = service.get(path).headers["ETag"]
    service.get(path.removeprefix("/api/links"))
    for header in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = service.get(path, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
    assert service.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_list_gives_every_link_once(service: Service, links: Links) -> None:
    """Cursor pagination, newest first, misses and repeats no link while others are created."""
    made = [links.create(title=str(n))["code"] for n in range(7)]
    seen: list[str] = []
    path = "/api/links?limit=3"
    while path:
        answer = service.get(path)
        page = answer.json()
        assert len(page["links"]) <= 3
        seen += [link["code"] for link in page["links"]]
        path = answer.links["next"]["url"] if "next" in answer.links else ""
        assert bool(path) == (page["next"] is not None)
        if made[0] in seen:
            break
        links.create()
    assert [code for code in seen if code in made] == made[::-1]
    assert len(set(seen)) == len(seen)


def test_listed_link_looks_like_a_read_one(service: Service, links: Links) -> None:
    """A link has the same fields in the list as on its own, clicks included."""
    code = links.create(tags=["x"])["code"]
    service.get(f"/{code}")
    listed = [link for link in service.get("/api/links").json()["links"] if link["code"] == code]
    assert listed == [service.get(f"/api/links/{code}").json()]
    assert listed[0]["clicks"] == 1


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        pytest.param("limit=0", "limit", id="limit of zero"),
        pytest.param("limit=-1", "limit", id="negative limit"),
        pytest.param("limit=101", "limit", id="limit too high"),
        pytest.param("limit=x", "limit", id="non-numeric limit"),
        pytest.param("limit=" + "9" * 3500, "limit", id="huge limit"),
        pytest.param("after=x", "after", id="invalid cursor"),
        pytest.param("after=%ff%00", "after", id="cursor of odd bytes"),
        pytest.param(
            "after=" + "MjAyNi0wMS0wMVQwMDowMDowMCAxMjM0NTY3ODkwMTIzNDU2Nzg5MA==",
            "after",
            id="cursor with a huge number",
        ),
        pytest.param("after=MjAyNi0wMS0wMVQyNDowMDowMCswMDowMCAx", "after", id="cursor at hour 24"),
        pytest.param("sort=code&after=Y29tcG9zZQ==!!", "after", id="text after a cursor"),
    ],
)
def test_wrong_page_is_named(service: Service, query: str, parameter: str) -> None:
    """An invalid limit or cursor is rejected with 422 and the name of the parameter."""
    answer = service.get(f"/api/links?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]
