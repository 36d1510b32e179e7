"""People sign in with OpenID Connect, at providers that are honest, hostile or away."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.api.conftest import Deployment, embed
from tests.support.identity_provider import SECRET, Provider, identity_provider
from tests.support.service import Service
from tests.support.visitor import Visitor, form_key, is_in

ROLES = {
    "OIDC_READ_ROLES": "reader",
    "OIDC_WRITE_ROLES": "editor,author",
    "OIDC_ADMIN_ROLES": "ops",
}


def settings(issuer: str, **more: str) -> dict[str, str]:
    """Return the settings for a provider."""
    client = {"OIDC_CLIENT_ID": "slipway", "OIDC_CLIENT_SECRET": SECRET}
    return {"OIDC_ISSUER": issuer, **client, **ROLES, **more}


@pytest.fixture(scope="module")
def running() -> Iterator[Provider]:
    """A provider under the control of the tests."""
    with identity_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: Provider) -> Provider:
    """The provider, which is honest until a test changes it."""
    running.reset()
    return running


@pytest.fixture(scope="module")
def deployment(running: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A service with two workers, where people sign in at the provider."""
    folder = tmp_path_factory.mktemp("oidc")
    with embed(folder, RATE_LIMIT_AUTH="1000/minute", **settings(running.issuer)) as deployment:
        yield deployment


def path_of(url: str) -> str:
    """Return a URL of the service without its host."""
    return "/" + url.split("/", 3)[3]


def begin(visitor: Visitor, path: str = "/sign-in/provider") -> str:
    """Begin to sign in, and return the path to which the provider sends the browser back."""
    answer = visitor.get(path)
    assert answer.status_code == 303, answer.text
    back = requests.get(answer.headers["Location"], allow_redirects=False, timeout=30)
    return path_of(back.headers["Location"])


def sign_in(visitor: Visitor) -> requests.Response:
    """Sign in at the provider, and return the last answer of the service."""
    return visitor.get(begin(visitor))


def test_person_signs_in_and_out(provider: Provider, visitor: Visitor) -> None:
    """A person signs in at the provider, has its rights, and signs out at both."""
    page = visitor.get("/sign-in?next=/sign-in/tokens").text
    assert 'href="/sign-in/provider?next=/sign-in/tokens"' in page
    answer = visitor.get(begin(visitor, "/sign-in/provider?next=/sign-in/tokens"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in/tokens")
    page = visitor.get("/sign-in/tokens").text
    assert "Ada Lovelace" in page
    assert "this browser" in page

    answer = visitor.post("/sign-out", data={"form_key": form_key(visitor)})
    assert answer.headers["Location"] == "/sign-in/sign-out"
    answer = visitor.get("/sign-in/sign-out")
    url = answer.headers["Refresh"].removeprefix("0; url=")
    back = visitor.url.replace(":", "%3A").replace("/", "%2F") + "%2Fsign-in"
    assert url == (f"{provider.issuer}/logout?client_id=slipway&post_logout_redirect_uri={back}")
    assert "You are signed out." in visitor.get("/sign-in").text
    assert not is_in(visitor)
