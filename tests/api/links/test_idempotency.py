"""Idempotency keys: a repeated request takes effect only once."""

import secrets
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service

KEPT = ("Content-Type", "ETag", "Location")
"""Headers that a repeated request gets from the first answer; all others are new."""


def create(service: Service, key: str, **fields: object) -> requests.Response:
    """Create a link with an idempotency key."""
    return service.post("/api/links", json=fields, headers={"Idempotency-Key": key})


@pytest.fixture
def key() -> str:
    """An idempotency key that no other test uses."""
    return f"key {secrets.token_hex(8)}!"


@pytest.fixture(params=["random code", "own code"])
def code(request: pytest.FixtureRequest, links: Links) -> dict[str, str]:
    """The field for the code: none, or one that would get 409 if the link were created twice."""
    return {"code": links.new_code()} if request.param == "own code" else {}


def test_repeated_request_gets_the_first_answer(
    service: Service, links: Links, key: str, code: dict[str, str]
) -> None:
    """A repeated request gets the first answer, even if the link has changed since."""
    first = create(service, key, url=TARGET, **code)
    links.codes.append(first.json()["code"])
    service.patch(first.headers["Location"], json={"title": "changed"})
    again = create(service, key, url=TARGET, **code)
    assert (
        (again.status_code, again.content)
        == (first.status_code, first.content)
        == (201, first.content)
    )
    assert [again.headers[name] for name in KEPT] == [first.headers[name] for name in KEPT]
    assert again.headers["X-Request-Id"] != first.headers["X-Request-Id"]


def test_without_a_key_a_request_is_new(links: Links) -> None:
    """Without a key, two equal requests create two links."""
    codes = {links.create()["code"] for _ in range(2)}
    assert len(codes) == 2


def test_key_with_another_body_is_refused(service: Service, links: Links, key: str) -> None:
    """Reusing a key with another body is rejected with 422."""
    links.codes.append(create(service, key, url=TARGET).json()["code"])
    answer = create(service, key, url=TARGET + "/other")
    assert (answer.status_code, answer.json()["status"]) == (422, 422)


def test_failed_request_leaves_its_key_free(service: Service, links: Links, key: str) -> None:
    """Only successful answers are stored: after an error, the same key can be used again."""
    taken = links.create(code=links.new_code())["code"]
    assert create(service, key, url=TARGET, code=taken).status_code == 409
    assert create(service, key, url="wrong").status_code == 422
    answer = create(service, key, url=TARGET)
    links.codes.append(answer.json()["code"])
    assert answer.status_code == 201


def test_key_belongs_to_its_token(deployment: Deployment, links: Links, key: str) -> None:
    """Two tokens can use the same key without affecting each other."""
    codes = set()
    for _ in range(2):
        with Service(deployment.url, deployment.token()) as client:
            codes.add(create(client, key, url=TARGET).json()["code"])
    links.codes += codes
    assert len(codes) == 2


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param("", id="empty"),
        pytest.param("x" * 256, id="too long"),
        pytest.param("a\tb", id="tab"),
        pytest.param("\xe4", id="not ASCII"),
    ],
)
def test_malformed_key_is_refused(service: Service, odd: str) -> None:
    """A key that is not 1 to 255 printable ASCII characters is rejected with 400."""
    headers = {"Idempotency-Key": odd.encode("latin-1")}
    answer = service.post("/api/links", json={"url": TARGET}, headers=headers)
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]


@pytest.mark.parametrize("length", [1, 255])
def test_shortest_and_longest_key(service: Service, links: Links, length: int) -> None:
    """Keys of 1 and of 255 characters are accepted."""
    key = (secrets.token_hex(128) * 2)[:length] if length > 1 else "~"
    answer = create(service, key, url=TARGET)
    links.codes.append(answer.json()["code"])
    assert answer.status_code == 201


def test_duplicates_at_once_create_one_link(
    service: Service, links: Links, key: str, code: dict[str, str]
) -> None:
    """32 equal requests at once create one link.

    The others get its answer, or 409 while the first one is still running.
    """

    def repeat(_number: int) -> requests.Response:
        with service.again() as client:
            return create(client, key, url=TARGET, title=key, **code)

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(repeat, range(32)))
    created = {answer.content for answer in answers if answer.status_code == 201}
    waiting = [answer for answer in answers if answer.status_code != 201]
    assert len(created) == 1
    assert {answer.status_code for answer in waiting} <= {409}
    assert all(answer.headers["Retry-After"] == "1" for answer in waiting)
    links.codes.append(next(a for a in answers if a.status_code == 201).json()["code"])


def age(deployment: Deployment, key: str) -> None:
    """Make a key older than the 24 hours that keys are kept."""
    deployment.sql(
        f"UPDATE idempotency_keys SET created_at = '2020-01-01 00:00:00' WHERE `key` = '{key}'"
    )


def test_old_key_is_new_again(
    deployment: Deployment, service: Service, links: Links, key: str
) -> None:
    """After 24 hours, a key can be used for a new request."""
    first = create(service, key, url=TARGET).json()["code"]
    age(deployment, key)
    second = create(service, key, url=TARGET).json()["code"]
    links.codes += [first, second]
    assert first != second


def test_old_keys_are_swept(deployment: Deployment, service: Service, links: Links) -> None:
    """Expired keys are deleted from the database."""
    old = secrets.token_hex(8)
    links.codes.append(create(service, old, url=TARGET).json()["code"])
    age(deployment, old)
    count = f"SELECT count(*) FROM idempotency_keys WHERE `key` = '{old}'"
    for number in range(1, 2001):  # on average, one request in 100 deletes expired keys
        links.codes.append(create(service, secrets.token_hex(8), url=TARGET).json()["code"])
        if number % 50 == 0 and deployment.sql(count) in ([["0"]], [[0]]):
            return
    pytest.fail("2,000 requests with a key did not delete an expired key.")


def test_old_key_is_new_once(
    deployment: Deployment, service: Service, links: Links, key: str
) -> None:
    """When simultaneous requests reuse an expired key, only one of them creates a link."""
    first = create(service, key, url=TARGET).json()["code"]
    age(deployment, key)

    def repeat(_number: int) -> requests.Response:
        with service.again() as client:
            return create(client, key, url=TARGET)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(repeat, range(16)))
    codes = {answer.json()["code"] for answer in answers if answer.status_code == 201}
    links.codes += [first, *codes]
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len(codes) == 1
    assert first not in codes
