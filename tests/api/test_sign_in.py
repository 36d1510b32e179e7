"""Sign-in for browsers, and what no other site can do with it."""

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator

import pytest
import requests

from tests.api.conftest import Deployment
from tests.support.checkout import ROOT
from tests.support.service import Service
from tests.support.visitor import Visitor, form

FORMS = """
import json
from app import create_app
print(json.dumps([
    rule.rule for rule in create_app().url_map.iter_rules()
    if "POST" in rule.methods and not rule.rule.startswith("/api")
]))
"""
OFF = """
from app import create_app
client = create_app().test_client()
for path in ("/", "/sign-in"):
    answer = client.get(path, headers={"Accept": "text/html"})
    print(answer.status_code, answer.mimetype)
"""
AWAY = """
from app import create_app
answer = create_app().test_client().get("/readyz", headers={"Accept": "text/html"})
print(answer.status_code, answer.mimetype, answer.headers["Retry-After"])
"""
COOKIE = r"slipway=[\w.-]+; HttpOnly; Path=/; SameSite=Lax"


@pytest.fixture
def visitor(deployment: Deployment) -> Iterator[Visitor]:
    """Somebody who has not signed in, at an address that no other test has."""
    with Visitor(deployment.url) as visitor:
        network = f"{secrets.randbits(16):x}:{secrets.randbits(16):x}"
        visitor.headers["X-Forwarded-For"] = f"2001:db8:{network}::1"
        yield visitor


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The paths of all that takes a form."""
    folder = tmp_path_factory.mktemp("forms")
    found: list[str] = json.loads(python(FORMS, DATABASE_URL=f"sqlite:///{folder}/x.db"))
    return [re.sub("<[^>]*>", "abc", rule) for rule in found]


def is_in(visitor: Visitor) -> bool:
    """Say whether the service knows who that is."""
    return "Sign out" in visitor.get("/docs").text


def python(code: str, **environ: str) -> str:
    """Run Python with the service's code and return what it prints."""
    command = [sys.executable, "-c", code]
    return subprocess.check_output(command, cwd=ROOT, env=environ, text=True)


def test_browser_comes_to_the_sign_in(visitor: Visitor) -> None:
    """Who opens the service in a browser is asked for a token; programs are greeted as ever."""
    answer = visitor.get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/sign-in")
    assert "Accept" in answer.headers["Vary"]
    greeting = visitor.get("/", headers={"Accept": "*/*"})
    assert (greeting.status_code, greeting.headers["Vary"]) == (200, "Accept")
    assert greeting.text.startswith("Hello, World!")


def test_page_is_off_without_a_key(tmp_path: object) -> None:
    """Without SECRET_KEY there is no page to sign in at."""
    environ = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "LOG_LEVEL": "error"}
    printed = python(OFF, **environ)
    assert printed.split() == ["200", "text/plain", "404", "text/html"]


def test_token_signs_in(service: Service, visitor: Visitor) -> None:
    """A token is worth a cookie, which tells nothing to scripts and to no other site."""
    answer = visitor.submit("/sign-in", token=service.token)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    assert re.fullmatch(COOKIE, answer.headers["Set-Cookie"])
    assert is_in(visitor)
    assert visitor.get("/sign-in").status_code == 302
    assert visitor.get("/").status_code in {200, 302}


def test_cookie_is_for_https_only_where_there_is_https(service: Service, visitor: Visitor) -> None:
    """Behind TLS, browsers send it over nothing else, and take it from this host alone."""
    https = {"X-Forwarded-Proto": "https"}
    page = visitor.get("/sign-in", headers=https)
    given = page.headers["Set-Cookie"]
    assert given.startswith("__Host-slipway=")
    assert "; Secure;" in given
    assert "Domain" not in given
    cookie = given.partition(";")[0]
    fields = form(page.text) | {"token": service.token}
    answer = visitor.post("/sign-in", data=fields, headers=https | {"Cookie": cookie})
    assert answer.headers["Set-Cookie"].startswith("__Host-slipway=")
    assert "; Secure;" in answer.headers["Set-Cookie"]


def test_token_is_told_to_nobody(deployment: Deployment, visitor: Visitor) -> None:
    """Neither cookie nor page nor log has the token."""
    token = deployment.token()
    visitor.submit("/sign-in", token=token)
    cookie = visitor.cookies["slipway"]
    assert token not in cookie
    assert token not in visitor.get("/").text + deployment.log()


