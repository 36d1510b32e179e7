"""The rate limit for creating links, per token."""

import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service
from tests.support.waiting import wait_until


def test_responses_show_the_remaining_rate(service: Service, links: Links) -> None:
    """A created link and an invalid write count towards the limit; a read does not."""
    answer = service.post("/api/links", json={"url": TARGET, "code": links.new_code()})
    assert answer.headers["RateLimit-Policy"] == '"create";q=3000;w=60'
    assert re.fullmatch(r'"create";r=\d+;t=\d+', answer.headers["RateLimit"])
    assert "RateLimit" in service.post("/api/links", json={}).headers
    assert "RateLimit" not in service.get("/api/links").headers


def test_limit_holds_over_all_workers(deployment: Deployment) -> None:
    """The limit is exact across all workers."""
    name = f"limit-{secrets.token_hex(4)}"
    token = deployment.cli("tokens", "create", name).strip()
    with Service(deployment.url, token) as client:
        links = Links(client)
        links.create()
        [[number]] = deployment.sql(f"SELECT id FROM tokens WHERE name = '{name}'")
        # Ten requests are left in a window so far in the future that it can't end.
        deployment.sql(
            "UPDATE rate_limits SET hits = 2990, period = 9999999999 "
            f"WHERE client = 'create:{number}'"
        )

        def create(_number: int) -> int:
            with client.again() as another:
                answer = another.post("/api/links", json={"url": TARGET})
            if answer.status_code == 201:
                links.codes.append(answer.json()["code"])
            else:
                assert int(answer.headers["Retry-After"]) > 0
                assert '"create";r=0;' in answer.headers["RateLimit"]
            return answer.status_code

        with ThreadPoolExecutor(16) as pool:
            assert sorted(pool.map(create, range(40))) == [201] * 10 + [429] * 30
        links.delete()


def test_window_ends(deployment: Deployment) -> None:
    """When the window ends, the token can create links again."""
    name = f"window-{secrets.token_hex(4)}"
    token = deployment.cli("tokens", "create", name).strip()
    with Service(deployment.url, token) as client:
        links = Links(client)
        links.create()
        [[number]] = deployment.sql(f"SELECT id FROM tokens WHERE name = '{name}'")
        deployment.sql(
            "UPDATE rate_limits SET hits = 9999, period = period - 60 "
            f"WHERE client = 'create:{number}'"
        )
        links.create()
        counter = f"SELECT hits FROM rate_limits WHERE client = 'create:{number}'"
        assert [[int(hits)] for [hits] in deployment.sql(counter)] == [[1]]
        links.delete()


KIB = 1024
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("send", "status", "amount"),
    [
        pytest.param(lambda c: c.post("/api/links", data="{", headers=JSON), 400, 1, id="no JSON"),
        pytest.param(lambda c: c.post("/api/links", json={"x": 1}), 422, 1, id="unknown field"),
        pytest.param(lambda c: c.patch("/api/links/x", json={"x": 1}), 422, 1, id="change"),
        pytest.param(
            lambda c: c.post("/api/links", data=b"[]".ljust(64 * KIB), headers=JSON),
            422,
            4,
            id="large body",
        ),
        pytest.param(
            lambda c: c.post("/api/links", data=b"[]".ljust(999 * KIB), headers=JSON),
            413,
            4,
            id="too large",
        ),
        pytest.param(
            lambda c: c.post("/api/links/batch", data=b"[]".ljust(4096 * KIB), headers=JSON),
            422,
            256,
            id="batch",
        ),
        pytest.param(
            lambda c: c.post("/api/links/batch", data=iter([b"[]"]), headers=JSON),
            422,
            256,
            id="batch of unknown length",
        ),
        pytest.param(
            lambda c: c.post("/api/links/batch", json={"links": [{}] * 1000}),
            422,
            1,
            id="batch of invalid links",
        ),
    ],
)
def test_invalid_writes_count(
    deployment: Deployment, send: Callable[[Service], Any], status: int, amount: int
) -> None:
    """A write with an invalid body counts by its size, as one for each 16 KiB."""
    with Service(deployment.url, deployment.token()) as client:
        answer = send(client)
        assert answer.status_code == status
        assert answer.headers["RateLimit"].startswith(f'"create";r={3000 - amount};')


def test_invalid_writes_are_limited(deployment: Deployment) -> None:
    """After too many invalid writes, a token's writes get 429 before their bodies are checked."""
    answers = []
    with Service(deployment.url, deployment.token()) as client:

        def is_refused() -> bool:
            """Send an invalid body of 4 MiB. Each worker notices the limit by itself."""
            body = b"[]".ljust(4096 * KIB)
            answers.append(client.post("/api/links/batch", data=body, headers=JSON))
            return answers[-1].status_code != 422

        wait_until(is_refused)
        assert answers[-1].status_code == 429
        assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
        assert answers[-1].headers["RateLimit"].startswith('"create";r=0;')
        assert client.get("/api/links").status_code == 200
