"""Bearer tokens: authentication, scopes, expiry, revocation and rate limits."""

import re
import secrets
import subprocess
from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import Deployment
from tests.support.service import Service

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
ROUTES = ["/api", "/api/me", "/api/no/such/thing"]


def address() -> dict[str, str | bytes]:
    """Return headers with a client address that no other test uses."""
    return {"X-Forwarded-For": f"2001:db8:{secrets.randbits(16):x}:{secrets.randbits(16):x}::1"}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("method", METHODS)
def test_api_needs_a_token(deployment: Deployment, method: str, route: str) -> None:
    """Every path under /api answers 401 without a token, whether it exists or not."""
    with Service(deployment.url) as anyone:
        answer = anyone.request(method, route, json={})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="slipway"'


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz"])
def test_public_paths_need_no_token(deployment: Deployment, path: str) -> None:
    """The greeting and the health checks need no token."""
    with Service(deployment.url) as anyone:
        assert anyone.get(path).status_code == 200


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Bearer", id="no token"),
        pytest.param("Bearer ", id="empty token"),
        pytest.param("Bearer x", id="unknown token"),
        pytest.param("Basic eDp5", id="Basic"),
        pytest.param("Basic \xff", id="Basic that is not ASCII"),
        pytest.param("Basic !", id="Basic that is not Base64"),
        pytest.param("Digest a*=b''%ff", id="Digest"),
        pytest.param("bearer \xe4", id="not ASCII"),
        pytest.param("x", id="no scheme"),
        pytest.param("Bearer " + "x" * 5000, id="long token"),
    ],
)
def test_wrong_token_is_refused(deployment: Deployment, header: str) -> None:
    """A missing, malformed or unknown token is rejected with 401, and counts as an attempt."""
    with Service(deployment.url) as anyone:
        headers = address() | {"Authorization": header.encode("latin-1")}
        answer = anyone.get("/api/me", headers=headers)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    assert answer.headers["RateLimit"].startswith('"auth";r=29;')
    assert answer.json()["title"] == "Unauthorized"


@pytest.mark.parametrize("scope", ["read", "write", "admin"])
def test_me_tells_name_and_scope(deployment: Deployment, scope: str) -> None:
    """/api/me returns the name and scope of the client's token."""
    name = f"me-{secrets.token_hex(4)}"
    token = deployment.cli("tokens", "create", name, "--scope", scope).strip()
    with Service(deployment.url, token) as client:
        assert client.get("/api/me").json() == {"name": name, "scope": scope}


@pytest.mark.parametrize("method", METHODS)
def test_read_token_only_reads(deployment: Deployment, method: str) -> None:
    """A read token can read; every other method is rejected with 403."""
    with Service(deployment.url, deployment.token("read")) as reader:
        answer = reader.request(method, "/api/me", json={})
    if method in {"GET", "HEAD"}:
        assert answer.status_code == 200
    else:
        assert answer.status_code == 403
        error = 'error="insufficient_scope", scope="write"'
        assert answer.headers["WWW-Authenticate"] == f'Bearer realm="slipway", {error}'


def test_default_scope_is_write(deployment: Deployment) -> None:
    """A token that is created without --scope can write."""
    token = deployment.cli("tokens", "create", f"d-{secrets.token_hex(4)}").strip()
    with Service(deployment.url, token) as client:
        assert client.get("/api/me").json()["scope"] == "write"


def test_revoked_token_is_worthless(deployment: Deployment) -> None:
    """A revoked token is rejected with 401 at once, by every worker."""
    name = f"revoked-{secrets.token_hex(4)}"
    token = deployment.cli("tokens", "create", name).strip()
    with Service(deployment.url, token) as client:
        assert {client.get("/api/me").status_code for _ in range(10)} == {200}
        deployment.cli("tokens", "revoke", name)
        headers = address()
        assert {client.get("/api/me", headers=headers).status_code for _ in range(10)} == {401}
    assert name not in deployment.cli("tokens", "list")


def test_expired_token_is_worthless(deployment: Deployment) -> None:
    """An expired token is rejected with 401."""
    name = f"expired-{secrets.token_hex(4)}"
    token = deployment.cli("tokens", "create", name, "--expires", "1m").strip()
    with Service(deployment.url, token) as client:
        assert client.get("/api/me").status_code == 200
        deployment.sql(f"UPDATE tokens SET expires_at = '2020-01-01' WHERE name = '{name}'")
        assert client.get("/api/me", headers=address()).status_code == 401


def test_list_shows_everything_but_the_token(deployment: Deployment) -> None:
    """`tokens list` shows each token's name, scope, times and last use, but not the token."""
    name = f"listed-{secrets.token_hex(4)}"
    options = ("--scope", "read", "--expires", "90d")
    token = deployment.cli("tokens", "create", name, *options).strip()
    listed = deployment.cli("tokens", "list")
    [line] = [line for line in listed.splitlines() if name in line]
    assert token not in listed
    assert line.split()[1] == "read"
    assert line.split()[4] == "-"
    created, expires = (datetime.fromisoformat(time) for time in line.split()[2:4])
    assert expires - created == timedelta(days=90)

    with Service(deployment.url, token) as client:
        client.get("/api/me")
    [line] = [x for x in deployment.cli("tokens", "list").splitlines() if name in x]
    used = datetime.fromisoformat(line.split()[4])
    assert abs(used - datetime.now(UTC)) < timedelta(minutes=1)