def test_sign_out(member: Visitor) -> None:
    """Who signs out is nobody again, and the cookie is gone."""
    fields = {"form_key": form_key(member)}
    answer = member.post("/sign-out", data=fields)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/sign-in")
    assert "You are signed out." in member.get("/sign-in").text
    assert not is_in(member)


def form_key(visitor: Visitor) -> str:
    """Return what this visitor's forms have in them."""
    [key] = set(re.findall(r'name="form_key" value="([^"]+)"', visitor.get("/docs").text))
    return str(key)


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("x", id="one letter"),
        pytest.param("slipway_" + "x" * 43, id="unknown token"),
        pytest.param("ü🚀", id="not ASCII"),
        pytest.param("' OR 1=1 --", id="SQL"),
    ],
)
def test_wrong_token_is_told_so(visitor: Visitor, token: str) -> None:
    """What is no token signs nobody in."""
    answer = visitor.submit("/sign-in", token=token)
    assert answer.status_code == 422
    assert "This token is not valid." in answer.text
    assert token in {"", "x"} or token not in answer.text
    assert not is_in(visitor)


def test_wrong_tokens_are_limited(service: Service, visitor: Visitor) -> None:
    """They count with those that the API gets; a right one signs in even then."""
    fields = form(visitor.get("/sign-in").text) | {"token": "wrong"}
    headers = {"X-Forwarded-For": str(visitor.headers["X-Forwarded-For"])}
    for attempts in range(100):  # noqa: B007 more than two windows have
        answer = visitor.post("/sign-in", data=fields)
        if answer.status_code != 422:
            break
        bearer = headers | {"Authorization": "Bearer wrong"}
        requests.get(f"{visitor.url}/api/me", headers=bearer, timeout=30)
    assert (answer.status_code, attempts >= 15) == (429, True)
    assert answer.headers["Content-Type"].startswith("text/html")
    assert int(answer.headers["Retry-After"]) > 0
    assert visitor.submit("/sign-in", token=service.token).status_code == 303


def test_what_was_before_the_sign_in_is_worth_nothing(service: Service, visitor: Visitor) -> None:
    """Who plants a cookie in a browser can do nothing with it after the sign-in: fixation."""
    page = visitor.get("/sign-in")
    planted, key = visitor.cookies["slipway"], form(page.text)["form_key"]
    visitor.post("/sign-in", data={"form_key": key, "token": service.token})
    assert visitor.cookies["slipway"] != planted
    assert form_key(visitor) != key
    assert visitor.post("/sign-out", data={"form_key": key}).status_code == 403
    with visitor.again() as other:
        other.cookies["slipway"] = planted
        assert not is_in(other)


def test_forged_cookie_is_nobodys(member: Visitor) -> None:
    """A cookie that is changed in one character, or made without the key, is none."""
    good = member.cookies["slipway"]
    body, stamp, signature = good.rsplit(".", 2)
    other = "A" if body[5] != "A" else "B"
    forged = [
        f"{body[:5]}{other}{body[6:]}.{stamp}.{signature}",
        f"{body}.{stamp}.",
        f"{body}..{signature}",
        "x",
        "." * 100,
        "eyJtZSI6eyJpZCI6MX19.aaaaaa.aaaaaaaaaaaaaaaaaaaaaaaaaaa",
    ]
    for value in forged:
        with member.again() as visitor:
            visitor.headers["Cookie"] = f"slipway={value}"
            assert not is_in(visitor), value
    assert is_in(member)


