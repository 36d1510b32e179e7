"""The API of links: create, read, list, change, delete."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.links.client import TARGET, Links
from tests.support.service import Service

JSON = {"Content-Type": "application/json"}


def test_create_answers_the_whole_link(service: Service, links: Links) -> None:
    """A new link comes back with all its fields, its place and its revision."""
    code = links.new_code()
    sent = {
        "url": "https://example.com/ä?q=1#f",
        "code": code.upper(),
        "title": "Straße 🚀",
        "tags": ["b", "a"],
        "expires_at": "2999-01-01T01:00:00.5+01:00",
    }
    before = datetime.now(UTC)
    answer = service.post("/api/links", json=sent)
    link = answer.json()
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/links/{code.upper()}"
    assert re.fullmatch(r'"\d+-1"', answer.headers["ETag"])
    assert link == sent | {
        "short_url": f"{service.url}/{code.upper()}",
        "expires_at": "2999-01-01T00:00:00.500000Z",
        "created_at": link["created_at"],
        "updated_at": link["created_at"],
        "clicks": 0,
    }
    assert link["created_at"].endswith("Z")
    assert abs(datetime.fromisoformat(link["created_at"]) - before).total_seconds() < 60
    assert service.get(answer.headers["Location"]).json() == link


def test_create_makes_a_random_code(links: Links) -> None:
    """Without a code a link gets seven characters that nobody confuses, and empty fields."""
    link = links.create()
    assert re.fullmatch("[2-9a-hjkmnp-z]{7}", link["code"])
    assert (link["title"], link["tags"], link["expires_at"]) == ("", [], None)


def test_taken_code_is_a_conflict_in_any_spelling(service: Service, links: Links) -> None:
    """A code is taken whatever the case and the hyphens of the next one."""
    code = links.create(code=links.new_code())["code"]
    for spelling in (code, code.upper(), f"{code[:3]}-{code[3:]}-"):
        answer = service.post("/api/links", json={"url": TARGET, "code": spelling})
        assert answer.status_code == 409


def test_one_of_many_gets_the_code(service: Service, links: Links) -> None:
    """Of 16 clients that want one code at once, one gets it and 15 a conflict."""
    body = {"url": TARGET, "code": links.new_code()}

    def create(_number: int) -> int:
        with service.again() as client:
            return client.post("/api/links", json=body).status_code

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(create, range(16))) == [201] + [409] * 15


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        pytest.param("url", None, "#/url", id="null for the URL"),
        pytest.param("url", 1, "#/url", id="number for the URL"),
        pytest.param("url", "", "#/url", id="empty URL"),
        pytest.param("url", "/relative", "#/url", id="relative URL"),
        pytest.param("url", "ftp://example.com", "#/url", id="FTP"),
        pytest.param("url", "javascript:alert(1)", "#/url", id="JavaScript"),
        pytest.param("url", "https://", "#/url", id="URL without a host"),
        pytest.param("url", "https://exa mple.com", "#/url", id="space in the host"),
        pytest.param("url", "https://example.com/\r\nX: y", "#/url", id="newline in the URL"),
        pytest.param("url", "https://example.com:99999", "#/url", id="huge port"),
        pytest.param("url", "https://[::1", "#/url", id="half an IPv6 address"),
        pytest.param("url", "https:\\\\example.com", "#/url", id="backslashes"),
        pytest.param("url", "https://example.com/\ufeff", "#/url", id="byte order mark in the URL"),
        pytest.param("url", "https://example.com/\ud800", "#/url", id="surrogate in the URL"),
        pytest.param("url", "https://example.com/" + "x" * 2029, "#/url", id="URL too long"),
        pytest.param("code", "", "#/code", id="empty code"),
        pytest.param("code", "-a", "#/code", id="leading hyphen in the code"),
        pytest.param("code", "a b", "#/code", id="space in the code"),
        pytest.param("code", "ä", "#/code", id="code that is not ASCII"),
        pytest.param("code", "a\n", "#/code", id="newline after the code"),
        pytest.param("code", "x" * 65, "#/code", id="code too long"),
        pytest.param("code", "api", "#/code", id="reserved: api"),
        pytest.param("code", "Live-Z", "#/code", id="reserved: livez"),
        pytest.param("code", "Batch", "#/code", id="reserved: batch"),
        pytest.param("code", "docs", "#/code", id="reserved: docs"),
        pytest.param("code", "STATIC", "#/code", id="reserved: static"),
        pytest.param("title", "x" * 201, "#/title", id="title too long"),
        pytest.param("title", "a\0b", "#/title", id="null byte in the title"),
        pytest.param("title", "\udfff", "#/title", id="surrogate in the title"),
        pytest.param("title", [], "#/title", id="list for the title"),
        pytest.param("tags", "a", "#/tags", id="string for the tags"),
        pytest.param("tags", ["a", 1], "#/tags/1", id="number for a tag"),
        pytest.param("tags", ["a", ""], "#/tags/1", id="empty tag"),
        pytest.param("tags", ["a", "a"], "#/tags", id="same tag twice"),
        pytest.param("tags", ["x" * 51], "#/tags/0", id="tag too long"),
        pytest.param("tags", [str(n) for n in range(21)], "#/tags", id="too many tags"),
        pytest.param("expires_at", "tomorrow", "#/expires_at", id="word for the expiry"),
        pytest.param(
            "expires_at", "2030-01-01T00:00:00", "#/expires_at", id="expiry without a time zone"
        ),
        pytest.param(
            "expires_at",
            "2030-02-30T00:00:00Z",
            "#/expires_at",
            id="expiry on a day that does not exist",
        ),
        pytest.param(
            "expires_at",
            "9999-12-31T23:59:59-23:59",
            "#/expires_at",
            id="expiry after the year 9999",
        ),
        pytest.param("expires_at", "1969-12-31T23:59:59Z", "#/expires_at", id="expiry before 1970"),
        pytest.param("expires_at", 1, "#/expires_at", id="number for the expiry"),
        pytest.param("clicks", 1, "#/clicks", id="read-only field"),
        pytest.param("a/b~c", 1, "#/a~1b~0c", id="unknown field"),
    ],
)
def test_wrong_field_is_named(service: Service, field: str, value: Any, pointer: str) -> None:
    """A field that breaks its rule is refused by name, and nothing is created."""
    answer = service.post("/api/links", json={"url": TARGET} | {field: value})
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_loop_is_refused(service: Service) -> None:
    """No link leads to this service, whatever the spelling of its address."""
    for url in (service.url, service.url.upper() + "/x", f"{service.url}./x"):
        answer = service.post("/api/links", json={"url": url})
        assert answer.status_code == 422, url


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        pytest.param(b"{", "application/json", 400, id="broken JSON"),
        pytest.param(b"", "application/json", 400, id="empty body"),
        pytest.param(b'{"url": "\xff"}', "application/json", 400, id="not UTF-8"),
        pytest.param(b'{"url": NaN}', "application/json", 400, id="NaN"),
        pytest.param(
            b'{"url": "https://a.b", "url": "https://a.b"}',
            "application/json",
            400,
            id="field twice",
        ),
        pytest.param(b"[" * 50_000, "application/json", 400, id="deep nesting"),
        pytest.param(b'{"url": ' + b"1" * 5_000 + b"}", "application/json", 400, id="huge number"),
        pytest.param(
            '{"url": "https://a.b"}'.encode("utf-16"), "application/json", 400, id="UTF-16"
        ),
        pytest.param(b"[]", "application/json", 422, id="list"),
        pytest.param(b"null", "application/json", 422, id="null"),
        pytest.param(b'{"url": "https://a.b"}', "text/plain", 415, id="plain text"),
        pytest.param(b'{"url": "https://a.b"}', "", 415, id="no content type"),
        pytest.param(b"url=https://a.b", "application/x-www-form-urlencoded", 415, id="HTML form"),
        pytest.param(b" " * 65_537, "application/json", 413, id="too long"),
    ],
)
def test_wrong_body_is_refused(service: Service, body: bytes, kind: str, status: int) -> None:
    """What is not JSON in UTF-8, of the right type and size, is refused as a problem."""
    answer = service.post("/api/links", data=body, headers={"Content-Type": kind})
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_client_that_sends_too_much_gets_its_answer(service: Service) -> None:
    """A large body is refused with an answer, not a reset, and the connection goes on."""
    with service.again() as client:
        for _ in range(3):
            answer = client.post("/api/links", data=b" " * 900_000, headers=JSON)
            assert answer.status_code == 413
            assert client.get("/livez").status_code == 200


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_unknown_link_is_not_found(service: Service, links: Links, method: str) -> None:
    """A code without a link gives 404."""
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
    """A code that no link can have gives 404, never a fault."""
    assert service.raw(f"/api/links/{code}").status == 404


def test_etag_spares_the_body(service: Service, links: Links) -> None:
    """A link that did not change is not sent again; a click changes nothing."""
    path = f"/api/links/{links.create()['code']}"
    etag = service.get(path).headers["ETag"]
    service.get(path.removeprefix("/api/links"))
    for header in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        answer = service.get(path, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["ETag"] == etag
    assert service.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_patch_changes_what_it_names(service: Service, links: Links) -> None:
    """A merge patch changes its fields, null gives one its first value back, and no other."""
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


def test_patch_that_changes_nothing_is_no_edit(service: Service, links: Links) -> None:
    """Equal values leave the revision as it is."""
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
        pytest.param({"code": "abc"}, id="code"),
        pytest.param({"x": 1}, id="unknown field"),
        pytest.param([], id="list"),
    ],
)
def test_wrong_patch_changes_nothing(service: Service, links: Links, patch: Any) -> None:
    """A patch follows the rules of creation, and a code stays."""
    link = links.create()
    answer = service.patch(f"/api/links/{link['code']}", json=patch)
    assert answer.status_code == 422
    assert service.get(f"/api/links/{link['code']}").json() == link


def test_merge_patch_media_type_is_taken(service: Service, links: Links) -> None:
    """RFC 7396's own media type works too."""
    answer = service.patch(
        f"/api/links/{links.create()['code']}",
        data='{"title": "x"}',
        headers={"Content-Type": "application/merge-patch+json"},
    )
    assert (answer.status_code, answer.json()["title"]) == (200, "x")


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
def test_if_match_prevents_lost_updates(service: Service, links: Links, method: str) -> None:
    """Who saw an old revision can't change or delete a newer one."""
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
    """Of eight clients that edit one revision at once, one succeeds and seven hear of it."""
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
    """A deleted link is gone with its clicks, and its revision with it."""
    code = links.create()["code"]
    service.get(f"/{code}")
    etag = service.get(f"/api/links/{code}").headers["ETag"]
    answer = service.delete(f"/api/links/{code}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert service.get(f"/{code}").status_code == 404
    assert links.create(code=code)["clicks"] == 0
    assert service.delete(f"/api/links/{code}", headers={"If-Match": etag}).status_code == 412


def test_list_gives_every_link_once(service: Service, links: Links) -> None:
    """Pages by key set, newest first, are complete while others write between them."""
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
    """A link has the same fields wherever it is told, clicks included."""
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
        pytest.param("limit=x", "limit", id="limit that is no number"),
        pytest.param("limit=" + "9" * 3500, "limit", id="huge limit"),
        pytest.param("after=x", "after", id="no cursor"),
        pytest.param("after=%ff%00", "after", id="cursor of odd bytes"),
        pytest.param(
            "after=" + "MjAyNi0wMS0wMVQwMDowMDowMCAxMjM0NTY3ODkwMTIzNDU2Nzg5MA==",
            "after",
            id="cursor with a huge number",
        ),
    ],
)
def test_wrong_page_is_named(service: Service, query: str, parameter: str) -> None:
    """A page that can't be is refused by its parameter's name."""
    answer = service.get(f"/api/links?{query}")
    assert answer.status_code == 422, answer.text
    assert [error["parameter"] for error in answer.json()["errors"]] == [parameter]
