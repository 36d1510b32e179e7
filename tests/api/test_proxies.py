"""What the service believes of the headers that proxies send: address, scheme and host."""

import secrets
import time
from pathlib import Path

import pytest

from tests.api.conftest import Deployment, embed
from tests.support.service import Service
from tests.support.visitor import Visitor, form
from tests.support.waiting import wait_until

WARNING = "PUBLIC_URL is not set"
# X-Forwarded-For, and the client that the log names.
ADDRESSES = {
    "port": ("198.51.100.9:40001", "198.51.100.9"),
    "IPv6 and port": ("[2001:db8::1]:443", "2001:db8::1"),
    "IPv6 in brackets": ("[2001:db8::1]", "2001:db8::1"),
    "IPv6 in another spelling": ("2001:DB8:0::1", "2001:db8::1"),
    "IPv4 as IPv6": ("::ffff:198.51.100.9", "198.51.100.9"),
    "IPv4 as IPv6, and port": ("[::ffff:198.51.100.9]:40001", "198.51.100.9"),
    "address that the client sent": ("203.0.113.1, 198.51.100.9", "198.51.100.9"),
    "no address": ("198.51.100.9, unknown", "127.0.0.1"),
}


def logged_client(deployment: Deployment, forwarded: str) -> str:
    """Return the client in the log line of a request with this `X-Forwarded-For`."""
    request_id = secrets.token_hex(8)
    headers = {"X-Request-Id": request_id, "X-Forwarded-For": forwarded}
    with Service(deployment.url) as client:
        client.get("/docs", headers=headers)
    return str(deployment.line(request_id)["client"])


@pytest.mark.parametrize(("forwarded", "client"), ADDRESSES.values(), ids=ADDRESSES)
def test_address_is_logged_without_its_port(
    embedded: Deployment, forwarded: str, client: str
) -> None:
    """The log has the last address of `X-Forwarded-For`, without a port."""
    assert logged_client(embedded, forwarded) == client


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param("198.18.{0}.{1}:1", "198.18.{0}.{1}:2", id="IPv4"),
        pytest.param("[2001:db8:{0}:{1}::1]:1", "[2001:db8:{0}:{1}::2]:2", id="IPv6 network"),
    ],
)
def test_address_is_counted_without_its_port(embedded: Deployment, one: str, other: str) -> None:
    """Requests from several ports of one address share a rate limit, which others don't share."""
    seen = []
    wait_until(lambda: time.time() % 60 < 50)  # so that no window of the limit ends meanwhile
    for _ in range(2):
        numbers = secrets.randbelow(256), secrets.randbelow(256)
        with Service(embedded.url, "wrong") as guesser:
            for address in (one, other):
                headers = {"X-Forwarded-For": address.format(*numbers)}
                answer = guesser.get("/api/me", headers=headers)
                seen.append(answer.headers["RateLimit"].partition(";t=")[0])
    assert seen == 2 * ['"auth";r=29', '"auth";r=28']


@pytest.mark.parametrize(
    ("proto", "is_secure"),
    [
        pytest.param("https", True, id="https"),
        pytest.param("HTTPS", True, id="upper case"),
        pytest.param("http", False, id="http"),
        pytest.param("https, http", False, id="client claims https"),
        pytest.param("http, https", True, id="client claims http"),
        pytest.param("javascript", False, id="another scheme"),
    ],
)
@pytest.mark.parametrize("proxies", ["embedded", "behind_two"], ids=["one proxy", "two proxies"])
def test_last_scheme_counts(
    request: pytest.FixtureRequest, proxies: str, proto: str, *, is_secure: bool
) -> None:
    """The last value of `X-Forwarded-Proto` counts, however many proxies are trusted."""
    chain = {"X-Forwarded-For": "198.51.100.9, 192.0.2.1", "X-Forwarded-Proto": proto}
    with Visitor(request.getfixturevalue(proxies).url) as visitor:
        cookie = visitor.get("/sign-in", headers=chain).headers["Set-Cookie"]
    assert cookie.startswith("__Host-slipway=") == is_secure
    assert ("; Secure;" in cookie) == is_secure


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        pytest.param("https://go.example.com", 303, id="last host"),
        pytest.param("https://evil.example", 403, id="host that the client sent"),
    ],
)
@pytest.mark.parametrize("proxies", ["embedded", "behind_two"], ids=["one proxy", "two proxies"])
def test_last_host_counts(
    request: pytest.FixtureRequest, proxies: str, origin: str, status: int
) -> None:
    """A browser can sign in at the last host of `X-Forwarded-Host`, and at no other one."""
    deployment: Deployment = request.getfixturevalue(proxies)
    chain = {
        "X-Forwarded-For": "198.51.100.9, 192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example, go.example.com",
    }
    with Visitor(deployment.url) as visitor:
        page = visitor.get("/sign-in", headers=chain)
        cookie = page.headers["Set-Cookie"].partition(";")[0]
        fields = form(page.text) | {"token": deployment.token()}
        headers = chain | {"Cookie": cookie, "Origin": origin}
        assert visitor.post("/sign-in", data=fields, headers=headers).status_code == status


def test_address_before_two_proxies_is_the_client(behind_two: Deployment) -> None:
    """With two proxies, the last but one address of `X-Forwarded-For` is the client's."""
    assert logged_client(behind_two, "203.0.113.1, 198.51.100.9:1, 192.0.2.1") == "198.51.100.9"
    assert logged_client(behind_two, "192.0.2.1") == "127.0.0.1"


def test_one_warning_without_a_public_url(embedded: Deployment, tmp_path: Path) -> None:
    """Behind proxies, the service warns once at start if PUBLIC_URL is not set."""
    assert embedded.log().count(WARNING) == 1
    with embed(tmp_path, PUBLIC_URL="https://go.example.com") as deployment:
        assert WARNING not in deployment.log()


def test_without_proxies_no_header_counts(tmp_path: Path) -> None:
    """With TRUSTED_PROXIES=0, the service ignores what a client claims, and does not warn."""
    with embed(tmp_path, TRUSTED_PROXIES="0") as deployment, Visitor(deployment.url) as visitor:
        assert logged_client(deployment, "198.51.100.9") == "127.0.0.1"
        page = visitor.get("/sign-in", headers={"X-Forwarded-Proto": "https"})
        assert page.headers["Set-Cookie"].startswith("slipway=")
        assert WARNING not in deployment.log()