def test_use_is_not_written_for_each_request(deployment: Deployment) -> None:
    """A token's last use is recorded about once a minute, not at each request."""
    name = f"used-{secrets.token_hex(4)}"
    token = deployment.cli("tokens", "create", name).strip()
    with Service(deployment.url, token) as client:
        client.get("/api/me")
        recent = (datetime.now(UTC) - timedelta(seconds=30)).strftime("%Y-%m-%d %H:%M:%S")
        deployment.sql(f"UPDATE tokens SET last_used_at = '{recent}' WHERE name = '{name}'")
        client.get("/api/me")
    assert recent.replace(" ", "T") + "Z" in deployment.cli("tokens", "list")


def test_token_is_alone_on_standard_output(deployment: Deployment) -> None:
    """`TOKEN=$(slipway tokens create …)`: only the token is printed."""
    output = deployment.cli("tokens", "create", f"out-{secrets.token_hex(4)}")
    assert re.fullmatch(r"slipway_[A-Za-z0-9_-]{43}\n", output)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("create", ""), id="empty name"),
        pytest.param(("create", "x" * 101), id="long name"),
        pytest.param(("create", "a\nb"), id="newline in the name"),
        pytest.param(("create", "x", "--scope", "root"), id="unknown scope"),
        pytest.param(("create", "x", "--expires", "tomorrow"), id="wrong lifetime"),
        pytest.param(("create", "x", "--expires", "0d"), id="lifetime of zero"),
        pytest.param(("revoke", "no such token"), id="unknown token"),
    ],
)
def test_wrong_command_is_refused(deployment: Deployment, arguments: tuple[str, ...]) -> None:
    """A wrong command fails without a traceback and prints no token."""
    with pytest.raises(subprocess.CalledProcessError) as caught:
        deployment.cli("tokens", *arguments)
    assert "Traceback" not in str(caught.value.stderr)
    assert not str(caught.value.stdout).strip()


def test_names_are_exact(deployment: Deployment) -> None:
    """Names are compared with accents: revoking "Jose" does not revoke "José"."""
    name = f"José-{secrets.token_hex(4)}"
    token = deployment.cli("tokens", "create", name).strip()
    with pytest.raises(subprocess.CalledProcessError):
        deployment.cli("tokens", "revoke", name.replace("é", "e"))
    with Service(deployment.url, token) as client:
        assert client.get("/api/me").json()["name"] == name


def test_name_is_taken_once(deployment: Deployment) -> None:
    """A second token with the same name is rejected."""
    name = f"twice-{secrets.token_hex(4)}"
    deployment.cli("tokens", "create", name)
    with pytest.raises(subprocess.CalledProcessError):
        deployment.cli("tokens", "create", name)


def test_guessing_is_slowed(deployment: Deployment) -> None:
    """Too many wrong tokens from one address get 429.

    Other addresses are not affected, and a valid token still works.
    """
    headers = address()
    with Service(deployment.url, "wrong") as guesser:
        answers = [guesser.get("/api/me", headers=headers) for _ in range(65)]
        # The requests can fall into two windows, if a minute ends meanwhile. Then the last one can
        # be allowed again, but one before it was refused.
        first, refused = answers[0], next(a for a in answers if a.status_code != 401)
        assert 30 <= sum(answer.status_code == 401 for answer in answers) <= 60
        assert first.headers["RateLimit-Policy"] == '"auth";q=30;w=60'
        assert re.fullmatch(r'"auth";r=\d+;t=\d+', first.headers["RateLimit"])
        assert (refused.status_code, refused.json()["title"]) == (429, "Too Many Requests")
        assert 0 < int(refused.headers["Retry-After"]) <= 60
        assert refused.headers["RateLimit"].startswith('"auth";r=0;')
        assert guesser.get("/api/me", headers=address()).status_code == 401
    with Service(deployment.url, deployment.token()) as owner:
        assert owner.get("/api/me", headers=headers).status_code == 200


def test_ipv4_behind_ipv6_is_one_client_each(deployment: Deployment) -> None:
    """Each IPv4-mapped address (::ffff:…) from a proxy has its own rate limit."""
    with Service(deployment.url, "wrong") as guesser:
        first, second = (
            guesser.get("/api/me", headers={"X-Forwarded-For": f"::ffff:198.51.{n}"}).headers
            for n in (f"{secrets.randbelow(100)}.1", f"{100 + secrets.randbelow(100)}.1")
        )
    assert first["RateLimit"].startswith('"auth";r=29;')
    assert second["RateLimit"].startswith('"auth";r=29;')


def test_neighbours_in_one_ipv6_network_are_one_client(deployment: Deployment) -> None:
    """All addresses of one IPv6 /64 network share one rate limit."""
    network = str(address()["X-Forwarded-For"]).removesuffix("::1")
    with Service(deployment.url, "wrong") as guesser:
        statuses = [
            guesser.get("/api/me", headers={"X-Forwarded-For": f"{network}::{n:x}"}).status_code
            for n in range(1, 66)
        ]
    assert set(statuses) == {401, 429}  # the last can be 401, if a minute ends meanwhile
