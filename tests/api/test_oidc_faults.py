"""Sign-in with OpenID Connect where the provider is away, slow, badly configured or unusual."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme

from tests.api.conftest import Deployment, embed
from tests.support.forked import python
from tests.support.identity_provider import Provider, begin, settings, sign_in
from tests.support.visitor import Visitor, form_key, is_in
from tests.support.waiting import free_port, wait_until

METADATA = "/.well-known/openid-configuration"
# Prints status, reason and place of the answers of several replicas, each on its own.
REPLICAS = """
import sys, json
from app import create_app
from app.database.types import metadata
from urllib.request import build_opener, HTTPRedirectHandler
from urllib.error import HTTPError

class Stay(HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None

headers = json.loads(sys.argv[1])
first, second = (create_app() for _ in range(2))
metadata.create_all(first.extensions["database"].autocommit)
client = first.test_client()
answer = client.get("/sign-in/provider", headers=headers)
print(answer.status_code)
if answer.status_code == 303:
    try:
        build_opener(Stay).open(answer.location, sys.argv[2].encode() or None)
    except HTTPError as moved:
        back = moved.headers["Location"]
    print(back.partition("?")[0])
    [cookie] = [value for name, value in answer.headers if name == "Set-Cookie"]
    client = second.test_client(use_cookies=False)
    headers["Cookie"] = cookie.partition(";")[0]
    answer = client.get("/" + back.split("/", 3)[3], headers=headers)
    print(answer.status_code)
"""


@pytest.fixture(scope="module")
def deployment(
    identity_provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """A service with one worker, where people sign in at the provider."""
    folder = tmp_path_factory.mktemp("faults")
    with embed(folder, WEB_CONCURRENCY="1", **settings(identity_provider.issuer)) as deployment:
        yield deployment


def replicas(
    tmp_path: object,
    issuer: str,
    headers: dict[str, str] | None = None,
    form: str = "",
    **more: str,
) -> list[str]:
    """Begin to sign in at one replica, end at another, and return the answers and the reasons.

    :param form: what the browser sends to the provider in a form.
    """
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "SECRET_KEY": "x" * 32}
    environ |= settings(issuer) | more
    said = []
    for line in python(REPLICAS, json.dumps(headers or {}), form, **environ).splitlines():
        if line.startswith("{"):
            said += [str(value) for name, value in json.loads(line).items() if name == "reason"]
        else:
            said.append(line)
    return [text for text in said if text]


def test_any_replica_ends_the_sign_in(provider: Provider, tmp_path: object) -> None:
    """A replica can end a sign-in that another one has begun, since it needs only the cookie."""
    callback = "http://localhost/sign-in/callback"
    assert replicas(tmp_path, provider.issuer) == ["303", callback, "303"]


@pytest.mark.parametrize(
    ("headers", "more", "address"),
    [
        pytest.param(
            {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "go.example.com"},
            {"TRUSTED_PROXIES": "2"},
            "https://go.example.com",
            id="two proxies",
        ),
        pytest.param(
            {"X-Forwarded-Proto": "https", "Host": "10.0.0.1"},
            {"TRUSTED_PROXIES": "2", "PUBLIC_URL": "https://go.example.com"},
            "https://go.example.com",
            id="public URL",
        ),
    ],
)
def test_provider_leads_back_to_the_public_address(
    provider: Provider,
    tmp_path: object,
    headers: dict[str, str],
    more: dict[str, str],
    address: str,
) -> None:
    """Behind proxies, the provider sends the browser back to the address that it knows."""
    found = replicas(tmp_path, provider.issuer, headers, **more)
    assert found == ["303", f"{address}/sign-in/callback", "303"]


def test_claims_come_from_userinfo_too(provider: Provider, tmp_path: object) -> None:
    """What the ID token lacks is taken from the UserInfo endpoint."""
    provider.claims |= {"name": None, "roles": None}
    provider.userinfo |= {"name": "Ada", "roles": ["reader"]}
    assert replicas(tmp_path, provider.issuer)[-1] == "303"
    assert provider.asked[-1] == "/userinfo"


def test_everybody_can_be_let_in(provider: Provider, tmp_path: object) -> None:
    """With * as a value, everybody who has an account at the provider can sign in."""
    provider.claims["roles"] = None
    assert replicas(tmp_path, provider.issuer, OIDC_READ_ROLES="*")[-1] == "303"


ELSEWHERE = """
from app.config import Settings
from app.identity.oidc import Provider, SignInError
provider = Provider(Settings.from_environ())
provider.metadata = {"jwks_uri": "http://127.0.0.1:1/keys"}
try:
    provider.endpoint("jwks_uri")
except SignInError as error:
    print(error.reason)
"""


def test_certificate_of_the_provider_is_verified(tmp_path: Path) -> None:
    """A provider needs a certificate of an authority that the system or SSL_CERT_FILE trusts."""
    authority, file = trustme.CA(), tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    with Provider(authority.issue_cert("127.0.0.1")).running() as provider:
        *_, reason, status = replicas(tmp_path, provider.issuer)
        assert (status, "CERTIFICATE_VERIFY_FAILED" in reason) == ("503", True)
        assert replicas(tmp_path, provider.issuer, SSL_CERT_FILE=str(file))[-1] == "303"


def test_mock_provider_signs_in(tmp_path: object) -> None:
    """A person signs in at a provider that others have written."""
    port = free_port()
    claims = '{"sub": "ada", "name": "Ada Lovelace", "roles": ["editor"]}'
    script = Path(sys.executable).with_name("oidc-provider-mock")
    options = [f"--port={port}", "--require-nonce=true", f"--user-claims={claims}"]
    with subprocess.Popen(
        [script, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as mock:
        try:
            issuer = f"http://127.0.0.1:{port}"
            wait_until(lambda: requests.get(issuer + METADATA, timeout=30).ok)
            assert replicas(tmp_path, issuer, form="sub=ada")[-1] == "303"
        finally:
            mock.terminate()


FAULTS: dict[str, tuple[Any, str]] = {
    "status 500": (lambda provider: provider.answers.update({METADATA: (500, "{}")}), "500"),
    "no JSON": (
        lambda provider: provider.answers.update({METADATA: (200, "<p>")}),
        "JSONDecodeError",
    ),
    "another issuer": (
        lambda provider: provider.metadata.update({"issuer": "https://other.example"}),
        "its issuer is 'https://other.example'",
    ),
    "no HTTPS": (
        lambda provider: provider.metadata.update({"authorization_endpoint": "http://10.0.0.1/a"}),
        "its authorization_endpoint is 'http://10.0.0.1/a'",
    ),
    "no endpoint": (
        lambda provider: provider.metadata.update({"authorization_endpoint": None}),
        "its authorization_endpoint is 'None'",
    ),
    "slow": (lambda provider: setattr(provider, "pause", 0.01), "TimeoutError"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_provider_that_does_not_work_is_reported(
    deployment: Deployment, provider: Provider, visitor: Visitor, name: str
) -> None:
    """A page with 503 says that the provider does not work, and the log why."""
    fault, reason = FAULTS[name]
    fault(provider)
    answer = visitor.get("/sign-in/provider")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert "provider can&#39;t be reached" in answer.text
    assert reason in deployment.line(answer.headers["X-Request-Id"])["reason"]


def test_only_https_is_used_for_a_provider_elsewhere(tmp_path: object) -> None:
    """The metadata of a provider elsewhere can't lead the service to an address of its own host."""
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", **settings("https://login.example")}
    assert python(ELSEWHERE, **environ) == "its jwks_uri is 'http://127.0.0.1:1/keys'\n"


def test_slow_provider_delays_nobody_else(provider: Provider, visitor: Visitor) -> None:
    """While a sign-in waits for the provider, the same worker answers other requests."""
    provider.delay = 1
    answers: list[str] = []
    with visitor.again() as other:
        thread = threading.Thread(target=lambda: answers.append(begin(other)))
        thread.start()
        wait_until(lambda: METADATA in provider.asked)
        assert visitor.get("/livez").status_code == 200
        assert answers == []
        thread.join()
    assert len(answers) == 1


def test_people_stay_signed_in_while_the_provider_is_away(
    provider: Provider, visitor: Visitor
) -> None:
    """If the provider goes away, sessions go on and end, and the sign-in says why it can't work."""
    assert sign_in(visitor).status_code == 303
    provider.answers[METADATA] = (503, "{}")
    assert visitor.get("/sign-in/tokens").status_code == 200
    with visitor.again() as other:
        answer = other.get("/sign-in/provider")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
        assert not is_in(other)
    answer = visitor.post("/sign-out", data={"form_key": form_key(visitor)})
    assert answer.status_code == 303
    assert not is_in(visitor)
