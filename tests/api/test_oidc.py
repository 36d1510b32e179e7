"""People sign in with OpenID Connect, at providers that are honest, hostile or away."""

import time
from typing import Any

import pytest

from tests.api.conftest import Deployment
from tests.support.identity_provider import Provider, begin, sign_in
from tests.support.visitor import Visitor, form_key, is_in


@pytest.fixture
def deployment(with_provider: Deployment) -> Deployment:
    """A service where people sign in at the provider."""
    return with_provider


pytestmark = pytest.mark.usefixtures("provider")


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


@pytest.mark.parametrize(
    ("roles", "scope"),
    [
        pytest.param(["reader"], "read", id="reader"),
        pytest.param(["other", "author"], "write", id="one of several"),
        pytest.param(["reader", "ops", "editor"], "admin", id="largest"),
        pytest.param("ops", "admin", id="text"),
    ],
)
def test_claim_decides_the_scope(
    provider: Provider, visitor: Visitor, roles: object, scope: str
) -> None:
    """The largest scope counts that one of the values of the claim gives."""
    provider.claims["roles"] = roles
    assert sign_in(visitor).status_code == 303
    page = visitor.get("/sign-in/tokens").text
    assert f'<span class="mark">{scope}</span>' in page
    assert ("<h2>All tokens" in page) == (scope == "admin")


def claim(name: str, value: Any) -> Any:
    """Return a function that makes the provider send another value of a claim, or none."""
    return lambda provider: provider.claims.update({name: value})


def response(name: str, value: str) -> Any:
    """Return a function that changes an argument of the provider's response, or removes it."""
    return lambda provider: provider.callback.update({name: value})


def forged(algorithm: str) -> Any:
    """Return a function that makes the provider sign otherwise than with its key."""
    return lambda provider: provider.be_forged(algorithm)


def answers(path: str, status: int, body: str) -> Any:
    """Return a function that makes the provider answer otherwise."""
    return lambda provider: provider.answers.update({path: (status, body)})


def no_key(provider: Provider) -> None:
    """Publish another key than that of the signature."""
    provider.answers["/jwks"] = (200, '{"keys": [{"kty": "oct", "k": "eA", "kid": "other"}]}')


