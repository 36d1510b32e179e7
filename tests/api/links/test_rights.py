"""Access rights of every route: for visitors, and for tokens of each scope."""

from typing import Any

import pytest

from app.identity.tokens import SCOPES
from tests.api.conftest import Deployment
from tests.support.links.client import TARGET, Links
from tests.support.service import Service

# Method, path, body, and the status for a visitor, for a read token, and for a write token. An
# admin token has the same rights here as a write token.
RIGHTS: list[tuple[str, str, Any, int, int, int]] = [
    ("GET", "/", None, 200, 200, 200),
    ("GET", "/livez", None, 200, 200, 200),
    ("GET", "/readyz", None, 200, 200, 200),
    ("GET", "/readyz/database", None, 200, 200, 200),
    ("GET", "/docs", None, 200, 200, 200),
    ("GET", "/openapi.json", None, 200, 200, 200),
    ("GET", "/robots.txt", None, 200, 200, 200),
    ("GET", "/opensearch.xml", None, 200, 200, 200),
    ("GET", "/{code}", None, 302, 302, 302),
    ("HEAD", "/{code}", None, 302, 302, 302),
    ("GET", "/{code}/rest?x=1", None, 302, 302, 302),
    ("GET", "/{code}+", None, 200, 200, 200),
    ("GET", "/{code}.qr", None, 200, 200, 200),
    ("GET", "/{code}.qr.svg", None, 200, 200, 200),
    ("GET", "/{code}.qr.png?size=100", None, 200, 200, 200),
    ("GET", "/{code}.", None, 302, 302, 302),
    ("POST", "/{code}", {}, 405, 405, 405),
    ("GET", "/api/me", None, 401, 200, 200),
    ("GET", "/api/links", None, 401, 200, 200),
    ("GET", "/api/links?q=example&tag=a&sort=code", None, 401, 200, 200),
    ("GET", "/api/links/{code}", None, 401, 200, 200),
    ("HEAD", "/api/links/{code}", None, 401, 200, 200),
    ("GET", "/api/links/{code}/clicks", None, 401, 200, 200),
    ("GET", "/api/export", None, 401, 200, 200),
    ("POST", "/api/links", {"url": TARGET, "code": "{new}"}, 401, 403, 201),
    ("POST", "/api/links/batch", {"links": [{"url": TARGET, "code": "{new}b"}]}, 401, 403, 201),
    ("PATCH", "/api/links/{code}", {"title": "changed"}, 401, 403, 200),
    ("DELETE", "/api/links/{code}", None, 401, 403, 204),
    ("GET", "/api/no/such/thing", None, 401, 404, 404),
    ("POST", "/api/no/such/thing", {}, 401, 403, 404),
]


@pytest.fixture(scope="module", name="clients")
def _clients(deployment: Deployment) -> dict[str, Service]:
    """A client without a token, and one for each scope."""
    tokens = {"visitor": ""} | {scope: deployment.token(scope) for scope in SCOPES}
    return {who: Service(deployment.url, token) for who, token in tokens.items()}


@pytest.mark.parametrize("who", ["visitor", *SCOPES])
@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: f"{right[0]} {right[1]}")
def test_right(clients: dict[str, Service], links: Links, right: tuple[Any, ...], who: str) -> None:
    """Every route returns the status in the table, and rejected requests change nothing."""
    method, path, body, *statuses = right
    wanted = statuses[["visitor", "read", "write"].index(who.replace("admin", "write"))]
    link = links.create()
    new = links.new_code()
    links.codes.append(f"{new}b")

    def fill(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: fill(part) for name, part in value.items()}
        if isinstance(value, list):
            return [fill(part) for part in value]
        return value.replace("{code}", link["code"]).replace("{new}", new)

    answer = clients[who].request(method, fill(path), json=fill(body) if body is not None else None)
    assert answer.status_code == wanted, answer.text
    if wanted in {401, 403}:
        read = links.service.get(f"/api/links/{link['code']}")
        assert read.json() == link
        assert links.service.get(f"/{new}").status_code == 404