@pytest.mark.parametrize(
    "onward",
    [
        pytest.param("https://evil.example", id="another site"),
        pytest.param("//evil.example", id="two slashes"),
        pytest.param("///evil.example", id="three slashes"),
        pytest.param("/\\evil.example", id="backslash"),
        pytest.param("\\\\evil.example", id="two backslashes"),
        pytest.param("/\t/evil.example", id="tab"),
        pytest.param(" //evil.example", id="leading space"),
        pytest.param("/%0a/evil.example", id="encoded newline"),
        pytest.param("javascript:alert(1)", id="script URL"),
        pytest.param("evil.example", id="host alone"),
        pytest.param("/docs", id="page without a sign-in"),
        pytest.param("/sign-out", id="sign-out"),
        pytest.param("/no/such/page", id="unknown page"),
        pytest.param("/" + "x" * 2000, id="long path"),
        pytest.param("\ufeff/docs", id="byte order mark"),
    ],
)
def test_sign_in_leads_nowhere_else(service: Service, visitor: Visitor, onward: str) -> None:
    """Only a page that asked for the sign-in gets its visitor back: no open redirect."""
    page = visitor.get("/sign-in", params={"next": onward})
    fields = form(page.text) | {"token": service.token}
    answer = visitor.post("/sign-in", data=fields, params={"next": onward})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"data": {}}, id="no key"),
        pytest.param({"data": {"form_key": ""}}, id="empty key"),
        pytest.param({"data": {"form_key": "wrong"}}, id="wrong key"),
        pytest.param({"data": {"form_key": "ü"}}, id="key that is not ASCII"),
        pytest.param({"json": {}}, id="JSON"),
        pytest.param({"params": {"form_key": "{right}"}}, id="key in the query"),
        pytest.param(
            {"right": True, "headers": {"Sec-Fetch-Site": "cross-site"}}, id="another site"
        ),
        pytest.param(
            {"right": True, "headers": {"Sec-Fetch-Site": "same-site"}},
            id="another host of the site",
        ),
        pytest.param(
            {"right": True, "headers": {"Origin": "https://evil.example"}}, id="another origin"
        ),
        pytest.param({"right": True, "headers": {"Origin": "null"}}, id="null origin"),
    ],
)
def test_every_form_must_be_our_own(
    member: Visitor, forms: list[str], wrong: dict[str, object]
) -> None:
    """All that takes a form refuses one from elsewhere, also what was added after this test."""
    assert {"/sign-in", "/sign-out"} <= set(forms)
    key = form_key(member)
    given = dict(wrong)
    if given.pop("right", False):
        given["data"] = {"form_key": key}
    if "params" in given:
        given["params"] = {"form_key": key}
    for path in forms:
        answer = member.post(path, **given)  # type: ignore[arg-type]
        assert answer.status_code == 403, path
        assert answer.headers["Content-Type"].startswith("text/html")
    assert is_in(member)


def test_form_of_another_is_refused(member: Visitor, deployment: Deployment) -> None:
    """Who has a form of their own can't send it from another's browser."""
    with Visitor(deployment.url, deployment.token()) as other:
        key = form_key(other)
    assert member.post("/sign-out", data={"form_key": key}).status_code == 403
    own = {"Origin": member.url}
    assert member.post("/sign-out", data={"form_key": form_key(member)}, headers=own).ok


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/no/such/page.html", 404, id="unknown page"),
        pytest.param("GET", "/sign-in/", 404, id="trailing slash"),
        pytest.param("POST", "/livez", 405, id="wrong method"),
        pytest.param("DELETE", "/sign-in", 405, id="wrong method for a page"),
        pytest.param("GET", "/%00", 404, id="null byte"),
    ],
)
def test_errors_are_pages_for_browsers(
    visitor: Visitor, method: str, path: str, status: int
) -> None:
    """A browser gets a page, with the same words and headers; all others the one shape."""
    page = visitor.request(method, path)
    other = visitor.request(method, path, headers={"Accept": "*/*"})
    problem = other.json()
    assert page.status_code == other.status_code == status
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert other.headers["Content-Type"] == "application/problem+json"
    assert f"<h1>{problem['title']}</h1>" in page.text
    assert page.headers["X-Request-Id"] in page.text
    assert page.headers.get("Allow") == other.headers.get("Allow")
    for answer in (page, other):
        assert "Accept" in answer.headers["Vary"]


def test_outage_is_a_page_for_browsers() -> None:
    """A page that says so needs no database itself, not even for who has signed in."""
    environ = {"DATABASE_URL": "mysql+pymysql://a:b@127.0.0.1:1/x", "SECRET_KEY": "x" * 32}
    last = python(AWAY, **environ).splitlines()[-1]
    assert last == "503 text/html 1"


def test_api_has_no_pages(visitor: Visitor) -> None:
    """Under /api, an error is a problem whatever the client would like."""
    for path in ("/api/me", "/api/no/such/thing", "/api"):
        answer = visitor.get(path)
        assert answer.status_code == 401
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_cookie_is_no_token(member: Visitor) -> None:
    """The API takes tokens alone, so no other site can use it with a browser's cookie."""
    assert member.get("/api/me").status_code == 401


def test_large_form_is_refused(member: Visitor) -> None:
    """A form has the limit of any other body."""
    fields = {"form_key": form_key(member), "x": "x" * 70_000}
    answer = member.post("/sign-in", data=fields)
    assert answer.status_code == 413
    assert answer.headers["Content-Type"].startswith("text/html")