NOW = int(time.time())
ATTACKS: dict[str, tuple[Any, int, str]] = {
    "no state": (response("state", ""), 403, "unknown state"),
    "wrong state": (response("state", "x"), 403, "unknown state"),
    "state that is not ASCII": (response("state", "ä"), 403, "unknown state"),
    "wrong iss": (response("iss", "https://other.example"), 403, "Invalid iss"),
    "no iss": (response("iss", ""), 403, "Invalid iss"),
    "no code": (response("code", ""), 403, "invalid_grant"),
    "wrong code": (response("code", "x"), 403, "invalid_grant"),
    "denied": (response("error", "access_denied"), 403, "access_denied None"),
    "wrong issuer": (claim("iss", "https://other.example"), 403, "Invalid claim: 'iss'"),
    "no issuer": (claim("iss", None), 403, "Missing claim: 'iss'"),
    "wrong audience": (claim("aud", "other"), 403, "Invalid claim: 'aud'"),
    "another audience too": (claim("aud", ["slipway", "x"]), 403, "Invalid claim: 'aud'"),
    "wrong azp": (claim("azp", "other"), 403, "Invalid claim: 'azp'"),
    "wrong nonce": (claim("nonce", "other"), 403, "Invalid claim: 'nonce'"),
    "no nonce": (claim("nonce", None), 403, "Missing claim: 'nonce'"),
    "expired": (claim("exp", NOW - 70), 403, "The token is expired"),
    "no end": (claim("exp", None), 403, "Missing claim: 'exp'"),
    "end is a text": (claim("exp", "never"), 403, "exp"),
    "issued in the future": (claim("iat", NOW + 600), 403, "in the future"),
    "no subject": (claim("sub", None), 403, "Missing claim: 'sub'"),
    "no name": (claim("name", None), 403, "Missing claim: 'name'"),
    "no role": (claim("roles", ["other"]), 403, "roles is ['other']"),
    "no roles": (claim("roles", None), 403, "roles is None"),
    "role of another type": (claim("roles", {"editor": 1}), 403, "roles is {'editor': 1}"),
    "unsigned": (forged("none"), 403, "'none'"),
    "HS256 with the public key": (forged("HS256"), 403, "'HS256'"),
    "other algorithm": (forged("ES256"), 403, "key"),
    "another key": (forged("RS256"), 403, "bad_signature"),
    "unknown key": (no_key, 403, "key"),
    "no ID token": (answers("/token", 200, "{}"), 403, ""),
    "UserInfo of somebody else": (
        lambda provider: [claim("name", None)(provider), provider.userinfo.update({"sub": "eve"})],
        403,
        "somebody else",
    ),
    "client unknown": (
        answers("/token", 401, '{"error": "invalid_client"}'),
        503,
        "invalid_client",
    ),
    "token endpoint fails": (answers("/token", 500, "oops"), 503, "/token"),
    "keys are no JSON": (answers("/jwks", 200, "<html>"), 503, "JSONDecodeError"),
    "keys are a list": (answers("/jwks", 200, "[1]"), 503, "TypeError"),
    "keys are missing": (answers("/jwks", 200, "{}"), 403, "'keys'"),
    "redirect": (answers("/jwks", 302, "{}"), 503, "302"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_sign_in_is_refused(
    deployment: Deployment, provider: Provider, visitor: Visitor, name: str
) -> None:
    """A response that is not right signs nobody in. A page and one log line say why."""
    attack, status, reason = ATTACKS[name]
    attack(provider)
    path = begin(visitor)
    answer = visitor.get(path)
    assert (answer.status_code, "Sign in again" in answer.text) == (status, True)
    assert ("Retry-After" in answer.headers) == (status == 503)
    line = deployment.line(answer.headers["X-Request-Id"])
    assert reason in f"{line['error']} {line['reason']}"
    assert "exception" not in line
    assert not is_in(visitor)


def test_code_signs_in_only_once(deployment: Deployment, visitor: Visitor) -> None:
    """A response that is sent again signs nobody in, even with a copy of the cookie from before."""
    path = begin(visitor)
    cookie = f"slipway={visitor.cookies['slipway']}"
    assert visitor.get(path).status_code == 303
    assert visitor.get(path).status_code == 403
    assert is_in(visitor)
    with visitor.again() as thief:
        answer = thief.get(path, headers={"Cookie": cookie})
    assert answer.status_code == 403
    assert deployment.line(answer.headers["X-Request-Id"])["reason"].count("invalid_grant") == 1


def test_response_is_for_the_browser_that_began(visitor: Visitor) -> None:
    """A response signs in only the browser that began, not one that it was planted in."""
    path = begin(visitor)
    with visitor.again() as other:
        assert other.get(path).status_code == 403
        begin(other)
        assert other.get(path).status_code == 403
        assert not is_in(other)


def test_clocks_can_differ_by_a_minute(provider: Provider, visitor: Visitor) -> None:
    """An ID token from a clock that is 55 s ahead or behind is accepted."""
    for offset in (-55, 55):
        now = int(time.time()) + offset
        provider.claims |= {"iat": now, "nbf": now, "exp": now + 5}
        assert sign_in(visitor).status_code == 303


def test_keys_can_be_rotated(provider: Provider, visitor: Visitor) -> None:
    """A new key of the provider is used at once, and the one before is not accepted any more."""
    assert sign_in(visitor).status_code == 303
    old, header = provider.sign_with, provider.header
    provider.rotate()
    assert sign_in(visitor).status_code == 303
    provider.sign_with, provider.header = old, header
    assert sign_in(visitor).status_code == 403


def test_unknown_kinds_of_keys_do_no_harm(provider: Provider, visitor: Visitor) -> None:
    """Keys that the service does not understand are ignored, as RFC 7517, section 5 says."""
    provider.keys += [{"kty": "AKP", "kid": "new"}, {"kty": "RSA", "kid": "broken"}]
    assert sign_in(visitor).status_code == 303
    provider.keys.pop()


def test_refused_sign_ins_are_limited(visitor: Visitor, provider: Provider) -> None:
    """Sign-ins that are refused count like wrong tokens, and a valid one is accepted even then."""
    visitor.headers["X-Forwarded-For"] = "2001:db8:ffff::1"
    while (answer := visitor.get("/sign-in/callback?state=x")).status_code == 403:
        provider.asked.append("a try")
        assert len(provider.asked) < 100
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) > 0
    assert sign_in(visitor).status_code == 303
