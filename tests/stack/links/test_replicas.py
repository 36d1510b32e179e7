"""Two replicas of the service on one database behave like one service."""

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import requests

from tests.support.compose import Stack
from tests.support.links.client import TARGET
from tests.support.service import Service
from tests.support.waiting import free_port_pair, wait_until

pytestmark = pytest.mark.alone

CLIENTS = 64


class Replicas:
    """A stack with two replicas of the service, and a write token."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.token = stack.exec("app", "slipway", "tokens", "create", "replicas").strip()
        self.urls: list[str] = []
        self.find()

    def find(self) -> None:
        """Look up the published port of each replica, because a restart can swap them."""
        self.urls = [
            "http://" + self.stack.compose("port", "--index", index, "app", "8000").strip()
            for index in ("1", "2")
        ]

    def all_at_once(
        self, send: Callable[[Service], requests.Response], clients: int = CLIENTS
    ) -> list[requests.Response]:
        """Send from many clients at once, half of them to each replica."""

        def run(number: int) -> requests.Response:
            with Service(self.urls[number % 2], self.token) as client:
                return send(client)

        with ThreadPoolExecutor(clients) as pool:
            return list(pool.map(run, range(clients)))


def is_ready(client: Service) -> bool:
    """Return whether a replica is ready."""
    return client.get("/readyz").ok


@pytest.fixture(scope="module")
def replicas(stack: Stack) -> Iterator[Replicas]:
    """Two replicas of the service, from the image that this test run has built."""
    first, last = free_port_pair()
    with Stack(tag=stack.tag) as scaled:
        scaled.env["PORT"] = f"{first}-{last}"
        scaled.up("--scale", "app=2")
        yield Replicas(scaled)


def test_one_of_64_gets_the_code(replicas: Replicas) -> None:
    """When 64 clients want one code at once, one succeeds and 63 get 409."""
    body = {"url": TARGET, "code": "wanted"}
    answers = replicas.all_at_once(lambda client: client.post("/api/links", json=body))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 63}
    count = "SELECT COUNT(*) FROM links WHERE lookup_key = 'wanted'"
    assert replicas.stack.mysql_root(count) == [["1"]]


def test_64_requests_with_one_key_create_one_link(replicas: Replicas) -> None:
    """64 requests with one idempotency key create one link.

    The others get its answer, or 409 while the first one is still running.
    """
    title = secrets.token_hex(8)

    def create(client: Service) -> requests.Response:
        body = {"url": TARGET, "title": title}
        return client.post("/api/links", json=body, headers={"Idempotency-Key": title})

    answers = replicas.all_at_once(create)
    created = [answer for answer in answers if answer.status_code == 201]
    others = [answer for answer in answers if answer.status_code != 201]
    assert created
    assert len({(a.content, a.headers["ETag"], a.headers["Location"]) for a in created}) == 1
    assert all((a.status_code, a.headers["Retry-After"]) == (409, "1") for a in others)
    count = f"SELECT COUNT(*) FROM links WHERE title = '{title}'"
    assert replicas.stack.mysql_root(count) == [["1"]]


def test_key_holds_across_a_restart(replicas: Replicas) -> None:
    """After a restart of both replicas, each returns the first answer to an idempotency key."""
    headers = {"Idempotency-Key": secrets.token_hex(8)}
    with Service(replicas.urls[0], replicas.token) as client:
        first = client.post("/api/links", json={"url": TARGET}, headers=headers)
    replicas.stack.compose("restart", "app")
    replicas.find()
    for url in replicas.urls:
        with Service(url, replicas.token) as client:
            wait_until(partial(is_ready, client))
            again = client.post("/api/links", json={"url": TARGET}, headers=headers)
        assert (again.status_code, again.content) == (201, first.content)


def test_limit_holds_over_both(replicas: Replicas) -> None:
    """The rate limit is exact across both replicas."""
    replicas.all_at_once(lambda client: client.post("/api/links", json={"url": TARGET}), 2)
    # Ten requests are left in a window so far in the future that it can't end.
    replicas.stack.mysql_root(
        "UPDATE rate_limits SET hits = 2990, period = 9999999999 WHERE client LIKE 'create:%'"
    )
    answers = replicas.all_at_once(lambda client: client.post("/api/links", json={"url": TARGET}))
    replicas.stack.mysql_root("DELETE FROM rate_limits")
    assert Counter(answer.status_code for answer in answers) == {201: 10, 429: 54}


def test_revoked_token_is_worthless_on_both(replicas: Replicas) -> None:
    """A token that is revoked on one replica is rejected by both at once."""
    token = replicas.stack.exec("app", "slipway", "tokens", "create", "short").strip()
    replicas.stack.compose(
        "exec", "--no-TTY", "--index", "2", "app", "slipway", "tokens", "revoke", "short"
    )
    for url in replicas.urls:
        with Service(url, token) as client:
            assert client.get("/api/me").status_code == 401


def test_clicks_on_both_add_up(replicas: Replicas) -> None:
    """Every click counts once, whichever replica answers it."""
    with Service(replicas.urls[0], replicas.token) as client:
        code = client.post("/api/links", json={"url": TARGET}).json()["code"]
        answers = replicas.all_at_once(lambda client: client.get(f"/{code}"))
        assert {answer.status_code for answer in answers} == {302}
        assert client.get(f"/api/links/{code}").json()["clicks"] == CLIENTS
