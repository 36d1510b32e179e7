"""Batches create many links in one request: all of them or none."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service

PATH = "/api/links/batch"
JSON = {"Content-Type": "application/json"}


def batch(*links: dict[str, Any]) -> dict[str, Any]:
    """Return the request body of a batch, in which every link has a target."""
    return {"links": [{"url": TARGET} | link for link in links]}


def test_batch_answers_its_links_in_order(service: Service, links: Links) -> None:
    """A batch returns its new links in order, with random codes where none was given."""
    sent: list[dict[str, Any]] = [
        {"code": links.new_code(), "title": "Straße 🚀", "tags": ["b", "a"]},
        {"expires_at": "2999-01-01T00:00:00Z"},
        {"code": links.new_code().upper()},
        {},
    ]
    answer = service.post(PATH, json=batch(*sent))
    assert answer.status_code == 201, answer.text
    created = answer.json()["links"]
    links.codes += [link["code"] for link in created]
    assert [link | fields for link, fields in zip(created, sent, strict=True)] == created
    assert len({link["code"] for link in created}) == 4
    for link in created:
        assert service.get(f"/api/links/{link['code']}").json() == link


def test_wrong_links_are_named_by_their_place(service: Service, links: Links) -> None:
    """One invalid link rejects the whole batch; each wrong field is listed with its position."""
    code = links.new_code()
    wrong: list[dict[str, Any]] = [{"code": code}, {"url": "/x/y"}, {}, {"code": "a b", "title": 1}]
    answer = service.post(PATH, json=batch(*wrong))
    assert answer.status_code == 422
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        "#/links/1/url",
        "#/links/3/code",
        "#/links/3/title",
    }
    assert service.get(f"/api/links/{code}").status_code == 404


def test_taken_codes_are_named_by_their_place(service: Service, links: Links) -> None:
    """A code that is taken, or repeated in the batch in any spelling, rejects the whole batch."""
    taken = links.create(code=links.new_code())["code"]
    free, twice = links.new_code(), links.new_code()
    sent = [free, taken.upper(), twice, f"{twice[:3]}-{twice[3:]}", f"{taken}-"]
    answer = service.post(PATH, json=batch(*({"code": code} for code in sent)))
    problem = answer.json()
    assert answer.status_code == problem["status"] == 409
    assert problem["detail"] == "Some codes in this batch are already taken. No links were created."
    assert [(error["pointer"], error["detail"]) for error in problem["errors"]] == [
        ("#/links/1/code", "Another link has this code."),
        ("#/links/3/code", "Another link in this batch has this code."),
        ("#/links/4/code", "Another link has this code."),
    ]
    for code in (free, twice):
        assert service.get(f"/api/links/{code}").status_code == 404


def test_one_of_many_batches_gets_the_codes(service: Service, links: Links) -> None:
    """When eight clients send the same codes at once, in either order, exactly one succeeds."""
    wanted = [{"code": links.new_code()} for _ in range(50)]

    def create(number: int) -> int:
        with service.again() as client:
            order = wanted if number % 2 else wanted[::-1]
            return client.post(PATH, json=batch(*order)).status_code

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(create, range(8))) == [201] + [409] * 7


def test_repeated_batch_is_created_once(service: Service, links: Links) -> None:
    """A batch that is repeated with the same Idempotency-Key gets the first answer."""
    body = batch({"code": links.new_code()}, {})
    headers = {"Idempotency-Key": links.new_code()}
    first, second = (service.post(PATH, json=body, headers=headers) for _ in range(2))
    links.codes += [link["code"] for link in first.json()["links"]]
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()


def test_each_link_of_a_batch_counts(deployment: Deployment, links: Links) -> None:
    """Each link of a batch counts towards the rate limit for creating links."""
    codes = [links.new_code() for _ in range(5)]
    with Service(deployment.url, deployment.token()) as client:
        answer = client.post(PATH, json=batch(*({"code": code} for code in codes)))
    assert answer.headers["RateLimit"].startswith('"create";r=2995;')


def test_reader_creates_no_batch(deployment: Deployment) -> None:
    """A batch with a read token is rejected with 403."""
    with Service(deployment.url, deployment.token("read")) as client:
        assert client.post(PATH, json=batch({})).status_code == 403


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        pytest.param({}, "#/links", id="no links"),
        pytest.param({"links": None}, "#/links", id="null"),
        pytest.param({"links": {}}, "#/links", id="object instead of a list"),
        pytest.param({"links": []}, "#/links", id="empty list"),
        pytest.param({"links": [{}] * 1001}, "#/links", id="too many links"),
        pytest.param({"links": [None]}, "#/links/0", id="null instead of a link"),
        pytest.param(batch({}) | {"x": 1}, "#/x", id="unknown field"),
        pytest.param([], "#", id="list as the body"),
    ],
)
def test_wrong_batch_is_named(service: Service, body: Any, pointer: str) -> None:
    """A body that is not a list of 1 to 1,000 links is rejected with a single error."""
    answer = service.post(PATH, json=body)
    assert answer.status_code == 422, answer.text
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_first_wrong_links_are_named_and_the_rest_counted(service: Service) -> None:
    """Of a thousand wrong links, 100 are named and the others counted.

    Of a list of tags that is too long, no tag is checked.
    """
    answer = service.post(PATH, json=batch(*[{"tags": [""] * 40}] * 1000))
    problem = answer.json()
    assert answer.status_code == 422
    assert (len(problem["errors"]), problem["more_errors"]) == (100, 900)
    assert problem["errors"][99] == {
        "pointer": "#/links/99/tags",
        "detail": "Longer than maximum length 20.",
    }


def test_first_taken_codes_are_named_and_the_rest_counted(service: Service, links: Links) -> None:
    """Of a batch in which all codes are the same, 100 are named and the others counted."""
    code = links.new_code()
    answer = service.post(PATH, json=batch(*[{"code": code}] * 200))
    problem = answer.json()
    assert answer.status_code == 409
    assert (len(problem["errors"]), problem["more_errors"]) == (100, 99)


def test_body_may_have_4_mib(deployment: Deployment) -> None:
    """A batch can have 4 MiB; one more byte gets 413, and the connection stays usable."""
    limit = 4 * 1024 * 1024
    with Service(deployment.url, deployment.token()) as client:
        for size, status in ((limit, 422), (limit + 1, 413), (limit + 900_000, 413)):
            answer = client.post(PATH, data=b"{}".ljust(size), headers=JSON)
            assert answer.status_code == status
            assert answer.headers["Content-Type"] == "application/problem+json"
            assert client.get("/livez").status_code == 200
