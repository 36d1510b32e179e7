"""Short URLs, and clients of redirects, behind proxies."""

import secrets

import pytest

from tests.api.conftest import Deployment
from tests.api.links.test_fast_redirect import LONG_WAY, head
from tests.api.test_proxies import ADDRESSES
from tests.support.links.client import TARGET, Links
from tests.support.service import Service


def logged_client(deployment: Deployment, forwarded: str, more: bytes) -> str:
    """Return the client in the log line of a redirect with this `X-Forwarded-For`."""
    request_id = secrets.token_hex(8)
    names = f"X-Request-Id: {request_id}\r\nX-Forwarded-For: {forwarded}\r\n".encode()
    with Service(deployment.url, deployment.token()) as service:
        links = Links(service)
        answer = service.speak(head(f"/{links.create()['code']}", names + more))
        links.delete()
    assert answer.status == 302
    return str(deployment.line(request_id)["client"])


@pytest.mark.parametrize(
    ("proto", "host", "address"),
    [
        pytest.param("https", "go.example.com", "https://go.example.com", id="https"),
        pytest.param("https, http", "a, b", "http://b", id="lists"),
    ],
)
@pytest.mark.parametrize("proxies", ["embedded", "behind_two"], ids=["one proxy", "two proxies"])
def test_short_url_has_the_last_scheme_and_host(
    request: pytest.FixtureRequest, proxies: str, proto: str, host: str, address: str
) -> None:
    """Short URLs begin with the last values of `X-Forwarded-Proto` and `X-Forwarded-Host`."""
    deployment: Deployment = request.getfixturevalue(proxies)
    headers = {"X-Forwarded-For": "198.51.100.9, 192.0.2.1"}
    headers |= {"X-Forwarded-Proto": proto, "X-Forwarded-Host": host}
    with Service(deployment.url, deployment.token()) as owner:
        link = owner.post("/api/links", json={"url": TARGET}, headers=headers).json()
        owner.delete(f"/api/links/{link['code']}")
    assert link["short_url"] == f"{address}/{link['code']}"


@pytest.mark.parametrize("more", [b"", LONG_WAY], ids=["fast path", "normal path"])
@pytest.mark.parametrize(("forwarded", "client"), ADDRESSES.values(), ids=ADDRESSES)
def test_client_of_a_redirect(
    embedded: Deployment, forwarded: str, client: str, more: bytes
) -> None:
    """The log line of a redirect has the same client on the fast path and on the normal path."""
    assert logged_client(embedded, forwarded, more) == client


@pytest.mark.parametrize("more", [b"", LONG_WAY], ids=["fast path", "normal path"])
def test_client_of_a_redirect_behind_two_proxies(behind_two: Deployment, more: bytes) -> None:
    """Both paths count the addresses from the right."""
    forwarded = "203.0.113.1, 198.51.100.9:40001, 192.0.2.1:2"
    assert logged_client(behind_two, forwarded, more) == "198.51.100.9"
