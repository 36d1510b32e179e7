"""The rate limit for creating links, per token."""

import re
import secrets
from concurrent.futures import ThreadPoolExecutor

from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service


def test_responses_show_the_remaining_rate(service: Service, links: Links) -> None:
    """A created link counts towards the limit; an invalid request or a read does not."""
    answer = service.post("/api/links", json={"url": TARGET, "code": links.new_code()})
    assert answer.headers["RateLimit-Policy"] == '"create";q=3000;w=60'
    assert re.fullmatch(r'"create";r=\d+;t=\d+', answer.headers["RateLimit"])
    assert "RateLimit" not in service.post("/api/links", json={}).headers
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
